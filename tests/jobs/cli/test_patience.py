"""Retry timing: pauses that grow up to a limit, Retry-After, a limited outage."""

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


def test_an_outage_is_limited(clock):
    one = patience(clock, outage=60.0)
    while one.wait():
        assert clock.now < 60 + 15
    assert clock.now >= 60


def test_a_sign_of_the_server_resets_the_outage(clock):
    one = patience(clock, outage=10.0)
    while one.wait():
        pass
    one.heard()
    assert one.wait() and clock.pauses[-1] <= 1.0


def test_retry_after_is_followed_up_to_a_limit(clock):
    one = patience(clock)
    one.wait(30.0)
    one.wait(86_400.0)
    assert clock.pauses == [30.0, 60.0]


def test_a_pause_of_zero_becomes_a_short_pause(clock):
    one = patience(clock)
    one.pause = 0.0
    one.wait()
    assert clock.pauses[0] > 0
