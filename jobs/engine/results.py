"""What a stage returns: statuses, artifacts and results, and the errors that end a step early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The status of a stage."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"


class JobStatus(StrEnum):
    """The status of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED_STAGE = frozenset({Status.COMPLETED, Status.PARTIAL, Status.FAILED, Status.SKIPPED})
ENDED_JOB = frozenset({JobStatus.COMPLETED, JobStatus.PARTIAL, JobStatus.FAILED, JobStatus.CANCELLED})


class Source(StrEnum):
    """Where an artifact is: on an external server, on a bundled one, simulated, or a fallback."""

    LIVE = "live"
    LOCAL = "local"
    SIMULATED = "simulated"
    FALLBACK = "fallback"


class StepError(Exception):
    """A step failed; the message says why in one line that is safe to show."""


class Stopped(Exception):
    """The job may not continue (it is cancelled, or its lease is lost): no further step starts."""


class LogLost(Exception):
    """An event or row could not be recorded, because of `error`. It ends the job's run, not just a stage."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def cause_of(error: Exception) -> Exception:
    """Return the most severe error in a group: LogLost, then Stopped, then any but StepError."""
    leaves = list(_leaves(error))
    for kinds in ((LogLost,), (Stopped,)):
        if found := next((leaf for leaf in leaves if isinstance(leaf, kinds)), None):
            return found
    return next((leaf for leaf in leaves if not isinstance(leaf, StepError)), leaves[0])


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for part in error.exceptions:
        yield from _leaves(part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One thing that a stage made.

    `name` is unique in the job and reads like a file name. `url` is its address at the service (or ""),
    `file` the name of the copy in the job's folder (or ""). `width` and `height` are in pixels.
    """

    name: str
    title: str
    kind: str
    source: Source
    url: str = ""
    file: str = ""
    mime: str = ""
    width: int = 0
    height: int = 0
    remote_id: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """The end of a stage: `made` of `total` items, the artifacts, and `data` for later stages.

    `data["unknown"]`, if present, lists the calls with an unknown outcome: their job is never completed.
    """

    status: Status
    made: int
    total: int
    artifacts: tuple[Artifact, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One prepared line that can be set live, and what it would spend.

    `item` identifies it in the job's steps, `remote_id` on its server; `budget` is a decimal number in
    `currency` (ISO 4217); `start` and `end` are the first and last day of its flight, ISO 8601, in
    `timezone`.
    """

    item: str
    name: str
    server: str
    remote_id: str
    budget: str
    currency: str
    start: str
    end: str
    timezone: str
    source: str


@dataclass(frozen=True, slots=True)
class Timing:
    """When a stage began (a time with its zone) and how many seconds it took."""

    began: datetime
    seconds: float

    @property
    def ended(self) -> datetime:
        return self.began + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Missed:
    """Returned by an item's work that could not make the item; `value` may be a fallback."""

    error: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """How one item of a stage ended; `made` is False without a value and with a fallback."""

    thing: Any
    value: Any
    error: str = ""

    @property
    def made(self) -> bool:
        return not self.error


def judge(made: int, total: int) -> Status:
    """Return the status of a stage with `made` of `total` items: completed from three quarters."""
    if made == 0 and total > 0:
        return Status.FAILED
    return Status.COMPLETED if made * 4 >= total * 3 else Status.PARTIAL


def judge_job(stages: Mapping[str, Status], *, unknown: bool = False) -> JobStatus:
    """Return the status of an ended job; `unknown`: one of its calls has an unknown outcome."""
    statuses = list(stages.values())
    if not unknown and all(status is Status.COMPLETED for status in statuses):
        return JobStatus.COMPLETED
    if any(status in (Status.COMPLETED, Status.PARTIAL) for status in statuses):
        return JobStatus.PARTIAL
    return JobStatus.FAILED
