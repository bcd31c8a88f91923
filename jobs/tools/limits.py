"""The permits of one server: how many calls at once, how many a minute, and which call is next."""

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
ALL = ""  # the lane of the tools that have no own rate


@dataclass(order=True, slots=True)
class _Waiter:
    """One call in the queue; the smallest is next: oldest job, longest remaining path, first come."""

    order: float
    shortness: float
    number: int
    granted: asyncio.Future[None] = field(compare=False)


@dataclass(slots=True)
class _Lane:
    """Calls under one rate. Each counts from its start until one window after its end: the server sees it at
    some time in between, so no minute on the server's clock exceeds the rate."""

    rate: int | None
    running: int = 0
    ended: deque[float] = field(default_factory=deque)
    queue: list[_Waiter] = field(default_factory=list)

    def free_at(self, now: float, window: float) -> float:
        """Return when the rate admits the next call; infinity if a running call must end first."""
        while self.ended and self.ended[0] + window <= now:
            self.ended.popleft()
        if self.rate is None or self.running + len(self.ended) < self.rate:
            return now
        return self.ended[0] + window if self.ended else float("inf")


class Permits:
    """Grants permits for single attempts, at most `concurrency` at once.

    `per_minute` limits calls in any sliding `window` (seconds), in total or by tool. A cancelled waiter
    neither keeps nor loses a permit. An object belongs to one event loop.
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
        """Return the seconds for which permits have been held since the start, summed over all permits."""
        now = self._clock()
        self._held += self.in_use * (now - self._until)
        self._until = now
        return self._held

    @property
    def counted(self) -> float:
        """Return the seconds from the start to the last read of `held`."""
        return self._until - self._began

    def _take(self, count: int) -> None:
        self._held, self.in_use = self.held, self.in_use + count

    @property
    def waiting(self) -> int:
        """Return how many calls wait for a permit."""
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
        """Hold a permit for one attempt; yield the seconds of waiting for it.

        `order`: smaller goes first (the older job); `remaining`: within a job, larger goes first.
        `on_wait(in_use, limit)` is awaited once if no permit is free immediately.
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
        """Grant all permits that are free now. Only tests with a fake clock need to call it."""
        now = self._clock()
        while self.in_use < self.limit and (lane := self._next_lane(now)) is not None:
            waiter = heapq.heappop(lane.queue)
            self._take(1)
            lane.running += 1
            waiter.granted.set_result(None)
        self._set_timer(now)

    def _next_lane(self, now: float) -> _Lane | None:
        for lane in self._lanes.values():
            # a waiter cancelled in this iteration of the loop is still in the queue
            while lane.queue and lane.queue[0].granted.cancelled():
                heapq.heappop(lane.queue)
        ready = [
            lane for lane in self._lanes.values() if lane.queue and lane.free_at(now, self._window) <= now
        ]
        return min(ready, key=lambda lane: lane.queue[0], default=None)

    def _leave(self, lane: _Lane, waiter: _Waiter) -> None:
        """Release the waiter's permit, or remove it from the queue."""
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
        """Schedule `wake` for when a rate admits a call; the end of a running call wakes it anyway."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [lane.free_at(now, self._window) for lane in self._lanes.values() if lane.queue]
        soonest = min(times, default=float("inf"))
        if self.in_use < self.limit and now < soonest < float("inf"):
            self._timer = asyncio.get_running_loop().call_later(soonest - now, self.wake)
