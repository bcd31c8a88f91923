"""The bound: a time that no order of calls can beat; for few calls exactly the best order's time."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.bound import MOST_ORDERED, bound
from jobs.engine.play import Limits, Played, play


def alone(*seconds: float, permits: int = 2) -> float:
    """Return the bound of independent calls to one server."""
    return bound(seconds, [set()] * len(seconds), {"s": range(len(seconds))}, {"s": permits})


def test_no_calls_take_no_time():
    assert alone() == 0


def test_calls_that_follow_one_another_take_their_sum():
    assert bound([1, 2, 3], [set(), {0}, {1}], {"s": [0, 1, 2]}, {"s": 3}) == 6


def test_calls_that_cannot_be_divided_evenly_take_the_time_of_their_best_order():
    assert alone(5, 5, 5) == 10
    assert alone(120, 105, 100, 95) == 215


def test_calls_before_and_after_a_servers_calls_count():
    # 0 leads to 1 to 3 on the server, which are followed by 4
    needs = [set(), {0}, {0}, {0}, {1, 2, 3}]
    assert (
        bound([10, 4, 4, 4, 7], needs, {"a": [0], "s": [1, 2, 3], "b": [4]}, {"a": 1, "s": 1, "b": 1}) == 29
    )


def test_for_many_calls_the_work_is_treated_as_divisible():
    assert alone(*[10.0] * (MOST_ORDERED + 1)) == 35


SECONDS = st.lists(st.integers(1, 20), min_size=1, max_size=5)


@pytest.mark.parametrize("permits", [1, 2, 3])
@given(seconds=SECONDS, tail=st.integers(0, 20))
def test_for_few_calls_the_best_order_reaches_the_bound_and_none_beats_it(
    permits: int, seconds: list, tail: int
):
    count = len(seconds)
    needs = [set() for _ in seconds] + [{place} for place in range(count)]
    tails = [tail + place for place in range(count)]
    least = bound([*seconds, *tails], needs, {"s": range(count)}, {"s": permits})
    ends = []
    for order in permutations(range(count)):
        calls = [Played("s", "t", one, order=order[place]) for place, one in enumerate(seconds)]
        calls += [Played("free", "t", one, frozenset({place})) for place, one in enumerate(tails)]
        ends.append(max(play(calls, {"s": Limits(permits), "free": Limits(count)})))
    assert least == min(ends)


@given(st.lists(st.integers(1, 20), min_size=MOST_ORDERED + 1, max_size=12), st.integers(1, 4))
def test_no_order_of_many_calls_beats_the_bound(seconds: list, permits: int):
    calls = [Played("s", "t", one) for one in seconds]
    assert alone(*seconds, permits=permits) <= max(play(calls, {"s": Limits(permits)})) + 1e-9
