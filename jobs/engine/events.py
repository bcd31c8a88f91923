"""The events of a job: small typed classes, each with a fixed type name; unknown fields are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol, TypedDict

from jobs.engine.results import Artifact, Source

KINDS: dict[str, type[Event]] = {}
PUBLIC = ("stage:start", "stage:progress", "stage:complete", "stage:error", "workflow:complete")


class UnknownEvent(ValueError):
    """An event type or field that no class here knows."""


def camel(name: str) -> str:
    """Return the camelCase form of a snake_case name."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    """Return the snake_case form of a camelCase name."""
    return re.sub(r"[A-Z]", lambda match: "_" + match.group().lower(), name)


def artifact_payload(artifact: Artifact) -> dict[str, Any]:
    """Return an artifact as a JSON object with camelCase names, without its empty fields."""
    return {camel(key): value for key, value in asdict(artifact).items() if value not in ("", 0)}


def artifact_from(payload: Mapping[str, Any]) -> Artifact:
    """Rebuild an artifact from its payload. Raises TypeError for unknown fields."""
    values = {snake(key): value for key, value in payload.items()}
    return Artifact(**{**values, "source": Source(values["source"])})


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a job. Subclasses set their `type`; the log adds seq, job and time."""

    type: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "type" in cls.__dict__:
            KINDS[cls.type] = cls

    def payload(self) -> dict[str, Any]:
        """Return the event's own fields as a JSON object with camelCase names."""
        values = {camel(f.name): getattr(self, f.name) for f in fields(self)}
        if "artifacts" in values:
            values["artifacts"] = [artifact_payload(artifact) for artifact in values["artifacts"]]
        return values


def event_from(type: str, payload: Mapping[str, Any]) -> Event:
    """Rebuild an event from its stored form. Raises UnknownEvent for an unknown type or field."""
    kind = KINDS.get(type)
    if kind is None:
        raise UnknownEvent(f"there is no event type {type}")
    values = {snake(key): value for key, value in payload.items()}
    if "artifacts" in values:
        values["artifacts"] = tuple(artifact_from(one) for one in values["artifacts"])
    try:
        return kind(**values)
    except TypeError as error:
        raise UnknownEvent(f"{type}: {error}") from error


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the log holds it: its position in the job's log (from 1) and its time (UTC)."""

    seq: int
    at: datetime
    event: Event


@dataclass(frozen=True, kw_only=True)
class StageEvent(Event):
    """An event of one stage, with its position among the stages (from 0)."""

    stage: str
    stage_name: str
    stage_index: int
    total_stages: int


@dataclass(frozen=True, kw_only=True)
class StageStart(StageEvent):
    """A stage begins."""

    type: ClassVar[str] = "stage:start"


@dataclass(frozen=True, kw_only=True)
class StageProgress(StageEvent):
    """`current` of `total` items are made; `detail` describes the latest one."""

    type: ClassVar[str] = "stage:progress"
    current: int
    total: int
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class StageEnd(StageEvent):
    """A stage has ended. `data` is what later stages read; it is never published."""

    status: str
    current: int
    total: int
    artifacts: tuple[Artifact, ...] = ()
    error: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageComplete(StageEnd):
    """A stage ended as completed, partial or skipped."""

    type: ClassVar[str] = "stage:complete"


@dataclass(frozen=True, kw_only=True)
class StageError(StageEnd):
    """A stage ended as failed; its fallbacks, if any, are among the artifacts."""

    type: ClassVar[str] = "stage:error"


@dataclass(frozen=True, kw_only=True)
class WorkflowComplete(Event):
    """The job has ended, as `status` says."""

    type: ClassVar[str] = "workflow:complete"
    status: str
    total_stages: int
    artifacts: tuple[Artifact, ...] = ()
    error: str = ""


class CallFields(TypedDict):
    """The five fields that identify a call in its job."""

    stage: str
    step: str
    server: str
    tool: str
    item: str


