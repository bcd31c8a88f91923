"""What the API tells of jobs: a page of them by cursor, and one in full from the fold over its events."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from jobs import feed
from jobs.api_errors import Problem
from jobs.models import Job
from jobs.workflow.graph import Fault
from jobs.workflow.progress import CallView, Progress, StageView
from jobs.workflow.results import JobStatus

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def job_page(user: Any, status: JobStatus | None, q: str, after: str, limit: int) -> dict[str, Any]:
    """Give the jobs that this user may see, newest first, from the cursor `after` on. Raises Problem."""
    rows = Job.objects.visible_to(user).select_related("owner").order_by("-created_at", "-id")
    if status:
        rows = rows.filter(status=status)
    if q := q.strip():
        rows = rows.filter(Q(title__icontains=q) | Q(id__startswith=q))
    if after:
        at, id = _from_cursor(after)
        # the first condition alone is what an index can use
        rows = rows.filter(created_at__lte=at).exclude(created_at=at, id__gte=id)
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return {
        "items": [_row(job) for job in found[:limit]],
        "after": _cursor(found[limit - 1]) if more else None,
    }


def _row(job: Job) -> dict[str, Any]:
    same = ("title", "workflow", "status", "stages_ended", "error", "created_at", "started_at", "ended_at")
    return {name: getattr(job, name) for name in same} | {
        "job_id": str(job.pk),
        "owner": job.owner.get_username(),
        "total_stages": len(job.plan),
        "job_url": reverse("api:job", args=[job.pk]),
        "page_url": reverse("job", args=[job.pk]),
    }


def _cursor(job: Job) -> str:
    return f"{(job.created_at - EPOCH) // MICROSECOND}-{job.pk.hex}"


def _from_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        micros, _, id = cursor.partition("-")
        return EPOCH + int(micros) * MICROSECOND, UUID(id)
    except (ValueError, OverflowError):
        fault = Fault("after", "is not a cursor that a page of jobs gave")
        raise Problem(422, "the request has faults", kind="invalid-input", faults=[fault]) from None


def job_out(job: Job) -> dict[str, Any]:
    """Give a job in full, folded from its events."""
    progress = feed.progress(job.pk)
    return {
        "job_id": str(job.pk),
        "title": progress.title,
        "workflow": job.workflow,
        "status": progress.status,
        "cancelling": progress.cancelling and not progress.ended,
        "error": progress.error,
        "stages": [_stage(stage, progress.calls_of(stage.id)) for stage in progress.stages],
        "artifacts": [feed.public_artifact(job.pk, artifact) for artifact in progress.artifacts],
        "calls": [_call(call) for call in progress.calls.values()],
        "timings": _timings(progress),
        "last_event_id": progress.last_seq,
        "status_url": reverse("api:events", args=[job.pk]),
        "page_url": reverse("job", args=[job.pk]),
    }


def _stage(stage: StageView, calls: list[CallView]) -> dict[str, Any]:
    same = ("id", "name", "index", "status", "current", "total", "percent", "detail", "error", "seconds")
    return {name: getattr(stage, name) for name in (*same, "started_at", "ended_at")} | {
        "artifacts": [artifact.name for artifact in stage.artifacts],
        "calls": [_call(call) for call in calls],
    }


def _call(call: CallView) -> dict[str, Any]:
    return {name: getattr(call, name) for name in CallView.__slots__ if name not in ("in_use", "limit")}


def _timings(progress: Progress) -> dict[str, Any]:
    begin, end = progress.started_at or progress.queued_at, progress.ended_at
    return {
        "queued_at": progress.queued_at,
        "started_at": progress.started_at,
        "ended_at": end,
        "seconds": (end - begin).total_seconds() if begin and end else None,
    }
