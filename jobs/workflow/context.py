"""What a stage function gets to work with: its brief, its tools, its files, its items and its voice."""

from __future__ import annotations

import asyncio
import logging
import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from jobs.workflow.events import CallFallback, Event, StageProgress
from jobs.workflow.graph import Stage
from jobs.workflow.results import ItemOutcome, Missed, Source, StageResult, StepError, Stopped, Timing

log = logging.getLogger(__name__)
Emit = Callable[[Event], Awaitable[None]]
Make = Callable[["StageContext"], Awaitable[Any]]
# (stage, name, make): runs `make` with the context of that stage, once a job for each name there
Share = Callable[[str, str, Make], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The job as its stages see it; `today` is the day of its launch."""

    id: str
    title: str
    today: date

    @property
    def short(self) -> str:
        """Give the eight characters that mark the job's things for people."""
        return self.id.replace("-", "")[:8]


class Files(Protocol):
    """The job's own folder."""

    def write(self, name: str, data: bytes | str) -> str:
        """Store a file whole or not at all, and give its name. Raises ValueError for a path."""

    def path(self, name: str) -> Path:
        """Give where a file of this name is, or would be."""


class Tools(Protocol):
    """The one door to the tool servers."""

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, stage: str, step: str, item: str
    ) -> Any:
        """Make one call, with its retries. Raises StepError when it failed, Stopped when it may not start."""

    def source(self, server: str) -> Source:
        """Give what a success on this server is called."""


def slug(text: str) -> str:
    """Give a short URL-safe name for an item: lower case, words joined by hyphens, 60 characters at most."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-")
    return name or "item-" + text.encode().hex()[:16]


class StageContext:
    """One stage's way to the world. `results` holds the ended stages that this one needs, `names` what
    they are called, `timings` when they ran; `floor` is the count that an earlier run has told already."""

    def __init__(
        self,
        *,
        stage: Stage,
        index: int,
        total_stages: int,
        job: JobInfo,
        brief: Any,
        results: Mapping[str, StageResult],
        tools: Tools,
        files: Files,
        emit: Emit,
        floor: int = 0,
        names: Mapping[str, str] | None = None,
        timings: Mapping[str, Timing] | None = None,
        share: Share | None = None,
    ) -> None:
        self.stage, self.index, self.total_stages = stage, index, total_stages
        self.job, self.brief, self.results, self.files = job, brief, results, files
        self._tools, self._emit, self._share = tools, emit, share
        self.current = self.total = 0
        self.floor, self.names, self.timings = floor, names or {}, timings or {}

    @property
    def where(self) -> dict[str, Any]:
        """Give the stage's place among the stages, as its events name it."""
        return {
            "stage": self.stage.id,
            "stage_name": self.stage.name,
            "stage_index": self.index,
            "total_stages": self.total_stages,
        }

    def source(self, server: str) -> Source:
        """Give what a success on this server is called: live, local or simulated."""
        return self._tools.source(server)

    def step(self, step: str, item: str = "") -> str:
        """Give the stable name of a step in the whole job."""
        return ".".join(part for part in (self.stage.id, step, slug(item) if item else "") if part)

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, step: str, item: str = ""
    ) -> Any:
        """Call a tool as the step `step` (of `item`, where there are several) and give its reply.

        Raises StepError when it did not work out and Stopped when no call may start any more.
        """
        return await self._tools.call(
            server, tool, args, stage=self.stage.id, step=self.step(step, item), item=item
        )

    async def shared(self, name: str, make: Make, *, stage: str) -> Any:
        """Give what `make` makes, run once a job whichever stages ask for it, side by side or later.

        `make` gets the context of the stage `stage`, so that its steps have the same names whoever asks
        first. Raises, for every asker, what `make` raised; KeyError when the job has no such stage.
        """
        if self._share is None:
            raise RuntimeError("this context belongs to no runner")
        return await self._share(stage, name, make)

    async def progress(self, made: int, total: int, detail: str = "") -> None:
        """Tell that `made` of `total` items are made. The count never falls."""
        self.current, self.total = max(self.current, made), total
        await self._emit(
            StageProgress(**self.where, current=max(self.current, self.floor), total=total, detail=detail)
        )

    async def fallback(self, server: str, tool: str, reason: str, *, step: str, item: str = "") -> None:
        """Tell that a stand-in takes the place of what a step would have made, and why."""
        await self._emit(
            CallFallback(
                stage=self.stage.id,
                step=self.step(step, item),
                server=server,
                tool=tool,
                item=item,
                reason=reason,
            )
        )

    async def items(
        self, things: Iterable[Any], work: Callable[[Any], Awaitable[Any]], *, name: Callable[[Any], str]
    ) -> list[ItemOutcome]:
        """Run `work` for all things side by side, report each end, and give the outcomes in order.

        An item is made when its work returns; it is missed when the work returns Missed or raises.
        When the job is stopped, what is under way ends by itself; then Stopped is raised.
        """
        todo = list(things)
        await self.progress(0, len(todo))

        async def count(outcome: ItemOutcome) -> None:
            # current is raised before progress() awaits: two items that end at once never share a number
            made = self.current = self.current + outcome.made
            label = name(outcome.thing)
            await self.progress(made, len(todo), label if outcome.made else f"{label}: {outcome.error}")

        return await self.together(todo, work, ended=count)

    async def together(
        self,
        things: Iterable[Any],
        work: Callable[[Any], Awaitable[Any]],
        *,
        ended: Callable[[ItemOutcome], Awaitable[None]] | None = None,
    ) -> list[ItemOutcome]:
        """Do what `items` does, but count nothing: `ended` is told of each end. For items inside items."""
        stops: list[Stopped] = []

        async def one(thing: Any) -> ItemOutcome:
            outcome = await self._outcome(thing, work, stops)
            if ended is not None and not stops:
                await ended(outcome)
            return outcome

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(thing)) for thing in things]
        if stops:
            raise stops[0]
        return [task.result() for task in tasks]

    async def _outcome(
        self, thing: Any, work: Callable[[Any], Awaitable[Any]], stops: list[Stopped]
    ) -> ItemOutcome:
        try:
            value = await work(thing)
        except Stopped as stop:
            stops.append(stop)
            return ItemOutcome(thing, None, "stopped")
        except StepError as error:
            return ItemOutcome(thing, None, str(error))
        except Exception as error:
            log.exception("stage %s of job %s: an item broke", self.stage.id, self.job.id)
            return ItemOutcome(thing, None, f"internal error ({type(error).__name__})")
        if isinstance(value, Missed):
            return ItemOutcome(thing, value.value, value.error)
        return ItemOutcome(thing, value)
