"""Deliveries to a real server: hanging and hostile receivers, dying and competing workers."""

import asyncio
import contextlib
import socket
import threading

import pytest
from django.db import connection
from django.utils import timezone

from jobs.models import Delivery, Job
from jobs.webhooks import sender as deliver
from jobs.webhooks import signing as webhooks
from jobs.webhooks.sender import Post
from tests import receiver as at
from tests.jobs.hooks import delivery, delivery_state, due_now, private_hook, send_due
from tests.jobs.webhooks.test_webhooks import documented
from tests.jobs.working import launch, run, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


def test_a_delivery_arrives_signed_and_is_recorded(receiver):
    desk = private_hook(receiver.url(path="/hook?a=b"))
    row = delivery(desk)
    send_due()
    (got,) = receiver.got
    assert got.path == "/hook?a=b"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == str(row.pk)
    assert got.payload == row.payload
    assert documented()(webhooks.secret(desk.pk, 1), got.headers, got.body)
    assert delivery_state(row) == ("delivered", 1, 200, "")


def test_a_failed_delivery_is_retried_later_with_its_id_and_a_new_time(receiver, monkeypatch):
    receiver.answers = [at.status(500), at.status(503, Retry_After="77"), at.status(200)]
    desk = private_hook(receiver.url())
    row = delivery(desk)
    send_due(times=2)
    assert delivery_state(row) == ("pending", 1, 500, "answered 500")
    assert 5 < (row.next_at - timezone.now()).total_seconds() < 15
    due_now()
    send_due()
    assert 70 < (Delivery.objects.get().next_at - timezone.now()).total_seconds() < 80
    due_now()
    monkeypatch.setattr(deliver.time, "time", lambda: 2_000_000_000.0)
    send_due()
    assert delivery_state(row) == ("delivered", 3, 200, "")
    assert {got.headers["webhook-id"] for got in receiver.got} == {str(row.pk)}
    assert len({got.body for got in receiver.got}) == 1
    assert receiver.got[-1].headers["webhook-timestamp"] == "2000000000"


def test_status_410_ends_a_delivery_at_once(receiver):
    receiver.answers = [at.status(410)]
    row = delivery(private_hook(receiver.url()))
    send_due()
    assert delivery_state(row)[0] == "given up"
    due_now()
    send_due()
    assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(receiver):
    receiver.answers = [at.status(307, Location=receiver.url(path="/elsewhere"))]
    row = delivery(private_hook(receiver.url()))
    send_due()
    assert delivery_state(row) == ("pending", 1, 307, "answered 307: redirects are not followed")
    assert [got.path for got in receiver.got] == ["/hook"]


def test_an_attempt_without_an_answer_ends_at_the_deadline(receiver, quick):
    receiver.answers = [at.silence(receiver)]
    row = delivery(private_hook(receiver.url()))
    send_due()
    assert delivery_state(row) == ("pending", 1, None, "no answer within 0 s")


def test_only_the_start_of_an_endless_answer_is_read(receiver, monkeypatch):
    monkeypatch.setattr(deliver, "READ_SECONDS", 0.3)
    sent: list[int] = []
    receiver.answers = [at.flood(sent)]
    row = delivery(private_hook(receiver.url()))
    send_due()
    assert delivery_state(row) == ("delivered", 1, 200, "")
    assert sent[0] < 50_000_000


def test_a_delivery_is_retried_if_the_receiver_hangs_up_or_is_down(receiver):
    receiver.answers = [at.broken_off]
    broken = delivery(private_hook(receiver.url()))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = delivery(private_hook(f"http://127.0.0.1:{port}/"))
    send_due()
    assert delivery_state(broken)[:2] == delivery_state(away)[:2] == ("pending", 1)
    assert delivery_state(away)[3] == "cannot be reached (ConnectError)"
    assert delivery_state(broken)[3].startswith("the connection broke off")


def test_deliveries_to_one_webhook_are_sent_one_after_the_other(receiver):
    desk = private_hook(receiver.url())
    rows = [delivery(desk) for _ in range(6)]
    send_due()
    assert [got.headers["webhook-id"] for got in receiver.got] == [str(row.pk) for row in rows]
    assert receiver.most_at_once == 1
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_a_hanging_webhook_does_not_delay_others(receiver, monkeypatch):
    with at.receiver() as stuck:
        stuck.answers = [at.silence(stuck)]
        slow = delivery(private_hook(stuck.url()))
        row = delivery(private_hook(receiver.url()))

        def look():
            with contextlib.suppress(Exception):
                send_due()
            connection.close()

        thread = threading.Thread(target=look)
        thread.start()
        stuck.wait()
        receiver.wait()
        until(lambda: delivery_state(row)[0] == "delivered")
        assert delivery_state(slow)[0] == "pending"
        stuck.closing.set()
        thread.join(at.SOON)
        assert not thread.is_alive()


