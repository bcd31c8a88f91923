"""Steps shared by several stages, nested items, and what a stage can read about earlier stages."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from jobs.engine.context import JobInfo
from jobs.engine.graph import Stage, Workflow
from jobs.engine.results import JobStatus, Missed, Source, StageResult, Status, StepError, Stopped, Timing
from jobs.engine.runner import Before, Runner

DONE = StageResult(status=Status.COMPLETED, made=1, total=1)


class Tools:
    """Answers every call with its step once the gate is open; can be set to fail or stop."""

    def __init__(self, error: Exception | None = None) -> None:
        self.steps: list[str] = []
        self.error = error
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Event()

    def source(self, server: str) -> Source:
        return Source.LOCAL

    async def done(self, step):
        return None

    async def call(self, server, tool, args, *, stage, step, item):
        self.steps.append(step)
        self.called.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return step


def runner(*stages: Stage, tools: Tools, before: Before | None = None) -> Runner:
    flow = Workflow("w", "W", stages, parse=lambda raw: None, load=lambda params: None)

    async def emit(event) -> datetime:
        return datetime.now(UTC)

    job = JobInfo("0f" * 16, "Job", date(2031, 5, 14))
    return Runner(flow, job=job, brief=None, tools=tools, files=Path(), emit=emit, before=before)


async def folder(ctx):
    return await ctx.call("docs", "createFolder", {}, step="folder")


def asks(seen: list) -> object:
    async def run(ctx) -> StageResult:
        seen.append(await ctx.shared("folder", folder, stage="one"))
        return DONE

    return run


async def test_a_shared_step_is_called_once_and_every_stage_gets_its_result():
    tools, seen = Tools(), []
    stages = (Stage("one", "One", asks(seen)), Stage("two", "Two", asks(seen)))
    late = Stage("three", "Three", asks(seen), needs=("one", "two"))
    assert await runner(*stages, late, tools=tools).run() == JobStatus.COMPLETED
    assert tools.steps == ["one.folder"]
    assert seen == ["one.folder"] * 3


async def test_a_shared_steps_name_does_not_depend_on_which_stage_asks_first():
    tools, seen = Tools(), []
    quiet = Stage("one", "One", asks([]), needs=("two",))
    await runner(Stage("two", "Two", asks(seen)), quiet, tools=tools).run()
    assert tools.steps == ["one.folder"]


async def test_a_failed_shared_step_fails_every_stage_that_asked_and_no_other():
    tools, seen = Tools(StepError("no room")), []

    async def fine(ctx) -> StageResult:
        return DONE

    stages = (Stage("one", "One", asks(seen)), Stage("two", "Two", asks(seen)), Stage("three", "Three", fine))
    run = runner(*stages, tools=tools)
    assert await run.run() == JobStatus.PARTIAL
    assert tools.steps == ["one.folder"]
    assert [run.results[id].error for id in ("one", "two", "three")] == ["no room", "no room", ""]


async def test_a_stop_in_a_shared_step_stops_the_job():
    tools, seen = Tools(Stopped("cancelled")), []
    run = runner(Stage("one", "One", asks(seen)), Stage("two", "Two", asks(seen)), tools=tools)
    with pytest.raises(Stopped):
        await run.run()
    assert run.results == {}


async def test_a_shared_step_outlives_the_stage_that_asked_first():
    tools, seen = Tools(), []
    tools.gate.clear()
    asked = asyncio.Event()

    async def hasty(ctx) -> StageResult:
        waiting = asyncio.create_task(ctx.shared("folder", folder, stage="one"))
        await tools.called.wait()
        waiting.cancel()
        await asyncio.wait({waiting})
        asked.set()
        return DONE

    async def patient(ctx) -> StageResult:
        await asked.wait()
        tools.gate.set()
        seen.append(await ctx.shared("folder", folder, stage="one"))
        return DONE

    run = runner(Stage("one", "One", hasty), Stage("two", "Two", patient), tools=tools)
    async with asyncio.timeout(20):
        assert await run.run() == JobStatus.COMPLETED
    assert tools.steps == ["one.folder"] and seen == ["one.folder"]


async def test_a_shared_step_of_a_missing_stage_fails_only_the_stage_that_asked():
    async def run(ctx) -> StageResult:
        await ctx.shared("folder", folder, stage="nowhere")
        return DONE

    job = runner(Stage("one", "One", run), tools=Tools())
    assert await job.run() == JobStatus.FAILED
    assert "KeyError" in job.results["one"].error


async def test_nested_items_affect_the_result_but_not_the_count():
    outcomes = []

    async def inner(n):
        return Missed("odd") if n % 2 else n

    async def run(ctx) -> StageResult:
        async def outer(n):
            outcomes.extend(await ctx.together(range(n), inner))

        await ctx.items([2, 1], outer, name=str)
        assert (ctx.current, ctx.total) == (2, 2)
        return DONE

    assert await runner(Stage("one", "One", run), tools=Tools()).run() == JobStatus.COMPLETED
    assert sorted(outcome.made for outcome in outcomes) == [False, True, True]


async def test_a_stop_inside_nested_items_stops_the_job():
    async def stop(n):
        raise Stopped("cancelled")

    async def run(ctx) -> StageResult:
        await ctx.items([1], lambda n: ctx.together([n], stop), name=str)
        return DONE

    with pytest.raises(Stopped):
        await runner(Stage("one", "One", run), tools=Tools()).run()


async def test_a_stage_can_read_when_the_stages_it_needs_ran_even_in_an_earlier_run():
    seen = {}

    async def first(ctx) -> StageResult:
        return DONE

    async def last(ctx) -> StageResult:
        seen.update(ctx.timings)
        return DONE

    earlier = Timing(datetime(2031, 5, 14, 9, tzinfo=UTC), 90.0)
    stages = (Stage("old", "Old", first), Stage("new", "New", first))
    before = Before({"old": DONE}, timings={"old": earlier})
    begun = datetime.now(UTC)
    await runner(*stages, Stage("end", "End", last, ("old", "new")), tools=Tools(), before=before).run()
    assert seen["old"] == earlier and earlier.ended == datetime(2031, 5, 14, 9, 1, 30, tzinfo=UTC)
    assert begun <= seen["new"].began <= datetime.now(UTC) and 0 <= seen["new"].seconds < 60


async def test_a_stage_can_read_the_names_of_the_stages_it_needs():
    seen = {}

    async def first(ctx) -> StageResult:
        return DONE

    async def last(ctx) -> StageResult:
        seen.update(ctx.names)
        return DONE

    stages = (
        Stage("one", "First", first),
        Stage("two", "Second", first),
        Stage("end", "End", last, ("two",)),
    )
    await runner(*stages, tools=Tools()).run()
    assert seen == {"two": "Second"}


async def test_a_job_with_an_unknown_call_is_never_completed():
    async def run(ctx) -> StageResult:
        return StageResult(status=Status.COMPLETED, made=3, total=4, data={"unknown": ["the fourth"]})

    assert await runner(Stage("one", "One", run), tools=Tools()).run() == JobStatus.PARTIAL
