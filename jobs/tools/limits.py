"""Permits of one server: how many calls at once, how many a minute, and who goes next."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

WINDOW = 60.0
ALL = ""  # the lane of the tools without a rate of their own


@dataclass(order=True, slots=True)
class _Waiter:
    """One call in the queue; the smallest goes first: oldest job, longest remaining path, first come."""

    order: float
    shortness: float
    number: int
    granted: asyncio.Future[None] = field(compare=False)


@dataclass(slots=True)
class _Lane:
    """Calls under one rate. A call counts from its start until a window after its END: the server sees it
    somewhere in between, so that no minute on the server's own clock ever holds more than the rate."""

    rate: int | None
    running: int = 0
    ended: deque[float] = field(default_factory=deque)
    queue: list[_Waiter] = field(default_factory=list)

    def free_at(self, now: float, window: float) -> float:
        """When the rate admits the next call; infinity when only a running call's end can tell."""
        while self.ended and self.ended[0] + window <= now:
            self.ended.popleft()
        if self.rate is None or self.running + len(self.ended) < self.rate:
            return now
        return self.ended[0] + window if self.ended else float("inf")


class Permits:
    """Hands out permits for single attempts, never more than `concurrency` at once.

    `per_minute` caps calls in any sliding `window` (seconds), for the server or a tool. A cancelled waiter
    neither keeps nor loses a permit. Belongs to one event loop.
    """

    def __init__(
        self,
        concurrency: int,
        per_minute: int | Mapping[str, int] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        window: float = WINDOW,
    ) -> None:
        self.limit = concurrency
        self.in_use = 0
        self._held, self._began = 0.0, clock()
        self._until = self._began
        self._clock, self._window = clock, window
        rates = per_minute if isinstance(per_minute, Mapping) else {}
        self._lanes = {tool: _Lane(rate) for tool, rate in rates.items()}
        self._lanes[ALL] = _Lane(per_minute if isinstance(per_minute, int) else None)
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held(self) -> float:
        """How many seconds permits have been held since the beginning, those of all of them together."""
        now = self._clock()
        self._held += self.in_use * (now - self._until)
        self._until = now
        return self._held

    @property
    def counted(self) -> float:
        """How many seconds there have been since the beginning, until `held` was last asked for."""
        return self._until - self._began

    def _take(self, count: int) -> None:
        self._held, self.in_use = self.held, self.in_use + count

    @property
    def waiting(self) -> int:
        """How many calls wait for a permit."""
        return sum(len(lane.queue) for lane in self._lanes.values())

    @asynccontextmanager
    async def hold(
        self,
        *,
        order: float = 0.0,
        remaining: float = 0.0,
        tool: str = "",
        on_wait: Callable[[int, int], Awaitable[None]] | None = None,
    ) -> AsyncIterator[float]:
        """Hold a permit for one attempt; gives how many seconds it took to get.

        `order`: the smaller goes first (the older job); `remaining`: within a job the larger goes first.
        `on_wait(in_use, limit)` is awaited once when the permit is not free at once.
        """
        lane = self._lanes.get(tool, self._lanes[ALL])
        since = self._clock()
        waiter = _Waiter(order, -remaining, next(self._numbers), asyncio.get_running_loop().create_future())
        heapq.heappush(lane.queue, waiter)
        self.wake()
        try:
            if on_wait is not None and not waiter.granted.done():
                await on_wait(self.in_use, self.limit)
            await waiter.granted
            yield max(0.0, self._clock() - since)
        finally:
            self._leave(lane, waiter)

    def wake(self) -> None:
        """Grant what can be granted now. Only a test with a clock of its own needs to call it."""
        now = self._clock()
        while self.in_use < self.limit and (lane := self._next_lane(now)) is not None:
            waiter = heapq.heappop(lane.queue)
            self._take(1)
            lane.running += 1
            waiter.granted.set_result(None)
        self._set_timer(now)

    def _next_lane(self, now: float) -> _Lane | None:
        for lane in self._lanes.values():
            # a waiter cancelled in this turn of the loop still stands in the queue
            while lane.queue and lane.queue[0].granted.cancelled():
                heapq.heappop(lane.queue)
        ready = [
            lane for lane in self._lanes.values() if lane.queue and lane.free_at(now, self._window) <= now
        ]
        return min(ready, key=lambda lane: lane.queue[0], default=None)

    def _leave(self, lane: _Lane, waiter: _Waiter) -> None:
        """Give back what the waiter holds: its permit, or its place in the queue."""
        if waiter.granted.done() and not waiter.granted.cancelled():
            self._take(-1)
            lane.running -= 1
            if lane.rate is not None:
                lane.ended.append(self._clock())
        elif waiter in lane.queue:
            lane.queue.remove(waiter)
            heapq.heapify(lane.queue)
        self.wake()

    def _set_timer(self, now: float) -> None:
        """Come back when a rate frees up; the end of a running call comes back by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [lane.free_at(now, self._window) for lane in self._lanes.values() if lane.queue]
        soonest = min(times, default=float("inf"))
        if self.in_use < self.limit and now < soonest < float("inf"):
            self._timer = asyncio.get_running_loop().call_later(soonest - now, self.wake)
