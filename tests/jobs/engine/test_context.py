"""A stage's context: stable step names, concurrent items, a count that never decreases, fallbacks."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.context import Done, JobInfo
from jobs.engine.results import Missed, Status, StepError, Stopped, judge
from tests.jobs.engine.flows import DONE, Story, Tools, stage


async def play(run, tools: Tools | None = None) -> Story:
    """Run a job with this one stage and return its story."""
    story = Story(stage("a", run=run), tools=tools)
    await story.runner.run()
    return story


async def test_a_step_is_named_after_stage_step_and_item():
    async def run(ctx):
        await ctx.call("s", "t", {}, step="task", item="kick-off-legal-qa")
        await ctx.call("s", "t", {}, step="folder")
        return DONE

    assert (await play(run)).tools.steps == ["a.task.kick-off-legal-qa", "a.folder"]


async def test_a_stage_can_read_the_result_of_a_finished_step_without_a_call():
    class Remembering(Tools):
        async def done(self, step):
            return Done({"size": 1}, "reply") if step == "a.task.one" else None

    async def run(ctx):
        assert (await ctx.done("task", "one")).reply == "reply"
        assert await ctx.done("task", "two") is None
        return DONE

    story = await play(run, Remembering())
    assert story.tools.steps == [] and story.runner.results["a"] == DONE


@given(st.text(min_size=1))
async def test_any_item_makes_a_step_name_that_is_short_and_safe_in_a_url(item):
    async def run(ctx):
        await ctx.call("s", "t", {}, step="task", item=item)
        return DONE

    (name,) = (await play(run)).tools.steps
    assert re.fullmatch(r"a\.task\.[a-z0-9-]{1,60}", name)


async def test_two_items_that_are_no_slugs_make_two_step_names():
    async def run(ctx):
        for item in ("x" * 60 + "1", "x" * 60 + "2", "\u6771", "\u4eac", "Kick-off", "kick-off"):
            await ctx.call("s", "t", {}, step="task", item=item)
        return DONE

    assert len(set((await play(run)).tools.steps)) == 6


async def test_items_run_concurrently_and_return_in_order():
    met = asyncio.Barrier(3)
    outcomes = []

    async def work(thing):
        async with asyncio.timeout(20):
            await met.wait()
        return thing * 2

    async def run(ctx):
        outcomes.extend(await ctx.items([1, 2, 3], work, name=str))
        return DONE

    story = await play(run)
    assert [(one.thing, one.value, one.made) for one in outcomes] == [
        (1, 2, True),
        (2, 4, True),
        (3, 6, True),
    ]
    assert story.counts("a") == [0, 1, 2, 3]


async def test_a_failed_item_is_missed_and_does_not_delay_others():
    outcomes = []

    async def work(thing):
        if thing == "step":
            raise StepError("refused")
        if thing == "bug":
            raise ZeroDivisionError
        return Missed("drawn here", value="fallback") if thing == "missed" else thing

    async def run(ctx):
        outcomes.extend(await ctx.items(["step", "bug", "missed", "fine"], work, name=str))
        return DONE

    story = await play(run)
    assert [(one.made, one.error) for one in outcomes] == [
        (False, "refused"),
        (False, "internal error (ZeroDivisionError)"),
        (False, "drawn here"),
        (True, ""),
    ]
    assert outcomes[2].value == "fallback"
    assert story.counts("a")[-1] == 1


async def test_when_the_job_is_stopped_items_in_progress_finish_and_are_reported():
    stopped, ended = asyncio.Event(), []

    async def work(thing):
        if thing == "stop":
            stopped.set()
            raise Stopped("cancelled")
        await stopped.wait()
        ended.append(thing)

    async def run(ctx):
        await ctx.items(["a", "stop", "b"], work, name=str)
        return DONE

    story = Story(stage("a", run=run))
    with pytest.raises(Stopped):
        await story.runner.run()
    assert sorted(ended) == ["a", "b"]
    assert story.counts("a") == [0, 1, 2]


@pytest.mark.parametrize(
    "error", [OSError("the disk is full"), Stopped("the lease is lost")], ids=["log", "stop"]
)
async def test_when_a_count_cannot_be_recorded_the_other_items_still_finish(error):
    failed, ended = asyncio.Event(), []

    async def work(thing):
        if thing != "first":
            async with asyncio.timeout(20):
                await failed.wait()
            await asyncio.sleep(0)
            ended.append(thing)

    async def run(ctx):
        await ctx.items(["a", "first", "b"], work, name=str)
        return DONE

    story = Story(stage("a", run=run))
    tell = story.runner.emit

    async def emit(event):
        if event.type == "stage:progress" and event.current:
            failed.set()
            raise error
        return await tell(event)

    story.runner.emit = emit
    with pytest.raises(type(error)):
        await story.runner.run()
    assert sorted(ended) == ["a", "b"] and story.counts("a") == [0]


async def test_a_stage_without_items_does_not_fail():
    async def run(ctx):
        assert await ctx.items([], None, name=str) == []
        return DONE

    assert (await play(run)).counts("a") == [0]


async def test_a_count_never_decreases_even_if_a_stage_reports_less():
    async def run(ctx):
        for made in (3, 1, 2, 4):
            await ctx.progress(made, 4)
        return DONE

    assert (await play(run)).counts("a") == [3, 3, 3, 4]


async def test_a_fallback_is_emitted_with_its_reason():
    async def run(ctx):
        await ctx.fallback("canva", "create_design", "refused", step="design", item="square")
        return DONE

    fallback = next(event for event in (await play(run)).events if event.type == "call:fallback")
    assert (fallback.step, fallback.server, fallback.reason) == ("a.design.square", "canva", "refused")


@pytest.mark.parametrize(
    ("made", "total", "status"),
    [
        (13, 13, Status.COMPLETED),
        (11, 13, Status.COMPLETED),
        (9, 13, Status.PARTIAL),
        (3, 4, Status.COMPLETED),
        (2, 4, Status.PARTIAL),
        (0, 4, Status.FAILED),
        (0, 0, Status.COMPLETED),
    ],
)
def test_three_quarters_is_completed_less_is_partial_and_none_is_failed(made, total, status):
    assert judge(made, total) is status


def test_a_jobs_short_name_is_the_first_eight_characters_of_its_id():
    assert JobInfo("12345678-9abc-def0-1234-56789abcdef0", "Job", None).short == "12345678"
