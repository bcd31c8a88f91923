"""Jobs as the API returns them: which the caller may see, a page of a list, and one job in full."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse

from jobs import public
from jobs.acts.checking import how_to_check
from jobs.api.auth import Caller
from jobs.api.errors import Problem
from jobs.api.schemas import CallOut
from jobs.engine.events import iso
from jobs.engine.inputs import Fault
from jobs.engine.progress import CallView, Progress, StageView
from jobs.live import plans
from jobs.models import Job, ToolCall
from jobs.store import feed, keyset
from jobs.store.calls import planned_arguments

#: A cursor: microseconds, up to some thousand years from now, and a job's id.
CURSOR = keyset.MOMENT_AND_ID


def caller_of(request: HttpRequest) -> Caller:
    """Return the caller, as the operation's authentication has set it."""
    caller: Caller = request.auth  # type: ignore[attr-defined]  # set by ninja
    return caller


def job_of(request: HttpRequest, job_id: UUID) -> Job:
    """Return the job. Raises Problem: 404 if it does not exist or the caller may not see it."""
    job = Job.objects.visible_to(caller_of(request).user).filter(pk=job_id).first()
    if job is None:
        raise Problem(404, f"there is no job {job_id}")
    return job


def where(job: Job) -> dict[str, str]:
    """Return the job's id and the addresses at which to follow it."""
    return {
        "job_id": str(job.pk),
        "status_url": reverse("api:events", args=[job.pk]),
        "job_url": reverse("api:job", args=[job.pk]),
        "page_url": reverse("job", args=[job.pk]),
    }


def job_page(user: User, status: str, q: str, after: str, limit: int) -> dict[str, Any]:
    """Return a page of the jobs that the user may see, newest first, starting at the cursor `after`.

    A search examines a limited number of jobs per page, so a page may be short. Raises Problem for an
    invalid cursor.
    """
    seen = Job.objects.visible_to(user)
    if status:
        seen = seen.filter(status=status)
    rows = seen.select_related("owner").defer("params", "confirmed")
    if id := keyset.id_of(q):
        rows, q = rows.filter(pk=id), ""
    elif q := q.strip():
        rows = rows.filter(Q(title__icontains=q) | Q(id__startswith=q))
    found = keyset.page(
        rows, keyset.MOMENTS, limit, older=_place(after) if after else None, among=seen if q else None
    )
    return {
        "items": [_row(job) for job in found.rows],
        "after": keyset.MOMENTS.text(found.older) if found.older else None,
    }


def _row(job: Job) -> dict[str, Any]:
    same = ("title", "workflow", "status", "dry_run", "stages_ended", "error")
    return {name: getattr(job, name) for name in (*same, "created_at", "started_at", "ended_at")} | {
        "job_id": str(job.pk),
        "owner": job.owner.get_username(),
        "total_stages": len(job.plan),
        "job_url": reverse("api:job", args=[job.pk]),
        "page_url": reverse("job", args=[job.pk]),
    }


def _place(cursor: str) -> keyset.Key:
    try:
        return keyset.MOMENTS.place(cursor)
    except ValueError:
        fault = Fault("after", "must be the cursor of an earlier page")
        raise Problem(422, "the request is invalid", kind="invalid-input", faults=[fault]) from None


def job_out(job: Job) -> dict[str, Any]:
    """Return a job in full, computed from its events."""
    progress = feed.progress(job.pk)
    calls = _calls(job, progress)
    return {
        "job_id": str(job.pk),
        "title": progress.title,
        "workflow": job.workflow,
        "status": progress.status,
        "round": progress.round,
        "cancelling": progress.cancelling and not progress.ended,
        "error": progress.error,
        "down": progress.down,
        "stages": [
            _stage(stage, progress, [calls[call.step] for call in progress.calls_of(stage.id)])
            for stage in progress.stages
        ],
        "artifacts": [public.artifact(job.pk, artifact) for artifact in progress.artifacts],
        "calls": list(calls.values()),
        "timings": _timings(progress),
        "dry_run": progress.dry_run,
        "plan": plans.plan_out(progress),
        "activation": _activation(progress),
        "last_event_id": progress.last_seq,
        "status_url": reverse("api:events", args=[job.pk]),
        "page_url": reverse("job", args=[job.pk]),
    }


def _calls(job: Job, progress: Progress) -> dict[str, dict[str, Any]]:
    """Return the job's calls by step.

    An unknown call has instructions for checking it and the address to resolve it; a planned call has the
    arguments it would send.
    """
    calls = {step: _call(call) for step, call in progress.calls.items()}
    for step, arguments in planned_arguments(job).items():
        if step in calls:  # the rows are read after the log, and may be newer
            calls[step] |= {"arguments": arguments}
    unknown = [step for step, call in progress.calls.items() if call.state == ToolCall.State.UNKNOWN]
    for row in job.calls.filter(step__in=unknown) if unknown else ():
        calls[row.step] |= {
            "how_to_check": how_to_check(row),
            "resolve_url": reverse("api:resolve", args=[job.pk, row.step]),
        }
    return calls


def _stage(stage: StageView, progress: Progress, calls: list[dict[str, Any]]) -> dict[str, Any]:
    same = ("id", "name", "index", "status", "current", "total", "percent", "detail", "error", "seconds")
    return {name: getattr(stage, name) for name in (*same, "started_at", "ended_at")} | {
        "artifacts": [artifact.name for artifact in progress.artifacts_of(stage)],
        "calls": calls,
    }


def _activation(progress: Progress) -> dict[str, Any] | None:
    last, at = progress.activating, progress.activating_at
    return {"hash": last.digest, "by": last.by, "at": iso(at)} if last and at else None


def _call(call: CallView) -> dict[str, Any]:
    return {name: getattr(call, name) for name in CallOut.model_fields if hasattr(call, name)}


def _timings(progress: Progress) -> dict[str, Any]:
    begin, end = progress.started_at or progress.queued_at, progress.ended_at
    return {
        "queued_at": progress.queued_at,
        "started_at": progress.started_at,
        "ended_at": end,
        "expected_end_at": progress.expected_end,
        "seconds": (end - begin).total_seconds() if begin and end else None,
    }
