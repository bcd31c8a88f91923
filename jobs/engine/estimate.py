"""How long planned calls would take: the real order of waiting played through, and what none could beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from jobs.engine.bound import bound
from jobs.engine.durations import Durations
from jobs.engine.graph import Hop, Workflow
from jobs.engine.play import ONE_AT_A_TIME, Limits, Played, play

#: Seconds of a call of which no stage's path says how long it takes.
ORDINARY = 2.0


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that would be made. `after`: the steps that it takes an id from, which go before it; `size`: as
    past calls are told apart by it."""

    stage: str
    step: str
    server: str
    tool: str
    seconds: float
    item: str = ""
    after: tuple[str, ...] = ()
    size: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seconds`: how long the calls would take; `bound`: what no order within the permits could beat."""

    seconds: float
    bound: float


def expected(
    flow: Workflow, stage: str, server: str, tool: str, learned: Durations | None = None, size: str = ""
) -> float:
    """Give the expected seconds of a call: as past ones took, else as its stage declares it, or another one
    does, else ORDINARY."""
    mine = [hop for one in flow.stages if one.id == stage for hop in one.path]
    others = [hop for one in flow.stages if one.id != stage for hop in one.path]
    hops = (hop for hop in mine + others if (hop.server, hop.tool) == (server, tool))
    return next(hops, Hop(server, tool, ORDINARY)).expected(learned, size)


def estimate(
    flow: Workflow,
    calls: Sequence[PlannedCall],
    limits: Mapping[str, Limits],
    learned: Durations | None = None,
) -> Estimate:
    """Play the calls through as the gateway would make them; `calls` stand in the order they were asked in.

    A call waits for the stages that its own one needs, for the calls it takes ids from, and for the one
    before it of the same item of its stage. Then it waits for a permit, held for its whole time, and for its
    rate; the longest remaining path goes first. What stages do between their calls counts nothing. A server
    without limits bears one call at a time.
    """
    ordered = _in_order(flow, calls)
    needs = _needs(flow, ordered)
    played = tuple(_played(flow, call, before, learned) for call, before in zip(ordered, needs, strict=True))
    seconds = max(play(played, limits), default=0.0)
    at: dict[str, list[int]] = {}
    for place, call in enumerate(ordered):
        at.setdefault(call.server, []).append(place)
    permits = {server: max(1, limits.get(server, ONE_AT_A_TIME).at_once) for server in at}
    least = bound([call.seconds for call in ordered], needs, at, permits)
    return Estimate(max(seconds, least), least)


def _played(flow: Workflow, call: PlannedCall, before: set[int], learned: Durations | None) -> Played:
    known = any(stage.id == call.stage for stage in flow.stages)
    ahead = flow.remaining(call.stage, call.server, call.tool, learned, call.size) if known else call.seconds
    return Played(call.server, call.tool, call.seconds, frozenset(before), remaining=ahead)


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
