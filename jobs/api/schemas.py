"""What the API says, as schemas: camelCase outside, snake_case inside, times in UTC."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

from jobs.engine.results import JobStatus, Source, Status
from jobs.store.feed import iso

Moment = Annotated[datetime, PlainSerializer(iso, return_type=str)]


class Out(Schema):
    """An answer, or a part of one."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class FaultOut(Out):
    """Something about one field: a dotted path, or "" for the whole."""

    field: str
    message: str


class ProblemOut(Out):
    """An error, as RFC 9457 has it (application/problem+json)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultOut]


class StageInfo(Out):
    """A stage of a workflow; an `optional` one is part of a job only when the launch asks for it."""

    id: str
    name: str
    needs: list[str]
    optional: bool


class WorkflowInfo(Out):
    """A workflow: how to launch it, its stages, and what its input looks like (JSON Schema)."""

    id: str
    name: str
    version: int
    aliases: list[str]
    start_url: str
    stages: list[StageInfo]
    input_schema: dict[str, Any]


class WorkflowList(Out):
    """All workflows of this installation."""

    items: list[WorkflowInfo]


class LaunchResponse(Out):
    """An accepted launch: where to follow it, and what to warn about."""

    job_id: str
    status_url: str = Field(description="The events, as a stream or a page")
    job_url: str = Field(description="The job as JSON, for polling")
    page_url: str = Field(description="The job's page, for people")
    warnings: list[FaultOut]


class Acted(Out):
    """An act that was accepted: how the job stands right after it, and where to follow it."""

    job_id: str
    status: JobStatus
    status_url: str = Field(description="The events, as a stream or a page")
    job_url: str = Field(description="The job as JSON, for polling")
    page_url: str = Field(description="The job's page, for people")


class In(Schema):
    """What is sent to act on a job; a field that nobody knows is refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class NothingIn(In):
    """No field at all."""


class RetryIn(In):
    """What to try again: one step, what failed of one stage, or with neither all that failed."""

    stage: str = ""
    step: str = ""


def _two_answers(schema: dict[str, Any]) -> None:
    """Say that an id goes with `exists`, and only with it."""
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
        shared | {"title": "It does not, or is left out", "properties": other},
    ]
    schema["examples"] = [{"outcome": "exists", "remoteId": "1209"}, {"outcome": "absent"}]


# what any service's ids are made of; the answer itself takes every printable character
ID = {"type": "string", "minLength": 1, "maxLength": 300, "pattern": "^[!-~]([ -~]*[!-~])?$"}


class ActivateIn(In):
    """Which lines to set live: those that were shown with this hash, and no others."""

    hash: str = Field(min_length=1, max_length=64, description="The hash that came with the lines")


class ResolveIn(In):
    """A person's answer for an unknown call."""

    model_config = ConfigDict(json_schema_extra=_two_answers)

    outcome: Literal["exists", "absent", "skip"] = Field(
        description="exists: under remoteId; absent: it is sent again; skip: it is left out"
    )
    remote_id: str = ""


class LineOut(Out):
    """A prepared line. `start` and `end` are the first and last day of its flight, in `timezone`."""

    item: str
    name: str
    server: str = Field(description="The tool server that plays its DSP")
    remote_id: str
    budget: str = Field(description="A decimal number")
    currency: str = Field(description="ISO 4217")
    start: str
    end: str
    timezone: str
    source: Source = Field(description="simulated: no money moves")
    live: bool = Field(description="Whether it is live already")
    unknown: bool = Field(description="Whether nobody knows: it may be live")


class TotalOut(Out):
    """What all lines of one currency come to."""

    currency: str
    amount: str = Field(description="A decimal number")


class ActivationOut(Out):
    """What there is to set live now."""

    hash: str = Field(description='Of all lines as they are given here; "" without lines')
    lines: list[LineOut]
    totals: list[TotalOut]
    live: int = Field(description="How many of the lines are live already")
    stays: list[str] = Field(description="What stays paused all the same, a sentence each")
    possible: bool = Field(description="Whether the caller can set lines live now")
    reason: str = Field(description='Why not, "" where it is possible')


class ActivatedOut(Out):
    """The last activation: the hash of the lines that were shown, who confirmed it, and when."""

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
    """A page of jobs, newest first; `after` is the cursor of the next page, null on the last.

    A search by text looks through 5,000 jobs a page: its pages may have fewer items than were asked for.
    """

    items: list[JobRow]
    after: str | None


class ArtifactOut(Out):
    """Something a job made. `url` opens it; `fileUrl` is our own copy, where there is one."""

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
    """A call to a tool server; `waited` (for a permit) and `took` are seconds."""

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
    fallback: bool = Field(description="A fallback takes the place of what this call would have made")
    how_to_check: list[str] = Field([], description="Of an unknown call: how a person finds out, in order")
    resolve_url: str = Field("", description="Of an unknown call: where to answer for it")
    expected: float = Field(description="Seconds that a planned call would take, 0 for any other")
    limit: int = Field(description="Calls that its server bears at once, where that is known, else 0")
    per_minute: int = Field(description="Calls that it bears a minute; 0: no such rate")
    arguments: dict[str, Any] | None = Field(
        None, description="What a planned call would send; an id that begins with dry-run: is made up"
    )


class StageOut(Out):
    """A stage of a job: `current` of `total` items are made."""

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
    calls: list[CallOut] = Field(description="The stage's calls, in the order in which they first asked")
    started_at: Moment | None
    ended_at: Moment | None
    seconds: float | None


class Timings(Out):
    """When the job was queued, started and ended; `seconds` from start to end. `expectedEndAt`: when it will
    end by what past calls took, while it runs and that is known; in the past where it takes longer."""

    queued_at: Moment | None
    started_at: Moment | None
    ended_at: Moment | None
    expected_end_at: Moment | None
    seconds: float | None


class PlanOut(Out):
    """What a dry run came to: calls, by server too, and how many seconds a launch would take about."""

    calls: int
    seconds: float
    bound: float = Field(description="Seconds that no order of the calls could beat")
    servers: dict[str, int]


class JobOut(Out):
    """A job as far as the event `lastEventId`."""

    job_id: str
    title: str
    workflow: str
    status: JobStatus
    round: int = Field(description="1 for the launch, one more each time it was tried again")
    cancelling: bool = Field(description="Nothing new is sent any more; what is under way comes to its end")
    error: str
    down: dict[str, str] = Field(
        description="The servers left alone because they keep failing, with the reason"
    )
    stages: list[StageOut]
    artifacts: list[ArtifactOut]
    calls: list[CallOut]
    timings: Timings
    dry_run: bool = Field(description="All is checked and listed, and nothing is sent")
    plan: PlanOut | None = Field(description="What a dry run came to, once it has ended")
    activation: ActivatedOut | None = Field(None, description="Who last had lines set live, if anybody")
    last_event_id: int
    status_url: str
    page_url: str


class EventPage(Out):
    """Events in order. `after` is the cursor of the next page; it is `lastEventId` when there are no more."""

    items: list[dict[str, Any]]
    after: int
    last_event_id: int
