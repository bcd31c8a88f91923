"""The runner: stages are ordered only by need, failures stay contained, and every job ends."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from jobs.engine.results import (
    Artifact,
    JobStatus,
    LogLost,
    Source,
    StageResult,
    Status,
    StepError,
    Stopped,
    Timing,
)
from jobs.engine.runner import Before
from tests.jobs.engine.flows import DONE, START, Story, Tools, stage

FAILED = StageResult(status=Status.FAILED, made=0, total=1, error="no")


def fails(error: Exception):
    async def run(ctx):
        raise error

    return run


def ends(result: StageResult):
    async def run(ctx):
        return result

    return run


async def test_a_stage_starts_when_the_stages_it_needs_have_ended_and_sees_their_results():
    seen = {}

    async def look(ctx):
        seen.update(ctx.results)
        return DONE

    story = Story(stage("late", "a", "b", run=look), stage("a"), stage("b"), stage("other"))
    assert await story.runner.run() is JobStatus.COMPLETED
    order = story.event_types()
    assert order.index(("stage:start", "late")) > order.index(("stage:complete", "a"))
    assert order.index(("stage:start", "late")) > order.index(("stage:complete", "b"))
    assert seen == {"a": DONE, "b": DONE}


async def test_independent_stages_run_concurrently():
    met = asyncio.Barrier(3)

    async def meet(ctx):
        async with asyncio.timeout(20):
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
async def test_a_stage_that_raises_fails_and_the_others_continue(error, words):
    story = Story(stage("a", run=fails(error)), stage("b", "a"), stage("c"))
    assert await story.runner.run() is JobStatus.PARTIAL
    assert sorted(story.event_types("stage:complete", "stage:error")) == [
        ("stage:complete", "b"),
        ("stage:complete", "c"),
        ("stage:error", "a"),
    ]
    ended = next(event for event in story.events if event.type == "stage:error")
    assert (ended.status, ended.error) == ("failed", words)


async def test_a_stage_that_fails_halfway_keeps_its_reported_count():
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
async def test_a_jobs_status_follows_its_stages_and_is_not_completed_with_an_unknown_call(results, status):
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


async def test_a_stopped_job_starts_no_more_stages_and_emits_no_end():
    story = Story(stage("a", run=fails(Stopped("cancelled"))), stage("b", "a"), stage("c"))
    with pytest.raises(Stopped):
        await story.runner.run()
    assert ("stage:start", "b") not in story.event_types()
    assert story.event_types("workflow:complete", "stage:error") == []


async def test_stages_that_ended_in_an_earlier_run_are_reused():
    seen = {}

    async def look(ctx):
        seen.update(ctx.results)
        return DONE

    async def never(ctx):
        raise AssertionError("an ended stage was run again")

    earlier = StageResult(status=Status.PARTIAL, made=2, total=4, data={"folder": "f"})
    timing = Timing(datetime(2031, 5, 14, tzinfo=UTC), 3.0)
    before = Before({"a": earlier}, {"a": timing.began}, {"a": 2}, {"a": timing})
    story = Story(stage("a", run=never), stage("b", "a", run=look), before=before)
    assert await story.runner.run() is JobStatus.PARTIAL
    assert seen == {"a": earlier}
    assert story.event_types("stage:start", "stage:complete") == [
        ("stage:start", "b"),
        ("stage:complete", "b"),
    ]


async def test_a_resumed_stage_is_not_started_twice_and_its_count_never_decreases():
    async def run(ctx):
        for made in range(4):
            await ctx.progress(made, 4)
        return DONE

    story = Story(stage("a", run=run), before=Before({}, {"a": START}, {"a": 2}))
    await story.runner.run()
    assert story.event_types("stage:start") == []
    assert story.counts("a") == [2, 2, 2, 3]


async def test_an_unwritable_log_ends_the_run():
    story = Story(stage("a"), tools=Tools())

    async def broken(event):
        raise OSError("the disk is full")

    story.runner.emit = broken
    with pytest.raises(OSError, match="the disk is full"):
        await story.runner.run()


async def test_times_come_from_the_log():
    story = Story(stage("a"), stage("b", "a"))
    await story.runner.run()
    assert story.event_types() == [
        ("stage:start", "a"),
        ("stage:complete", "a"),
        ("stage:start", "b"),
        ("stage:complete", "b"),
        ("workflow:complete", ""),
    ]
    assert story.runner.timings["b"] == Timing(START + timedelta(seconds=3), 1.0)


async def test_a_resumed_stage_keeps_the_start_time_of_the_log():
    story = Story(stage("a"), before=Before({}, {"a": START - timedelta(seconds=9)}))
    await story.runner.run()
    assert story.runner.timings["a"] == Timing(START - timedelta(seconds=9), 10.0)


async def test_an_unknown_step_from_an_earlier_round_keeps_the_job_from_being_completed():
    story = Story(stage("a"), before=Before({}, unknown=frozenset({"a.document"})))
    assert await story.runner.run() is JobStatus.PARTIAL


def group(*errors: Exception) -> ExceptionGroup:
    return ExceptionGroup("side by side", [ExceptionGroup("inner", list(errors))])


async def test_a_stop_in_a_group_of_errors_stops_the_job():
    story = Story(stage("a", run=fails(group(KeyError("x"), Stopped("cancelled")))))
    with pytest.raises(Stopped):
        await story.runner.run()
    assert story.event_types("stage:error", "workflow:complete") == []


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ([StepError("refused"), KeyError("x")], "internal error (KeyError)"),
        ([StepError("refused"), StepError("late")], "refused"),
    ],
)
async def test_a_group_of_errors_is_reported_as_its_most_severe_error(errors, words):
    story = Story(stage("a", run=fails(group(*errors))))
    await story.runner.run()
    assert next(event for event in story.events if event.type == "stage:error").error == words


class Away(Exception):
    """The database is away."""


@pytest.mark.parametrize("lost", [Away("no database"), Stopped("the lease is lost")], ids=["away", "lease"])
@pytest.mark.parametrize("at", ["stage:start", "stage:progress", "call:fallback", "stage:complete"])
async def test_an_error_of_the_log_is_raised_after_running_stages_have_ended(lost, at):
    lose, ended = asyncio.Event(), []

    async def loses(ctx):
        await ctx.progress(1, 2)
        await ctx.fallback("s", "t", "gone", step="x")
        return DONE

    async def under_way(ctx):
        async with asyncio.timeout(20):
            await lose.wait()
        ended.append("b")
        return DONE

    story = Story(stage("b", run=under_way), stage("a", run=loses), stage("c", "a"))
    tell = story.runner.emit

    async def emit(event):
        if event.type == at and event.stage == "a":
            lose.set()
            raise lost
        return await tell(event)

    story.runner.emit = emit
    with pytest.raises(type(lost)):
        await story.runner.run()
    assert ended == ["b"] and ("stage:complete", "b") in story.event_types()
    assert ("stage:start", "c") not in story.event_types() and story.event_types(
        "workflow:complete", "stage:error"
    ) == []


async def test_a_lost_journal_does_not_fail_the_stage():
    async def calls(ctx):
        await ctx.items(["x"], lambda thing: ctx.call("s", "t", {}, step=thing), name=str)
        return DONE

    story = Story(stage("a", run=calls), tools=Tools(Away("no database")))
    with pytest.raises(Away):
        await story.runner.run()
    assert story.event_types("stage:error", "stage:complete", "workflow:complete") == []


async def test_a_lost_log_takes_precedence_over_a_stop():
    story = Story(stage("a", run=fails(group(Stopped("cancelled"), LogLost(Away("gone"))))))
    with pytest.raises(Away):
        await story.runner.run()
