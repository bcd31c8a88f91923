"""What a stage gives back: statuses, artifacts, results, and the ways in which a step ends early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a stage stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"


class JobStatus(StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED_STAGE = frozenset({Status.COMPLETED, Status.PARTIAL, Status.FAILED, Status.SKIPPED})
ENDED_JOB = frozenset({JobStatus.COMPLETED, JobStatus.PARTIAL, JobStatus.FAILED, JobStatus.CANCELLED})


class Source(StrEnum):
    """Where an artifact really is: on an outside server, on a bundled one, pretended, or a fallback."""

    LIVE = "live"
    LOCAL = "local"
    SIMULATED = "simulated"
    FALLBACK = "fallback"


class StepError(Exception):
    """A step did not work out; the message is one line, safe to show, and says why."""


class Stopped(Exception):
    """The job may not go on (cancelled, or its lease is lost): no further step starts."""


class LogLost(Exception):
    """What was to be told or recorded could not be; `error` is why. It ends the run and is no stage's own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def cause_of(error: Exception) -> Exception:
    """Give what an error comes down to: of a group, what weighs most of all that is in it."""
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

    `name` is unique in the job and reads like a file name. `url` is where it opens outside (or ""),
    `file` the name of our own copy in the job's folder (or ""). `width` and `height` are pixels.
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
    """The end of a stage: `made` of `total` items, what exists now, and `data` for the stages after it.

    `data["unknown"]`, where it is there, lists what nobody could settle: such a job is never completed.
    """

    status: Status
    made: int
    total: int
    artifacts: tuple[Artifact, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One prepared line that can be set live: what is spent, where, by which call.

    `item` names it in the job's steps, `remote_id` on its server; `budget` is a decimal number in `currency`
    (ISO 4217); `start` and `end` are the first and last day of its flight, ISO 8601, in `timezone`.
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
    """When a stage began (with its time zone) and how many seconds it took."""

    began: datetime
    seconds: float

    @property
    def ended(self) -> datetime:
        return self.began + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Missed:
    """What an item's work returns when it could not make the real thing; `value` may be a fallback."""

    error: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """How one item of a stage ended; `made` is False for a fallback as well as for nothing."""

    thing: Any
    value: Any
    error: str = ""

    @property
    def made(self) -> bool:
        return not self.error


def judge(made: int, total: int) -> Status:
    """Give the status of a stage with `made` of `total` items: completed from three quarters on."""
    if made == 0 and total > 0:
        return Status.FAILED
    return Status.COMPLETED if made * 4 >= total * 3 else Status.PARTIAL


def judge_job(stages: Mapping[str, Status], *, unknown: bool = False) -> JobStatus:
    """Give the status of an ended job from those of its stages; `unknown`: one of them holds an unknown."""
    statuses = list(stages.values())
    if not unknown and all(status is Status.COMPLETED for status in statuses):
        return JobStatus.COMPLETED
    if any(status in (Status.COMPLETED, Status.PARTIAL) for status in statuses):
        return JobStatus.PARTIAL
    return JobStatus.FAILED
