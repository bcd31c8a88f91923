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
from tests.jobs.hooks import due_now, inside, letter, stands, work_off
from tests.jobs.webhooks.test_webhooks import documented
from tests.jobs.working import launch, run, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


def test_a_delivery_arrives_signed_and_is_recorded(house):
    desk = inside(house.url(path="/hook?a=b"))
    row = letter(desk)
    work_off()
    (got,) = house.got
    assert got.path == "/hook?a=b"
    assert got.headers["host"] == f"127.0.0.1:{house.port}"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == str(row.pk)
    assert got.payload == row.payload
    assert documented()(webhooks.secret(desk.pk, 1), got.headers, got.body)
    assert stands(row) == ("delivered", 1, 200, "")


def test_a_failed_delivery_is_retried_later_with_its_id_and_a_new_time(house, monkeypatch):
    house.answers = [at.status(500), at.status(503, Retry_After="77"), at.status(200)]
    desk = inside(house.url())
    row = letter(desk)
    work_off(times=2)
    assert stands(row) == ("pending", 1, 500, "answered 500")
    assert 5 < (row.next_at - timezone.now()).total_seconds() < 15
    due_now()
    work_off()
    assert 70 < (Delivery.objects.get().next_at - timezone.now()).total_seconds() < 80
    due_now()
    monkeypatch.setattr(deliver.time, "time", lambda: 2_000_000_000.0)
    work_off()
    assert stands(row) == ("delivered", 3, 200, "")
    assert {got.headers["webhook-id"] for got in house.got} == {str(row.pk)}
    assert len({got.body for got in house.got}) == 1
    assert house.got[-1].headers["webhook-timestamp"] == "2000000000"


def test_status_410_ends_a_delivery_at_once(house):
    house.answers = [at.status(410)]
    row = letter(inside(house.url()))
    work_off()
    assert stands(row)[0] == "given up"
    due_now()
    work_off()
    assert len(house.got) == 1


def test_a_redirect_is_not_followed(house):
    house.answers = [at.status(307, Location=house.url(path="/elsewhere"))]
    row = letter(inside(house.url()))
    work_off()
    assert stands(row) == ("pending", 1, 307, "answered 307: redirects are not followed")
    assert [got.path for got in house.got] == ["/hook"]


def test_an_attempt_without_an_answer_ends_at_the_deadline(house, quick):
    house.answers = [at.silence(house)]
    row = letter(inside(house.url()))
    work_off()
    assert stands(row) == ("pending", 1, None, "no answer within 0 s")


def test_only_the_start_of_an_endless_answer_is_read(house, monkeypatch):
    monkeypatch.setattr(deliver, "READ_SECONDS", 0.3)
    sent: list[int] = []
    house.answers = [at.flood(sent)]
    row = letter(inside(house.url()))
    work_off()
    assert stands(row) == ("delivered", 1, 200, "")
    assert sent[0] < 50_000_000


def test_a_delivery_is_retried_if_the_receiver_hangs_up_or_is_down(house):
    house.answers = [at.broken_off]
    broken = letter(inside(house.url()))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = letter(inside(f"http://127.0.0.1:{port}/"))
    work_off()
    assert stands(broken)[:2] == stands(away)[:2] == ("pending", 1)
    assert stands(away)[3] == "cannot be reached (ConnectError)"
    assert stands(broken)[3].startswith("the connection broke off")


def test_deliveries_to_one_webhook_are_sent_one_after_the_other(house):
    desk = inside(house.url())
    rows = [letter(desk) for _ in range(6)]
    work_off()
    assert [got.headers["webhook-id"] for got in house.got] == [str(row.pk) for row in rows]
    assert house.most_at_once == 1
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_a_hanging_webhook_does_not_delay_others(house, monkeypatch):
    with at.receiver() as stuck:
        stuck.answers = [at.silence(stuck)]
        slow = letter(inside(stuck.url()))
        row = letter(inside(house.url()))

        def look():
            with contextlib.suppress(Exception):
                work_off()
            connection.close()

        thread = threading.Thread(target=look)
        thread.start()
        stuck.wait()
        house.wait()
        until(lambda: stands(row)[0] == "delivered")
        assert stands(slow)[0] == "pending"
        stuck.closing.set()
        thread.join(at.SOON)
        assert not thread.is_alive()


