"""The projection: what events change in the job's row and in the rows of its artifacts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from jobs.engine import events as ev
from jobs.engine.results import JobStatus
from jobs.models import Artifact, Job, WorkflowEvent

# what a new round resets in the job's row, whatever the round is for
NEW_ROUND: dict[str, Any] = {
    "status": JobStatus.QUEUED,
    "ended_at": None,
    "error": "",
    "cancel_asked_at": None,
    "lease_until": None,
    "leased_by": "",
    "crashes": 0,
    "suspects": [],
    "again": [],
    # an activation allows spend for one round only
    "spend_by": None,
}
# the events for which `project` does something
PROJECTED = (
    ev.StageStart,
    ev.JobResumed,
    ev.StageEnd,
    ev.JobCancelling,
    ev.JobRetrying,
    ev.JobActivating,
    ev.WorkflowComplete,
)


def project(job: Job, event: ev.Event, now: datetime) -> None:
    """Update the job's row and its artifacts for an event. Call it in the transaction that adds the event."""
    mine = Job.objects.filter(pk=job.pk)
    if isinstance(event, ev.StageStart):
        job.started_at = job.started_at or now
        mine.update(status=JobStatus.RUNNING, started_at=job.started_at)
    elif isinstance(event, ev.JobResumed):
        mine.update(status=JobStatus.RUNNING)
    elif isinstance(event, ev.StageEnd):
        mine.update(stages_ended=len(ends(job.pk)))
        _store_artifacts(job, event)
    elif isinstance(event, ev.JobCancelling):
        mine.update(cancel_asked_at=now)
    elif isinstance(event, ev.JobRetrying | ev.JobActivating):
        mine.update(stages_ended=len(ends(job.pk)), round=event.round, **NEW_ROUND)
    elif isinstance(event, ev.WorkflowComplete):
        mine.update(
            status=event.status, ended_at=now, error=event.error[:500], lease_until=None, leased_by=""
        )


def ends(job_id: UUID) -> dict[str, ev.StageEnd]:
    """Return the end that counts of each stage that has ended, by stage id, read from the job's log."""
    kinds = (ev.StageComplete.type, ev.StageError.type, ev.JobRetrying.type, ev.JobActivating.type)
    rows = WorkflowEvent.objects.filter(job_id=job_id, type__in=kinds).order_by("seq")
    return ev.stage_ends(ev.event_from(row.type, row.payload) for row in rows)


def _store_artifacts(job: Job, end: ev.StageEnd) -> None:
    """Store what a stage made, and delete what an earlier round made that this one did not make again.

    An artifact that a later stage has replaced stays that stage's, as in `Progress`.
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
