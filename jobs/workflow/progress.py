"""The fold that every view shows: a job's events in order, folded into what a person reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatchmethod

from jobs.workflow import events as ev
from jobs.workflow.results import ENDED_JOB, ENDED_STAGE, Artifact, JobStatus, Status

LOG_TAIL = 60


@dataclass(slots=True)
class StageView:
    """A stage as people see it: `current` of `total` items made; times are UTC."""

    id: str
    name: str
    index: int
    status: Status = Status.PENDING
    current: int = 0
    total: int = 0
    detail: str = ""
    error: str = ""
    artifacts: tuple[Artifact, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def percent(self) -> int:
        """Give the share of items made, 0 to 100; an ended stage with nothing to count is full."""
        if self.total:
            return min(100, 100 * self.current // self.total)
        return 100 if self.status is Status.COMPLETED else 0

    @property
    def ended(self) -> bool:
        return self.status in ENDED_STAGE

    @property
    def seconds(self) -> float | None:
        """Give how long the stage took, once it has ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(slots=True)
class CallView:
    """A call as people see it: `state` is waiting, sent, retry, done, failed or unknown."""

    step: str
    stage: str
    server: str
    tool: str
    item: str
    state: str = "waiting"
    attempts: int = 0
    waited: float = 0.0
    took: float = 0.0
    in_use: int = 0
    limit: int = 0
    remote_id: str = ""
    remote_url: str = ""
    source: str = ""
    error: str = ""
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the job's log."""

    seq: int
    at: datetime
    level: str
    text: str


@dataclass(slots=True)
class Progress:
    """Everything a person sees of one job, as far as the event `last_seq`."""

    title: str = ""
    status: JobStatus = JobStatus.QUEUED
    stages: list[StageView] = field(default_factory=list)
    calls: dict[str, CallView] = field(default_factory=dict)
    log: list[LogLine] = field(default_factory=list)
    last_seq: int = 0
    cancelling: bool = False
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str = ""

    @classmethod
    def from_events(cls, recorded: Iterable[ev.Recorded]) -> Progress:
        """Fold a job's events, given in seq order."""
        progress = cls()
        for one in recorded:
            progress.apply(one)
        return progress

    def apply(self, one: ev.Recorded) -> None:
        """Fold one more event in; an event that was folded before changes nothing."""
        if one.seq <= self.last_seq:
            return
        self.last_seq = one.seq
        self._fold(one.event, one.at)
        line = _line(one.event)
        if line:
            self.log.append(LogLine(one.seq, one.at, *line))
            del self.log[:-LOG_TAIL]

    @property
    def ended(self) -> bool:
        return self.status in ENDED_JOB

    @property
    def artifacts(self) -> list[Artifact]:
        """Give all artifacts, stage by stage."""
        return [artifact for stage in self.stages for artifact in stage.artifacts]

    def stage(self, id: str) -> StageView:
        """Give one stage. Raises KeyError when the job has none of that id."""
        for stage in self.stages:
            if stage.id == id:
                return stage
        raise KeyError(id)

    def calls_of(self, stage: str) -> list[CallView]:
        """Give the calls of one stage, in the order in which they first asked."""
        return [call for call in self.calls.values() if call.stage == stage]

    def _call(self, event: ev.CallEvent) -> CallView:
        call = self.calls.get(event.step)
        if call is None:
            call = CallView(event.step, event.stage, event.server, event.tool, event.item)
            self.calls[event.step] = call
        return call

    @singledispatchmethod
    def _fold(self, event: ev.Event, at: datetime) -> None:
        raise ev.UnknownEvent(f"the fold does not know {event.type}")

    @_fold.register
    def _(self, event: ev.JobQueued, at: datetime) -> None:
        self.title, self.queued_at = event.title, at
        self.stages = [StageView(id, name, index) for index, (id, name) in enumerate(event.stages)]

    @_fold.register
    def _(self, event: ev.JobResumed, at: datetime) -> None:
        self.status = JobStatus.RUNNING

    @_fold.register
    def _(self, event: ev.JobCancelling, at: datetime) -> None:
        self.cancelling = True

    @_fold.register
    def _(self, event: ev.StageStart, at: datetime) -> None:
        stage = self.stage(event.stage)
        stage.status, stage.started_at = Status.RUNNING, stage.started_at or at
        self.status, self.started_at = JobStatus.RUNNING, self.started_at or at

    @_fold.register
    def _(self, event: ev.StageProgress, at: datetime) -> None:
        stage = self.stage(event.stage)
        stage.current, stage.total = max(stage.current, event.current), event.total
        stage.detail = event.detail

    @_fold.register
    def _(self, event: ev.StageEnd, at: datetime) -> None:
        stage = self.stage(event.stage)
        stage.status, stage.ended_at = Status(event.status), at
        stage.current, stage.total = max(stage.current, event.current), event.total
        stage.artifacts, stage.error, stage.detail = event.artifacts, event.error, ""

    @_fold.register
    def _(self, event: ev.WorkflowComplete, at: datetime) -> None:
        self.status, self.ended_at, self.error = JobStatus(event.status), at, event.error

    @_fold.register
    def _(self, event: ev.CallWaiting, at: datetime) -> None:
        call = self._call(event)
        call.state, call.in_use, call.limit = "waiting", event.in_use, event.limit

    @_fold.register
    def _(self, event: ev.CallStart, at: datetime) -> None:
        call = self._call(event)
        call.state, call.attempts = "sent", event.attempt

    @_fold.register
    def _(self, event: ev.CallRetry, at: datetime) -> None:
        call = self._call(event)
        call.state, call.attempts, call.error = "retry", event.attempt, event.reason

    @_fold.register
    def _(self, event: ev.CallComplete, at: datetime) -> None:
        call = self._call(event)
        call.state, call.attempts, call.error = event.state, event.attempt, event.error
        call.waited, call.took, call.source = event.waited, event.took, event.source
        call.remote_id, call.remote_url = event.remote_id, event.remote_url

    @_fold.register
    def _(self, event: ev.CallUnknown, at: datetime) -> None:
        call = self._call(event)
        call.state, call.attempts, call.error = "unknown", event.attempt, event.reason

    @_fold.register
    def _(self, event: ev.CallFallback, at: datetime) -> None:
        call = self.calls.get(event.step)
        if call is not None:  # a step that was never asked for is no call; the log tells of its stand-in
            call.stand_in, call.error = True, call.error or event.reason