class AnyCall(Protocol):
    """Anything that carries the five fields: a call, its row, its view or one of its events."""

    @property
    def stage(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def tool(self) -> str: ...
    @property
    def item(self) -> str: ...


def call_fields(call: AnyCall) -> CallFields:
    """Return the five fields that identify a call, as its events and its row hold them."""
    return {
        "stage": call.stage,
        "step": call.step,
        "server": call.server,
        "tool": call.tool,
        "item": call.item,
    }


@dataclass(frozen=True, kw_only=True)
class CallEvent(Event):
    """An event of one call: `step` is its stable name in the job, `item` the item it is for."""

    stage: str
    step: str
    server: str
    tool: str
    item: str = ""


@dataclass(frozen=True, kw_only=True)
class CallWaiting(CallEvent):
    """A call waits for a permit; `in_use` of `limit` permits are taken."""

    type: ClassVar[str] = "call:waiting"
    in_use: int
    limit: int


@dataclass(frozen=True, kw_only=True)
class CallStart(CallEvent):
    """An attempt (from 1) is about to be sent; its intent is recorded."""

    type: ClassVar[str] = "call:start"
    attempt: int


@dataclass(frozen=True, kw_only=True)
class CallRetry(CallEvent):
    """An attempt had no effect or is safe to repeat; the next follows after `delay` seconds."""

    type: ClassVar[str] = "call:retry"
    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class CallComplete(CallEvent):
    """A call has ended, `state` done or failed; `waited` and `took` are seconds."""

    type: ClassVar[str] = "call:complete"
    state: str
    attempt: int
    waited: float
    took: float
    remote_id: str = ""
    remote_url: str = ""
    source: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class CallUnknown(CallEvent):
    """It could not be determined whether the call took effect; `reason` says what happened."""

    type: ClassVar[str] = "call:unknown"
    attempt: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class CallFallback(CallEvent):
    """A fallback replaces what this call would have made."""

    type: ClassVar[str] = "call:fallback"
    reason: str


@dataclass(frozen=True, kw_only=True)
class CallPlanned(CallEvent):
    """A dry run has checked a call without sending it: it would take about `seconds`, under one of `limit`
    permits of its server and a rate of `per_minute` calls (0: no rate).
    """

    type: ClassVar[str] = "call:planned"
    seconds: float
    limit: int
    per_minute: int = 0


@dataclass(frozen=True, kw_only=True)
class JobQueued(Event):
    """A job was accepted; `stages` are its recorded plan as (id, name) pairs."""

    type: ClassVar[str] = "job:queued"
    workflow: str
    version: int
    title: str
    stages: list[list[str]]
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class JobResumed(Event):
    """A worker has claimed the job again; `epoch` counts the claims."""

    type: ClassVar[str] = "job:resumed"
    epoch: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class JobCancelling(Event):
    """A user asked for the job to stop; no new call starts after this."""

    type: ClassVar[str] = "job:cancelling"
    by: str


@dataclass(frozen=True, kw_only=True)
class JobRetrying(Event):
    """A user retried an ended job: a new round begins, in which `stages` and `steps` start again."""

    type: ClassVar[str] = "job:retrying"
    by: str
    round: int
    stages: list[str]
    steps: list[str] = field(default_factory=list)
    what: str = "everything that failed"


@dataclass(frozen=True, kw_only=True)
class JobResolved(Event):
    """A user resolved an unknown call: its effect `exists` (as `remote_id`), is `absent`, or is to `skip`."""

    type: ClassVar[str] = "job:resolved"
    by: str
    step: str
    outcome: str
    remote_id: str = ""


@dataclass(frozen=True, kw_only=True)
class JobServerDown(Event):
    """A server keeps failing: calls to it are paused, and fallbacks replace what they would have made."""

    type: ClassVar[str] = "job:server-down"
    server: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class JobPlanned(Event):
    """The result of a dry run: `calls` calls would be made, and the job would take about `seconds`.

    `bound`: the least seconds that any order of the calls takes; `servers`: the number of calls by server.
    """

    type: ClassVar[str] = "job:planned"
    calls: int
    seconds: float
    bound: float
    servers: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class JobExpected(Event):
    """About `seconds` are left, counted from this event. Emitted again when the estimate changes much."""

    type: ClassVar[str] = "job:expected"
    seconds: float


@dataclass(frozen=True, kw_only=True)
class JobActivating(Event):
    """A user with permission to spend confirmed prepared lines: the round that sets them live begins.

    `stage` and `stage_name` identify the stage that does it, which joins the job's stages; `digest` is the
    hash of what was shown, `what` its summary ("5 lines, USD 100,000.00"); `steps` start again.
    """

    type: ClassVar[str] = "job:activating"
    by: str
    round: int
    stage: str
    stage_name: str
    digest: str
    what: str
    steps: list[str] = field(default_factory=list)


def restarted_stages(event: Event) -> Sequence[str]:
    """Return the ids of the stages that run again in the round that this event begins."""
    if isinstance(event, JobRetrying):
        return event.stages
    return (event.stage,) if isinstance(event, JobActivating) else ()


def stage_ends(events: Iterable[Event]) -> dict[str, StageEnd]:
    """Return the end that counts of each stage that has ended, by stage id, from a job's events in order.

    That is its latest end. A stage that a later round runs again has not ended until it ends again.
    """
    ends: dict[str, StageEnd] = {}
    for event in events:
        if isinstance(event, StageEnd):
            ends[event.stage] = event
        for stage in restarted_stages(event):
            ends.pop(stage, None)
    return ends


def iso(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
