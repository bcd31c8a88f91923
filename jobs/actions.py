"""What is done to a job: launch, claim, renew, hand over. Every change of a job's standing is here."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from jobs import feed, servers
from jobs.models import ENDED, Job
from jobs.tasks import run_job
from jobs.workflow import events as ev
from jobs.workflow.graph import Fault, InvalidInput
from jobs.workflows import workflow


class KeyReused(Exception):
    """The same idempotency key was sent with another body; nothing was launched."""


@dataclass(frozen=True)
class Launched:
    """A launch: its job, whether this call made it, and what to warn about."""

    job: Job
    created: bool
    warnings: list[Fault] = field(default_factory=list)


def launch(
    workflow_id: str, raw: Mapping[str, Any], owner: Any, *, idempotency_key: str | None = None
) -> Launched:
    """Accept a launch: check the input, store the job with its plan and first event, and tell a worker.

    Raises UnknownWorkflow, InvalidInput (with every fault) and KeyReused; then nothing was made.
    The same key with the same body gives the first job again.
    """
    flow = workflow(workflow_id)
    broken = servers.faults()
    if broken:
        raise InvalidInput(broken)
    digest = _hash([flow.id, raw])
    if idempotency_key:
        earlier = Job.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
        if earlier:
            return _again(earlier, digest)
    request = flow.parse(raw)
    chosen = flow.wanted(request.params)
    job = Job(
        owner=owner,
        workflow=flow.id,
        version=flow.version,
        title=request.title[:200],
        params=request.params,
        plan=[[stage.id, stage.name] for stage in chosen.stages],
        idempotency_key=idempotency_key or None,
        request_hash=digest,
    )
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            queued = ev.JobQueued(workflow=flow.id, version=flow.version, title=job.title, stages=job.plan)
            feed.append(job.pk, [queued])
            if flow.accepted:
                flow.accepted(str(job.pk), owner.pk, request.params)
            # robust: the job stands, whether or not its message could be left
            transaction.on_commit(lambda: _tell(job.pk), robust=True)
    except IntegrityError:
        # two launches with one key at the same moment: the database let one of them through
        earlier = Job.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
        if not idempotency_key or earlier is None:
            raise
        return _again(earlier, digest)
    return Launched(job, True, request.warnings)


def _again(earlier: Job, digest: str) -> Launched:
    if earlier.request_hash != digest:
        raise KeyReused("this Idempotency-Key was used for another launch; use a new key")
    return Launched(earlier, False)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _tell(job_id: uuid.UUID) -> None:
    """Ring Huey's doorbell. A lost message costs seconds: the worker's sweeper finds the row."""
    run_job(str(job_id))


def claimable() -> Q:
    """Give the condition of a job that any worker may take: not ended, and no live lease on it."""
    return ~Q(status__in=ENDED) & (Q(lease_until=None) | Q(lease_until__lt=timezone.now()))


def claim(job_id: object, worker: str) -> Job | None:
    """Take a job for this worker by compare-and-swap on its epoch; None when somebody else has it."""
    job = Job.objects.filter(claimable(), pk=job_id).first()
    if job is None:
        return None
    until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    rows = Job.objects.filter(claimable(), pk=job.pk, epoch=job.epoch)
    if not rows.update(epoch=F("epoch") + 1, leased_by=worker, lease_until=until):
        return None
    job.refresh_from_db()
    return job


def renew(leases: Mapping[Any, int]) -> set[Any]:
    """Renew the leases of these jobs ({id: epoch}) and give the ids of those that are lost."""
    until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    lost = set()
    for job_id, epoch in leases.items():
        if not Job.objects.filter(pk=job_id, epoch=epoch).exclude(status__in=ENDED).update(lease_until=until):
            lost.add(job_id)
    return lost


def hand_over(job_id: object, epoch: int) -> None:
    """Give a job back, so that the next worker takes it at once."""
    Job.objects.filter(pk=job_id, epoch=epoch).update(lease_until=None, leased_by="")


def left_lying(seconds: float, limit: int) -> list[uuid.UUID]:
    """Give jobs, oldest first, that any worker may take and whose launch is at least `seconds` ago.

    A younger one has its message still on the way.
    """
    old = timezone.now() - timedelta(seconds=seconds)
    rows = Job.objects.filter(claimable(), created_at__lt=old).order_by("created_at")
    return list(rows.values_list("pk", flat=True)[:limit])
