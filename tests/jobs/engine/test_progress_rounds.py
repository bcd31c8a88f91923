"""The projection over rounds: cancelled, retried and resolved, and servers with paused calls."""

from dataclasses import replace

from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import JobStatus, Status
from tests.jobs.engine.test_progress import fold, place

TASK = {"stage": "creative", "step": "creative.image.a", "server": "image-gen", "tool": "generate_image"}
FAILED = ev.CallComplete(**TASK, state="failed", attempt=3, waited=0, took=1, error="it broke")


def retrying(*steps: str, stages: tuple[str, ...] = ("brief", "creative")) -> ev.JobRetrying:
    return ev.JobRetrying(by="mara", round=2, stages=list(stages), steps=list(steps))


def ended(status: str = "partial") -> ev.WorkflowComplete:
    return ev.WorkflowComplete(status=status, total_stages=2)


def tried() -> list[ev.Event]:
    """Return the events of a round in which one call failed and got a fallback, and the job ended."""
    return [
        ev.StageStart(**place()),
        ev.CallStart(**TASK, attempt=3),
        FAILED,
        ev.CallFallback(**TASK, reason="it broke"),
        ev.StageError(**place(), status="failed", current=0, total=1, error="it broke"),
        ended(),
    ]


def call_of(progress: Progress):
    return progress.calls["creative.image.a"]


def test_a_retry_resets_the_job_its_stages_and_its_steps_and_counts_the_round():
    progress = fold(*tried(), retrying("creative.image.a", "never.asked"))
    assert (progress.status, progress.round, progress.ended_at, progress.error) == (
        JobStatus.QUEUED,
        2,
        None,
        "",
    )
    assert {stage.id: stage.status for stage in progress.stages} == {
        "brief": Status.PENDING,
        "creative": Status.PENDING,
    }
    assert (call_of(progress).state, call_of(progress).error, call_of(progress).fallback) == (
        "waiting",
        "",
        False,
    )


def test_each_round_is_timed_separately():
    progress = fold(*tried(), retrying(), ev.StageStart(**place()))
    assert progress.started_at == progress.stage("creative").started_at
    assert progress.started_at > progress.queued_at


def test_a_call_that_is_done_in_a_later_round_loses_its_fallback():
    done = ev.CallComplete(**TASK, state="done", attempt=4, waited=0, took=1, remote_id="i-1", source="live")
    progress = fold(*tried(), retrying("creative.image.a"), ev.CallStart(**TASK, attempt=4), done)
    assert (call_of(progress).state, call_of(progress).fallback) == ("done", False)


def test_an_end_leaves_no_stage_running_and_no_call_waiting():
    waiting = ev.CallWaiting(**TASK, in_use=2, limit=2)
    step = ev.StageProgress(**place(), current=1, total=4)
    progress = fold(ev.StageStart(**place()), step, waiting, ev.JobCancelling(by="mara"), ended("cancelled"))
    assert not progress.cancelling
    assert {stage.id: stage.status for stage in progress.stages} == {
        "brief": Status.SKIPPED,
        "creative": Status.PARTIAL,
    }
    assert (call_of(progress).state, call_of(progress).error) == (
        "skipped",
        "not sent before the campaign ended",
    )


def test_a_resolution_of_an_unknown_call_is_shown_immediately():
    lost = [ev.CallStart(**TASK, attempt=1), ev.CallUnknown(**TASK, attempt=1, reason="lost")]
    for outcome, state in {"exists": "done", "absent": "waiting", "skip": "skipped"}.items():
        answer = ev.JobResolved(by="mara", step=TASK["step"], outcome=outcome, remote_id="i-9")
        call = call_of(fold(*lost, answer))
        assert (call.state, call.remote_id, call.error) == (state, "i-9", "")


def test_a_paused_server_is_shown_until_it_answers_or_a_new_round_begins():
    down = ev.JobServerDown(server="image-gen", reason="no answer")
    assert fold(down).down == {"image-gen": "no answer"}
    assert fold(down, FAILED).down
    done = ev.CallComplete(**TASK, state="done", attempt=1, waited=0, took=1)
    assert not fold(down, done).down
    assert not fold(down, ended(), retrying()).down


def test_an_activation_adds_its_stage_once_with_the_user_and_the_time():
    activating = ev.JobActivating(
        by="sol", round=2, stage="live", stage_name="Set Lines Live", digest="d" * 64, what="5 lines"
    )
    progress = fold(*tried(), activating)
    assert [(stage.id, stage.index) for stage in progress.stages][-1] == ("live", 2)
    assert (progress.status, progress.round, progress.activating) == (JobStatus.QUEUED, 2, activating)
    assert progress.activating_at is not None
    assert progress.log[-1].text == "Going live, requested by sol: 5 lines"
    again = fold(*tried(), activating, ended(), replace(activating, round=3, steps=["creative.image.a"]))
    assert [stage.id for stage in again.stages].count("live") == 1
    assert call_of(again).state == "waiting"
