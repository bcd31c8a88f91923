"""A simulation of calls on a virtual clock, with the permits, rates and queue order of the gateway."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: The seconds over which a rate counts calls.
WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """A server's limits: calls at once, and calls a minute, in total or by tool (None: unlimited)."""

    at_once: int
    per_minute: int | Mapping[str, int] | None = None


#: The limits of a server about which nothing is known.
ONE_AT_A_TIME = Limits(1)


@dataclass(frozen=True, slots=True)
class Played:
    """A call to simulate. `needs`: the indices of the calls that it waits for.

    Calls of a server start by smaller `order` (the older job), then by longer `remaining` path (seconds),
    then in the order in which they asked.
    """

    server: str
    tool: str
    seconds: float
    needs: frozenset[int] = frozenset()
    order: float = 0.0
    remaining: float = 0.0


def play(calls: Sequence[Played], limits: Mapping[str, Limits]) -> list[float]:
    """Return when each call ends, in seconds from now; a server without limits takes one call at a time."""
    return _Play(calls, limits).run()


@dataclass(slots=True)
class _Lane:
    """Calls under one rate; each counts from its start until one window after its end, as in the gateway."""

    rate: int | None
    running: int = 0
    ended: deque[float] = field(default_factory=deque)
    queue: list[tuple[float, float, int, int]] = field(default_factory=list)

    def free_at(self, now: float) -> float:
        while self.ended and self.ended[0] + WINDOW <= now:
            self.ended.popleft()
        if self.rate is None or self.running + len(self.ended) < self.rate:
            return now
        return self.ended[0] + WINDOW if self.ended else float("inf")


class _Server:
    """A server's permits, and the lanes of the calls that wait for one."""

    def __init__(self, limits: Limits) -> None:
        self.free = max(1, limits.at_once)
        rate = limits.per_minute
        rates = rate if isinstance(rate, Mapping) else {}
        self.lanes = {tool: _Lane(max(1, own)) for tool, own in rates.items()}
        self.rest = _Lane(max(1, rate) if isinstance(rate, int) else None)

    def lane(self, tool: str) -> _Lane:
        return self.lanes.get(tool, self.rest)

    def next(self, now: float) -> _Lane | None:
        """Return the lane whose first call may start now; None if no call may."""
        if not self.free:
            return None
        ready = [lane for lane in self._waiting() if lane.free_at(now) <= now]
        return min(ready, key=lambda lane: lane.queue[0], default=None)

    def opens(self, now: float) -> float:
        """Return when a rate admits the next call; infinity if only the end of a call can."""
        return (
            min((lane.free_at(now) for lane in self._waiting()), default=float("inf"))
            if self.free
            else float("inf")
        )

    def _waiting(self) -> list[_Lane]:
        return [lane for lane in (*self.lanes.values(), self.rest) if lane.queue]


class _Play:
    """The calls on a clock that jumps to the next end of a call or the next time that a rate admits one."""

    def __init__(self, calls: Sequence[Played], limits: Mapping[str, Limits]) -> None:
        self.calls = calls
        self.waits = [len(call.needs) for call in calls]
        self.followers: list[list[int]] = [[] for _ in calls]
        for place, call in enumerate(calls):
            for other in call.needs:
                self.followers[other].append(place)
        names = {call.server for call in calls}
        self.servers = {name: _Server(limits.get(name, ONE_AT_A_TIME)) for name in names}
        self.asked = 0
        self.running: list[tuple[float, int]] = []
        self.ends = [0.0] * len(calls)

    def run(self) -> list[float]:
        now = 0.0
        for place, waits in enumerate(self.waits):
            if not waits:
                self._ask(place)
        self._grant(self.servers.values(), now)
        while self.running or any(server.opens(now) < float("inf") for server in self.servers.values()):
            opens = min(server.opens(now) for server in self.servers.values())
            now = min([*(end for end, _ in self.running[:1]), opens])
            touched = list(self.servers.values()) if opens <= now else []
            while self.running and self.running[0][0] <= now:
                touched += self._end(heapq.heappop(self.running)[1], now)
            self._grant(touched, now)
        return self.ends

    def _ask(self, place: int) -> _Server:
        call = self.calls[place]
        server = self.servers[call.server]
        heapq.heappush(server.lane(call.tool).queue, (call.order, -call.remaining, self.asked, place))
        self.asked += 1
        return server

    def _grant(self, servers: Iterable[_Server], now: float) -> None:
        for server in servers:
            while (lane := server.next(now)) is not None:
                place = heapq.heappop(lane.queue)[3]
                server.free -= 1
                lane.running += 1
                heapq.heappush(self.running, (now + self.calls[place].seconds, place))

    def _end(self, place: int, now: float) -> list[_Server]:
        """End a call and return the servers at which another may now start."""
        call = self.calls[place]
        server = self.servers[call.server]
        lane = server.lane(call.tool)
        server.free += 1
        lane.running -= 1
        if lane.rate is not None:
            lane.ended.append(now)
        self.ends[place] = now
        touched = [server]
        for follower in self.followers[place]:
            self.waits[follower] -= 1
            if not self.waits[follower]:
                touched.append(self._ask(follower))
        return touched
