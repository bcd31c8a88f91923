"""The API's schemas: camelCase in JSON, snake_case in Python, times in UTC."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

from jobs.engine.events import iso
from jobs.engine.results import JobStatus, Source, Status

Moment = Annotated[datetime, PlainSerializer(iso, return_type=str)]


class Out(Schema):
    """A response, or a part of one."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class FaultOut(Out):
    """A message about one field. `field` is a dotted path, or "" for the whole input."""

    field: str
    message: str


class ProblemOut(Out):
    """An error as RFC 9457 problem details (application/problem+json)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultOut]


class StageInfo(Out):
    """A stage of a workflow. An `optional` stage is part of a job only if the launch requests it."""

    id: str
    name: str
    needs: list[str]
    optional: bool


class WorkflowInfo(Out):
    """A workflow: where to launch it, its stages, and the JSON Schema of its input."""

    id: str
    name: str
    version: int
    aliases: list[str]
    start_url: str
    stages: list[StageInfo]
    input_schema: dict[str, Any]


class WorkflowList(Out):
    """The workflows of this installation."""

    items: list[WorkflowInfo]


class LaunchResponse(Out):
    """An accepted launch: where to follow the job, and warnings about the input."""

    job_id: str
    status_url: str = Field(description="The events, as a stream or a page")
    job_url: str = Field(description="The job as JSON, for polling")
    page_url: str = Field(description="The job's page, for people")
    warnings: list[FaultOut]


class Acted(Out):
    """An accepted action: the job's status right after it, and where to follow the job."""

    job_id: str
    status: JobStatus
    status_url: str = Field(description="The events, as a stream or a page")
    job_url: str = Field(description="The job as JSON, for polling")
    page_url: str = Field(description="The job's page, for people")


class In(Schema):
    """The body of an action on a job. Unknown fields are refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class NothingIn(In):
    """An empty object."""


class RetryIn(In):
    """What to retry: one step, the failed steps of one stage, or everything that failed if both are empty."""

    stage: str = ""
    step: str = ""


def _two_outcomes(schema: dict[str, Any]) -> None:
    """Rewrite the schema so that `remoteId` is required with `exists` and not allowed otherwise."""
    parts = schema.pop("properties")
    outcome, id = parts["outcome"], {"description": "The id under which it exists", **ID}
    exists = {"outcome": outcome | {"enum": ["exists"]}, "remoteId": id}
    other = {
        "outcome": outcome | {"enum": ["absent", "skip"]},
        "remoteId": {"type": "string", "maxLength": 0},
    }
    shared = {name: schema.pop(name) for name in ("type", "required", "additionalProperties")}
    schema["oneOf"] = [
        shared | {"title": "It exists", "properties": exists, "required": ["outcome", "remoteId"]},
        shared | {"title": "It does not exist, or is skipped", "properties": other},
    ]
    schema["examples"] = [{"outcome": "exists", "remoteId": "1209"}, {"outcome": "absent"}]


# the characters of common services' ids; the operation itself accepts every printable character
ID = {"type": "string", "minLength": 1, "maxLength": 300, "pattern": "^[!-~]([ -~]*[!-~])?$"}


class ActivateIn(In):
    """The lines to set live: exactly those returned with this hash."""

    hash: str = Field(min_length=1, max_length=64, description="The hash returned with the lines")


class ResolveIn(In):
    """How to resolve an unknown call."""

    model_config = ConfigDict(json_schema_extra=_two_outcomes)

    outcome: Literal["exists", "absent", "skip"] = Field(
        description="exists: it took effect, under remoteId; absent: send it again; skip: leave it out"
    )
    remote_id: str = ""


class LineOut(Out):
    """A prepared line. `start` and `end` are the first and last day of its flight in `timezone`."""

    item: str
    name: str
    server: str = Field(description="The tool server of its DSP")
    remote_id: str
    budget: str = Field(description="A decimal number")
    currency: str = Field(description="ISO 4217")
    start: str
    end: str
    timezone: str
    source: Source = Field(description="simulated: no money moves")
    live: bool = Field(description="Whether it is already live")
    unknown: bool = Field(description="Whether its status is unknown; it may be live")


class TotalOut(Out):
    """The total budget of all lines in one currency."""

    currency: str
    amount: str = Field(description="A decimal number")


class ActivationOut(Out):
    """The lines that can be set live now."""

    hash: str = Field(description='Of all lines as returned here; "" without lines')
    lines: list[LineOut]
    totals: list[TotalOut]
    live: int = Field(description="How many of the lines are already live")
    stays: list[str] = Field(description="What stays paused anyway, one sentence each")
    possible: bool = Field(description="Whether the caller can set lines live now")
    reason: str = Field(description='Why not; "" if possible')


class ActivatedOut(Out):
    """The last activation: the hash of the confirmed lines, who confirmed them, and when."""

    hash: str
    by: str
    at: str


class JobRow(Out):
    """A job in a list."""

    job_id: str
    title: str
    workflow: str
    status: JobStatus
    owner: str
    dry_run: bool
    stages_ended: int
    total_stages: int
    error: str
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    job_url: str
    page_url: str


class JobPage(Out):
    """A page of jobs, newest first. `after` is the cursor of the next page, null on the last page.

    A text search examines 5,000 jobs per page, so a page may have fewer items than requested.
    """

    items: list[JobRow]
    after: str | None


class ArtifactOut(Out):
    """Something a job made. `url` opens it; `fileUrl` is Flightplan's own copy, if there is one."""

    name: str
    title: str
    kind: str
    source: Source
    url: str | None = None
    file_url: str | None = None
    mime: str | None = None
    width: int | None = Field(None, description="Pixels")
    height: int | None = Field(None, description="Pixels")
    remote_id: str | None = None
    note: str | None = None


