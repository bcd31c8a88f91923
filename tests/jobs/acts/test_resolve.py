"""Resolving an unknown call: it exists, is absent or is skipped; one resolution counts, none is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from jobs.acts import actions
from jobs.engine.inputs import InvalidInput
from jobs.models import AuditEntry, Job, ToolCall
from jobs.store import feed
from jobs.worker import leases
from tests.jobs import acting, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
STEP = "creative.image.a"


@pytest.fixture(autouse=True)
def worker_messages(monkeypatch):
    """Catch messages to the worker and return them."""
    messages = []
    monkeypatch.setattr("jobs.acts.actions.run_job", messages.append)
    return messages


@pytest.fixture
def job():
    calls = {"brief.document": "done", STEP: "unknown", "creative.image.b": "unknown"}
    return acting.ended(acting.end("creative", "partial"), calls=calls)


def row(job: Job) -> ToolCall:
    return ToolCall.objects.get(job=job, step=STEP)


def test_an_existing_effect_makes_its_call_done_and_the_job_continues(job, worker_messages):
    ToolCall.objects.filter(job=job, state="done").update(source="simulated")
    again = actions.resolve(job, STEP, "exists", story.user("noor"), remote_id=" 77 ")
    found = row(job)
    assert (found.state, found.remote_id, found.error, found.source) == ("done", "77", "", "simulated")
    assert found.reply == {"data": {"id": "77"}, "text": ""}
    assert found.ended_at is not None
    assert (again.status, again.round, worker_messages) == ("queued", 2, [str(job.pk)])
    assert acting.last_round(job).stages == ["creative", "report"]
    assert acting.last_round(job).what == f"the resolution of {STEP}"
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.by.username, entry.stage, entry.step, entry.outcome, entry.remote_id) == (
        ("resolve", "noor", "creative", STEP, "exists", "77")
    )
    assert acting.states(job)[STEP] == "done"
    assert feed.progress(job.pk).calls[STEP].remote_id == "77"


def test_an_existing_effect_is_live_if_it_is_the_only_one_on_its_server(job):
    ToolCall.objects.filter(job=job, state="done").update(server="other", source="local")
    actions.resolve(job, STEP, "exists", story.user(), remote_id="77")
    assert row(job).source == "live"


def test_two_calls_cannot_be_resolved_with_the_same_id(job):
    actions.resolve(job, STEP, "exists", story.user("mara"), remote_id="77")
    with pytest.raises(InvalidInput, match=f"remoteId: already belongs to {STEP}"):
        actions.resolve(job, "creative.image.b", "exists", story.user("noor"), remote_id="77")
    assert actions.resolve(job, "creative.image.b", "exists", story.user("ines"), remote_id="78")


def test_an_existing_effect_on_a_bundled_simulation_is_simulated_if_it_is_the_only_one(job):
    ToolCall.objects.filter(job=job, step=STEP).update(server="ttd")
    actions.resolve(job, STEP, "exists", story.user("mara"), remote_id="77")
    assert row(job).source == "simulated"


def test_an_absent_effect_is_sent_again_under_the_same_key(job):
    actions.resolve(job, STEP, "absent", story.user())
    found = row(job)
    assert (found.state, found.key, found.error, found.ended_at) == ("waiting", "k", "", None)
    assert found.tries.count() == 1
    assert acting.states(job)["creative.image.b"] == "unknown"


def test_a_skipped_call_names_the_user_who_skipped_it(job):
    actions.resolve(job, STEP, "skip", story.user("noor"))
    assert (row(job).state, row(job).error) == ("skipped", "skipped by noor")
    assert acting.states(job)[STEP] == "skipped"


@pytest.mark.parametrize(
    ("outcome", "remote_id", "field"),
    [
        ("exists", "", "remoteId"),
        ("exists", "  ", "remoteId"),
        ("exists", "x" * 301, "remoteId"),
        ("exists", "7\0", "remoteId"),
        ("absent", "7", "remoteId"),
        ("perhaps", "", "outcome"),
    ],
)
def test_an_inconsistent_resolution_changes_nothing(job, outcome, remote_id, field):
    with pytest.raises(InvalidInput) as caught:
        actions.resolve(job, STEP, outcome, story.user(), remote_id=remote_id)
    assert [fault.field for fault in caught.value.faults] == [field]
    assert (row(job).state, Job.objects.get().round) == ("unknown", 1)


def test_only_unknown_calls_can_be_resolved(job):
    with pytest.raises(actions.ActionRefused, match="needs no resolution: it is done"):
        actions.resolve(job, "brief.document", "skip", story.user())
    for step in ("nope", STEP + "\0"):
        with pytest.raises(actions.StepNotFound, match="no step"):
            actions.resolve(job, step, "skip", story.user())
    assert not AuditEntry.objects.exists()


def test_resolutions_before_the_next_round_starts_share_that_round(job):
    actions.resolve(job, STEP, "absent", story.user())
    second = actions.resolve(job, "creative.image.b", "skip", story.user())
    assert (second.again, second.round) == ([], 2)


def test_a_resolution_in_a_running_job_starts_the_next_round_when_this_one_ends(worker_messages):
    job = acting.running()
    acting.call(job, STEP, "unknown")
    acting.call(job, "creative.image.b", "unknown")
    for step in (STEP, "creative.image.b"):
        waiting = actions.resolve(job, step, "absent", story.user("noor"))
        assert (waiting.again, waiting.status, worker_messages) == (["creative"], "running", [])
    stages = [acting.end(id) for id, *_ in acting.PLAN]
    feed.append(job.pk, stages, epoch=job.epoch)
    again = actions.finish(job.pk, job.epoch, acting.over())
    assert (again.status, again.round, again.again, again.stages_ended) == ("queued", 2, [], 1)
    assert worker_messages == [str(job.pk)]
    round_ = acting.last_round(job)
    assert (round_.by, round_.stages) == ("noor", ["creative", "report"])
    assert acting.types(job)[-2:] == ["workflow:complete", "job:retrying"]
    assert leases.claim(job.pk, "worker-b") is not None


def test_the_next_round_starts_even_if_the_user_who_asked_for_it_is_not_recorded():
    job = acting.running()
    Job.objects.filter(pk=job.pk).update(again=["creative"])
    assert actions.finish(job.pk, job.epoch, acting.over()).round == 2
    assert acting.last_round(job).by == "Flightplan"


def test_a_cancelled_job_stays_cancelled_after_a_resolution(worker_messages):
    job = acting.running()
    acting.call(job, STEP, "unknown")
    actions.cancel(job, story.user())
    actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    stays = actions.resolve(job, STEP, "exists", story.user(), remote_id="7")
    assert (stays.status, stays.again, worker_messages) == ("cancelled", [], [])
    assert feed.progress(job.pk).ended
    assert acting.states(job)[STEP] == "done"


def test_of_two_simultaneous_resolutions_one_wins_and_the_other_is_refused(job):
    def answer(name: str) -> str:
        try:
            actions.resolve(job.pk, STEP, "exists", story.user(name), remote_id=name)
            return name
        except actions.ActionRefused:
            return ""
        finally:
            connection.close()

    for name in ("mara", "noor", "lio", "ada"):
        story.user(name)
    with ThreadPoolExecutor(4) as threads:
        winners = [name for name in threads.map(answer, ("mara", "noor", "lio", "ada")) if name]
    assert [row(job).remote_id] == winners
    assert AuditEntry.objects.get().by.username == winners[0]
    assert acting.types(job).count("job:resolved") == 1


@pytest.mark.parametrize("number", range(5))
def test_a_resolution_at_the_end_of_the_round_is_never_lost(number):
    job = acting.running()
    acting.call(job, STEP, "unknown")
    feed.append(job.pk, [acting.end(id) for id, *_ in acting.PLAN], epoch=job.epoch)
    person, together = story.user(), threading.Barrier(2, timeout=10)

    def at_once(act) -> None:
        try:
            together.wait()
            act()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        answer = threads.submit(at_once, lambda: actions.resolve(job.pk, STEP, "absent", person))
        finish = threads.submit(at_once, lambda: actions.finish(job.pk, job.epoch, acting.over()))
        answer.result(20), finish.result(20)
    job.refresh_from_db()
    assert (job.status, job.round, job.again) == ("queued", 2, [])
    assert story.seqs(feed.whole(job.pk)) == list(range(1, job.last_seq + 1))


@pytest.mark.parametrize("outcome", ["exists", "skip"])
def test_the_last_resolution_reruns_every_stage_that_shares_the_unknown_step(outcome):
    doubt = acting.end("creative", "completed", unknown=["the folder"])
    mine = acting.end("brief", "completed", unknown=["the folder"])
    job = acting.ended(mine, doubt, calls={"brief.folder": "unknown"})
    actions.resolve(
        job, "brief.folder", outcome, story.user(), remote_id="f-1" if outcome == "exists" else ""
    )
    [begun] = [one.event for one in feed.whole(job.pk) if one.event.type == "job:retrying"]
    assert begun.stages == ["brief", "creative", "report"]


def test_a_stage_left_unknown_by_an_earlier_version_can_be_retried():
    job = acting.ended(acting.end("creative", "completed", unknown=["the folder"]))
    actions.retry(job, story.user())
    assert Job.objects.get(pk=job.pk).round == 2
