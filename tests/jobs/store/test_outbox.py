"""The outbox: each webhook gets each notification once, in the same transaction as its event."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from jobs.acts import actions
from jobs.engine import events as ev
from jobs.models import Delivery, Job, WorkflowEvent
from jobs.store import feed, outbox
from jobs.worker import leases
from tests.jobs import acting, story
from tests.jobs.hooks import hook, in_outbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
UNKNOWN = ev.CallUnknown(**story.CALL, attempt=2, reason="no answer within 30 s")


def silent_since(job, seconds, **values):
    """Make a job's last event this many seconds old."""
    at = timezone.now() - timedelta(seconds=seconds)
    WorkflowEvent.objects.filter(job=job).update(at=at)
    Job.objects.filter(pk=job.pk).update(created_at=at, **values)


def test_an_end_is_notified_with_the_jobs_result(settings):
    settings.PUBLIC_URL = "https://flightplan.example.com"
    desk = hook("ended")
    job = acting.ended(
        acting.end("brief", "completed", acting.made("a"), acting.made("b", "simulated")),
        calls={"creative.a": "unknown", "creative.b": "done"},
    )
    artifacts = (acting.made("a"), acting.made("b", "simulated"), acting.made("c", "fallback"))
    feed.append(job.pk, [ev.WorkflowComplete(status="completed", total_stages=3, artifacts=artifacts)])
    row = Delivery.objects.filter(webhook=desk).latest("created_at")
    assert row.payload == {
        "type": "job.ended",
        "id": str(row.pk),
        "timestamp": ev.iso(feed.after(job.pk, row.job.last_seq - 1)[0].at),
        "jobId": str(job.pk),
        "title": "Aurora One",
        "status": "completed",
        "round": 1,
        "dryRun": False,
        "pageUrl": f"https://flightplan.example.com/jobs/{job.pk}/",
        "jobUrl": f"https://flightplan.example.com/api/jobs/{job.pk}",
        "artifacts": {"live": 1, "local": 0, "simulated": 1, "fallback": 1},
        "unknownCalls": 1,
    }


def test_without_a_public_address_links_are_paths(settings):
    settings.PUBLIC_URL = ""
    hook()
    job = story.ended_job()
    assert Delivery.objects.get().payload["pageUrl"] == f"/jobs/{job.pk}/"


@pytest.mark.parametrize("status", ["completed", "partial", "failed", "cancelled"])
@pytest.mark.parametrize(
    ("kinds", "partial", "other"),
    [
        (("ended",), "ended", "ended"),
        (("partial",), "partial", None),
        (("partial", "ended"), "partial", "ended"),
        (("unknown", "stuck"), None, None),
    ],
)
def test_one_end_is_notified_once_per_webhook_with_its_most_specific_kind(status, kinds, partial, other):
    hook(*kinds)
    job = story.job()
    feed.append(job.pk, story.end(status))
    kind = partial if status == "partial" else other
    assert in_outbox() == ([(kind, "ended:3")] if kind else [])
    assert [row.payload["type"] for row in Delivery.objects.all()] == ([f"job.{kind}"] if kind else [])


def test_an_unknown_call_is_notified_with_its_details():
    hook("unknown")
    job = story.job(params={"brand": "confidential"})
    feed.append(job.pk, [story.begin(), UNKNOWN])
    row = Delivery.objects.get()
    assert (row.kind, row.about) == ("unknown", "unknown:creative/image/a:3")
    assert row.payload["type"] == "job.unknown"
    said = {key: row.payload[key] for key in ("step", "server", "tool", "reason", "status")}
    assert said == {
        "step": "creative/image/a",
        "server": "image-gen",
        "tool": "generate_image",
        "reason": "no answer within 30 s",
        "status": "running",
    }
    assert "confidential" not in str(row.payload)


def test_the_end_after_a_retry_is_notified_like_any_other():
    hook()
    job = acting.ended(acting.end("creative", "failed"), calls={"creative.a": "failed"})
    actions.retry(job, story.user())
    again = leases.claim(job.pk, "worker-b")
    feed.append(job.pk, [acting.over("completed")], epoch=again.epoch)
    rows = list(Delivery.objects.order_by("created_at"))
    assert [(row.payload["round"], row.payload["status"]) for row in rows] == [
        (1, "partial"),
        (2, "completed"),
    ]


def test_a_dry_run_is_reported_as_one():
    hook()
    feed.append(story.job(dry_run=True).pk, story.end())
    assert Delivery.objects.get().payload["dryRun"] is True


