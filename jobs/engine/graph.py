"""Stages and workflows as data, validated when they are built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from jobs.engine.durations import Durations
from jobs.engine.inputs import Request
from jobs.engine.results import SpendLine, StepError

if TYPE_CHECKING:
    from jobs.engine.context import StageContext
    from jobs.engine.results import StageResult

StageFunction = Callable[["StageContext"], Awaitable["StageResult"]]
Times = Callable[[Any], int]


class BrokenWorkflow(ValueError):
    """A workflow's stages contradict one another; the message names the stage."""


def once(brief: Any) -> int:
    """Return 1 for any brief."""
    return 1


@dataclass(frozen=True, slots=True)
class Hop:
    """One call on the path of a stage's item, with the seconds it is expected to take.

    `times` returns, from the brief, how often the call is made: once, or once per item.
    """

    server: str
    tool: str
    seconds: float
    times: Times = once

    def expected(self, learned: Durations | None = None, size: str = "") -> float:
        """Return the learned seconds if there are any, else those declared here."""
        known = learned(self.server, self.tool, size) if learned else None
        return self.seconds if known is None else known


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its function, the stages that must end before it starts, and the path of its calls.

    `path` lists the calls made for one item, in order; waiting calls are prioritized by it. `wanted` returns,
    from a job's parameters, whether the stage is part of the job (None: always).
    """

    id: str
    name: str
    run: StageFunction
    needs: tuple[str, ...] = ()
    path: tuple[Hop, ...] = ()
    wanted: Callable[[Mapping[str, Any]], bool] | None = None

    def seconds(self, learned: Durations | None = None) -> float:
        """Return the expected seconds of one item's whole path."""
        return sum(hop.expected(learned) for hop in self.path)


@dataclass(frozen=True, slots=True)
class Activation:
    """How a workflow's prepared lines are set live, in a second step after the launch.

    `stage` does it and joins the job's own stages; the data of its end lists the items that are live under
    `live`. `lines` returns the lines that can be set live, and `stays` sentences about what stays paused;
    both take the job's parameters and the data of its ended stages (by stage id). `live` returns, from the
    data of a status call's reply, whether its line is live.
    """

    stage: Stage
    lines: Callable[[Mapping[str, Any], Mapping[str, Mapping[str, Any]]], list[SpendLine]]
    stays: Callable[[Mapping[str, Any], Mapping[str, Mapping[str, Any]]], list[str]] = lambda params, data: []
    live: Callable[[Mapping[str, Any]], bool] = lambda data: True


@dataclass(frozen=True)
class Workflow:
    """Stages and their dependencies. Raises BrokenWorkflow for unknown needs, cycles and duplicate ids.

    `parse` turns user input into a Request or raises InvalidInput; `load` turns a stored request's parameters
    into the brief that the stages read; `schema` returns the JSON Schema of the input. `accepted` is called
    inside the launch transaction with the job's id, its owner's id and the parameters. `activation`: how
    lines are set live, None for a workflow without any.
    """

    id: str
    name: str
    stages: tuple[Stage, ...]
    parse: Callable[[Mapping[str, Any]], Request]
    load: Callable[[Mapping[str, Any]], Any]
    version: int = 1
    schema: Callable[[], dict[str, Any]] = dict
    accepted: Callable[[str, int, Mapping[str, Any]], None] | None = None
    activation: Activation | None = None

    def __post_init__(self) -> None:
        ids = [stage.id for stage in self.stages]
        duplicates = {id for id in ids if ids.count(id) > 1}
        if duplicates:
            raise BrokenWorkflow(f"workflow {self.id}: stage {sorted(duplicates)[0]} is listed twice")
        for stage in self.stages:
            unknown = set(stage.needs) - set(ids)
            if unknown:
                raise BrokenWorkflow(f"stage {stage.id} needs {sorted(unknown)[0]}, which is not a stage")
        try:
            TopologicalSorter({stage.id: stage.needs for stage in self.stages}).prepare()
        except CycleError as error:
            cycle = " -> ".join(error.args[1])
            raise BrokenWorkflow(f"workflow {self.id}: the stages form a cycle: {cycle}") from error

    def select(self, ids: tuple[str, ...]) -> Workflow:
        """Return the workflow with only these stages; needs of stages that are left out are dropped."""
        kept = (stage for stage in self.stages if stage.id in ids)
        fitted = tuple(replace(s, needs=tuple(n for n in s.needs if n in ids)) for s in kept)
        return replace(self, stages=fitted)

    def by_plan(self, plan: Sequence[Sequence[Any]]) -> Workflow:
        """Return the workflow as a job recorded it, however the code has changed since.

        `plan` holds [id, name, needs], or [id, name] to take the current needs. Needs that are not in the
        plan are dropped; a stage that no longer exists keeps its position and fails when it runs.
        """
        ids = {str(entry[0]) for entry in plan}
        return replace(self, stages=tuple(self._planned(entry, ids) for entry in plan))

    def _planned(self, entry: Sequence[Any], ids: set[str]) -> Stage:
        id, name, *rest = entry
        known = (*self.stages, *([self.activation.stage] if self.activation else []))
        current = next((stage for stage in known if stage.id == id), None) or Stage(id, name, _gone(id))
        needs = rest[0] if rest else current.needs
        return replace(current, name=name, needs=tuple(need for need in needs if need in ids))

    def wanted(self, params: Mapping[str, Any]) -> Workflow:
        """Return the workflow with the stages that these parameters ask for."""
        return self.select(tuple(s.id for s in self.stages if s.wanted is None or s.wanted(params)))

    @cached_property
    def _followers(self) -> dict[str, tuple[Stage, ...]]:
        """Return the stages that need each stage, by id; each id comes after those of its followers."""
        order = tuple(TopologicalSorter({s.id: s.needs for s in self.stages}).static_order())
        return {id: tuple(s for s in self.stages if id in s.needs) for id in reversed(order)}

    def after(self, stage: str, learned: Durations | None = None) -> float:
        """Return the expected seconds of the longest chain of stages after this one."""
        behind: dict[str, float] = {}
        for id, followers in self._followers.items():
            behind[id] = max((s.seconds(learned) + behind[s.id] for s in followers), default=0.0)
        return behind[stage]

    def remaining(
        self, stage: str, server: str, tool: str, learned: Durations | None = None, size: str = ""
    ) -> float:
        """Return the expected seconds from the start of this call to the end of the job's longest path.

        `learned` returns measured seconds of a tool, or None if none are known yet; `size` is the call's.
        """
        path = next(s.path for s in self.stages if s.id == stage)
        here = next((i for i, hop in enumerate(path) if (hop.server, hop.tool) == (server, tool)), len(path))
        own = sum(hop.expected(learned, size) for hop in path[here : here + 1])
        return own + sum(hop.expected(learned) for hop in path[here + 1 :]) + self.after(stage, learned)


def _gone(id: str) -> StageFunction:
    async def run(ctx: StageContext) -> StageResult:
        raise StepError(f"this version of Flightplan no longer has a stage {id}; it cannot be run")

    return run
