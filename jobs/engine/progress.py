"""The projection that every view shows: a job's events in order, folded into what a person reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import singledispatchmethod
from typing import Any

from jobs.engine import events as ev
from jobs.engine.log import line_of
from jobs.engine.results import ENDED_JOB, ENDED_STAGE, Artifact, JobStatus, Status

LOG_TAIL = 60


@dataclass(slots=True)
class StageView:
    """A stage for display: `current` of `total` items are made; times are UTC.

    `data` is what other stages read from its last end; it is never published.
    """

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
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def percent(self) -> int:
        """Return the percentage of items made; 100 for a completed stage without items."""
        if self.total:
            return min(100, 100 * self.current // self.total)
        return 100 if self.status is Status.COMPLETED else 0

    @property
    def ended(self) -> bool:
        return self.status in ENDED_STAGE

    @property
    def seconds(self) -> float | None:
        """Return how many seconds the stage took; None until it has ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(slots=True)
class CallView:
    """A call for display. `state` is waiting, sent, retry, done, failed, unknown, skipped or, in a dry run,
    planned; `sent_at`: when its last attempt was sent (UTC); `expected`: the seconds of a planned call."""

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
    fallback: bool = False
    sent_at: datetime | None = None
    expected: float = 0.0
    per_minute: int = 0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the job's log."""

    seq: int
    at: datetime
    level: str
    text: str


