"""Deliveries: one worker claims each, retries wait longer each time, and unfinished ones become due again."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from jobs.models import Delivery
from jobs.webhooks import deliveries as deliveries
from jobs.webhooks.deliveries import DELAYS, HELD_SECONDS, DeliveryResponse, claim, claim_next, settle
from tests.jobs.hooks import delivery, hook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
NOW = timezone.now()


def after(seconds):
    return NOW + timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    """Remove the random part of the delays."""
    monkeypatch.setattr(deliveries, "JITTER", 0.0)


def test_a_claim_holds_and_counts_a_delivery_and_uses_the_current_webhook():
    desk = hook(secret_version=3)
    row = delivery(desk, next_at=NOW)
    (mine,) = claim((), 5, NOW)
    assert (mine.id, mine.url, mine.version, mine.attempt) == (row.pk, desk.url, 3, 1)
    assert mine.payload == row.payload
    row.refresh_from_db()
    assert (row.state, row.attempts, row.next_at) == ("pending", 1, after(HELD_SECONDS))
    assert claim((), 5, NOW) == []


def test_only_due_pending_deliveries_of_active_webhooks_are_claimed():
    delivery(hook(), next_at=after(1))
    delivery(hook(), next_at=NOW, state="delivered")
    delivery(hook(), next_at=NOW, state="given up")
    delivery(hook(active=False), next_at=NOW)
    assert claim((), 5, NOW) == []


def test_each_webhook_gets_one_delivery_at_a_time_oldest_first():
    hooks = [hook() for _ in range(3)]
    for place, one in enumerate(hooks):
        for number in range(2):
            delivery(one, next_at=after(-100 * (3 - place) + number))
    assert [one.webhook for one in claim((), 2, NOW)] == [hooks[0].pk, hooks[1].pk]
    assert [one.webhook for one in claim({hooks[0].pk}, 5, NOW)] == [hooks[1].pk, hooks[2].pk]
    assert claim_next(hooks[2].pk, NOW).attempt == 1
    assert claim_next(hooks[2].pk, NOW) is None


def test_two_workers_that_claim_at_once_never_get_the_same_delivery():
    rows = {delivery(hook(), next_at=NOW).pk for _ in range(12)}
    start, got = threading.Barrier(4), []

    def work():
        try:
            start.wait(10)
            for _ in range(12):
                got.extend(one.id for one in claim((), 3, NOW))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == len(rows)
    assert set(got) == rows
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}


def test_an_accepted_delivery_is_delivered():
    row = delivery(hook(), next_at=NOW)
    (mine,) = claim((), 1, NOW)
    settle(mine, DeliveryResponse(204), after(2))
    row.refresh_from_db()
    assert (row.state, row.status_code, row.detail, row.ended_at) == ("delivered", 204, "", after(2))


def test_a_failing_delivery_is_sent_eight_times_with_growing_delays_over_most_of_a_day():
    row, now, waits = delivery(hook(), next_at=NOW), NOW, []
    while True:
        (mine,) = claim((), 1, now)
        settle(mine, DeliveryResponse(503), now)
        row.refresh_from_db()
        if row.state != "pending":
            break
        assert claim((), 1, row.next_at - timedelta(seconds=1)) == []
        waits.append((row.next_at - now).total_seconds())
        now = row.next_at
    assert waits == list(DELAYS) == sorted(DELAYS)
    assert (row.state, row.attempts, row.status_code, row.detail) == ("given up", 8, 503, "answered 503")
    assert row.ended_at == now
    assert 20 * 3600 < sum(waits) < 24 * 3600


def test_delays_vary_so_that_retries_do_not_all_come_at_once(monkeypatch):
    monkeypatch.setattr(deliveries, "JITTER", 0.1)
    waits = {deliveries.delay(3, None) for _ in range(200)}
    assert len(waits) > 100
    assert 270 <= min(waits) <= max(waits) <= 330


@pytest.mark.parametrize(("asked", "given"), [(None, 10), (1.0, 10), (77.0, 77), (1e9, 86400)])
def test_a_receiver_that_asks_for_a_longer_wait_gets_it_up_to_a_day(asked, given):
    assert deliveries.delay(1, asked) == given


def test_a_receiver_that_answers_410_gets_no_retry():
    row = delivery(hook(), next_at=NOW)
    (mine,) = claim((), 1, NOW)
    settle(mine, DeliveryResponse(410), NOW)
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("given up", 1)
    assert row.detail == "answered 410, so it is not sent again"


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
def test_a_redirect_is_recorded_as_a_failure(status):
    row = delivery(hook(), next_at=NOW)
    (mine,) = claim((), 1, NOW)
    settle(mine, DeliveryResponse(status), NOW)
    row.refresh_from_db()
    assert (row.state, row.detail) == ("pending", f"answered {status}: redirects are not followed")


def test_a_delivery_is_due_again_with_its_id_if_its_worker_died():
    row = delivery(hook(), next_at=NOW)
    (lost,) = claim((), 1, NOW)
    assert claim((), 1, after(HELD_SECONDS - 1)) == []
    (again,) = claim((), 1, after(HELD_SECONDS))
    assert (again.id, again.payload, again.attempt) == (lost.id, lost.payload, 2)
    row.refresh_from_db()
    assert row.attempts == 2


def test_a_delivery_whose_worker_died_at_the_last_attempt_is_not_lost():
    row = delivery(hook(), next_at=NOW, attempts=7)
    claim((), 1, NOW)
    (again,) = claim((), 1, after(HELD_SECONDS))
    settle(again, DeliveryResponse(500), after(HELD_SECONDS))
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("given up", 9)


def test_a_late_success_of_a_slow_worker_counts_and_a_late_failure_does_not():
    row = delivery(hook(), next_at=NOW)
    (slow,) = claim((), 1, NOW)
    (quick,) = claim((), 1, after(HELD_SECONDS))
    settle(slow, DeliveryResponse(500), after(HELD_SECONDS + 1))
    row.refresh_from_db()
    assert (row.state, row.next_at, row.detail) == ("pending", quick.held, "")
    settle(slow, DeliveryResponse(200), after(HELD_SECONDS + 2))
    settle(quick, DeliveryResponse(fault="no answer within 10 s"), after(HELD_SECONDS + 3))
    row.refresh_from_db()
    assert (row.state, row.status_code, row.detail) == ("delivered", 200, "")
