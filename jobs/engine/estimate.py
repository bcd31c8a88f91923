"""How long planned calls would take: a simulation of the gateway's queues, and a lower bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from jobs.engine.bound import bound
from jobs.engine.durations import Durations
from jobs.engine.graph import Hop, Workflow
from jobs.engine.play import ONE_AT_A_TIME, Limits, Played, play

#: Seconds of a call that no stage's path lists.
DEFAULT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that would be made. `after`: the steps whose ids it uses, which come first; `size`: as in
    `Durations`."""

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
    """`seconds`: how long the calls would take; `bound`: the least that any order of them takes."""

    seconds: float
    bound: float


def expected(
    flow: Workflow, stage: str, server: str, tool: str, learned: Durations | None = None, size: str = ""
) -> float:
    """Return the expected seconds of a call: what past calls took, else what its stage declares, else what
    another stage declares, else DEFAULT_SECONDS."""
    mine = [hop for one in flow.stages if one.id == stage for hop in one.path]
    others = [hop for one in flow.stages if one.id != stage for hop in one.path]
    hops = (hop for hop in mine + others if (hop.server, hop.tool) == (server, tool))
    return next(hops, Hop(server, tool, DEFAULT_SECONDS)).expected(learned, size)


def estimate(
    flow: Workflow,
    calls: Sequence[PlannedCall],
    limits: Mapping[str, Limits],
    learned: Durations | None = None,
) -> Estimate:
    """Simulate the calls as the gateway would make them; `calls` are in the order in which they were asked.

    A call waits for the stages that its own stage needs, for the calls whose ids it uses, and for the
    previous call of the same item of its stage. Then it waits for its rate and for a permit, which it holds
    until it ends; the longest remaining path goes first. Time between the calls of a stage is not counted. A
    server without limits takes one call at a time.
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
    """Return for each step the steps that it waits for in the estimate."""
    ordered = _in_order(flow, calls)
    needs = _needs(flow, ordered)
    return {ordered[place].step: {ordered[one].step for one in before} for place, before in enumerate(needs)}


def _in_order(flow: Workflow, calls: Sequence[PlannedCall]) -> list[PlannedCall]:
    """Return the calls with those of needed stages first, so that no call waits for a later one."""
    depth: dict[str, int] = {}
    by_id = {stage.id: stage for stage in flow.stages}
    for id in TopologicalSorter({stage.id: stage.needs for stage in flow.stages}).static_order():
        depth[id] = max((depth[need] + 1 for need in by_id[id].needs), default=0)
    return sorted(calls, key=lambda call: depth.get(call.stage, 0))


def _needs(flow: Workflow, calls: Sequence[PlannedCall]) -> list[set[int]]:
    """Return for each call the indices of the calls that it waits for, all lower than its own."""
    stages = {stage.id: set(stage.needs) for stage in flow.stages}
    needs: list[set[int]] = []
    steps: dict[str, int] = {}
    items: dict[tuple[str, str], int] = {}
    for place, call in enumerate(calls):
        before = {steps[step] for step in call.after if step in steps}
        before |= {items[call.stage, call.item]} if (call.stage, call.item) in items else set()
        needed = _upstream(stages, call.stage)
        before |= {other for other in range(place) if calls[other].stage in needed}
        needs.append(before)
        steps[call.step] = items[call.stage, call.item] = place
    return needs


def _upstream(stages: Mapping[str, set[str]], stage: str) -> set[str]:
    """Return all stages that this one needs, directly or not: a stage in between may have no calls."""
    found: set[str] = set()
    todo = set(stages.get(stage, ()))
    while todo:
        found |= todo
        todo = {need for one in todo for need in stages[one]} - found
    return found
