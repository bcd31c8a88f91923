"""How long planned calls would take: the real order of waiting, played through on a clock of its own."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from jobs.workflow.graph import Workflow

#: Seconds of a call of which no stage's path says how long it takes.
ORDINARY = 2.0
#: Seconds within which a rate counts calls.
WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that would be made. `after`: the steps that it takes an id from, which go before it."""

    stage: str
    step: str
    server: str
    tool: str
    seconds: float
    item: str = ""
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server bears: calls at once, and calls a minute, all of them or by tool (None: any number)."""

    at_once: int
    per_minute: int | Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds`: how long the calls would take; `bound`: what no order of them within the permits could beat,
    the longest chain of calls that wait for one another or the work of the busiest server, its calls side by
    side all the time."""

    seconds: float
    bound: float


def expected(flow: Workflow, stage: str, server: str, tool: str) -> float:
    """Give the expected seconds of a call: as its stage declares it, or another one does, else ORDINARY."""
    mine = [hop for one in flow.stages if one.id == stage for hop in one.path]
    others = [hop for one in flow.stages if one.id != stage for hop in one.path]
    declared = (hop.seconds for hop in mine + others if (hop.server, hop.tool) == (server, tool))
    return next(declared, ORDINARY)


def estimate(flow: Workflow, calls: Sequence[PlannedCall], limits: Mapping[str, Limits]) -> Estimate:
    """Play the calls through as the gateway would make them; `calls` stand in the order they were asked in.

    A call waits for the stages that its own one needs, for the calls it takes ids from, and for the one
    before it of the same item of its stage. Then it waits for a permit, held for its whole time, and for its
    rate; the longest remaining path goes first. What stages do between their calls counts nothing. A server
    without limits bears one call at a time.
    """
    ordered = _in_order(flow, calls)
    needs = _needs(flow, ordered)
    seconds = _Play(flow, ordered, needs, limits).seconds()
    bound = max(_longest_chain(ordered, needs), _busiest(ordered, limits))
    return Estimate(max(seconds, bound), bound)


def waits(flow: Workflow, calls: Sequence[PlannedCall]) -> dict[str, set[str]]:
    """Give for each step the steps whose ends it waits for, as the estimate takes it."""
    ordered = _in_order(flow, calls)
    needs = _needs(flow, ordered)
    return {ordered[place].step: {ordered[one].step for one in before} for place, before in enumerate(needs)}


def _in_order(flow: Workflow, calls: Sequence[PlannedCall]) -> list[PlannedCall]:
    """The calls with those of needed stages first, so that none waits for one that stands behind it."""
    depth: dict[str, int] = {}
    by_id = {stage.id: stage for stage in flow.stages}
    for id in TopologicalSorter({stage.id: stage.needs for stage in flow.stages}).static_order():
        depth[id] = max((depth[need] + 1 for need in by_id[id].needs), default=0)
    return sorted(calls, key=lambda call: depth.get(call.stage, 0))


def _needs(flow: Workflow, calls: Sequence[PlannedCall]) -> list[set[int]]:
    """For each call the places of those that it waits for, all of them before its own."""
    stages = {stage.id: set(stage.needs) for stage in flow.stages}
    needs: list[set[int]] = []
    steps: dict[str, int] = {}
    items: dict[tuple[str, str], int] = {}
    for place, call in enumerate(calls):
        before = {steps[step] for step in call.after if step in steps}
        before |= {items[call.stage, call.item]} if (call.stage, call.item) in items else set()
        needed = _behind(stages, call.stage)
        before |= {other for other in range(place) if calls[other].stage in needed}
        needs.append(before)
        steps[call.step] = items[call.stage, call.item] = place
    return needs


def _behind(stages: Mapping[str, set[str]], stage: str) -> set[str]:
    """The stages that this one needs, however far before it: one between them may have no call at all."""
    found: set[str] = set()
    todo = set(stages.get(stage, ()))
    while todo:
        found |= todo
        todo = {need for one in todo for need in stages[one]} - found
    return found


def _longest_chain(calls: Sequence[PlannedCall], needs: Sequence[set[int]]) -> float:
    ends: list[float] = []
    for call, before in zip(calls, needs, strict=True):
        ends.append(max((ends[one] for one in before), default=0.0) + call.seconds)
    return max(ends, default=0.0)


