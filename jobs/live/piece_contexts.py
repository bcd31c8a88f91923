"""The template contexts of a job's partials, one class each; a test compares them with the templates."""

from dataclasses import dataclass
from datetime import datetime

from jobs.engine.events import JobActivating
from jobs.engine.progress import CallView, LogLine, StageView
from jobs.engine.results import Artifact, JobStatus
from jobs.live.asks import Asked, Outside
from jobs.live.plans import PlanView


@dataclass(frozen=True)
class HeaderContext:
    """`templates/jobs/_header.html`.

    `made` of `total` stages have ended. `seconds` is None until the job has ended. `down`: the servers whose
    calls are paused, each with the reason. `cancel`, `again` and `activate`: addresses, "" if the action is
    not possible. `lines`: how many lines can be set live. `activating`: the last activation. `plan`: the
    result of a dry run that has ended. `expected_end`: None if unknown.
    """

    title: str
    status: JobStatus
    over: bool
    made: int
    total: int
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    expected_end: datetime | None
    seconds: float | None
    round: int
    cancelling: bool
    unknown: list[Asked]
    down: dict[str, str]
    error: str
    cancel: str
    again: str
    activate: str
    lines: int
    activating: JobActivating | None
    activating_at: datetime | None
    dry_run: bool
    plan: PlanView | None


@dataclass(frozen=True)
class Wait:
    """The number of a stage's calls that wait for a server's permit, while `in_use` of `limit` are taken."""

    server: str
    calls: int
    in_use: int
    limit: int


@dataclass(frozen=True)
class StageRowContext:
    """`templates/jobs/_stage.html`: one row.

    `cut_off` says how far the stage got if the job's end cut it off. `again`: the address to retry it, or "".
    """

    stage: StageView
    waits: list[Wait]
    retries: list[CallView]
    unknown: list[Asked]
    fallbacks: int
    cut_off: str
    again: str


@dataclass(frozen=True)
class Thing:
    """An artifact as the page shows it: `href` opens it, `copy` is Flightplan's own file, or ""."""

    artifact: Artifact
    href: str
    copy: str
    outside: bool
    meaning: str

    @property
    def is_picture(self) -> bool:
        """Whether it can be shown as a picture at its original size."""
        return bool(self.artifact.kind == "image" and self.artifact.width and self.copy)


@dataclass(frozen=True)
class SummaryContext:
    """`templates/jobs/_summary.html`: all artifacts by stage, and the pictures.

    `outside`: what exists at the services, by server, if the job did not complete; `existing` is its number.
    The list starts open if the job was `cancelled`.
    """

    groups: list[tuple[str, list[Thing]]]
    pictures: list[Thing]
    fallbacks: int
    over: bool
    bundle: str
    outside: list[tuple[str, list[Outside]]]
    existing: int
    cancelled: bool
    dry_run: bool


@dataclass(frozen=True)
class CallRow:
    """A call with its bar: `wait` and `work` are percentages of the time of the stage's slowest call.

    `href` opens what it created, `page` is the call's own page, `again` the address to retry it, or "".
    """

    call: CallView
    wait: float
    work: float
    href: str
    page: str
    again: str


@dataclass(frozen=True)
class CallsContext:
    """`templates/jobs/_calls.html`: the number of calls, and of those done (in a dry run: planned)."""

    total: int
    done: int
    dry_run: bool


@dataclass(frozen=True)
class StageCallsContext:
    """`templates/jobs/_stage_calls.html`: the calls of one stage.

    `first` is true for the stage whose calls start open. In a dry run the calls show their expected times
    and limits.
    """

    id: str
    name: str
    rows: list[CallRow]
    first: bool
    dry_run: bool


@dataclass(frozen=True)
class LogContext:
    """`templates/jobs/_log.html`: the last lines of the log, newest first."""

    lines: list[LogLine]
