"""The event log: the only writer and the only reader of a job's events."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from jobs.engine import events as ev
from jobs.engine.events import iso as iso
from jobs.engine.progress import Progress
from jobs.engine.results import JobStatus, Stopped
from jobs.models import Artifact, Job, WorkflowEvent
from jobs.store import doorbell, outbox, rows

PAGE = 1000
MOVE_ON = "UPDATE jobs_job SET last_seq = last_seq + %s WHERE id = %s"
UNLESS_CANCELLED = " AND cancel_asked_at IS NULL"
# what a round changes in the job's row, whatever the round is for
AFRESH: dict[str, Any] = {
    "status": JobStatus.QUEUED,
    "ended_at": None,
    "error": "",
    "cancel_asked_at": None,
    "lease_until": None,
    "leased_by": "",
    "crashes": 0,
    "suspects": [],
    "again": [],
    # the right to spend is given for one round, by an activation, and ends with it
    "spend_by": None,
}
# events that change the job's row or its artifacts, or that webhooks are told of; all others stand in the log
MORE_THAN_LOG = (
    ev.StageStart,
    ev.JobResumed,
    ev.StageEnd,
    ev.JobCancelling,
    ev.JobRetrying,
    ev.JobActivating,
    ev.WorkflowComplete,
    ev.CallUnknown,
)


class LeaseLost(Stopped):
    """Another worker owns the job now; nothing was written."""


class Cancelled(Stopped):
    """Somebody asked to cancel the job, and nothing may begin any more; nothing was written."""


def append(
    job_id: object, events: Sequence[ev.Event], *, epoch: int | None = None, begins: bool = False
) -> list[ev.Recorded]:
    """Add events to a job's log, with what they change in the job's row and artifacts and what webhooks are
    told of them, in one transaction.

    Numbers them on from the job's last seq, under the row's lock, and rings the doorbell after the commit.
    With `epoch` given the row must still carry it: otherwise raises LeaseLost and writes nothing. What
    `begins` something raises Cancelled once somebody has asked to cancel.
    """
    id = Job._meta.pk.to_python(job_id)
    with transaction.atomic():
        first, now = _numbered(id, len(events), epoch, begins), timezone.now()
        recorded = [ev.Recorded(first + i, now, event) for i, event in enumerate(events)]
        for one in recorded:
            event = one.event
            rows.insert(
                WorkflowEvent, job_id=id, seq=one.seq, type=event.type, payload=event.payload(), at=now
            )
        if any(isinstance(event, MORE_THAN_LOG) for event in events):
            job = Job.objects.get(pk=id)
            for one in recorded:
                _project(job, one.event, now)
                outbox.notify(job, one)
        transaction.on_commit(lambda: doorbell.ring(id))
    return recorded


def _numbered(id: Any, count: int, epoch: int | None, begins: bool) -> int:
    """Move a job's last seq on, under its row's lock, and give the first of the new numbers.

    In SQL: most of what an event costs would be Django's work on this statement.
    """
    own, values = Job._meta.pk.get_db_prep_value(id, connection), [] if epoch is None else [epoch]
    move = MOVE_ON if epoch is None else MOVE_ON + " AND epoch = %s"
    move += UNLESS_CANCELLED if begins else ""
    with connection.cursor() as cursor:
        cursor.execute(move + " RETURNING last_seq", [count, own, *values])
        if moved := cursor.fetchone():
            return int(moved[0]) - count + 1
    if begins and Job.objects.filter(pk=id, cancel_asked_at__isnull=False).exists():
        raise Cancelled("the job was cancelled")
    raise LeaseLost(f"job {id} is not owned at epoch {epoch}")


def _project(job: Job, event: ev.Event, now: datetime) -> None:
    """Keep the job's row and its artifacts in step with an event, in the event's own transaction."""
    mine = Job.objects.filter(pk=job.pk)
    if isinstance(event, ev.StageStart):
        job.started_at = job.started_at or now
        mine.update(status=JobStatus.RUNNING, started_at=job.started_at)
    elif isinstance(event, ev.JobResumed):
        mine.update(status=JobStatus.RUNNING)
    elif isinstance(event, ev.StageEnd):
        mine.update(stages_ended=len(ends(job.pk)))
        _keep(job, event)
    elif isinstance(event, ev.JobCancelling):
        mine.update(cancel_asked_at=now)
    elif isinstance(event, ev.JobRetrying | ev.JobActivating):
        mine.update(stages_ended=len(ends(job.pk)), round=event.round, **AFRESH)
    elif isinstance(event, ev.WorkflowComplete):
        mine.update(
            status=event.status, ended_at=now, error=event.error[:500], lease_until=None, leased_by=""
        )


def _keep(job: Job, end: ev.StageEnd) -> None:
    """Store what a stage made; a fallback of an earlier round that the real thing has replaced goes.

    What a later stage has made anew stays that stage's, as in the fold.
    """
    made = [artifact.name for artifact in end.artifacts]
    stages = [id for id, *_ in job.plan]
    behind = stages[stages.index(end.stage) + 1 :] if end.stage in stages else []
    mine = Artifact.objects.filter(job=job)
    mine.filter(stage=end.stage).exclude(name__in=made).delete()
    theirs = set(mine.filter(stage__in=behind, name__in=made).values_list("name", flat=True))
    for artifact in (one for one in end.artifacts if one.name not in theirs):
        values = {name: getattr(artifact, name) for name in artifact.__dataclass_fields__ if name != "name"}
        values |= {"note": artifact.note[:500], "stage": end.stage}
        Artifact.objects.update_or_create(job=job, name=artifact.name, defaults=values)


def ends(job_id: object) -> dict[str, ev.StageEnd]:
    """Give the end of each stage that stands: the latest, unless a later round runs the stage anew."""
    kinds = (ev.StageComplete.type, ev.StageError.type, ev.JobRetrying.type, ev.JobActivating.type)
    rows = WorkflowEvent.objects.filter(job_id=job_id, type__in=kinds).order_by("seq")
    found: dict[str, ev.StageEnd] = {}
    for row in rows:
        event = ev.event_from(row.type, row.payload)
        if isinstance(event, ev.StageEnd):
            found[event.stage] = event
        elif anew := ev.begun_anew(event):
            found = {id: end for id, end in found.items() if id not in anew}
    return found


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


def line(job_id: object, one: ev.Recorded) -> str:
    """Give an event as the one line of JSON that streams carry."""
    return json.dumps(public(job_id, one), separators=(",", ":"))


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
