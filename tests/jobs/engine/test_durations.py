"""Learned durations: medians of the latest calls by server, tool and size."""

import pytest

from jobs.engine.durations import RECENT, Learned

IMAGE = ("image-gen", "generate_image")


def learned(*seconds: float, size: str = "") -> Learned:
    """Return what is known after image calls that took these seconds."""
    known = Learned()
    for one in seconds:
        known.add(*IMAGE, size, one)
    return known


def test_nothing_is_known_before_the_first_call():
    assert learned()(*IMAGE) is None
    assert learned(9)(*IMAGE) == 9


def test_one_slow_call_does_not_change_the_estimate():
    assert learned(5, 5, 5, 5, 600)(*IMAGE) == 5


def test_the_estimate_follows_a_service_that_has_become_slower():
    assert learned(*[5.0] * 100, *[50.0] * (RECENT // 2 + 1))(*IMAGE) == 50


def test_each_size_has_its_own_estimate_and_a_new_size_gets_the_overall_one():
    known = learned(1, 1, 1, size="300x250")
    for _ in range(3):
        known.add(*IMAGE, "1920x1080", 9.0)
    assert known(*IMAGE, "300x250") == 1
    assert known(*IMAGE, "1920x1080") == 9
    assert known(*IMAGE, "160x600") == known(*IMAGE) == 5


def test_a_new_duration_updates_cached_estimates_at_once():
    known = learned(1, 1, 1, size="300x250")
    assert known(*IMAGE) == 1
    for _ in range(5):
        known.add(*IMAGE, "1920x1080", 9.0)
    assert known(*IMAGE) == 9


@pytest.mark.parametrize("other", [("canva", "generate_image"), ("image-gen", "find_images")])
def test_durations_of_one_tool_do_not_affect_another(other: tuple[str, str]):
    assert learned(1, 1, 1)(*other) is None


def test_new_durations_are_returned_once_for_storing():
    known = learned(1, 2, size="300x250")
    known.add(*IMAGE, "", 3)
    assert known.take_fresh() == {(*IMAGE, "300x250"): [1, 2], (*IMAGE, ""): [3]}
    assert known.take_fresh() == {}


def test_stored_durations_are_known_and_not_new():
    known = Learned()
    known.put((*IMAGE, "300x250"), [4, 4, 4])
    assert known(*IMAGE, "300x250") == 4
    assert known.take_fresh() == {}
