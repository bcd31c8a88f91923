"""The runner: order by need alone, failures that stay where they are, an end that always comes."""

import asyncio
from datetime import UTC, datetime

import pytest

from jobs.workflow.results import (
    Artifact,
    JobStatus,
    Source,
    StageResult,
    Status,
    StepError,
    Stopped,
    Timing,
)
from jobs.workflow.runner import Before
from tests.workflow.flows import DONE, Story, Tools, stage

FAILED = StageResult(status=Status.FAILED, made=0, total=1, error="no")


def fails(error: Exception):
    async def run(ctx):
        raise error

    return run


def ends(result: StageResult):
    async def run(ctx):
        return result

    return run


async def test_a_stage_begins_when_those_it_needs_have_ended_and_sees_their_results():
    seen = {}

    async def look(ctx):
        seen.update(ctx.results)
        return DONE

    story = Story(stage("late", "a", "b", run=look), stage("a"), stage("b"), stage("other"))
    assert await story.runner.run() is JobStatus.COMPLETED
    order = story.told()
    assert order.index(("stage:start", "late")) > order.index(("stage:complete", "a"))
    assert order.index(("stage:start", "late")) > order.index(("stage:complete", "b"))
    assert seen == {"a": DONE, "b": DONE}


async def test_stages_that_need_nothing_of_each_other_run_side_by_side():
    met = asyncio.Barrier(3)

    async def meet(ctx):
        async with asyncio.timeout(5):
            await met.wait()
        return DONE

    story = Story(*(stage(id, run=meet) for id in "abc"))
    assert await story.runner.run() is JobStatus.COMPLETED


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StepError("the server said no"), "the server said no"),
        (RuntimeError("password=1"), "internal error (RuntimeError)"),
    ],
)
async def test_a_stage_that_raises_has_failed_and_the_others_go_on(error, words):
    story = Story(stage("a", run=fails(error)), stage("b", "a"), stage("c"))
    assert await story.runner.run() is JobStatus.PARTIAL
    assert sorted(story.told("stage:complete", "stage:error")) == [
        ("stage:complete", "b"),
        ("stage:complete", "c"),
        ("stage:error", "a"),
    ]
    ended = next(event for event in story.events if event.type == "stage:error")
    assert (ended.status, ended.error) == ("failed", words)


async def test_a_stage_that_fails_halfway_keeps_the_count_it_has_told():
    async def run(ctx):
        await ctx.progress(2, 5)
        raise StepError("gone")

    story = Story(stage("a", run=run))
    await story.runner.run()
    end = next(event for event in story.events if event.type == "stage:error")
    assert (end.current, end.total) == (2, 5)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([DONE, DONE], JobStatus.COMPLETED),
        ([DONE, FAILED], JobStatus.PARTIAL),
        ([FAILED, FAILED], JobStatus.FAILED),
        ([DONE, StageResult(status=Status.SKIPPED, made=0, total=1)], JobStatus.PARTIAL),
        ([DONE, StageResult(status=Status.COMPLETED, made=1, total=1, data={"unknown": ["x"]})], "partial"),
    ],
)
async def test_the_job_ends_as_its_stages_did_and_an_unknown_is_never_completed(results, status):
    story = Story(*(stage(str(n), run=ends(result)) for n, result in enumerate(results)))
    assert await story.runner.run() == status
    assert story.events[-1].type == "workflow:complete"
    assert story.events[-1].status == status


async def test_the_end_lists_every_artifact_in_the_order_of_the_stages():
    def makes(name):
        made = Artifact(name=name, title=name, kind="document", source=Source.LOCAL)
        return ends(StageResult(status=Status.COMPLETED, made=1, total=1, artifacts=(made,)))

    story = Story(stage("a", "b", run=makes("second")), stage("b", run=makes("first")))
    await story.runner.run()
    assert [artifact.name for artifact in story.events[-1].artifacts] == ["second", "first"]


async def test_a_stopped_job_starts_no_further_stage_and_tells_no_end():
    story = Story(stage("a", run=fails(Stopped("cancelled"))), stage("b", "a"), stage("c"))
    with pytest.raises(Stopped):
        await story.runner.run()
    assert ("stage:start", "b") not in story.told()
    assert story.told("workflow:complete", "stage:error") == []


async def test_what_an_earlier_run_has_ended_is_not_done_again_but_handed_on():
    seen = {}

    async def look(ctx):
        seen.update(ctx.results)
        return DONE

    async def never(ctx):
        raise AssertionError("an ended stage was run again")

    earlier = StageResult(status=Status.PARTIAL, made=2, total=4, data={"folder": "f"})
    timing = Timing(datetime(2031, 5, 14, tzinfo=UTC), 3.0)
    before = Before({"a": earlier}, frozenset({"a"}), {"a": 2}, {"a": timing})
    story = Story(stage("a", run=never), stage("b", "a", run=look), before=before)
    assert await story.runner.run() is JobStatus.PARTIAL
    assert seen == {"a": earlier}
    assert story.told("stage:start", "stage:complete") == [("stage:start", "b"), ("stage:complete", "b")]


async def test_a_stage_that_was_begun_before_is_not_begun_twice_and_its_count_never_falls():
    async def run(ctx):
        for made in range(4):
            await ctx.progress(made, 4)
        return DONE

    story = Story(stage("a", run=run), before=Before({}, frozenset({"a"}), {"a": 2}))
    await story.runner.run()
    assert story.told("stage:start") == []
    assert story.counts("a") == [2, 2, 2, 3]


async def test_a_lost_log_ends_the_run_instead_of_going_on_untold():
    story = Story(stage("a"), tools=Tools())

    async def broken(event):
        raise OSError("the disk is full")

    story.runner.emit = broken
    with pytest.raises(ExceptionGroup) as raised:
        await story.runner.run()
    assert raised.group_contains(OSError, match="the disk is full")
