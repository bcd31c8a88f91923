"""Cancelling: nothing is sent afterwards, one event is emitted, and a job without a worker ends at once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.acts import actions
from jobs.models import AuditEntry, Job
from jobs.store import feed
from jobs.worker import leases
from tests.jobs import acting, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


@pytest.fixture(autouse=True)
def worker_messages(monkeypatch):
    """Catch messages to the worker and return them."""
    messages = []
    monkeypatch.setattr("jobs.acts.actions.run_job", messages.append)
    return messages


def test_a_job_without_a_worker_ends_at_once():
    job = actions.cancel(story.job(), story.user("noor"))
    assert (job.status, job.ended_at is not None, job.lease_until) == ("cancelled", True, None)
    assert acting.types(job) == ["job:queued", "job:cancelling", "workflow:complete"]
    entry = AuditEntry.objects.get(job=job)
    assert (entry.act, entry.by) == ("cancel", story.user("noor"))
    assert leases.claim(job.pk, "late") is None


def test_a_running_job_is_asked_to_stop_and_its_worker_ends_it():
    job = acting.running()
    asked = actions.cancel(job.pk, story.user())
    assert (asked.status, asked.ended, asked.cancel_asked_at is not None) == ("running", False, True)
    assert feed.progress(job.pk).cancelling
    ended = actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    assert ended.status == "cancelled"
    assert not feed.progress(job.pk).cancelling


def test_cancelling_again_emits_no_second_event():
    job = acting.running()
    for _ in range(2):
        actions.cancel(job, story.user())
    actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    actions.cancel(job, story.user())
    assert acting.types(job).count("job:cancelling") == AuditEntry.objects.count() == 1


def test_a_job_that_has_already_ended_cannot_be_cancelled():
    job = story.ended_job()
    with pytest.raises(actions.ActionRefused, match=r"has ended \(completed\)"):
        actions.cancel(job, story.user())
    assert not AuditEntry.objects.exists()
    assert acting.types(job).count("job:cancelling") == 0


def test_cancelling_after_the_worker_was_lost_makes_its_calls_unknown_and_fences_it_off():
    job = acting.running()
    acting.call(job, "brief.document", "done")
    acting.call(job, "creative.image.a", "sent")
    feed.append(job.pk, [acting.end("brief", "completed", acting.made("brief.md"))])
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    cancelled = actions.cancel(job, story.user())
    assert cancelled.status == "cancelled"
    assert acting.states(job) == {"brief.document": "done", "creative.image.a": "unknown"}
    end = list(feed.whole(job.pk))[-1].event
    assert [one.name for one in end.artifacts] == ["brief.md"]
    with pytest.raises(feed.LeaseLost):
        feed.append(job.pk, [acting.end("creative")], epoch=job.epoch)


def test_a_cancel_wins_over_a_round_that_a_resolution_asked_for():
    job = acting.running()
    acting.call(job, "brief.document", "unknown")
    actions.resolve(job, "brief.document", "absent", story.user())
    actions.cancel(job, story.user())
    ended = actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    assert (ended.status, ended.again, ended.round) == ("cancelled", [], 1)


def test_no_round_follows_one_that_finished_after_a_cancel():
    job = acting.running()
    acting.call(job, "brief.document", "unknown")
    actions.resolve(job, "brief.document", "absent", story.user())
    actions.cancel(job, story.user())
    ended = actions.finish(job.pk, job.epoch, acting.over("partial"))
    assert (ended.status, ended.again, ended.round) == ("partial", [], 1)


def test_a_worker_without_the_lease_cannot_end_a_job():
    job = acting.running()
    with pytest.raises(feed.LeaseLost):
        actions.finish(job.pk, job.epoch + 1, acting.over())
    job.refresh_from_db()
    assert job.status == "running"


def test_cancelling_a_missing_job_raises_does_not_exist():
    job = story.job()
    Job.objects.all().delete()
    with pytest.raises(Job.DoesNotExist):
        actions.cancel(str(job.pk), story.user())
