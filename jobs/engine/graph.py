"""Stages and workflows as data, checked when they are built."""

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
    """A workflow's stages do not fit together; the message names the stage."""


def once(brief: Any) -> int:
    """Give 1, whatever the brief."""
    return 1


@dataclass(frozen=True, slots=True)
class Hop:
    """One call on the path of a stage's item, with the seconds it is expected to take.

    `times` tells from what the stages read how often it is made: once, or once an item.
    """

    server: str
    tool: str
    seconds: float
    times: Times = once

    def expected(self, learned: Durations | None = None, size: str = "") -> float:
        """Give the seconds that it took in the past, where that is known, else those declared here."""
        known = learned(self.server, self.tool, size) if learned else None
        return self.seconds if known is None else known


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its function, the stages that must have ended before it, and the path of its calls.

    `path` lists the calls that one item goes through, in order; it feeds the order of waiting calls.
    `wanted` tells from a job's parameters whether the stage is part of it (None: always).
    """

    id: str
    name: str
    run: StageFunction
    needs: tuple[str, ...] = ()
    path: tuple[Hop, ...] = ()
    wanted: Callable[[Mapping[str, Any]], bool] | None = None

    def seconds(self, learned: Durations | None = None) -> float:
        """Give the expected seconds of the whole path of one item."""
        return sum(hop.expected(learned) for hop in self.path)


@dataclass(frozen=True, slots=True)
class Activation:
    """How a workflow's prepared lines are set live, as a second act after the launch.

    `stage` is run for it and joins the job's own; the data of its end lists under `live` the items that are.
    `lines` gives what there is to set live, `stays` says in sentences what stays paused all the same, both
    out of the job's parameters and the data of its ended stages (by stage id). `live` tells from the data of
    a status call's reply whether its line is live.
    """

    stage: Stage
    lines: Callable[[Mapping[str, Any], Mapping[str, Mapping[str, Any]]], list[SpendLine]]
    stays: Callable[[Mapping[str, Any], Mapping[str, Mapping[str, Any]]], list[str]] = lambda params, data: []
    live: Callable[[Mapping[str, Any]], bool] = lambda data: True


@dataclass(frozen=True)
class Workflow:
    """Stages that need one another. Raises BrokenWorkflow for unknown needs, circles and double ids.

    `parse` turns what a user sent into a Request, or raises InvalidInput; `load` turns a stored
    request's parameters into what the stages read; `schema` describes the input as JSON Schema.
    `accepted` is called inside the launch transaction with the job's id, its owner's id and the parameters.
    `activation`: how lines are set live, None where there is nothing to.
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
        doubles = {id for id in ids if ids.count(id) > 1}
        if doubles:
            raise BrokenWorkflow(f"workflow {self.id}: stage {sorted(doubles)[0]} stands twice")
        for stage in self.stages:
            unknown = set(stage.needs) - set(ids)
            if unknown:
                raise BrokenWorkflow(f"stage {stage.id} needs {sorted(unknown)[0]}, which is no stage")
        try:
            TopologicalSorter({stage.id: stage.needs for stage in self.stages}).prepare()
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            raise BrokenWorkflow(
                f"workflow {self.id}: stages need one another in a circle: {circle}"
            ) from error

    def select(self, ids: tuple[str, ...]) -> Workflow:
        """Give the same workflow with only these stages; a need of a stage that is left out is dropped."""
        kept = (stage for stage in self.stages if stage.id in ids)
        fitted = tuple(replace(s, needs=tuple(n for n in s.needs if n in ids)) for s in kept)
        return replace(self, stages=fitted)

    def by_plan(self, plan: Sequence[Sequence[Any]]) -> Workflow:
        """Give the workflow as a job recorded it, whatever this version of it has become since.

        `plan` holds [id, name, needs], or [id, name] with the needs of today. A need that is not in the plan
        is dropped; a stage that is gone stays in its place, and fails when it is run.
        """
        ids = {str(entry[0]) for entry in plan}
        return replace(self, stages=tuple(self._planned(entry, ids) for entry in plan))

    def _planned(self, entry: Sequence[Any], ids: set[str]) -> Stage:
        id, name, *rest = entry
        known = (*self.stages, *([self.activation.stage] if self.activation else []))
        today = next((stage for stage in known if stage.id == id), None) or Stage(id, name, _gone(id))
        needs = rest[0] if rest else today.needs
        return replace(today, name=name, needs=tuple(need for need in needs if need in ids))

    def wanted(self, params: Mapping[str, Any]) -> Workflow:
        """Give the workflow with the stages that these parameters ask for."""
        return self.select(tuple(s.id for s in self.stages if s.wanted is None or s.wanted(params)))

    @cached_property
    def _followers(self) -> dict[str, tuple[Stage, ...]]:
        """The stages that need each stage; it stands behind all of them."""
        order = tuple(TopologicalSorter({s.id: s.needs for s in self.stages}).static_order())
        return {id: tuple(s for s in self.stages if id in s.needs) for id in reversed(order)}

    def after(self, stage: str, learned: Durations | None = None) -> float:
        """Give the expected seconds of the longest chain of stages behind one."""
        behind: dict[str, float] = {}
        for id, followers in self._followers.items():
            behind[id] = max((s.seconds(learned) + behind[s.id] for s in followers), default=0.0)
        return behind[stage]

    def remaining(
        self, stage: str, server: str, tool: str, learned: Durations | None = None, size: str = ""
    ) -> float:
        """Give the expected seconds from the start of this call to the end of the job's longest path.

        `learned` gives a measured duration of a tool in seconds, or None where nothing is known yet; `size`
        is the call's own.
        """
        path = next(s.path for s in self.stages if s.id == stage)
        here = next((i for i, hop in enumerate(path) if (hop.server, hop.tool) == (server, tool)), len(path))
        own = sum(hop.expected(learned, size) for hop in path[here : here + 1])
        return own + sum(hop.expected(learned) for hop in path[here + 1 :]) + self.after(stage, learned)


def _gone(id: str) -> StageFunction:
    async def run(ctx: StageContext) -> StageResult:
        raise StepError(f"this version of Flightplan has no stage {id} any more; it cannot be run")

    return run
