"""The HTTP API of setting lines live: what there is to set, with its hash, and the act that wants it."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from jobs.acts import actions
from jobs.api import schemas as api_schemas
from jobs.api.acts import acted, answers, errors, faulty, read, takes
from jobs.api.auth import doors
from jobs.api.jobs import caller_of, job_of
from jobs.engine.inputs import InvalidInput

router = Router()


@router.get(
    "/{uuid:job_id}/activate",
    auth=doors("read"),
    response={200: api_schemas.ActivationOut, **{code: errors[code] for code in (401, 403, 404, 422)}},
    by_alias=True,
    url_name="activation",
    summary="Read what can be set live",
    tags=["acting"],
)
def read_activation(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Give the lines that can be set live, their sums, and the hash that binds an activation to them."""
    offer = actions.activation(job_of(request, job_id))
    reason = offer.reason
    if not reason and not actions.may_spend(caller_of(request).user):
        reason = "you have no right to spend; an administrator gives it (jobs.spend)"
    return {
        "hash": offer.digest,
        "lines": [
            asdict(line) | {"live": line.item in offer.live, "unknown": line.item in offer.doubtful}
            for line in offer.lines
        ],
        "totals": offer.totals,
        "live": len(offer.live),
        "stays": list(offer.stays),
        "possible": not reason,
        "reason": reason,
    }


@router.post(
    "/{uuid:job_id}/activate",
    auth=doors("spend"),
    response=answers,
    by_alias=True,
    url_name="activate",
    summary="Set lines live",
    tags=["acting"],
    openapi_extra=takes(api_schemas.ActivateIn, required=True),
)
def activate_job(request: HttpRequest, job_id: UUID) -> Any:
    """Set exactly the lines live that were given with this hash. 409 where they have changed since; the same
    hash again sends nothing that is live already, only a line that failed."""
    job, user = job_of(request, job_id), caller_of(request).user
    actions.must_spend(user)
    given = read(request, api_schemas.ActivateIn)
    try:
        return acted(actions.activate(job, user, given.hash))
    except InvalidInput as error:
        raise faulty(error.faults) from error
