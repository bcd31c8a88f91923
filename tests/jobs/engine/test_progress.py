"""The projection: what users see depends on the log alone, however its events are batched."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine import events as ev
from jobs.engine.log import LINES
from jobs.engine.progress import LOG_TAIL, Progress, StageView
from jobs.engine.results import Artifact, JobStatus, Source, Status

T0 = datetime(2031, 5, 14, 12, tzinfo=UTC)
IDS = ("brief", "creative")
PLAN = [[id, f"Stage {id}"] for id in IDS]
MADE = Artifact(name="a.png", title="A", kind="image", source=Source.LOCAL, file="a.png")

places = st.sampled_from(IDS).map(
    lambda id: {"stage": id, "stage_name": f"Stage {id}", "stage_index": IDS.index(id), "total_stages": 2}
)
calls = st.tuples(st.sampled_from(IDS), st.sampled_from("abc")).map(
    lambda pair: {"stage": pair[0], "step": ".".join(pair), "server": "canva", "tool": "create_design"}
)
numbers = st.integers(0, 9)
# the projection must accept any events after the launch, in any order
anything = st.one_of(
    st.builds(lambda p: ev.StageStart(**p), places),
    st.builds(lambda p, n: ev.StageProgress(**p, current=n, total=9, detail=str(n)), places, numbers),
    st.builds(
        lambda p, n, s: ev.StageComplete(**p, status=s, current=n, total=9, artifacts=(MADE,)),
        places,
        numbers,
        st.sampled_from(["completed", "partial", "skipped"]),
    ),
    st.builds(lambda p: ev.StageError(**p, status="failed", current=0, total=9, error="gone"), places),
    st.builds(lambda c, n: ev.CallWaiting(**c, in_use=n, limit=9), calls, numbers),
    st.builds(lambda c, n: ev.CallStart(**c, attempt=n), calls, numbers),
    st.builds(lambda c, n: ev.CallRetry(**c, attempt=n, delay=1.0, reason="429"), calls, numbers),
    st.builds(
        lambda c, s: ev.CallComplete(**c, state=s, attempt=1, waited=0.1, took=0.2),
        calls,
        st.sampled_from(["done", "failed"]),
    ),
    st.builds(lambda c: ev.CallUnknown(**c, attempt=1, reason="timeout"), calls),
    st.builds(lambda c: ev.CallFallback(**c, reason="refused"), calls),
    st.builds(lambda n: ev.JobResumed(epoch=n, reason="lost"), numbers),
    st.just(ev.JobCancelling(by="mara")),
    st.builds(lambda n: ev.JobExpected(seconds=n), numbers),
    st.builds(
        lambda s: ev.WorkflowComplete(status=s, total_stages=2),
        st.sampled_from(["completed", "partial", "failed", "cancelled"]),
    ),
)
stories = st.lists(anything, max_size=90)


def log(*events: ev.Event) -> list[ev.Recorded]:
    """Return a job's log: the launch, then these events, one second apart."""
    queued = ev.JobQueued(workflow="w", version=1, title="Aurora", stages=PLAN)
    return [ev.Recorded(n + 1, T0 + timedelta(seconds=n), e) for n, e in enumerate([queued, *events])]


def place(id: str = "creative") -> dict:
    return {"stage": id, "stage_name": f"Stage {id}", "stage_index": IDS.index(id), "total_stages": 2}


def fold(*events: ev.Event) -> Progress:
    return Progress.from_events(log(*events))


@given(stories, st.lists(st.integers(0, 91), max_size=4))
def test_applying_events_in_batches_equals_applying_them_all_together(events, cuts):
    whole = log(*events)
    progress, edges = Progress(), sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    for begin, end in pairwise(edges):
        for one in whole[begin:end]:
            progress.apply(one)
    assert progress == Progress.from_events(whole)


@given(stories, st.data())
def test_a_repeated_event_changes_nothing(events, data):
    whole = log(*events)
    again = Progress()
    for position, one in enumerate(whole):
        again.apply(one)
        again.apply(whole[data.draw(st.integers(0, position))])
    assert again == Progress.from_events(whole)


@given(stories)
def test_a_count_never_decreases_and_a_percentage_stays_within_a_hundred(events):
    progress, before = Progress(), dict.fromkeys(IDS, 0)
    for one in log(*events):
        progress.apply(one)
        for stage in progress.stages:
            assert stage.current >= before[stage.id]
            assert 0 <= stage.percent <= 100
            before[stage.id] = stage.current
    assert len(progress.log) <= LOG_TAIL