def test_a_delivery_is_sent_again_with_its_id_if_the_worker_dies_before_recording_it(house, monkeypatch):
    row = letter(inside(house.url()))

    def die(*args):
        raise SystemError("killed")

    monkeypatch.setattr(deliver, "settle", die)
    work_off()
    assert stands(row)[:2] == ("pending", 1)
    monkeypatch.undo()
    work_off()
    assert len(house.got) == 1  # the dead worker still holds it
    due_now()
    work_off()
    assert stands(row)[:2] == ("delivered", 2)
    assert [got.headers["webhook-id"] for got in house.got] == [str(row.pk)] * 2
    assert house.got[0].body == house.got[1].body


def test_two_concurrent_workers_send_each_delivery_once(house):
    for _ in range(8):
        desk = inside(house.url())
        for _ in range(4):
            letter(desk)
    threads = [threading.Thread(target=lambda: (work_off(times=5), connection.close())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(Delivery.objects.values_list("state", "attempts")) == {("delivered", 1)}
    ids = [got.headers["webhook-id"] for got in house.got]
    assert len(ids) == len(set(ids)) == 32


def test_the_number_of_concurrent_deliveries_is_limited(house, monkeypatch):
    monkeypatch.setattr(deliver, "AT_ONCE", 3)
    rows = [letter(inside(house.url())) for _ in range(9)]
    work_off(times=3)
    assert house.most_at_once <= 3
    assert {stands(row)[0] for row in rows} == {"delivered"}


def test_a_closing_sender_starts_nothing_and_leaves_hanging_deliveries_to_the_next(house, monkeypatch):
    monkeypatch.setattr(deliver, "GOODBYE_SECONDS", 0.05)
    house.answers = [at.silence(house), at.status(200)]
    row = letter(inside(house.url()))

    async def begin_and_close():
        writer = deliver.Writer()
        post = Post(writer)
        await post.look()
        await asyncio.to_thread(house.wait)
        await post.aclose()
        await post.look()
        await asyncio.to_thread(writer.close)

    asyncio.run(begin_and_close())
    assert stands(row)[:2] == ("pending", 1)
    due_now()
    work_off()
    assert stands(row)[:2] == ("delivered", 2)


def test_an_internal_error_in_an_attempt_is_recorded_without_details(house):
    def broken(host, port):
        raise KeyError("secret detail")

    row = letter(inside(house.url()))
    work_off(resolve=broken)
    assert stands(row)[3] == "could not be sent (KeyError)"


@pytest.mark.slow
def test_the_end_of_a_workers_job_arrives_as_a_signed_notification(world, worker, house):
    world()
    desk = inside(house.url(), "ended", "partial")
    job = run(worker(), launch())
    (got,) = house.wait()
    assert got.payload["type"] == "job.ended"
    assert (got.payload["jobId"], got.payload["status"]) == (str(job.pk), "completed")
    assert got.payload["artifacts"] == {"live": 0, "local": 1, "simulated": 0, "fallback": 0}
    assert documented()(webhooks.secret(desk.pk, 1), got.headers, got.body)
    until(lambda: Delivery.objects.filter(state="delivered").exists())


@pytest.mark.slow
def test_a_worker_notifies_webhooks_of_a_stuck_job(world, worker, house, settings, monkeypatch):
    monkeypatch.setattr(deliver, "WATCH_SECONDS", 0.1)
    settings.STUCK_SECONDS = 0.2
    world(latency=3.0)
    inside(house.url(), "stuck")
    job, one = launch(), worker()
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    (got, *_) = house.wait()
    assert (got.payload["type"], got.payload["jobId"]) == ("job.stuck", str(job.pk))
    one.stop()
    thread.join(at.SOON)


@pytest.mark.slow
def test_a_hanging_receiver_delays_no_job(world, worker, house):
    world()
    house.answers = [at.silence(house)]
    inside(house.url(), "ended")
    one = worker()
    run(one, launch())
    house.wait()
    job = run(one, launch())
    assert job.status == "completed"
    assert Delivery.objects.filter(state="pending").count() == 2
    assert Job.objects.open().count() == 0
