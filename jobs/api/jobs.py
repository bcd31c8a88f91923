"""What the API tells of jobs: which one a caller may see, a page of them, one in full from its events."""

from typing import Any
from uuid import UUID

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
    """Give who calls, as the operation's door let them in."""
    return request.auth  # type: ignore[attr-defined]  # ninja puts there what the door gave


def job_of(request: HttpRequest, job_id: UUID) -> Job:
    """Give the job that the caller asks for. Raises Problem: 404 where there is none or it is not theirs."""
    job = Job.objects.visible_to(caller_of(request).user).filter(pk=job_id).first()
    if job is None:
        raise Problem(404, f"there is no job {job_id}")
    return job


def where(job: Job) -> dict[str, str]:
    """Give the addresses at which a job can be followed."""
    return {
        "job_id": str(job.pk),
        "status_url": reverse("api:events", args=[job.pk]),
        "job_url": reverse("api:job", args=[job.pk]),
        "page_url": reverse("job", args=[job.pk]),
    }


def job_page(user: Any, status: str, q: str, after: str, limit: int) -> dict[str, Any]:
    """Give the jobs that this user may see, newest first, from the cursor `after` on. Raises Problem.

    A page of a search looks through a bounded number of jobs: it may end before it is full.
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
        fault = Fault("after", "is not a cursor that a page of jobs gave")
        raise Problem(422, "the request has faults", kind="invalid-input", faults=[fault]) from None


def job_out(job: Job) -> dict[str, Any]:
    """Give a job in full, folded from its events."""
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
    """Give the job's calls by step; an unknown one says how to find out, and where to answer for it, and a
    planned one what it would send."""
    told = {step: _call(call) for step, call in progress.calls.items()}
    for step, arguments in planned_arguments(job).items():
        if step in told:  # the rows were read after the log, and may know more
            told[step] |= {"arguments": arguments}
    unknown = [step for step, call in progress.calls.items() if call.state == ToolCall.State.UNKNOWN]
    for row in job.calls.filter(step__in=unknown) if unknown else ():
        told[row.step] |= {
            "how_to_check": how_to_check(row),
            "resolve_url": reverse("api:resolve", args=[job.pk, row.step]),
        }
    return told


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