def _what(event: ev.CallEvent) -> str:
    return f"{event.server} {event.tool}" + (f" ({event.item})" if event.item else "")


def _end(event: ev.StageEnd) -> tuple[str, str]:
    level = "good" if event.status == Status.COMPLETED else "bad"
    why = f": {event.error}" if event.error else ""
    return level, f"{event.stage_name} {event.status}, {event.current}/{event.total}{why}"


def _call_end(event: ev.CallComplete) -> tuple[str, str] | None:
    if event.state == "done":
        return "plain", f"{_what(event)} done in {event.took:.1f} s"
    return "bad", f"{_what(event)} failed: {event.error}"


LINES: dict[type[ev.Event], Callable[..., tuple[str, str] | None]] = {
    ev.JobQueued: lambda e: ("plain", "Launched and queued"),
    ev.JobResumed: lambda e: ("warn", f"Taken up again: {e.reason}"),
    ev.JobCancelling: lambda e: ("warn", f"Cancelling, asked by {e.by}"),
    ev.StageStart: lambda e: ("plain", f"{e.stage_name} begins"),
    ev.StageComplete: _end,
    ev.StageError: _end,
    ev.WorkflowComplete: lambda e: ("good" if e.status == "completed" else "bad", f"Campaign {e.status}"),
    ev.CallRetry: lambda e: ("warn", f"{_what(e)}: {e.reason}; next try in {e.delay:g} s"),
    ev.CallComplete: _call_end,
    ev.CallUnknown: lambda e: ("warn", f"{_what(e)} unknown: {e.reason}"),
    ev.CallFallback: lambda e: ("warn", f"{_what(e)}: a stand-in takes its place, {e.reason}"),
}


def _line(event: ev.Event) -> tuple[str, str] | None:
    """Give the level and text of an event's log line; waiting and plain progress have none."""
    make = LINES.get(type(event))
    return make(event) if make else None