def test_a_delivery_is_sent_again_with_its_id_if_the_worker_dies_before_recording_it(receiver, monkeypatch):
    row = delivery(private_hook(receiver.url()))

    def die(*args):
        raise SystemError("killed")

    monkeypatch.setattr(deliver, "settle", die)
    send_due()
    assert delivery_state(row)[:2] == ("pending", 1)
    monkeypatch.undo()
    send_due()
    assert len(receiver.got) == 1  # the dead worker still holds it
    due_now()
    send_due()
    assert delivery_state(row)[:2] == ("delivered", 2)
    assert [got.headers["webhook-id"] for got in receiver.got] == [str(row.pk)] * 2
    assert receiver.got[0].body == receiver.got[1].body


def test_two_concurrent_workers_send_each_delivery_once(receiver):
    for _ in range(8):
        desk = private_hook(receiver.url())
        for _ in range(4):
            delivery(desk)
    threads = [threading.Thread(target=lambda: (send_due(times=5), connection.close())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(Delivery.objects.values_list("state", "attempts")) == {("delivered", 1)}
    ids = [got.headers["webhook-id"] for got in receiver.got]
    assert len(ids) == len(set(ids)) == 32


def test_the_number_of_concurrent_deliveries_is_limited(receiver, monkeypatch):
    monkeypatch.setattr(deliver, "AT_ONCE", 3)
    rows = [delivery(private_hook(receiver.url())) for _ in range(9)]
    send_due(times=3)
    assert receiver.most_at_once <= 3
    assert {delivery_state(row)[0] for row in rows} == {"delivered"}


def test_a_closing_sender_starts_nothing_and_leaves_hanging_deliveries_to_the_next(receiver, monkeypatch):
    monkeypatch.setattr(deliver, "GOODBYE_SECONDS", 0.05)
    receiver.answers = [at.silence(receiver), at.status(200)]
    row = delivery(private_hook(receiver.url()))

    async def begin_and_close():
        writer = deliver.Writer()
        post = Post(writer)
        await post.look()
        await asyncio.to_thread(receiver.wait)
        await post.aclose()
        await post.look()
        await asyncio.to_thread(writer.close)

    asyncio.run(begin_and_close())
    assert delivery_state(row)[:2] == ("pending", 1)
    due_now()
    send_due()
    assert delivery_state(row)[:2] == ("delivered", 2)


def test_an_internal_error_in_an_attempt_is_recorded_without_details(receiver):
    def broken(host, port):
        raise KeyError("secret detail")

    row = delivery(private_hook(receiver.url()))
    send_due(resolve=broken)
    assert delivery_state(row)[3] == "could not be sent (KeyError)"


@pytest.mark.slow
def test_the_end_of_a_workers_job_arrives_as_a_signed_notification(world, worker, receiver):
    world()
    desk = private_hook(receiver.url(), "ended", "partial")
    job = run(worker(), launch())
    (got,) = receiver.wait()
    assert got.payload["type"] == "job.ended"
    assert (got.payload["jobId"], got.payload["status"]) == (str(job.pk), "completed")
    assert got.payload["artifacts"] == {"live": 0, "local": 1, "simulated": 0, "fallback": 0}
    assert documented()(webhooks.secret(desk.pk, 1), got.headers, got.body)
    until(lambda: Delivery.objects.filter(state="delivered").exists())


@pytest.mark.slow
def test_a_worker_notifies_webhooks_of_a_stuck_job(world, worker, receiver, settings, monkeypatch):
    monkeypatch.setattr(deliver, "WATCH_SECONDS", 0.1)
    settings.STUCK_SECONDS = 0.2
    world(latency=3.0)
    private_hook(receiver.url(), "stuck")
    job, one = launch(), worker()
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    (got, *_) = receiver.wait()
    assert (got.payload["type"], got.payload["jobId"]) == ("job.stuck", str(job.pk))
    one.stop()
    thread.join(at.SOON)


@pytest.mark.slow
def test_a_hanging_receiver_delays_no_job(world, worker, receiver):
    world()
    receiver.answers = [at.silence(receiver)]
    private_hook(receiver.url(), "ended")
    one = worker()
    run(one, launch())
    receiver.wait()
    job = run(one, launch())
    assert job.status == "completed"
    assert Delivery.objects.filter(state="pending").count() == 2
    assert Job.objects.open().count() == 0
