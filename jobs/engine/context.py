"""What a stage function gets to work with: its brief, its tools, its files, its items and its voice."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jobs.engine.events import CallFallback, Event, StageProgress
from jobs.engine.results import (
    ItemOutcome,
    LogLost,
    Missed,
    Source,
    StageResult,
    StepError,
    Stopped,
    Timing,
    cause_of,
)
from jobs.engine.spend import SpendLine

log = logging.getLogger(__name__)
SLUG = re.compile(r"[a-z0-9-]{1,60}")
Made = TypeVar("Made")
# gives the time at which the log holds the event
Emit = Callable[[Event], Awaitable[datetime]]
Make = Callable[["StageContext"], Awaitable[Any]]
# (stage, name, make): runs `make` with the context of that stage, once a job for each name there
Share = Callable[[str, str, Make], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The job as its stages see it; `today` is the day of its launch, `round` (from 1) counts its runs.

    `dry_run`: nothing is sent, every reply is made up here. `confirmed`: the lines that somebody with the
    right to spend has allowed to go live, exactly as they were shown; `confirmed_by` says who, `confirmed_at`
    when (UTC). Whether they may be set live in this round is the journal's to say.
    """

    id: str
    title: str
    today: date
    round: int = 1
    dry_run: bool = False
    confirmed: tuple[SpendLine, ...] = ()
    confirmed_by: str = ""
    confirmed_at: datetime | None = None

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


@dataclass(frozen=True, slots=True)
class Done:
    """A step that has succeeded, in this run or an earlier one: what was sent, and the reply."""

    args: Mapping[str, Any]
    reply: Any


class StageName(Protocol):
    """The stage a context belongs to, by the two words its events name it by."""

    @property
    def id(self) -> str:
        """The stable id, part of every step's name."""

    @property
    def name(self) -> str:
        """The name for people."""


class Tools(Protocol):
    """The one door to the tool servers."""

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, stage: str, step: str, item: str
    ) -> Any:
        """Make one call, with its retries. Raises StepError when it failed, Stopped when it may not start."""

    def source(self, server: str) -> Source:
        """Give what a success on this server is called."""

    async def done(self, step: str) -> Done | None:
        """Give a step that has succeeded already, with the arguments it was sent with; nothing is sent."""


def _part(item: str) -> str:
    """Return the item for use in a step's name: as it is if it is a slug, else a hash of it."""
    return (
        item
        if SLUG.fullmatch(item)
        else f"item-{hashlib.sha256(item.encode(errors='replace')).hexdigest()[:16]}"
    )


class StageContext:
    """One stage's way to the world. `results` holds the ended stages that this one needs, `names` what
    they are called, `timings` when they ran; `floor` is the count that an earlier run has told already."""

    def __init__(
        self,
        *,
        stage: StageName,
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

    def step(self, step: str, item: str = "", *, stage: str = "") -> str:
        """Give the stable name of a step of this stage, or of the one named, in the whole job."""
        return ".".join(part for part in (stage or self.stage.id, step, _part(item) if item else "") if part)

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, step: str, item: str = ""
    ) -> Any:
        """Call a tool as the step `step` (of `item`, where there are several) and give its reply.

        Raises StepError when it did not work out and Stopped when no call may start any more.
        """
        name = self.step(step, item)
        return await _sure(self._tools.call(server, tool, args, stage=self.stage.id, step=name, item=item))

    async def done(self, step: str, item: str = "", *, stage: str = "") -> Done | None:
        """Give what is known of a step of this stage, or of the one named, that has succeeded already; None
        for any other. Nothing is sent."""
        return await _sure(self._tools.done(self.step(step, item, stage=stage)))

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
        told = max(self.current, self.floor)
        await _sure(self._emit(StageProgress(**self.where, current=told, total=total, detail=detail)))

    async def fallback(self, server: str, tool: str, reason: str, *, step: str, item: str = "") -> None:
        """Tell that a fallback takes the place of what a step would have made, and why."""
        event = CallFallback(
            stage=self.stage.id,
            step=self.step(step, item),
            server=server,
            tool=tool,
            item=item,
            reason=reason,
        )
        await _sure(self._emit(event))

    async def items(
        self, things: Iterable[Any], work: Callable[[Any], Awaitable[Any]], *, name: Callable[[Any], str]
    ) -> list[ItemOutcome]:
        """Run `work` for all things side by side, report each end, and give the outcomes in order.

        An item is made when its work returns; it is missed when the work returns Missed or raises.
        When the job is stopped, or its log lost, what is under way ends by itself; then that is raised.
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
        errors: list[Exception] = []

        async def one(thing: Any) -> ItemOutcome:
            # no error may leave this task: the group would cancel the others in the middle of their calls
            try:
                outcome = await self._outcome(thing, work)
                # what is made after a stop is told too: a cancelled job says what it has
                stopped = all(isinstance(error, Stopped) for error in errors)
                if ended is not None and (not errors or (outcome.made and stopped)):
                    await ended(outcome)
            except Exception as error:
                errors.append(error)
                return ItemOutcome(thing, None, "stopped")
            return outcome

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(thing)) for thing in things]
        if errors:
            raise next((error for error in errors if not isinstance(error, Stopped)), errors[0])
        return [task.result() for task in tasks]

    async def _outcome(self, thing: Any, work: Callable[[Any], Awaitable[Any]]) -> ItemOutcome:
        """How the work on one thing ended. Raises what ends the whole stage: Stopped and LogLost."""
        try:
            value = await work(thing)
        except Exception as raised:
            error = cause_of(raised)
            if isinstance(error, Stopped | LogLost):
                raise error
            if isinstance(error, StepError):
                return ItemOutcome(thing, None, str(error))
            log.exception("stage %s of job %s: an item broke", self.stage.id, self.job.id)
            return ItemOutcome(thing, None, f"internal error ({type(error).__name__})")
        if isinstance(value, Missed):
            return ItemOutcome(thing, value.value, value.error)
        return ItemOutcome(thing, value)


async def _sure(doing: Awaitable[Made]) -> Made:
    """Do what tells or records something. Raises LogLost for what is neither the step's error nor a stop."""
    try:
        return await doing
    except (StepError, Stopped):
        raise
    except Exception as error:
        raise LogLost(error) from error
