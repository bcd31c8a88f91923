"""The event log: the only writer and the only reader of a job's events."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from jobs import doorbell
from jobs.models import Artifact, Job, WorkflowEvent
from jobs.workflow import events as ev
from jobs.workflow.progress import Progress
from jobs.workflow.results import ENDED_JOB, JobStatus, Stopped

PAGE = 1000


class LeaseLost(Stopped):
    """Another worker owns the job now; nothing was written."""


def append(job_id: object, events: Sequence[ev.Event], *, epoch: int | None = None) -> list[ev.Recorded]:
    """Add events to a job's log, with what they change in the job's row and artifacts, in one transaction.

    Numbers them on from the job's last seq, under the row's lock, and rings the doorbell after the commit.
    With `epoch` given the row must still carry it: otherwise raises LeaseLost and writes nothing.
    """
    with transaction.atomic():
        rows = Job.objects.filter(pk=job_id)
        if epoch is not None:
            rows = rows.filter(epoch=epoch)
        if not rows.update(last_seq=F("last_seq") + len(events)):
            raise LeaseLost(f"job {job_id} is not owned at epoch {epoch}")
        job = Job.objects.get(pk=job_id)
        first, now = job.last_seq - len(events) + 1, timezone.now()
        recorded = [ev.Recorded(first + i, now, event) for i, event in enumerate(events)]
        WorkflowEvent.objects.bulk_create(
            WorkflowEvent(
                job_id=job.pk, seq=one.seq, type=one.event.type, payload=one.event.payload(), at=now
            )
            for one in recorded
        )
        for event in events:
            _project(job, event, now)
        transaction.on_commit(lambda: doorbell.ring(job.pk))
    return recorded


def _project(job: Job, event: ev.Event, now: datetime) -> None:
    """Keep the job's row and its artifacts in step with an event, in the event's own transaction."""
    rows = Job.objects.filter(pk=job.pk)
    if isinstance(event, ev.StageStart) and job.started_at is None:
        job.started_at = now
        rows.update(status=JobStatus.RUNNING, started_at=now)
    elif isinstance(event, ev.StageEnd):
        rows.update(stages_ended=F("stages_ended") + 1)
        for artifact in event.artifacts:
            _keep(job, event.stage, artifact)
    elif isinstance(event, ev.WorkflowComplete):
        rows.update(
            status=event.status, ended_at=now, error=event.error[:500], lease_until=None, leased_by=""
        )


def _keep(job: Job, stage: str, artifact: ev.Artifact) -> None:
    values = {name: getattr(artifact, name) for name in artifact.__dataclass_fields__ if name != "name"}
    values["note"] = artifact.note[:500]
    Artifact.objects.update_or_create(job=job, name=artifact.name, defaults=values | {"stage": stage})


def after(job_id: object, seq: int = 0, limit: int = PAGE) -> list[ev.Recorded]:
    """Give up to `limit` events of a job that come after `seq`, in order."""
    rows = WorkflowEvent.objects.filter(job_id=job_id, seq__gt=seq).order_by("seq")[:limit]
    return [ev.Recorded(row.seq, row.at, ev.event_from(row.type, row.payload)) for row in rows]


def whole(job_id: object) -> Iterable[ev.Recorded]:
    """Give all events of a job in order, page by page."""
    seq = 0
    while page := after(job_id, seq):
        yield from page
        seq = page[-1].seq


def progress(job_id: object) -> Progress:
    """Give the fold over all events of a job."""
    return Progress.from_events(whole(job_id))


def heads(job_ids: Iterable[object]) -> dict[Any, int]:
    """Give the last seq of each of these jobs, in one query."""
    return dict(Job.objects.filter(pk__in=list(job_ids)).values_list("pk", "last_seq"))


def public(job_id: object, one: ev.Recorded) -> dict[str, Any]:
    """Give an event as clients read it: camelCase, ISO 8601 in UTC, every artifact with a link that opens."""
    payload = one.event.payload()
    payload.pop("data", None)
    if "artifacts" in payload:
        payload["artifacts"] = [public_artifact(job_id, artifact) for artifact in one.event.artifacts]
    if not payload.get("error", True):
        del payload["error"]
    return {"type": one.event.type, "jobId": str(job_id), "seq": one.seq, "timestamp": iso(one.at), **payload}


def public_artifact(job_id: object, artifact: Any) -> dict[str, Any]:
    """Give an artifact (the engine's or the stored one) as clients read it.

    `url` opens it: where it is outside, else our own copy; `fileUrl` is our own copy, where there is one.
    """
    own = reverse("artifact", args=[job_id, artifact.name]) if artifact.file else ""
    links = {"url": artifact.url or own, "fileUrl": own}
    sizes = {"width": artifact.width, "height": artifact.height} if artifact.width else {}
    more = {"mime": artifact.mime, "remoteId": artifact.remote_id, "note": artifact.note}
    return {
        "name": artifact.name,
        "title": artifact.title,
        "kind": artifact.kind,
        "source": str(artifact.source),
        **{key: value for key, value in (links | more).items() if value},
        **sizes,
    }


def iso(moment: datetime) -> str:
    """Give a moment as ISO 8601 in UTC, with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_end(one: ev.Recorded) -> bool:
    """Tell whether this event ends its job's log for good."""
    return isinstance(one.event, ev.WorkflowComplete) and JobStatus(one.event.status) in ENDED_JOB