def _busiest(calls: Sequence[PlannedCall], limits: Mapping[str, Limits]) -> float:
    work: dict[str, float] = {}
    for call in calls:
        work[call.server] = work.get(call.server, 0.0) + call.seconds
    return max((sum_ / _at_once(limits, server) for server, sum_ in work.items()), default=0.0)


def _at_once(limits: Mapping[str, Limits], server: str) -> int:
    return max(1, limits[server].at_once) if server in limits else 1


@dataclass(slots=True)
class _Lane:
    """Calls under one rate; one counts from its start until a window after its end, as the gateway counts."""

    rate: int | None
    running: int = 0
    ended: deque[float] = field(default_factory=deque)

    def free_at(self, now: float) -> float:
        while self.ended and self.ended[0] + WINDOW <= now:
            self.ended.popleft()
        if self.rate is None or self.running + len(self.ended) < self.rate:
            return now
        return self.ended[0] + WINDOW if self.ended else float("inf")


class _Play:
    """The calls on a clock that jumps from one end, or one freed rate, to the next."""

    def __init__(
        self,
        flow: Workflow,
        calls: Sequence[PlannedCall],
        needs: Sequence[set[int]],
        limits: Mapping[str, Limits],
    ) -> None:
        self.calls = calls
        self.waits = [set(before) for before in needs]
        self.followers: list[list[int]] = [[] for _ in calls]
        for place, before in enumerate(needs):
            for other in before:
                self.followers[other].append(place)
        known = {stage.id for stage in flow.stages}
        self.remaining = [
            flow.remaining(call.stage, call.server, call.tool) if call.stage in known else call.seconds
            for call in calls
        ]
        self.limits = limits
        self.in_use: dict[str, int] = {}
        self.lanes: dict[tuple[str, str], _Lane] = {}
        # (shortness, number): as permits are handed out, longest remaining path first, then first come
        self.queue: list[tuple[float, int, int]] = []
        self.asked = 0
        self.running: list[tuple[float, int]] = []

    def seconds(self) -> float:
        """Give when the last call ends."""
        now = 0.0
        for place, before in enumerate(self.waits):
            if not before:
                self._ask(place)
        while self.queue or self.running:
            freed = self._grant(now)
            now = min([*(end for end, _ in self.running[:1]), *([freed] if freed > now else [])])
            while self.running and self.running[0][0] <= now:
                self._end(heapq.heappop(self.running)[1], now)
        return now

    def _ask(self, place: int) -> None:
        heapq.heappush(self.queue, (-self.remaining[place], self.asked, place))
        self.asked += 1

    def _grant(self, now: float) -> float:
        """Start what may start now; gives when a rate lets the next one through, infinity if none does."""
        kept, soonest = [], float("inf")
        while self.queue:
            entry = heapq.heappop(self.queue)
            call = self.calls[entry[2]]
            lane, used = self._lane(call), self.in_use.get(call.server, 0)
            free_at = lane.free_at(now)
            if used < _at_once(self.limits, call.server) and free_at <= now:
                self.in_use[call.server] = used + 1
                lane.running += 1
                heapq.heappush(self.running, (now + call.seconds, entry[2]))
                continue
            kept.append(entry)
            if used < _at_once(self.limits, call.server):
                soonest = min(soonest, free_at)
        heapq.heapify(kept)
        self.queue = kept
        return soonest

    def _lane(self, call: PlannedCall) -> _Lane:
        rate = self.limits[call.server].per_minute if call.server in self.limits else None
        if isinstance(rate, Mapping):
            tool, rate = (call.tool, rate[call.tool]) if call.tool in rate else ("", None)
        else:
            tool = ""
        return self.lanes.setdefault((call.server, tool), _Lane(None if rate is None else max(1, rate)))

    def _end(self, place: int, now: float) -> None:
        call = self.calls[place]
        lane = self._lane(call)
        self.in_use[call.server] -= 1
        lane.running -= 1
        if lane.rate is not None:
            lane.ended.append(now)
        for follower in self.followers[place]:
            self.waits[follower].discard(place)
            if not self.waits[follower]:
                self._ask(follower)
