"""The HTTP API: launch workflows, list jobs, read a job and follow its events."""

import json
import re
from collections.abc import Collection
from typing import Annotated, Any, Literal
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from ninja import Header, Query
from ninja.responses import Status
from pydantic import WithJsonSchema

from jobs.acts import actions
from jobs.api import acts as api_acts
from jobs.api import schemas as api_schemas
from jobs.api import spend as api_spend
from jobs.api.auth import requires, still_allowed
from jobs.api.errors import Problem, install, json_body
from jobs.api.jobs import CURSOR, caller_of, job_of, job_out, job_page, where
from jobs.api.openapi import DocumentedAPI
from jobs.engine.graph import Workflow
from jobs.engine.inputs import Fault
from jobs.live import stream
from jobs.models import Job
from jobs.registry import ALIASES, workflows
from jobs.store import feed

KEY_LENGTH = 200
KEY_PATTERN = "[!-~]([ -~]*[!-~])?"
SEQ_LIMIT = 2**31 - 1
#: The values of JobStatus (a test compares them), or "" for any.
StatusFilter = Literal["", "queued", "running", "completed", "partial", "failed", "cancelled"]
DESCRIPTION = """\
Launches advertising campaigns and reports their progress.

Programs send a token: `Authorization: Bearer TOKEN`. To create one, run
`manage.py apitoken USER --scope read --scope launch`. While you are signed in, this page needs no token.

The event stream of a job resumes from `Last-Event-ID` and ends when the job has ended. Every error is an
RFC 9457 problem: `detail` says what happened, `errors` lists the invalid fields.
"""

api = DocumentedAPI(
    title="Flightplan",
    version="1",
    description=DESCRIPTION,
    docs_url=None,
    urls_namespace="api",
    auth=requires("read"),
)
install(api)
api.add_router("/jobs", api_acts.router)
api.add_router("/jobs", api_spend.router)

errors = dict.fromkeys((401, 403, 404, 422), api_schemas.ProblemOut)
launch_errors = errors | dict.fromkeys((400, 409, 413), api_schemas.ProblemOut)
stream_docs = {
    "responses": {
        200: {
            "description": "The events; a page of them with Accept: application/json",
            "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/StreamFrame"}}},
        },
        204: {"description": "The job has ended and there are no more events: do not reconnect"},
    }
}
# checked by hand for a clearer error message; the document states the same limits
KEY = {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH, "pattern": f"^{KEY_PATTERN}$"}
IdempotencyKey = Annotated[
    Annotated[str, WithJsonSchema(KEY)] | None,
    Header(
        alias="Idempotency-Key",
        description="Repeating a request with the same key and body returns the same job",
    ),
]


@api.get(
    "/workflows",
    response={200: api_schemas.WorkflowList, 401: api_schemas.ProblemOut, 403: api_schemas.ProblemOut},
    by_alias=True,
    summary="List the workflows",
    tags=["launching"],
)
def list_workflows(request: HttpRequest) -> dict[str, Any]:
    """Return the workflows with their stages and the JSON Schema of their input."""
    return {"items": [_workflow(flow) for flow in workflows().values()]}


def _workflow(flow: Workflow) -> dict[str, Any]:
    stages = [
        {"id": one.id, "name": one.name, "needs": list(one.needs), "optional": one.wanted is not None}
        for one in flow.stages
    ]
    return {
        "id": flow.id,
        "name": flow.name,
        "version": flow.version,
        "aliases": [alias for alias, id in ALIASES.items() if id == flow.id],
        "start_url": reverse("api:start", args=[flow.id]),
        "stages": stages,
        "input_schema": flow.schema(),
    }


@api.post(
    "/workflows/campaign-lifecycle-demo",
    auth=requires("launch"),
    response={202: api_schemas.LaunchResponse, **launch_errors},
    by_alias=True,
    url_name="start-demo",
    summary="Launch a campaign",
    tags=["launching"],
)
def launch_demo(request: HttpRequest, idempotency_key: IdempotencyKey = None) -> Any:
    """Launch the campaign workflow, at the address that existing clients use."""
    return _launch(request, "campaign-lifecycle-demo", idempotency_key)