def test_the_cancel_of_a_job_without_a_worker_is_notified_too():
    hook()
    actions.cancel(story.job(), story.user())
    assert Delivery.objects.get().payload["status"] == "cancelled"


def test_inactive_webhooks_and_unsubscribed_events_add_nothing_to_the_outbox():
    hook("ended", active=False)
    hook("unknown", "stuck")
    story.ended_job()
    assert in_outbox() == []


def test_a_rolled_back_event_is_not_notified():
    hook("ended", "unknown")
    job = story.job()

    class Undone(Exception):
        pass

    with pytest.raises(Undone), transaction.atomic():
        feed.append(job.pk, [UNKNOWN, *story.end()])
        assert len(in_outbox()) == 2
        raise Undone
    assert in_outbox() == []
    with pytest.raises(feed.LeaseLost):
        feed.append(job.pk, story.end(), epoch=99)
    assert in_outbox() == []


def test_an_event_is_rolled_back_if_its_notification_cannot_be_written(monkeypatch):
    hook()
    job = story.job()

    def full(*args, **options):
        raise OSError("disk full")

    monkeypatch.setattr(type(Delivery.objects), "bulk_create", full)
    with pytest.raises(OSError, match="disk full"):
        feed.append(job.pk, story.end())
    assert feed.progress(job.pk).status == "queued"


def test_events_without_notifications_cost_no_outbox_query(django_assert_num_queries):
    hook("ended", "partial", "unknown", "stuck")
    job = story.job()
    one = ev.Recorded(2, timezone.now(), story.begin())
    with django_assert_num_queries(0):
        outbox.notify(job, one)


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_stuck_job_is_notified_once_for_its_last_event(settings, status):
    settings.STUCK_SECONDS = 300
    desk, other = hook("stuck"), hook("stuck", "ended")
    hook("ended")
    job, lively = story.job(), story.job()
    silent_since(job, 301, status=status)
    silent_since(lively, 299, status=status)
    assert outbox.notify_of_stuck(timezone.now()) == 2
    assert in_outbox(desk) == in_outbox(other) == [("stuck", "stuck:1")]
    payload = Delivery.objects.filter(webhook=desk).get().payload
    assert (payload["type"], payload["status"], payload["lastEventId"]) == ("job.stuck", status, 1)
    assert payload["lastEventAt"] == ev.iso(WorkflowEvent.objects.get(job=job).at)
    assert outbox.notify_of_stuck(timezone.now()) == 0
    feed.append(job.pk, [story.begin()])
    assert outbox.notify_of_stuck(timezone.now()) == 0
    silent_since(job, 400)
    assert outbox.notify_of_stuck(timezone.now()) == 2
    assert in_outbox(desk) == [("stuck", "stuck:1"), ("stuck", "stuck:2")]


def test_a_job_whose_log_only_gets_new_estimates_is_stuck():
    desk, job = hook("stuck"), story.job()
    silent_since(job, 9999, status="running")
    for _ in range(2):  # its worker lives, and its calls hang
        feed.append(job.pk, [ev.JobExpected(seconds=5.0)])
        outbox.notify_of_stuck(timezone.now())
    assert in_outbox(desk) == [("stuck", "stuck:1")]
    assert Delivery.objects.get().payload["lastEventId"] == 1


def test_two_workers_that_look_at_once_send_one_notification_of_a_stuck_job(monkeypatch):
    desk, job = hook("stuck"), story.job()
    silent_since(job, 9999)
    both, real = threading.Barrier(2), outbox._stuck

    def together(*about):
        both.wait(10)  # both workers have seen that no notification exists yet
        return real(*about)

    def look():
        try:
            outbox.notify_of_stuck(timezone.now())
        finally:
            connection.close()

    monkeypatch.setattr(outbox, "_stuck", together)
    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert in_outbox(desk) == [("stuck", "stuck:1")]


def test_a_job_that_has_ended_is_never_stuck(settings):
    hook("stuck")
    silent_since(story.ended_job(), 9999)
    assert outbox.notify_of_stuck(timezone.now()) == 0


def test_a_test_delivery_belongs_to_no_job():
    row = outbox.write_test(hook())
    assert (row.kind, row.job, row.state) == ("test", None, "pending")
    assert row.payload == {"type": "test", "id": str(row.pk), "timestamp": ev.iso(row.created_at)}
