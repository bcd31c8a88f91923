"""Simulated calls: which goes first, what a call waits for, and how limits apply."""

from jobs.engine.play import Limits, Played, play


def test_the_oldest_job_goes_first_and_within_a_job_the_longest_path():
    calls = [
        Played("s", "t", 1, order=2, remaining=9),
        Played("s", "t", 1, order=1, remaining=3),
        Played("s", "t", 1, order=1, remaining=5),
        Played("s", "t", 1, order=1, remaining=5),
    ]
    # the first request gets the permit unless one with priority arrives at the same moment
    assert play(calls, {"s": Limits(1)}) == [4, 3, 1, 2]


def test_a_call_starts_when_all_calls_that_it_waits_for_have_ended():
    calls = [Played("a", "t", 2), Played("b", "t", 5), Played("a", "t", 1, frozenset({0, 1}))]
    assert play(calls, {"a": Limits(2), "b": Limits(1)}) == [2, 5, 6]


def test_an_unknown_server_takes_one_call_at_a_time():
    assert play([Played("s", "t", 1), Played("s", "t", 1)], {}) == [1, 2]


def test_the_rate_of_one_tool_does_not_hold_up_another_tool():
    calls = [Played("s", "slow", 1), Played("s", "slow", 1), Played("s", "other", 1)]
    assert play(calls, {"s": Limits(3, {"slow": 1})}) == [1, 62, 1]


def test_a_simulation_without_calls_has_no_ends():
    assert play([], {}) == []