def test_the_launch_names_the_stages_that_will_run():
    progress = fold()
    assert [(stage.id, stage.status) for stage in progress.stages] == [
        ("brief", Status.PENDING),
        ("creative", Status.PENDING),
    ]
    assert (progress.title, progress.status, progress.last_seq) == ("Aurora", JobStatus.QUEUED, 1)


def test_a_stage_shows_its_count_its_artifacts_and_its_time():
    progress = fold(
        ev.StageStart(**place()),
        ev.StageProgress(**place(), current=2, total=4, detail="Square"),
        ev.StageComplete(**place(), status="partial", current=2, total=4, artifacts=(MADE,)),
    )
    stage = progress.stage("creative")
    assert (stage.status, stage.current, stage.total, stage.percent) == (Status.PARTIAL, 2, 4, 50)
    assert (stage.seconds, stage.detail, progress.artifacts) == (2.0, "", [MADE])
    assert (progress.status, progress.ended) == (JobStatus.RUNNING, False)


def test_a_failed_stage_shows_its_reason_and_its_fallback():
    error = ev.StageError(**place(), status="failed", current=0, total=1, error="gone", artifacts=(MADE,))
    progress = fold(ev.StageStart(**place()), error)
    assert progress.stage("creative").error == "gone"
    assert progress.artifacts == [MADE]
    assert progress.log[-1].level == "bad"


def test_a_call_is_shown_from_its_wait_to_its_end():
    call = {"stage": "creative", "step": "creative.design.a", "server": "canva", "tool": "create_design"}
    waits = ev.CallWaiting(**call, in_use=2, limit=2)
    retries = ev.CallRetry(**call, attempt=1, delay=1.0, reason="429")
    ends = ev.CallComplete(**call, state="done", attempt=2, waited=1.5, took=0.5, remote_id="7")
    states = []
    for n in range(1, 4):
        view = fold(*[waits, retries, ends][:n]).calls_of("creative")[0]
        states.append((view.state, view.attempts))
    assert states == [("waiting", 0), ("retry", 1), ("done", 2)]
    assert (view.in_use, view.limit, view.waited, view.remote_id, view.error) == (2, 2, 1.5, "7", "")


def test_the_last_event_ends_the_job():
    progress = fold(ev.WorkflowComplete(status="cancelled", total_stages=2, error="asked"))
    assert (progress.ended, progress.status, progress.error) == (True, JobStatus.CANCELLED, "asked")


def test_a_stage_with_nothing_to_count_is_full_when_completed_and_empty_before():
    stage = StageView("a", "A", 0)
    assert stage.percent == 0
    stage.status = Status.COMPLETED
    assert stage.percent == 100


def test_every_type_of_event_can_be_applied_and_every_log_line_has_a_type():
    class Unheard(ev.Event):
        """An event that the projection does not know."""

    assert set(LINES) <= set(ev.KINDS.values())
    with pytest.raises(ev.UnknownEvent, match="the projection cannot apply"):
        fold(Unheard())


def test_a_stage_that_is_not_in_the_plan_is_not_shown():
    with pytest.raises(KeyError, match="search"):
        fold().stage("search")


def test_a_fallback_for_a_step_without_a_call_adds_no_waiting_call():
    where = {"stage": "brief", "step": "brief.document", "server": "google-docs", "tool": "createDocument"}
    queued = ev.JobQueued(workflow="w", version=1, title="T", stages=PLAN)
    fallback = ev.CallFallback(**where, reason="refused")
    unasked = Progress.from_events([ev.Recorded(1, T0, queued), ev.Recorded(2, T0, fallback)])
    assert unasked.calls == {}
    assert "using a fallback" in unasked.log[-1].text
    story = [queued, ev.CallStart(**where, attempt=1), fallback]
    asked = Progress.from_events([ev.Recorded(i, T0, event) for i, event in enumerate(story, 1)])
    assert asked.calls["brief.document"].fallback


def test_the_log_of_a_dry_run_does_not_say_that_it_was_launched():
    queued = ev.JobQueued(workflow="w", version=1, title="T", stages=PLAN, dry_run=True)
    [line] = Progress.from_events([ev.Recorded(1, T0, queued)]).log
    assert line.text == "Dry run queued: nothing is sent"
