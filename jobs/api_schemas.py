"""What the API says, as schemas: camelCase outside, snake_case inside, times in UTC."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

from jobs.feed import iso
from jobs.workflow.results import JobStatus, Source, Status

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


class Launched(Out):
    """An accepted launch: where to follow it, and what to warn about."""

    job_id: str
    status_url: str = Field(description="The events, as a stream or a page")
    job_url: str = Field(description="The job as JSON, for polling")
    page_url: str = Field(description="The job's page, for people")
    warnings: list[FaultOut]


class JobRow(Out):
    """A job in a list."""

    job_id: str
    title: str
    workflow: str
    status: JobStatus
    owner: str
    stages_ended: int
    total_stages: int
    error: str
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    job_url: str
    page_url: str


class JobPage(Out):
    """A page of jobs, newest first; `after` is the cursor of the next page, null on the last."""

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
    state: Literal["waiting", "sent", "retry", "done", "failed", "unknown"]
    attempts: int
    waited: float
    took: float
    source: str
    remote_id: str
    remote_url: str
    error: str
    stand_in: bool = Field(description="A stand-in takes the place of what this call would have made")


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
    """When the job was queued, started and ended; `seconds` from start to end."""

    queued_at: Moment | None
    started_at: Moment | None
    ended_at: Moment | None
    seconds: float | None


class JobOut(Out):
    """A job as far as the event `lastEventId`."""

    job_id: str
    title: str
    workflow: str
    status: JobStatus
    cancelling: bool
    error: str
    stages: list[StageOut]
    artifacts: list[ArtifactOut]
    calls: list[CallOut]
    timings: Timings
    last_event_id: int
    status_url: str
    page_url: str


class EventPage(Out):
    """Events in order. `after` is the cursor of the next page; it is `lastEventId` when there are no more."""

    items: list[dict[str, Any]]
    after: int
    last_event_id: int
