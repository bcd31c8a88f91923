"""Leases: one worker a job. A job is claimed by compare-and-swap on its epoch and kept by a heartbeat."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from jobs.models import ENDED, Job
from jobs.worker import quarantine

# a clock that goes on while the machine sleeps, where there is one: a lease runs out meanwhile
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Give the seconds of a clock that nobody sets; read it BEFORE a lease is written, so as to err early."""
    return time.clock_gettime(_CLOCK)


@dataclass
class Lease:
    """What a worker knows of its lease without asking the database: it ends no later than the row says.

    A worker that was stopped, or whose writes are stuck, finds here that its time is up and sends nothing.
    """

    job_id: uuid.UUID
    epoch: int
    asked: float

    def good(self) -> bool:
        """Tell whether the lease still runs."""
        return now() < self.asked + settings.LEASE_SECONDS

    def extend(self, asked: float) -> None:
        """Take a renewal in; `asked` is `now()` from before the write that made it."""
        self.asked = max(self.asked, asked)


def claimable() -> Q:
    """Give the condition of a job that any worker may take: not ended, and no live lease on it."""
    return ~Q(status__in=ENDED) & (Q(lease_until=None) | Q(lease_until__lt=timezone.now()))


def claim(job_id: object, worker: str) -> Job | None:
    """Take a job for this worker by compare-and-swap on its epoch; None when it is not to be had.

    A job whose last worker died with it is held to account; after too many such deaths with the same thing
    under way it is ended here and not taken.
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
        if last and quarantine.held_to_account(job, epoch):
            return None
    return job


def renew(leases: Mapping[Any, int]) -> set[Any]:
    """Renew the leases of these jobs ({id: epoch}) and give the ids of those that are lost."""
    until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    lost = set()
    for job_id, epoch in leases.items():
        # one without a holder has begun another round, and waits for whoever takes it
        held = Job.objects.filter(pk=job_id, epoch=epoch).exclude(status__in=ENDED).exclude(leased_by="")
        if not held.update(lease_until=until):
            lost.add(job_id)
    return lost


def hand_over(job_id: object, epoch: int) -> None:
    """Give a job back, so that the next worker takes it at once."""
    Job.objects.filter(pk=job_id, epoch=epoch).update(lease_until=None, leased_by="")


def end_leases_of_the_dead() -> None:
    """Free all leased jobs, where no other worker can be alive. They keep its name: it died with them."""
    Job.objects.exclude(status__in=ENDED).exclude(leased_by="").update(lease_until=None)


def cancelled(job_ids: Any) -> set[Any]:
    """Give those of these jobs that somebody asked to cancel."""
    rows = Job.objects.filter(pk__in=list(job_ids), cancel_asked_at__isnull=False)
    return set(rows.values_list("pk", flat=True))


def left_lying(seconds: float, limit: int) -> list[uuid.UUID]:
    """Give jobs, oldest first, that any worker may take and whose launch is at least `seconds` ago.

    A younger one has its message still on the way.
    """
    old = timezone.now() - timedelta(seconds=seconds)
    rows = Job.objects.filter(claimable(), created_at__lt=old).order_by("created_at")
    return list(rows.values_list("pk", flat=True)[:limit])
