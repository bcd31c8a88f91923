"""Learned durations are kept: by server, tool, size and source, the last of each, whoever learned them."""

import pytest

from jobs.engine.durations import RECENT, Learned
from jobs.engine.results import Source
from jobs.models import CallDuration
from jobs.worker import durations

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

IMAGE = ("image-gen", "generate_image", "300x250")
TASK = ("asana-v2", "asana_create_task", "")


def live(server: str) -> Source:
    """The source of an installation of outside servers."""
    return Source.LIVE


def local(server: str) -> Source:
    """The source of an installation of bundled ones."""
    return Source.LOCAL


def test_what_a_worker_learned_the_next_one_knows():
    durations.add({IMAGE: [90.0, 100.0], TASK: [20.0]}, live)
    assert durations.stored(live, ["image-gen", "asana-v2"]) == {IMAGE: [90, 100], TASK: [20]}


def test_two_workers_add_to_one_another():
    durations.add({IMAGE: [90.0]}, live)
    assert durations.add({IMAGE: [100.0]}, live) == {IMAGE: [90, 100]}


def test_kinds_are_added_in_one_order_so_that_two_workers_never_wait_for_one_another():
    durations.add({IMAGE: [90.0], TASK: [20.0]}, live)
    assert [row.server for row in CallDuration.objects.order_by("pk")] == ["asana-v2", "image-gen"]


def test_only_the_last_calls_are_kept():
    durations.add({TASK: [float(one) for one in range(RECENT)]}, live)
    known = durations.add({TASK: [99.0]}, live)
    assert known == {TASK: [*range(1, RECENT), 99]}
    assert CallDuration.objects.count() == 1


def test_what_a_bundled_server_took_tells_nothing_of_an_outside_one():
    durations.add({IMAGE: [0.01] * 5}, local)
    assert durations.stored(live, ["image-gen"]) == {}
    assert durations.stored(local, ["image-gen"]) == {IMAGE: [0.01] * 5}


def test_servers_that_play_no_role_now_are_not_read():
    durations.add({IMAGE: [90.0], TASK: [20.0]}, live)
    assert durations.stored(live, ["asana-v2"]) == {TASK: [20]}


def test_what_is_stored_orders_calls_again():
    durations.add({IMAGE: [95.0] * 3}, live)
    known = Learned()
    for kind, recent in durations.stored(live, ["image-gen"]).items():
        known.put(kind, recent)
    assert known(*IMAGE) == 95
