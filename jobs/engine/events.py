"""The events that tell a job's story: small typed classes with a fixed name; unknown fields are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, ClassVar

from jobs.engine.results import Artifact, Source

KINDS: dict[str, type[Event]] = {}
PUBLIC = ("stage:start", "stage:progress", "stage:complete", "stage:error", "workflow:complete")


class UnknownEvent(ValueError):
    """An event type or field that no class here knows."""


def camel(name: str) -> str:
    """Give the camelCase form of a snake_case name."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    """Give the snake_case form of a camelCase name."""
    return re.sub(r"[A-Z]", lambda match: "_" + match.group().lower(), name)


def artifact_payload(artifact: Artifact) -> dict[str, Any]:
    """Give an artifact as JSON-able camelCase, without its empty fields."""
    return {camel(key): value for key, value in asdict(artifact).items() if value not in ("", 0)}


def artifact_from(payload: Mapping[str, Any]) -> Artifact:
    """Build an artifact back from its payload. Raises TypeError for unknown fields."""
    values = {snake(key): value for key, value in payload.items()}
    return Artifact(**{**values, "source": Source(values["source"])})


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a job. Subclasses name their `type`; the log adds seq, job and time."""

    type: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "type" in cls.__dict__:
            KINDS[cls.type] = cls

    def payload(self) -> dict[str, Any]:
        """Give the event's own fields as JSON-able camelCase."""
        values = {camel(f.name): getattr(self, f.name) for f in fields(self)}
        if "artifacts" in values:
            values["artifacts"] = [artifact_payload(artifact) for artifact in values["artifacts"]]
        return values


def event_from(type: str, payload: Mapping[str, Any]) -> Event:
    """Build an event back from its stored form. Raises UnknownEvent for an unknown type or field."""
    kind = KINDS.get(type)
    if kind is None:
        raise UnknownEvent(f"no event is called {type}")
    values = {snake(key): value for key, value in payload.items()}
    if "artifacts" in values:
        values["artifacts"] = tuple(artifact_from(one) for one in values["artifacts"])
    try:
        return kind(**values)
    except TypeError as error:
        raise UnknownEvent(f"{type}: {error}") from error


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the log holds it: its place in the job's order (from 1) and the time in UTC."""

    seq: int
    at: datetime
    event: Event


@dataclass(frozen=True, kw_only=True)
class StageEvent(Event):
    """An event of one stage, with its place among the stages (from 0)."""

    stage: str
    stage_name: str
    stage_index: int
    total_stages: int


@dataclass(frozen=True, kw_only=True)
class StageStart(StageEvent):
    """A stage begins; `total` items are expected where that is known already."""

    type: ClassVar[str] = "stage:start"


@dataclass(frozen=True, kw_only=True)
class StageProgress(StageEvent):
    """`current` of `total` items are made; `detail` says what has just happened."""

    type: ClassVar[str] = "stage:progress"
    current: int
    total: int
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class StageEnd(StageEvent):
    """A stage has ended. `data` is what later stages read; it stays inside the house."""

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


@dataclass(frozen=True, kw_only=True)
class CallEvent(Event):
    """An event of one call: `step` is its stable name in the job, `item` what it is for."""

    stage: str
    step: str
    server: str
    tool: str
    item: str = ""


@dataclass(frozen=True, kw_only=True)
class CallWaiting(CallEvent):
    """A call waits for a permit; `in_use` of `limit` are taken."""

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
    """An attempt was definitely not done; the next follows after `delay` seconds."""

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
    """Nobody can say whether the call took effect; `reason` says what happened."""

    type: ClassVar[str] = "call:unknown"
    attempt: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class CallFallback(CallEvent):
    """A fallback takes the place of what this call would have made."""

    type: ClassVar[str] = "call:fallback"
    reason: str


@dataclass(frozen=True, kw_only=True)
class CallPlanned(CallEvent):
    """A dry run has checked a call and sent nothing: it would take about `seconds`, under one of `limit`
    permits of its server (and at most `per_minute` a minute; 0: no such limit).
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
    """A worker has taken the job again; `epoch` counts the takings."""

    type: ClassVar[str] = "job:resumed"
    epoch: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class JobCancelling(Event):
    """Somebody asked for the job to stop; no new call starts from here on."""

    type: ClassVar[str] = "job:cancelling"
    by: str


@dataclass(frozen=True, kw_only=True)
class JobRetrying(Event):
    """Somebody had a job that had ended run once more: the round begins, `stages` and `steps` start anew."""

    type: ClassVar[str] = "job:retrying"
    by: str
    round: int
    stages: list[str]
    steps: list[str] = field(default_factory=list)
    what: str = "everything that failed"


@dataclass(frozen=True, kw_only=True)
class JobResolved(Event):
    """Somebody answered for an unknown call: it `exists` (as `remote_id`), is `absent`, or is to `skip`."""

    type: ClassVar[str] = "job:resolved"
    by: str
    step: str
    outcome: str
    remote_id: str = ""


@dataclass(frozen=True, kw_only=True)
class JobServerDown(Event):
    """A server keeps failing: its calls are held back, and fallbacks take their place."""

    type: ClassVar[str] = "job:server-down"
    server: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class JobPlanned(Event):
    """What a dry run came to: so many calls would be made, and the campaign would take about `seconds`.

    `bound`: the seconds that no order of the calls could beat; `servers`: calls by server.
    """

    type: ClassVar[str] = "job:planned"
    calls: int
    seconds: float
    bound: float
    servers: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class JobExpected(Event):
    """So many `seconds` are expected to be left, from this event on. Told again when that changes much."""

    type: ClassVar[str] = "job:expected"
    seconds: float


@dataclass(frozen=True, kw_only=True)
class JobActivating(Event):
    """Somebody with the right to spend had prepared lines set live: the round begins.

    `stage` and `stage_name` name the stage that does it, which joins the job's stages; `digest` is that of
    what was shown, `what` says it in words ("5 lines, USD 100,000.00"); `steps` are made anew.
    """

    type: ClassVar[str] = "job:activating"
    by: str
    round: int
    stage: str
    stage_name: str
    digest: str
    what: str
    steps: list[str] = field(default_factory=list)


def begun_anew(event: Event) -> Sequence[str]:
    """Give the stages whose earlier ends count no more after this event: a round runs them anew."""
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
        for stage in begun_anew(event):
            ends.pop(stage, None)
    return ends


def iso(moment: datetime) -> str:
    """Give a moment as ISO 8601 in UTC, with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
