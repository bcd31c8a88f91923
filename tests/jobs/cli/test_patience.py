"""How long a client tries: pauses that grow up to a limit, what the server asks for, a bounded outage."""

import pytest

from jobs.cli.patience import Patience


class Clock:
    """A clock that moves only by pauses."""

    def __init__(self):
        self.now, self.pauses = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def patience(clock, outage=300.0):
    return Patience(outage, sleep=clock.sleep, clock=clock)


def test_pauses_grow_with_jitter_up_to_their_limit(clock):
    one = patience(clock)
    for _ in range(8):
        assert one.wait()
    for pause, most in zip(clock.pauses, [1, 2, 4, 8, 15, 15, 15, 15], strict=True):
        assert most / 2 <= pause <= most


def test_an_outage_has_an_end(clock):
    one = patience(clock, outage=60.0)
    while one.wait():
        assert clock.now < 60 + 15
    assert clock.now >= 60


def test_a_sign_of_life_begins_anew(clock):
    one = patience(clock, outage=10.0)
    while one.wait():
        pass
    one.heard()
    assert one.wait() and clock.pauses[-1] <= 1.0


def test_what_the_server_asks_for_is_kept_but_not_for_ever(clock):
    one = patience(clock)
    one.wait(30.0)
    one.wait(86_400.0)
    assert clock.pauses == [30.0, 60.0]


def test_a_server_that_asks_for_no_pause_at_all_gets_a_short_one(clock):
    one = patience(clock)
    one.pause = 0.0
    one.wait()
    assert clock.pauses[0] > 0