@dataclass(slots=True)
class Progress:
    """Everything a person sees of one job, up to the event `last_seq`.

    `down`: the servers to which calls are paused because they keep failing, each with the reason; `planned`:
    the result of a dry run; `activating`: the last request to set lines live, made at `activating_at`;
    `expected_end`: the estimated end of a running job. Times are UTC.
    """

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
    round: int = 1
    down: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False
    planned: ev.JobPlanned | None = None
    activating: ev.JobActivating | None = None
    activating_at: datetime | None = None
    expected_end: datetime | None = None

    @classmethod
    def from_events(cls, recorded: Iterable[ev.Recorded]) -> Progress:
        """Return the progress after a job's events, given in seq order."""
        progress = cls()
        for one in recorded:
            progress.apply(one)
        return progress

    def apply(self, one: ev.Recorded) -> None:
        """Apply one more event; an event that was already applied changes nothing."""
        if one.seq <= self.last_seq:
            return
        self.last_seq = one.seq
        self._fold(one.event, one.at)
        line = line_of(one.event, dry_run=self.dry_run)
        if line:
            self.log.append(LogLine(one.seq, one.at, *line))
            del self.log[:-LOG_TAIL]

    @property
    def ended(self) -> bool:
        return self.status in ENDED_JOB

    @property
    def artifacts(self) -> list[Artifact]:
        """Return the current artifacts, stage by stage."""
        return [artifact for stage in self.stages for artifact in self.artifacts_of(stage)]

    def artifacts_of(self, stage: StageView) -> list[Artifact]:
        """Return a stage's artifacts, without those that a later stage has replaced."""
        later = {artifact.name for after in self.stages[stage.index + 1 :] for artifact in after.artifacts}
        return [artifact for artifact in stage.artifacts if artifact.name not in later]

    def stage(self, id: str) -> StageView:
        """Return one stage. Raises KeyError if the job has no stage with this id."""
        for stage in self.stages:
            if stage.id == id:
                return stage
        raise KeyError(id)

    def calls_of(self, stage: str) -> list[CallView]:
        """Return the calls of one stage, in the order in which they were first asked for."""
        return [call for call in self.calls.values() if call.stage == stage]

    def _call(self, event: ev.CallEvent) -> CallView:
        call = self.calls.get(event.step)
        if call is None:
            call = CallView(**ev.call_fields(event))
            self.calls[event.step] = call
        return call

    @singledispatchmethod
    def _fold(self, event: ev.Event, at: datetime) -> None:
        raise ev.UnknownEvent(f"the projection cannot apply {event.type}")

    @_fold.register
    def _(self, event: ev.JobQueued, at: datetime) -> None:
        self.title, self.queued_at, self.dry_run = event.title, at, event.dry_run
        self.stages = [StageView(id, name, index) for index, (id, name, *_) in enumerate(event.stages)]

    @_fold.register
    def _(self, event: ev.JobResumed, at: datetime) -> None:
        self.status, self.expected_end = JobStatus.RUNNING, None

    @_fold.register
    def _(self, event: ev.JobExpected, at: datetime) -> None:
        self.expected_end = at + timedelta(seconds=event.seconds)

    @_fold.register
    def _(self, event: ev.JobCancelling, at: datetime) -> None:
        self.cancelling, self.expected_end = True, None

    @_fold.register
    def _(self, event: ev.JobRetrying, at: datetime) -> None:
        self.status, self.ended_at, self.error = JobStatus.QUEUED, None, ""
        self.round, self.cancelling, self.started_at = event.round, False, None
        self.planned = None
        self.down.clear()
        for stage in self.stages:
            if stage.id in event.stages or not stage.ended:
                stage.status, stage.started_at, stage.ended_at = Status.PENDING, None, None
                stage.error = stage.detail = ""
        self._restart_calls(event.steps)

    @_fold.register
    def _(self, event: ev.JobActivating, at: datetime) -> None:
        self.status, self.ended_at, self.error = JobStatus.QUEUED, None, ""
        self.round, self.cancelling, self.started_at = event.round, False, None
        self.down.clear()
        if all(stage.id != event.stage for stage in self.stages):
            self.stages.append(StageView(event.stage, event.stage_name, len(self.stages)))
        stage = self.stage(event.stage)
        stage.status, stage.started_at, stage.ended_at = Status.PENDING, None, None
        stage.error = stage.detail = ""
        self.activating, self.activating_at = event, at
        self._restart_calls(event.steps)

    def _restart_calls(self, steps: Iterable[str]) -> None:
        for step in steps:
            if call := self.calls.get(step):
                call.state, call.error, call.fallback = "waiting", "", False
                call.in_use = call.limit = 0

    @_fold.register
    def _(self, event: ev.JobPlanned, at: datetime) -> None:
        self.planned = event

    @_fold.register
    def _(self, event: ev.CallPlanned, at: datetime) -> None:
        call = self._call(event)
        call.state, call.error, call.expected = "planned", "", event.seconds
        call.limit, call.per_minute = event.limit, event.per_minute

    @_fold.register
    def _(self, event: ev.JobResolved, at: datetime) -> None:
        if call := self.calls.get(event.step):
            states = {"exists": "done", "absent": "waiting", "skip": "skipped"}
            call.state, call.error = states[event.outcome], ""
            call.remote_id = event.remote_id or call.remote_id
            call.fallback = event.outcome == "skip"

    @_fold.register
    def _(self, event: ev.JobServerDown, at: datetime) -> None:
        self.down[event.server] = event.reason

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
        stage.data = event.data

    @_fold.register
    def _(self, event: ev.WorkflowComplete, at: datetime) -> None:
        self.status, self.ended_at, self.error = JobStatus(event.status), at, event.error
        self.cancelling, self.expected_end = False, None
        for stage in self.stages:
            if not stage.ended:  # a cancelled or broken job leaves stages without an end
                made = stage.current or any(call.remote_id for call in self.calls_of(stage.id))
                stage.status = Status.PARTIAL if made else Status.SKIPPED
                stage.ended_at, stage.detail = at if stage.started_at else None, ""
        for call in self.calls.values():
            if call.state in ("waiting", "retry"):  # nothing more is sent
                call.state, call.error = "skipped", "not sent before the campaign ended"

    @_fold.register
    def _(self, event: ev.CallWaiting, at: datetime) -> None:
        call = self._call(event)
        call.state, call.in_use, call.limit = "waiting", event.in_use, event.limit

    @_fold.register
    def _(self, event: ev.CallStart, at: datetime) -> None:
        call = self._call(event)
        call.state, call.attempts, call.sent_at, call.fallback = "sent", event.attempt, at, False

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
        if event.state == "done":
            self.down.pop(event.server, None)

    @_fold.register
    def _(self, event: ev.CallUnknown, at: datetime) -> None:
        call = self._call(event)
        call.state, call.attempts, call.error = "unknown", event.attempt, event.reason

    @_fold.register
    def _(self, event: ev.CallFallback, at: datetime) -> None:
        call = self.calls.get(event.step)
        if call is not None:  # a step that was never called has no view; the log shows its fallback
            call.fallback, call.error = True, call.error or event.reason
