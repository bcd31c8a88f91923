"""The HTTP API for setting lines live: read the lines and their hash, then confirm with that hash."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from jobs.acts import actions
from jobs.api import schemas as api_schemas
from jobs.api.acts import acted, answers, errors, faulty, read, takes
from jobs.api.auth import requires
from jobs.api.jobs import caller_of, job_of
from jobs.engine.inputs import InvalidInput

router = Router()


@router.get(
    "/{uuid:job_id}/activate",
    auth=requires("read"),
    response={200: api_schemas.ActivationOut, **{code: errors[code] for code in (401, 403, 404, 422)}},
    by_alias=True,
    url_name="activation",
    summary="Read what can be set live",
    tags=["acting"],
)
def read_activation(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Return the lines that can be set live, their totals, and the hash that an activation must send."""
    offer = actions.activation(job_of(request, job_id))
    reason = offer.reason
    if not reason and not actions.may_spend(caller_of(request).user):
        reason = "you don't have permission to spend; ask an administrator for jobs.spend"
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
    auth=requires("spend"),
    response=answers,
    by_alias=True,
    url_name="activate",
    summary="Set lines live",
    tags=["acting"],
    openapi_extra=takes(api_schemas.ActivateIn, required=True),
)
def activate_job(request: HttpRequest, job_id: UUID) -> Any:
    """Set live exactly the lines returned with this hash; 409 if they have changed since.

    Sending the same hash again retries lines that failed and sends nothing for lines that are already live.
    """
    job, user = job_of(request, job_id), caller_of(request).user
    actions.must_spend(user)
    given = read(request, api_schemas.ActivateIn)
    try:
        return acted(actions.activate(job, user, given.hash))
    except InvalidInput as error:
        raise faulty(error.faults) from error