@api.post(
    "/workflows/{workflow_id}/start",
    auth=requires("launch"),
    response={202: api_schemas.LaunchResponse, **launch_errors},
    by_alias=True,
    url_name="start",
    summary="Launch any workflow",
    tags=["launching"],
)
def launch(request: HttpRequest, workflow_id: str, idempotency_key: IdempotencyKey = None) -> Any:
    """Launch the workflow with this id."""
    return _launch(request, workflow_id, idempotency_key)


def _launch(request: HttpRequest, workflow_id: str, key: str | None) -> Any:
    if key is not None and not (len(key) <= KEY_LENGTH and re.fullmatch(KEY_PATTERN, key)):
        fault = Fault("Idempotency-Key", f"must be 1 to {KEY_LENGTH} printable ASCII characters")
        raise Problem(422, "the request is invalid", kind="invalid-input", faults=[fault])
    launched = actions.launch(
        workflow_id, _json_object(request), caller_of(request).user, idempotency_key=key
    )
    return Status(202, where(launched.job) | {"warnings": launched.warnings})


def _json_object(request: HttpRequest) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a JSON value")

    try:
        value = json.loads(json_body(request), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {error}", kind="malformed-json") from error
    if not isinstance(value, dict):
        fault = Fault("", "must be a JSON object")
        raise Problem(422, "the launch is invalid", kind="invalid-input", faults=[fault])
    return value


@api.get(
    "/jobs",
    response={200: api_schemas.JobPage, **errors},
    by_alias=True,
    summary="List jobs",
    tags=["following"],
)
def list_jobs(
    request: HttpRequest,
    status: Annotated[StatusFilter, Query(description="Only jobs with this status; empty for all")] = "",
    q: Annotated[
        str, Query(max_length=200, pattern=r"^[^\x00]*$", description="Part of the title, or the job's id")
    ] = "",
    after: Annotated[
        Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^({CURSOR})?$"})],
        Query("", description="The cursor from the previous page"),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> dict[str, Any]:
    """Return a page of the jobs that the caller may see, newest first."""
    return job_page(caller_of(request).user, status, q, after, limit)


@api.get(
    "/jobs/{uuid:job_id}",
    response={200: api_schemas.JobOut, **errors},
    by_alias=True,
    url_name="job",
    summary="Read a job",
    tags=["following"],
)
def read_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Return the current state of a job, for clients that poll."""
    return job_out(job_of(request, job_id))


@api.get(
    "/jobs/{uuid:job_id}/events",
    response={200: api_schemas.EventPage, **errors},
    by_alias=True,
    openapi_extra=stream_docs,
    url_name="events",
    summary="Follow a job's events",
    tags=["following"],
)
async def read_events(
    request: HttpRequest,
    job_id: UUID,
    after: Annotated[int, Query(ge=0, le=SEQ_LIMIT, description="Only events with a higher seq")] = 0,
    detail: Annotated[
        Literal["", "all"], Query(description="all: include events of calls and of the job")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=feed.PAGE, description="For a JSON page only")] = feed.PAGE,
    last_event_id: Annotated[
        int | None,
        Header(alias="Last-Event-ID", ge=0, le=SEQ_LIMIT, description="Takes precedence over `after`"),
    ] = None,
) -> Any:
    """Follow a job's events.

    Streams them as text/event-stream until the job has ended; reconnect with Last-Event-ID to resume. With
    `Accept: application/json` it returns one page of events instead.
    """
    # a browser that reconnects repeats the original address and adds the header
    cursor = after if last_event_id is None else last_event_id
    return await sync_to_async(_events)(request, job_id, cursor, stream.kinds(detail == "all"), limit)


def _events(
    request: HttpRequest, job_id: UUID, cursor: int, wanted: Collection[str], limit: int
) -> HttpResponseBase | dict[str, Any]:
    job, caller = job_of(request, job_id), caller_of(request)

    def allowed() -> bool:
        mine = Job.objects.visible_to(caller.user)
        return still_allowed(request, caller) and mine.filter(pk=job_id).exists()

    accept = request.headers.get("Accept", "")
    if "application/json" in accept and "text/event-stream" not in accept:
        return stream.page(job, cursor, wanted, limit)
    return stream.response(job, cursor, wanted, allowed)
