"""Calls played through: who goes first, what a call waits for, and what limits do."""

from jobs.engine.play import Limits, Played, play


def test_the_older_job_goes_first_and_within_a_job_the_longest_path():
    calls = [
        Played("s", "t", 1, order=2, remaining=9),
        Played("s", "t", 1, order=1, remaining=3),
        Played("s", "t", 1, order=1, remaining=5),
        Played("s", "t", 1, order=1, remaining=5),
    ]
    # the first to ask has the permit at once only if nobody better asks in the same moment
    assert play(calls, {"s": Limits(1)}) == [4, 3, 1, 2]


def test_a_call_begins_when_all_that_it_waits_for_have_ended():
    calls = [Played("a", "t", 2), Played("b", "t", 5), Played("a", "t", 1, frozenset({0, 1}))]
    assert play(calls, {"a": Limits(2), "b": Limits(1)}) == [2, 5, 6]


def test_an_unknown_server_takes_one_call_at_a_time():
    assert play([Played("s", "t", 1), Played("s", "t", 1)], {}) == [1, 2]


def test_a_rate_of_one_tool_lets_those_of_another_pass():
    calls = [Played("s", "slow", 1), Played("s", "slow", 1), Played("s", "other", 1)]
    assert play(calls, {"s": Limits(3, {"slow": 1})}) == [1, 62, 1]


def test_nothing_to_play_has_no_ends():
    assert play([], {}) == []
