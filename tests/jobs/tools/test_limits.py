"""Permits: the limit always holds, priority is kept, and cancelled waiters lose no permit."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.tools.limits import Permits


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def turns(count: int = 10) -> None:
    """Let every ready task run."""
    for _ in range(count):
        await asyncio.sleep(0)


class Crowd:
    """Calls that take a permit, log it, and hold it until they are released."""

    def __init__(self, permits: Permits) -> None:
        self.permits, self.log, self.tasks = permits, [], {}
        self.gates: dict[str, asyncio.Event] = {}

    async def add(self, name: str, **kwargs) -> None:
        self.gates[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._one(name, kwargs))
        await turns()

    async def _one(self, name: str, kwargs) -> None:
        async with self.permits.hold(**kwargs):
            self.log.append(name)
            await self.gates[name].wait()

    async def done(self, *names: str) -> None:
        for name in names:
            self.gates[name].set()
        await turns()

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def test_the_number_of_held_permits_never_exceeds_the_limit_and_is_reported():
    crowd = Crowd(Permits(2))
    for name in "abc":
        await crowd.add(name)
    assert crowd.log == ["a", "b"]
    assert (crowd.permits.in_use, crowd.permits.limit, crowd.permits.waiting) == (2, 2, 1)
    await crowd.done("a")
    assert crowd.log == ["a", "b", "c"]
    await crowd.done("b", "c")
    assert (crowd.permits.in_use, crowd.permits.waiting) == (0, 0)


async def test_the_oldest_job_goes_first_and_within_it_the_longest_remaining_path():
    crowd = Crowd(Permits(1))
    await crowd.add("running")
    await crowd.add("young, long", order=2, remaining=500)
    await crowd.add("old, short", order=1, remaining=10)
    await crowd.add("old, long", order=1, remaining=90)
    await crowd.add("old, long, later", order=1, remaining=90)
    for name in list(crowd.tasks):
        await crowd.done(name)
    await crowd.done(*crowd.tasks)
    assert crowd.log == ["running", "old, long", "old, long, later", "old, short", "young, long"]


async def test_only_a_wait_is_reported_and_only_once():
    reported = []

    async def report(in_use: int, limit: int) -> None:
        reported.append((in_use, limit))

    crowd = Crowd(Permits(1))
    await crowd.add("a", on_wait=report)
    assert reported == []
    await crowd.add("b", on_wait=report)
    await crowd.done("a")
    assert reported == [(1, 1)]
    assert crowd.log == ["a", "b"]
    await crowd.end()


async def test_a_listener_that_fails_leaves_the_queue_in_order():
    async def fail(in_use: int, limit: int) -> None:
        raise RuntimeError("no database")

    crowd = Crowd(Permits(1))
    await crowd.add("a")
    with pytest.raises(RuntimeError):
        async with crowd.permits.hold(on_wait=fail):
            pass
    assert crowd.permits.waiting == 0
    await crowd.add("b")
    await crowd.done("a")
    assert crowd.log == ["a", "b"]
    await crowd.end()


async def test_the_rate_of_a_server_holds_in_every_sliding_minute():
    clock = Clock()
    crowd = Crowd(Permits(10, 3, clock=clock))
    for name in "abcd":
        await crowd.add(name)
    await crowd.done("a", "b", "c")
    assert crowd.log == ["a", "b", "c"]
    clock.now += 59.9
    crowd.permits.wake()
    await turns()
    assert "d" not in crowd.log
    clock.now += 0.2
    crowd.permits.wake()
    await turns()
    assert crowd.log == ["a", "b", "c", "d"]
    await crowd.end()


async def test_a_call_counts_toward_the_rate_until_a_minute_after_its_end():
    clock = Clock()
    crowd = Crowd(Permits(10, 1, clock=clock))
    await crowd.add("a")
    await crowd.add("b")
    clock.now += 300
    crowd.permits.wake()
    await crowd.done("a")
    assert crowd.log == ["a"]
    clock.now += 61
    crowd.permits.wake()
    await turns()
    assert crowd.log == ["a", "b"]
    await crowd.end()


async def test_the_rate_of_one_tool_delays_only_that_tool():
    crowd = Crowd(Permits(5, {"create_design": 1}))
    await crowd.add("design 1", tool="create_design", order=1)
    await crowd.add("design 2", tool="create_design", order=1)
    await crowd.add("upload", tool="upload_asset", order=2)
    assert crowd.log == ["design 1", "upload"]
    await crowd.end()
    assert crowd.permits.in_use == 0


async def test_a_rate_admits_the_next_call_once_its_window_has_passed():
    permits = Permits(5, 2, window=0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(5):
        async with asyncio.timeout(5), permits.hold():
            pass
    assert loop.time() - began >= 0.1


@given(st.integers(1, 4), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_no_cancellation_loses_or_duplicates_a_permit(limit: int, seed: int):
    asyncio.run(storm(limit, random.Random(seed)))


async def storm(limit: int, dice: random.Random) -> None:
    """Run many calls, cancel a third of them at random moments, and check that every permit is back."""
    permits = Permits(limit)
    held = peak = 0

    async def one() -> None:
        nonlocal held, peak
        async with permits.hold(order=dice.randrange(3), remaining=dice.randrange(3)):
            held += 1
            peak = max(peak, held)
            try:
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                held -= 1

    tasks = [asyncio.create_task(one()) for _ in range(40)]
    while not all(task.done() for task in tasks):
        if dice.random() < 0.4:
            dice.choice(tasks).cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert peak <= limit
    assert (permits.in_use, permits.waiting) == (0, 0)
    async with asyncio.timeout(10), permits.hold():
        assert permits.in_use == 1


async def test_the_total_time_that_permits_are_held_is_counted():
    clock = Clock()
    permits = Permits(2, clock=clock)
    async with permits.hold():
        clock.now += 3
        async with permits.hold():
            clock.now += 2
    clock.now += 5
    assert (permits.held, permits.counted) == (3 + 2 * 2, 10)
