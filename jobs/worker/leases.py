"""Leases: at most one worker per job, claimed by compare-and-swap on the epoch and kept by a heartbeat."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from jobs.models import ENDED, Job
from jobs.worker import quarantine

# a clock that keeps running while the machine sleeps, if there is one: leases expire meanwhile
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Return the seconds of a clock that is never set. Read it BEFORE writing a lease, to err early."""
    return time.clock_gettime(_CLOCK)


@dataclass
class Lease:
    """A worker's own view of its lease, known without the database: it ends no later than the row says.

    A worker that was suspended, or whose writes hang, sees here that its lease has expired and sends nothing.
    """

    job_id: UUID
    epoch: int
    asked: float

    def good(self) -> bool:
        """Return whether the lease is still valid."""
        return now() < self.asked + settings.LEASE_SECONDS

    def extend(self, asked: float) -> None:
        """Extend the lease; `asked` is `now()` from before the write that renewed it."""
        self.asked = max(self.asked, asked)


def claimable() -> Q:
    """Return the condition for jobs that any worker may take: not ended and without a valid lease."""
    return ~Q(status__in=ENDED) & (Q(lease_until=None) | Q(lease_until__lt=timezone.now()))


def claim(job_id: UUID, worker: str) -> Job | None:
    """Claim a job for this worker by compare-and-swap on its epoch and return it, or None if that fails.

    If the job's last worker died, the death is counted. After too many deaths with the same work in progress
    the job is ended here instead of claimed.
    """
    with transaction.atomic():
        job = Job.objects.filter(claimable(), pk=job_id).first()
        if job is None:
            return None
        last, epoch = job.leased_by, job.epoch
        until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        rows = Job.objects.filter(claimable(), pk=job.pk, epoch=epoch, leased_by=last)
        if not rows.update(epoch=F("epoch") + 1, leased_by=worker, lease_until=until):
            return None
        job.refresh_from_db()
        if last and quarantine.count_death(job, epoch):
            return None
    return job


def renew(leases: Mapping[UUID, int]) -> set[UUID]:
    """Renew the leases of these jobs ({id: epoch}) and return the ids of those that are lost."""
    until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    lost = set()
    for job_id, epoch in leases.items():
        # a job without a holder has started another round and waits for a worker
        held = Job.objects.filter(pk=job_id, epoch=epoch).exclude(status__in=ENDED).exclude(leased_by="")
        if not held.update(lease_until=until):
            lost.add(job_id)
    return lost


def hand_over(job_id: UUID, epoch: int) -> None:
    """Release a job so that the next worker can claim it at once."""
    Job.objects.filter(pk=job_id, epoch=epoch).update(lease_until=None, leased_by="")


def end_leases_of_the_dead() -> None:
    """Release all leased jobs; call it only if no other worker can be alive.

    The rows keep the name of the last worker, so that its death is counted.
    """
    Job.objects.exclude(status__in=ENDED).exclude(leased_by="").update(lease_until=None)


def cancelled(job_ids: Iterable[UUID]) -> set[UUID]:
    """Return which of these jobs are being cancelled."""
    rows = Job.objects.filter(pk__in=list(job_ids), cancel_asked_at__isnull=False)
    return set(rows.values_list("pk", flat=True))


def unclaimed(seconds: float, limit: int) -> list[UUID]:
    """Return up to `limit` claimable jobs that were launched at least `seconds` ago, oldest first.

    The message of a younger job may still be on its way.
    """
    old = timezone.now() - timedelta(seconds=seconds)
    rows = Job.objects.filter(claimable(), created_at__lt=old).order_by("created_at")
    return list(rows.values_list("pk", flat=True)[:limit])
