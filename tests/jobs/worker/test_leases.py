"""Leases: one worker per job, and a lost lease cannot be renewed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.worker import leases
from tests.jobs import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


def test_of_two_workers_one_gets_the_job():
    job = story.job()
    taken = leases.claim(job.pk, "a")
    assert (taken.epoch, taken.leased_by) == (1, "a")
    assert leases.claim(job.pk, "b") is None


def test_a_claim_fails_if_another_worker_claims_the_job_after_the_look(monkeypatch):
    job, condition, looks = story.job(), leases.claimable, []

    def claimable():
        looks.append("look")
        if len(looks) == 2:  # another worker claims it right after this one has looked
            Job.objects.filter(pk=job.pk).update(epoch=7)
        return condition()

    monkeypatch.setattr(leases, "claimable", claimable)
    assert leases.claim(job.pk, "late") is None
    assert Job.objects.get(pk=job.pk).epoch == 7


def test_an_expired_lease_goes_to_the_next_worker_and_the_first_cannot_renew_it():
    job = story.job()
    first = leases.claim(job.pk, "a")
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert leases.unclaimed(0, 5) == [job.pk]
    assert leases.claim(job.pk, "b").epoch == 2
    assert leases.renew({job.pk: first.epoch}) == {job.pk}
    assert leases.renew({job.pk: 2}) == set()


def test_only_its_owner_can_release_a_job_which_is_then_free_at_once():
    job = story.job()
    taken = leases.claim(job.pk, "a")
    leases.hand_over(job.pk, taken.epoch - 1)
    assert leases.claim(job.pk, "b") is None
    leases.hand_over(job.pk, taken.epoch)
    assert leases.claim(job.pk, "b").epoch == 2


def test_an_ended_job_cannot_be_claimed():
    job = story.ended_job()
    assert leases.claim(job.pk, "a") is None
    assert leases.unclaimed(0, 5) == []


def test_a_lease_is_valid_until_it_expires_and_a_renewal_extends_it(settings, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(leases, "now", lambda: clock[0])
    settings.LEASE_SECONDS = 30
    lease = leases.Lease(story.job().pk, 1, asked=100.0)
    clock[0] = 129.9
    assert lease.good()
    clock[0] = 130.0
    assert not lease.good()
    lease.extend(asked=120.0)
    assert lease.good()
    lease.extend(asked=90.0)  # a late renewal does not shorten the lease
    assert lease.good()


def test_the_clock_of_leases_never_goes_back():
    assert leases.now() <= leases.now()


def test_an_overtaken_claim_returns_none_and_changes_nothing(monkeypatch):
    job = story.job()
    overtaken = leases.claimable

    def look():
        look.times += 1
        if look.times == 2:
            Job.objects.filter(pk=job.pk).update(epoch=7)
        return overtaken()

    look.times = 0
    monkeypatch.setattr(leases, "claimable", look)
    assert leases.claim(job.pk, "a") is None
    job.refresh_from_db()
    assert (job.leased_by, job.epoch) == ("", 7)


def test_a_late_renewal_does_not_lease_a_job_that_started_another_round():
    job = story.job()
    taken = leases.claim(job.pk, "a")
    Job.objects.filter(pk=job.pk).update(leased_by="", lease_until=None)
    assert leases.renew({job.pk: taken.epoch}) == {job.pk}
    assert leases.claim(job.pk, "b").epoch == 2


def test_jobs_of_dead_workers_are_free_and_keep_the_workers_name():
    dead, free, ended = story.job(), story.job(), story.ended_job()
    leases.claim(dead.pk, "a")
    leases.end_leases_of_the_dead()
    dead.refresh_from_db()
    assert (dead.lease_until, dead.leased_by) == (None, "a")
    assert set(leases.unclaimed(0, 5)) == {dead.pk, free.pk}
    assert leases.claim(ended.pk, "b") is None


def test_only_jobs_being_cancelled_are_returned():
    asked, other = story.job(cancel_asked_at=timezone.now()), story.job()
    assert leases.cancelled([asked.pk, other.pk]) == {asked.pk}


def test_claiming_a_job_that_keeps_killing_workers_quarantines_it():
    job = story.job(crashes=5, suspects=["job"], leased_by="dead", epoch=5)
    assert leases.claim(job.pk, "next") is None
    job.refresh_from_db()
    assert (job.status, job.crashes) == ("failed", 6)
