"""Cancelling: nothing is sent after it, it is told once, and a job that nobody runs ends at once."""

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
def told(monkeypatch):
    """Let messages to the worker end here, and give them."""
    messages = []
    monkeypatch.setattr("jobs.acts.actions.run_job", messages.append)
    return messages


def test_a_job_that_nobody_has_taken_ends_at_once():
    job = actions.cancel(story.job(), story.user("noor"))
    assert (job.status, job.ended_at is not None, job.lease_until) == ("cancelled", True, None)
    assert acting.types(job) == ["job:queued", "job:cancelling", "workflow:complete"]
    entry = AuditEntry.objects.get(job=job)
    assert (entry.act, entry.by) == ("cancel", story.user("noor"))
    assert leases.claim(job.pk, "late") is None


def test_a_running_job_is_only_told_to_stop_and_its_worker_ends_it():
    job = acting.running()
    told = actions.cancel(job.pk, story.user())
    assert (told.status, told.ended, told.cancel_asked_at is not None) == ("running", False, True)
    assert feed.progress(job.pk).cancelling
    ended = actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    assert ended.status == "cancelled"
    assert not feed.progress(job.pk).cancelling


def test_cancelling_twice_is_one_event_while_it_stops_and_after():
    job = acting.running()
    for _ in range(2):
        actions.cancel(job, story.user())
    actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    actions.cancel(job, story.user())
    assert acting.types(job).count("job:cancelling") == AuditEntry.objects.count() == 1


def test_a_job_that_has_ended_by_itself_cannot_be_cancelled():
    job = story.ended_job()
    with pytest.raises(actions.ActionRefused, match=r"has ended \(completed\)"):
        actions.cancel(job, story.user())
    assert not AuditEntry.objects.exists()
    assert acting.types(job).count("job:cancelling") == 0


def test_where_the_worker_was_lost_its_calls_are_unknown_what_exists_is_told_and_it_writes_nothing_more():
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


def test_cancelled_wins_over_a_round_that_an_answer_asked_for():
    job = acting.running()
    acting.call(job, "brief.document", "unknown")
    actions.resolve(job, "brief.document", "absent", story.user())
    actions.cancel(job, story.user())
    ended = actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    assert (ended.status, ended.again, ended.round) == ("cancelled", [], 1)


def test_a_round_that_came_to_its_own_end_after_the_cancel_begins_no_other():
    job = acting.running()
    acting.call(job, "brief.document", "unknown")
    actions.resolve(job, "brief.document", "absent", story.user())
    actions.cancel(job, story.user())
    ended = actions.finish(job.pk, job.epoch, acting.over("partial"))
    assert (ended.status, ended.again, ended.round) == ("partial", [], 1)


def test_a_worker_without_the_lease_ends_nothing():
    job = acting.running()
    with pytest.raises(feed.LeaseLost):
        actions.finish(job.pk, job.epoch + 1, acting.over())
    job.refresh_from_db()
    assert job.status == "running"


def test_a_job_that_is_not_there_is_told_so():
    job = story.job()
    Job.objects.all().delete()
    with pytest.raises(Job.DoesNotExist):
        actions.cancel(str(job.pk), story.user())
