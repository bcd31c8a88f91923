"""What the partials of a job's page are given, one class a partial: a test holds the two together."""

from dataclasses import dataclass
from datetime import datetime

from jobs.engine.events import JobActivating
from jobs.engine.progress import CallView, LogLine, StageView
from jobs.engine.results import Artifact, JobStatus
from jobs.live.asks import Asked, Outside
from jobs.live.plans import PlanView


@dataclass(frozen=True)
class HeaderContext:
    """`templates/jobs/_header.html`. `made` of `total` stages have ended; `seconds` is None until
    the job has. `unknown`: the calls of which nobody can say whether they took effect; `down`: the servers
    that are left alone, each with the reason; `cancel`, `again` and `activate`: addresses, "" where nothing
    is to do. `lines`: how many can be set live; `activating`: who last had lines set live, and when.
    `plan`: what a dry run came to, once it has. `expected_end`: when it will end by what is known of its
    calls, None where nothing is.
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
    """Calls of one stage that wait for a server's permit, `in_use` of `limit` being taken."""

    server: str
    calls: int
    in_use: int
    limit: int


@dataclass(frozen=True)
class StageRowContext:
    """`templates/jobs/_stage.html`: one row. `retries`, `unknown` and `fallbacks` are calls of this stage.

    `cut_off` says how far a stage came that the job's end stopped; `again` is where it is tried again, or "".
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
    """An artifact as the page shows it: `href` opens it, `copy` is our own file ("" where there is none)."""

    artifact: Artifact
    href: str
    copy: str
    outside: bool
    meaning: str

    @property
    def is_picture(self) -> bool:
        """Tell whether it can be shown as a picture at its own size."""
        return bool(self.artifact.kind == "image" and self.artifact.width and self.copy)


@dataclass(frozen=True)
class SummaryContext:
    """`templates/jobs/_summary.html`: all artifacts, those of each stage under its name; pictures apart.

    `outside`: what exists at the services, by server, for a job that did not come to its whole end; open at
    once when it was `cancelled`. `existing` counts it.
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

    `href` opens what it made, `page` tells all of the call, `again` is where it is tried again, or "".
    """

    call: CallView
    wait: float
    work: float
    href: str
    page: str
    again: str


@dataclass(frozen=True)
class CallsContext:
    """`templates/jobs/_calls.html`: how many calls there are, and how many of them are done, or in a dry run
    planned."""

    total: int
    done: int
    dry_run: bool


@dataclass(frozen=True)
class StageCallsContext:
    """`templates/jobs/_stage_calls.html`: one stage's calls, a piece of its own.

    `first` is true for the stage whose calls are open when the page is. In a dry run the calls tell what they
    would take and under which limits.
    """

    id: str
    name: str
    rows: list[CallRow]
    first: bool
    dry_run: bool


@dataclass(frozen=True)
class LogContext:
    """`templates/jobs/_log.html`: the log's tail, newest line first."""

    lines: list[LogLine]
