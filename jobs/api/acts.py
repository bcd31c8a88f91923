"""The HTTP API of what people do to a job: cancel it, try again, answer for an unknown call."""

from typing import Any, TypeVar
from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from ninja.responses import Status
from pydantic import ValidationError

from jobs.acts import actions
from jobs.api import schemas as api_schemas
from jobs.api.auth import doors
from jobs.api.errors import Problem, json_body
from jobs.api.jobs import caller_of, job_of, where
from jobs.engine.inputs import Fault, InvalidInput
from jobs.models import Job

In = TypeVar("In", bound=api_schemas.In)

router = Router(auth=doors("launch"))
errors = dict.fromkeys((400, 401, 403, 404, 409, 413, 422), api_schemas.ProblemOut)
answers = {202: api_schemas.Acted, **errors}


def takes(schema: type[api_schemas.In], *, required: bool = False) -> dict[str, Any]:
    """Give what OpenAPI says of a body that is read here."""
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
    """Stop a job: nothing is sent from here on, and what is under way comes to its end."""
    job = job_of(request, job_id)
    read(request, api_schemas.NothingIn)
    return acted(actions.cancel(job, caller_of(request).user))


@router.post(
    "/{uuid:job_id}/retry",
    response=answers,
    by_alias=True,
    url_name="retry",
    summary="Try again",
    tags=["acting"],
    openapi_extra=takes(api_schemas.RetryIn),
)
def retry_job(request: HttpRequest, job_id: UUID) -> Any:
    """Have an ended job run once more for one step, for what failed of a stage, or for all that failed."""
    job = job_of(request, job_id)
    what = read(request, api_schemas.RetryIn)
    try:
        return acted(actions.retry(job, caller_of(request).user, stage=what.stage, step=what.step))
    except InvalidInput as error:  # well said, but not of this job
        raise Problem(409, error.faults[0].message, kind="not-there", faults=error.faults) from error


@router.post(
    "/{uuid:job_id}/steps/{path:step}/resolve",
    response=answers,
    by_alias=True,
    url_name="resolve",
    summary="Answer for an unknown call",
    tags=["acting"],
    openapi_extra=takes(api_schemas.ResolveIn, required=True),
)
def resolve_step(request: HttpRequest, job_id: UUID, step: str) -> Any:
    """Settle an unknown call: it exists (under its id), it does not and is sent again, or it is skipped."""
    job = job_of(request, job_id)
    answer = read(request, api_schemas.ResolveIn)
    user = caller_of(request).user
    try:
        return acted(actions.resolve(job, step, answer.outcome, user, remote_id=answer.remote_id))
    except InvalidInput as error:
        raise faulty(error.faults) from error


def read(request: HttpRequest, schema: type[In]) -> In:
    """Give the body; none is as good as an empty object. Raises Problem with every fault and its field."""
    try:
        return schema.model_validate_json(json_body(request).strip() or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        if any(one["type"] == "json_invalid" for one in found):
            raise Problem(400, f"the body is not JSON: {found[0]['msg']}", kind="malformed-json") from error
        faults = [Fault(".".join(str(part) for part in one["loc"]), one["msg"]) for one in found]
        raise faulty(faults) from error


def faulty(faults: list[Fault]) -> Problem:
    """Give the answer that names what is wrong with a request."""
    return Problem(422, "the request has faults", kind="invalid-input", faults=faults)


def acted(job: Job) -> Status[dict[str, Any]]:
    """Give the answer to an act that was accepted."""
    return Status(202, where(job) | {"status": job.status})
