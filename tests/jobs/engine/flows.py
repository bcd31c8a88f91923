"""Small in-memory workflows for tests of the engine: scripted stages and tools, and recorded events."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.engine.context import JobInfo, StageContext
from jobs.engine.events import Event
from jobs.engine.graph import Hop, Stage, Workflow
from jobs.engine.results import Source, StageResult, Status
from jobs.engine.runner import Before, Runner

DONE = StageResult(status=Status.COMPLETED, made=1, total=1)
#: The first event is recorded one second later, the second event two seconds later, and so on.
START = datetime(2031, 5, 14, tzinfo=UTC)


async def done(ctx: StageContext) -> StageResult:
    """Complete immediately."""
    return DONE


def stage(id: str, *needs: str, run: Callable[..., Any] = done, path: tuple[Hop, ...] = ()) -> Stage:
    """Return a stage that is named after its id."""
    return Stage(id, f"Stage {id}", run, needs, path)


def flow(*stages: Stage) -> Workflow:
    """Return a workflow of these stages."""
    return Workflow("w", "W", stages, parse=lambda raw: None, load=lambda params: None)


class Tools:
    """Answers every call with its step, or raises the error set for it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.steps: list[str] = []
        self.error = error

    def source(self, server: str) -> Source:
        return Source.LOCAL

    async def done(self, step):
        return None

    async def call(self, server, tool, args, *, stage, step, item):
        self.steps.append(step)
        if self.error:
            raise self.error
        return step


class Story:
    """A job that runs in memory, and the events it emitted."""

    def __init__(self, *stages: Stage, tools: Tools | None = None, before: Before | None = None) -> None:
        self.events: list[Event] = []
        self.tools = tools or Tools()
        self.runner = Runner(
            flow(*stages),
            job=JobInfo("0f" * 16, "Job", date(2031, 5, 14)),
            brief=None,
            tools=self.tools,
            files=Path(),
            emit=self._emit,
            before=before,
        )

    async def _emit(self, event: Event) -> datetime:
        self.events.append(event)
        return START + timedelta(seconds=len(self.events))

    def event_types(self, *types: str) -> list[tuple[str, str]]:
        """Return type and stage of each event, filtered by type if any are given."""
        pairs = ((event.type, getattr(event, "stage", "")) for event in self.events)
        return [one for one in pairs if not types or one[0] in types]

    def counts(self, stage: str) -> list[int]:
        """Return the counts that a stage emitted, in order."""
        progress = (e for e in self.events if e.type == "stage:progress" and e.stage == stage)
        return [event.current for event in progress]
