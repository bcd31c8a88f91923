"""What a stage function works with: its brief, tools, files, items and events."""

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
    SpendLine,
    StageResult,
    StepError,
    Stopped,
    Timing,
    cause_of,
)

log = logging.getLogger(__name__)
SLUG = re.compile(r"[a-z0-9-]{1,60}")
Made = TypeVar("Made")
# returns the time that the log recorded for the event
Emit = Callable[[Event], Awaitable[datetime]]
Make = Callable[["StageContext"], Awaitable[Any]]
# (stage, name, make): runs `make` with the context of that stage, once per job and name
Share = Callable[[str, str, Make], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The job as its stages see it; `today` is the day of its launch, `round` counts from 1.

    `dry_run`: nothing is sent and every reply is made up. `confirmed`: the lines that a user with permission
    to spend has confirmed, exactly as they were shown; `confirmed_by` is that user, `confirmed_at` the time
    (UTC). The journal decides whether they may go live in this round.
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
        """Return the first eight characters of the id, which label what the job creates."""
        return self.id.replace("-", "")[:8]


class Files(Protocol):
    """The job's own folder."""

    def write(self, name: str, data: bytes | str) -> str:
        """Store a file atomically and return its name. Raises ValueError if the name is a path."""

    def path(self, name: str) -> Path:
        """Return the path of the file with this name, whether it exists or not."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step that has succeeded, now or earlier: what was sent, and the reply."""

    args: Mapping[str, Any]
    reply: Any


class StageName(Protocol):
    """A stage, by the id and name that its events carry."""

    @property
    def id(self) -> str:
        """Return the stable id, which is part of every step's name."""

    @property
    def name(self) -> str:
        """Return the display name."""


class Tools(Protocol):
    """The only way to the tool servers."""

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, stage: str, step: str, item: str
    ) -> Any:
        """Make one call, with its retries. Raises StepError if it fails, Stopped if it may not start."""

    def source(self, server: str) -> Source:
        """Return the source that a success on this server is recorded with."""

    async def done(self, step: str) -> Done | None:
        """Return a step that has already succeeded, with the arguments it was sent with. Sends nothing."""


def _part(item: str) -> str:
    """Return the item for use in a step's name: as it is if it is a slug, else a hash of it."""
    return (
        item
        if SLUG.fullmatch(item)
        else f"item-{hashlib.sha256(item.encode(errors='replace')).hexdigest()[:16]}"
    )


class StageContext:
    """What one stage can read and do.

    `results`, `names` and `timings` hold the results, names and running times of the ended stages that this
    one needs. `floor` is the highest count of items that was reported before this run.
    """

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
        """Return the fields that identify the stage in its events."""
        return {
            "stage": self.stage.id,
            "stage_name": self.stage.name,
            "stage_index": self.index,
            "total_stages": self.total_stages,
        }

    def source(self, server: str) -> Source:
        """Return the source that a success on this server is recorded with: live, local or simulated."""
        return self._tools.source(server)

    def step(self, step: str, item: str = "", *, stage: str = "") -> str:
        """Return the job-wide stable name of a step of this stage, or of the stage given."""
        return ".".join(part for part in (stage or self.stage.id, step, _part(item) if item else "") if part)

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, step: str, item: str = ""
    ) -> Any:
        """Call a tool as the step `step` (of `item`, if there are several) and return its reply.

        Raises StepError if the call fails and Stopped if no more calls may start.
        """
        name = self.step(step, item)
        return await _guard(self._tools.call(server, tool, args, stage=self.stage.id, step=name, item=item))

    async def done(self, step: str, item: str = "", *, stage: str = "") -> Done | None:
        """Return a step of this stage, or of the stage given, that has already succeeded; None for any other.
        Sends nothing."""
        return await _guard(self._tools.done(self.step(step, item, stage=stage)))

    async def shared(self, name: str, make: Make, *, stage: str) -> Any:
        """Return the result of `make`, which runs once per job however many stages ask for it.

        `make` receives the context of the stage `stage`, so its steps have the same names whichever stage
        asks first. Raises, to every caller, what `make` raised, and KeyError if the job has no such stage.
        """
        if self._share is None:
            raise RuntimeError("this context belongs to no runner")
        return await self._share(stage, name, make)

    async def progress(self, made: int, total: int, detail: str = "") -> None:
        """Emit that `made` of `total` items are made. The count never falls."""
        self.current, self.total = max(self.current, made), total
        shown = max(self.current, self.floor)
        await _guard(self._emit(StageProgress(**self.where, current=shown, total=total, detail=detail)))

    async def fallback(self, server: str, tool: str, reason: str, *, step: str, item: str = "") -> None:
        """Emit that a fallback replaces what a step would have made, and why."""
        event = CallFallback(
            stage=self.stage.id,
            step=self.step(step, item),
            server=server,
            tool=tool,
            item=item,
            reason=reason,
        )
        await _guard(self._emit(event))

    async def items(
        self, things: Iterable[Any], work: Callable[[Any], Awaitable[Any]], *, name: Callable[[Any], str]
    ) -> list[ItemOutcome]:
        """Run `work` for all things concurrently, emit each end, and return the outcomes in order.

        An item is made when its work returns; it is missed when the work returns Missed or raises. If the
        job is stopped or its log is lost, work in progress finishes first and then that error is raised.
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
        """Do what `items` does without counting; `ended` receives each outcome. For items within an item."""
        errors: list[Exception] = []

        async def one(thing: Any) -> ItemOutcome:
            # no error may leave this task: the group would cancel the others in the middle of their calls
            try:
                outcome = await self._outcome(thing, work)
                # items made after a stop are reported too: a cancelled job shows everything it has
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
        """Return how the work on one thing ended. Raises what ends the whole stage: Stopped and LogLost."""
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


async def _guard(recording: Awaitable[Made]) -> Made:
    """Await something that is recorded. Raises LogLost for any error but StepError and Stopped."""
    try:
        return await recording
    except (StepError, Stopped):
        raise
    except Exception as error:
        raise LogLost(error) from error