class CallOut(Out):
    """A call to a tool server. `waited` (for a permit) and `took` are in seconds."""

    step: str
    stage: str
    item: str
    server: str
    tool: str
    state: Literal["waiting", "sent", "retry", "done", "failed", "unknown", "skipped", "planned"]
    attempts: int
    sent_at: Moment | None = Field(description="When the last attempt was sent")
    waited: float
    took: float
    source: str
    remote_id: str
    remote_url: str
    error: str
    fallback: bool = Field(description="Whether a fallback replaces what this call would have made")
    how_to_check: list[str] = Field([], description="For an unknown call: how to check it, step by step")
    resolve_url: str = Field("", description="For an unknown call: where to resolve it")
    expected: float = Field(description="Seconds that a planned call would take, otherwise 0")
    limit: int = Field(description="Calls that its server allows at once, 0 if not known")
    per_minute: int = Field(description="Calls that its server allows per minute, 0 for no limit")
    arguments: dict[str, Any] | None = Field(
        None, description="What a planned call would send; ids that begin with dry-run: are placeholders"
    )


class StageOut(Out):
    """A stage of a job: `current` of `total` items are done."""

    id: str
    name: str
    index: int
    status: Status
    current: int
    total: int
    percent: int
    detail: str
    error: str
    artifacts: list[str] = Field(description="Names of the artifacts")
    calls: list[CallOut] = Field(description="The stage's calls, in the order of their first attempts")
    started_at: Moment | None
    ended_at: Moment | None
    seconds: float | None


class Timings(Out):
    """When the job was queued, started and ended; `seconds` is the time from start to end.

    `expectedEndAt` is estimated from past calls while the job runs, if known. It is in the past if the job
    takes longer than expected.
    """

    queued_at: Moment | None
    started_at: Moment | None
    ended_at: Moment | None
    expected_end_at: Moment | None
    seconds: float | None


class PlanOut(Out):
    """The result of a dry run: the calls, also by server, and about how many seconds a launch would take."""

    calls: int
    seconds: float
    bound: float = Field(description="The shortest possible time in seconds")
    servers: dict[str, int]


class JobOut(Out):
    """A job as of the event `lastEventId`."""

    job_id: str
    title: str
    workflow: str
    status: JobStatus
    round: int = Field(description="1 for the launch, plus 1 for each retry")
    cancelling: bool = Field(description="Calls in progress finish; no new call is sent")
    error: str
    down: dict[str, str] = Field(
        description="The servers whose calls are paused because they keep failing, with the reason"
    )
    stages: list[StageOut]
    artifacts: list[ArtifactOut]
    calls: list[CallOut]
    timings: Timings
    dry_run: bool = Field(description="Everything is checked and listed, nothing is sent")
    plan: PlanOut | None = Field(description="The result of a dry run, once it has ended")
    activation: ActivatedOut | None = Field(None, description="The last time lines were set live, if ever")
    last_event_id: int
    status_url: str
    page_url: str


class EventPage(Out):
    """Events in order. `after` is the cursor of the next page, `lastEventId` if there are no more."""

    items: list[dict[str, Any]]
    after: int
    last_event_id: int
