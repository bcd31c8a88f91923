"""The HTTP API for acting on a job: cancel it, retry it, resolve an unknown call."""

from typing import Any, TypeVar
from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.responses import Status
from pydantic import ValidationError

from jobs.acts import actions
from jobs.api import schemas as api_schemas
from jobs.api.auth import requires
from jobs.api.errors import Problem, json_body
from jobs.api.jobs import caller_of, job_of, where
from jobs.engine.inputs import Fault, InvalidInput
from jobs.models import Job

In = TypeVar("In", bound=api_schemas.In)

router = Router(auth=requires("launch"))
errors = dict.fromkeys((400, 401, 403, 404, 409, 413, 422), api_schemas.ProblemOut)
answers = {202: api_schemas.Acted, **errors}


def takes(schema: type[api_schemas.In], *, required: bool = False) -> dict[str, Any]:
    """Return the OpenAPI description of a body that the operation itself parses."""
    content = {"application/json": {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


@router.post(
    "/{uuid:job_id}/cancel",
    response=answers,
    by_alias=True,
    url_name="cancel",
    summary="Cancel a job",
    tags=["acting"],
    openapi_extra=takes(api_schemas.NothingIn),
)
def cancel_job(request: HttpRequest, job_id: UUID) -> Any:
    """Cancel a job: calls in progress finish, and no new call is sent."""
    job = job_of(request, job_id)
    read(request, api_schemas.NothingIn)
    return acted(actions.cancel(job, caller_of(request).user))


@router.post(
    "/{uuid:job_id}/retry",
    response=answers,
    by_alias=True,
    url_name="retry",
    summary="Retry a job",
    tags=["acting"],
    openapi_extra=takes(api_schemas.RetryIn),
)
def retry_job(request: HttpRequest, job_id: UUID) -> Any:
    """Retry one step, the failed steps of a stage, or everything that failed. The job must have ended."""
    job = job_of(request, job_id)
    what = read(request, api_schemas.RetryIn)
    try:
        return acted(actions.retry(job, caller_of(request).user, stage=what.stage, step=what.step))
    except InvalidInput as error:  # well-formed, but this job has no such stage or step
        raise Problem(409, error.faults[0].message, kind="not-there", faults=error.faults) from error


@router.post(
    "/{uuid:job_id}/steps/{path:step}/resolve",
    response=answers,
    by_alias=True,
    url_name="resolve",
    summary="Resolve an unknown call",
    tags=["acting"],
    openapi_extra=takes(api_schemas.ResolveIn, required=True),
)
def resolve_step(request: HttpRequest, job_id: UUID, step: str) -> Any:
    """Resolve an unknown call: `exists` with its id, `absent` to send it again, or `skip`."""
    job = job_of(request, job_id)
    answer = read(request, api_schemas.ResolveIn)
    user = caller_of(request).user
    try:
        return acted(actions.resolve(job, step, answer.outcome, user, remote_id=answer.remote_id))
    except InvalidInput as error:
        raise faulty(error.faults) from error


def read(request: HttpRequest, schema: type[In]) -> In:
    """Parse and return the body; an empty body counts as `{}`. Raises Problem with every invalid field."""
    try:
        return schema.model_validate_json(json_body(request).strip() or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        if any(one["type"] == "json_invalid" for one in found):
            raise Problem(400, f"the body is not JSON: {found[0]['msg']}", kind="malformed-json") from error
        faults = [Fault(".".join(str(part) for part in one["loc"]), one["msg"]) for one in found]
        raise faulty(faults) from error


def faulty(faults: list[Fault]) -> Problem:
    """Return the 422 problem that lists the invalid fields."""
    return Problem(422, "the request is invalid", kind="invalid-input", faults=faults)


def acted(job: Job) -> Status[dict[str, Any]]:
    """Return the 202 response to an accepted action."""
    return Status(202, where(job) | {"status": job.status})
