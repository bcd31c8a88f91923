"""Retrying one step, one stage or everything that failed; finished work is never repeated."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from jobs.acts import actions
from jobs.engine.inputs import InvalidInput
from jobs.engine.results import Source
from jobs.models import Artifact, AuditEntry, CallAttempt, Job, ToolCall
from jobs.store import feed
from jobs.worker import leases
from tests.jobs import acting, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
CALLS = {
    "brief.document": "done",
    "creative.image.a": "failed",
    "creative.image.b": "failed",
    "creative.image.c": "skipped",
    "creative.image.d": "unknown",
}


@pytest.fixture(autouse=True)
def worker_messages(monkeypatch):
    """Catch messages to the worker and return them."""
    messages = []
    monkeypatch.setattr("jobs.acts.actions.run_job", messages.append)
    return messages


@pytest.fixture
def job():
    return acting.ended(acting.end("creative", "partial", missed=[{"item": "a"}]), calls=CALLS)


def test_a_retry_repeats_every_failed_call_and_the_stages_after_it_and_nothing_else(job, worker_messages):
    Job.objects.filter(pk=job.pk).update(error="x", crashes=2, suspects=["a"], leased_by="worker-a")
    again = actions.retry(job, story.user("noor"))
    assert acting.states(job) == CALLS | {"creative.image.a": "waiting", "creative.image.b": "waiting"}
    round_ = acting.last_round(job)
    assert (round_.by, round_.round, round_.what) == ("noor", 2, "everything that failed")
    assert (round_.stages, round_.steps) == (["creative", "report"], ["creative.image.a", "creative.image.b"])
    row = {name: getattr(again, name) for name in ("status", "round", "stages_ended", "crashes", "suspects")}
    assert row == {"status": "queued", "round": 2, "stages_ended": 1, "crashes": 0, "suspects": []}
    assert (again.ended_at, again.error, again.lease_until, again.leased_by) == (None, "", None, "")
    assert worker_messages == [str(job.pk)]
    assert leases.claim(job.pk, "worker-b").epoch == job.epoch + 1
    progress = feed.progress(job.pk)
    assert [stage.status for stage in progress.stages] == ["completed", "pending", "pending"]


def test_a_retried_call_clears_its_result_and_keeps_its_attempts(job):
    row = ToolCall.objects.get(job=job, step="creative.image.a")
    ToolCall.objects.filter(pk=row.pk).update(
        reply={"data": {}}, remote_id="7", remote_url="u", source="live"
    )
    actions.retry(job, story.user())
    row.refresh_from_db()
    assert (row.error, row.ended_at, row.reply, row.remote_id, row.remote_url, row.source) == (
        ("", None, None, "", "", "")
    )
    assert row.tries.count() == 1


def test_a_single_step_can_be_retried(job):
    actions.retry(job, story.user(), step="creative.image.b")
    assert acting.states(job) == CALLS | {"creative.image.b": "waiting"}
    assert acting.last_round(job).what == "creative.image.b"
    assert AuditEntry.objects.get().step == "creative.image.b"


def test_a_skipped_step_is_retried_only_when_it_is_named(job):
    actions.retry(job, story.user(), stage="creative", step="creative.image.c")
    assert acting.states(job)["creative.image.c"] == "waiting"


def test_a_failed_call_that_left_something_behind_is_not_retried(job):
    half = acting.ended(acting.end("brief", "failed"), calls={"brief.document": "failed"})
    empty = {"server": "google-docs", "tool": "createDocument", "remote_id": "doc-1"}
    ToolCall.objects.filter(job=half).update(**empty)
    for what in ({}, {"stage": "brief"}, {"step": "brief.document"}):
        with pytest.raises(actions.ActionRefused, match=r"created something at the service \(doc-1\)"):
            actions.retry(half, story.user(), **what)
    ToolCall.objects.filter(job=job, step="creative.image.a").update(**empty)
    actions.retry(job, story.user())
    assert acting.last_round(job).steps == ["creative.image.b"]
    assert acting.states(job)["creative.image.a"] == "failed"


def test_a_skipped_call_that_left_something_behind_is_not_retried_even_by_name(job):
    ToolCall.objects.filter(job=job, step="creative.image.c").update(remote_id="image-1")
    with pytest.raises(actions.ActionRefused, match="would create a duplicate"):
        actions.retry(job, story.user(), step="creative.image.c")


def test_a_single_stage_can_be_retried(job):
    actions.retry(job, story.user(), stage="creative")
    assert acting.last_round(job).stages == ["creative", "report"]
    assert acting.last_round(job).what == "Generate Creatives"
    with pytest.raises(actions.ActionRefused, match="still running"):
        actions.retry(job, story.user(), stage="creative")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"step": "creative.image.d"}, "resolve it first"),
        ({"step": "brief.document"}, "did not fail: it is done"),
        ({"stage": "brief"}, "nothing failed in Generate Campaign Brief"),
    ],
)
def test_an_impossible_retry_is_refused_with_the_reason(job, what, why, worker_messages):
    with pytest.raises(actions.ActionRefused, match=why):
        actions.retry(job, story.user(), **what)
    job.refresh_from_db()
    assert (job.status, job.round, worker_messages) == ("partial", 1, [])
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ({"stage": "nope"}, "stage"),
        ({"step": "nope"}, "step"),
        ({"stage": "brief", "step": "creative.image.a"}, "step"),
    ],
)
def test_an_unknown_stage_or_step_is_an_error_in_its_field(job, what, field):
    with pytest.raises(InvalidInput) as caught:
        actions.retry(job, story.user(), **what)
    assert [fault.field for fault in caught.value.faults] == [field]


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ({"creative.image.a": "unknown"}, "but a call is unknown: resolve it first"),
        ({"creative.image.a": "unknown", "creative.image.b": "unknown"}, "but 2 calls are unknown"),
        ({"creative.image.a": "skipped"}, "to retry a skipped step, name it"),
        ({"creative.image.a": "done"}, "^nothing failed$"),
    ],
)
def test_a_retry_that_would_fix_nothing_is_refused_with_the_reason(calls, why):
    trouble = acting.end("creative", "completed" if "done" in calls.values() else "partial")
    job = acting.ended(trouble, calls=calls)
    with pytest.raises(actions.ActionRefused, match=why):
        actions.retry(job, story.user())


@pytest.mark.parametrize(
    "trouble", [("failed", {}), ("skipped", {}), ("completed", {"missed": [{"item": "a"}]})]
)
def test_a_failed_stage_without_a_failed_call_runs_again(trouble):
    status, data = trouble
    job = acting.ended(acting.end("brief", status, **data))
    actions.retry(job, story.user())
    assert acting.last_round(job).stages == ["brief", "report"]


def test_a_retry_runs_the_stages_that_a_cancel_prevented(worker_messages):
    job = acting.running()
    feed.append(job.pk, [acting.end("brief")], epoch=job.epoch)
    actions.cancel(job, story.user())
    actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    again = actions.retry(job, story.user())
    assert acting.last_round(job).stages == ["creative", "report"]
    assert (again.cancel_asked_at, again.stages_ended, again.round) == (None, 1, 2)
    assert not feed.progress(job.pk).cancelling


def cut_off_with(*steps, **values):
    """Return a job that was cancelled after its worker was lost while these calls were in progress."""
    job = acting.running()
    for step in steps:
        acting.call(job, step, "sent", **values)
    leases.end_leases_of_the_dead()
    return actions.cancel(job, story.user())


def test_calls_in_progress_at_a_cancel_are_looked_up_in_the_next_round():
    job = cut_off_with("creative.image.a")
    assert acting.states(job) == {"creative.image.a": "unknown"}
    actions.retry(job, story.user(), stage="brief")
    assert acting.states(job) == {"creative.image.a": "waiting"}, "its stage runs and finds out"
    assert acting.last_round(job).steps == ["creative.image.a"]
    assert ToolCall.objects.get().tries.get().outcome == CallAttempt.LOST, "no one has resolved it as absent"


def test_resolving_one_such_call_and_retrying_looks_up_the_others():
    job = cut_off_with("creative.image.a", "creative.image.b")
    actions.resolve(job, "creative.image.a", "exists", story.user(), remote_id="7")
    actions.retry(job, story.user())
    assert acting.states(job) == {"creative.image.a": "done", "creative.image.b": "waiting"}


def test_a_call_that_may_have_set_a_line_live_at_a_cancel_stays_unknown():
    job = cut_off_with("creative.status.a", server="ttd", tool="set_campaign_status")
    assert "trying again" not in ToolCall.objects.get().error
    actions.retry(job, story.user())
    assert acting.states(job) == {"creative.status.a": "unknown"}


def test_a_stage_that_ended_with_such_a_call_can_be_retried():
    job = acting.ended(acting.end("creative", "partial"), calls={"creative.image.a": "unknown"})
    with pytest.raises(actions.ActionRefused, match="a call is unknown"):
        actions.retry(job, story.user(), stage="creative")
    CallAttempt.objects.update(outcome=CallAttempt.LOST)
    actions.retry(job, story.user(), stage="creative")
    assert acting.states(job) == {"creative.image.a": "waiting"}


def test_a_stage_that_is_cancelled_during_a_retry_is_not_counted_as_ended(job):
    actions.retry(job, story.user())
    actions.cancel(job, story.user())
    actions.retry(job, story.user())
    job.refresh_from_db()
    assert (job.round, job.stages_ended) == (3, 1)
    assert acting.last_round(job).stages == ["creative", "report"]


def test_the_next_round_replaces_a_fallback_and_counts_the_stages_correctly():
    fallback = acting.made("brief-local.md", Source.FALLBACK)
    job = acting.ended(acting.end("brief", "failed", fallback), calls={"brief.document": "failed"})
    actions.retry(job, story.user())
    again = leases.claim(job.pk, "worker-b")
    real = acting.end("brief", "completed", acting.made("brief.md"))
    feed.append(job.pk, [real, acting.end("report")], epoch=again.epoch)
    ended = actions.finish(job.pk, again.epoch, acting.over("completed"))
    assert [one.name for one in Artifact.objects.filter(job=job)] == ["brief.md"]
    assert (ended.status, ended.stages_ended, ended.round) == ("completed", 3, 2)


def test_a_job_of_an_uninstalled_workflow_cannot_be_retried():
    job = acting.ended(acting.end("brief", "failed"))
    Job.objects.filter(pk=job.pk).update(workflow="gone")
    with pytest.raises(actions.ActionRefused, match="no longer installed"):
        actions.retry(job, story.user())


def test_of_two_simultaneous_retries_one_wins(job):
    people = [story.user("mara"), story.user("noor")]

    def again(person) -> bool:
        try:
            actions.retry(job.pk, person)
            return True
        except actions.ActionRefused:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(again, people)) == [False, True]
    job.refresh_from_db()
    assert (job.round, acting.types(job).count("job:retrying")) == (2, 1)
