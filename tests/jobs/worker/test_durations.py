"""Learned durations are stored: the latest of each server, tool, size and source, from any worker."""

import pytest

from jobs.engine.durations import RECENT, Learned
from jobs.engine.results import Source
from jobs.models import CallDuration
from jobs.worker import durations

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

IMAGE = ("image-gen", "generate_image", "300x250")
TASK = ("asana-v2", "asana_create_task", "")


def live(server: str) -> Source:
    """Return the sources of an installation with external servers."""
    return Source.LIVE


def local(server: str) -> Source:
    """Return the sources of an installation with bundled servers."""
    return Source.LOCAL


def test_the_next_worker_knows_what_a_worker_learned():
    durations.add({IMAGE: [90.0, 100.0], TASK: [20.0]}, live)
    assert durations.stored(live, ["image-gen", "asana-v2"]) == {IMAGE: [90, 100], TASK: [20]}


def test_durations_from_two_workers_are_combined():
    durations.add({IMAGE: [90.0]}, live)
    assert durations.add({IMAGE: [100.0]}, live) == {IMAGE: [90, 100]}


def test_durations_are_stored_in_a_fixed_order_so_that_workers_never_deadlock():
    durations.add({IMAGE: [90.0], TASK: [20.0]}, live)
    assert [row.server for row in CallDuration.objects.order_by("pk")] == ["asana-v2", "image-gen"]


def test_only_the_last_calls_are_kept():
    durations.add({TASK: [float(one) for one in range(RECENT)]}, live)
    known = durations.add({TASK: [99.0]}, live)
    assert known == {TASK: [*range(1, RECENT), 99]}
    assert CallDuration.objects.count() == 1


def test_durations_of_bundled_servers_do_not_count_for_external_servers():
    durations.add({IMAGE: [0.01] * 5}, local)
    assert durations.stored(live, ["image-gen"]) == {}
    assert durations.stored(local, ["image-gen"]) == {IMAGE: [0.01] * 5}


def test_durations_of_servers_without_a_role_are_not_read():
    durations.add({IMAGE: [90.0], TASK: [20.0]}, live)
    assert durations.stored(live, ["asana-v2"]) == {TASK: [20]}


def test_stored_durations_affect_the_order_of_calls():
    durations.add({IMAGE: [95.0] * 3}, live)
    known = Learned()
    for kind, recent in durations.stored(live, ["image-gen"]).items():
        known.put(kind, recent)
    assert known(*IMAGE) == 95
