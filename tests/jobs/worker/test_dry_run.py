"""A dry run in a worker with a real server: everything is checked and listed, and nothing is called."""

import pytest

from jobs.acts import actions
from jobs.engine import events as ev
from jobs.models import Job, ToolCall
from jobs.store import feed
from jobs.store.calls import would_send
from jobs.worker import leases
from tests import fakes
from tests.jobs import story
from tests.jobs.working import launch, run, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage, pytest.mark.slow]
STEPS = ["lines.line.north", "lines.line.south", "lines.line.east"]


def planned(job: Job) -> list[ev.JobPlanned]:
    """Return the plans of the job's dry runs, one per round."""
    return [one.event for one in feed.whole(job.pk) if isinstance(one.event, ev.JobPlanned)]


def types(job: Job) -> list[str]:
    """Return the types of the job's events, except those of stages."""
    return [one.event.type for one in feed.whole(job.pk) if not one.event.type.startswith("stage:")]


def test_a_dry_run_ends_with_a_plan_and_calls_no_tool(world, worker):
    ledger = world()
    job = run(worker(), launch(dryRun=True))
    assert (job.status, job.dry_run, job.stages_ended) == ("completed", True, 2)
    assert fakes.ledger(ledger, "start") == []
    assert types(job) == ["job:queued", *["call:planned"] * 3, "job:planned", "workflow:complete"]
    assert planned(job) == [ev.JobPlanned(calls=3, seconds=2.0, bound=2.0, servers={"ttd": 3})]
    assert feed.progress(job.pk).planned == planned(job)[0]


def test_a_planned_call_has_the_arguments_to_send_and_no_external_id(world, worker):
    world()
    job = run(worker(), launch(dryRun=True))
    rows = list(ToolCall.objects.filter(job=job).order_by("id"))
    assert [row.step for row in rows] == STEPS
    for row in rows:
        assert (row.state, row.attempts, row.remote_id, row.remote_url) == ("planned", 0, "", "")
        assert would_send(row) == {"name": row.item, "budget": 10, "external_id": row.key}
        assert not row.tries.exists()
    told = [one.event for one in feed.whole(job.pk) if isinstance(one.event, ev.CallPlanned)]
    assert {(one.seconds, one.limit, one.per_minute) for one in told} == {(1, 2, 0)}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("create_campaign:missing", "has no tool create_campaign"),
        ("*:refuse", "its process ended"),
    ],
)
def test_a_call_that_would_fail_fails_with_the_reason(world, worker, fault, words):
    ledger = world(fault)
    job = run(worker(), launch(dryRun=True))
    assert job.status == "partial"
    rows = ToolCall.objects.filter(job=job)
    assert {(row.state, row.attempts) for row in rows} == {("failed", 0)}
    assert all(words in row.error for row in rows)
    assert planned(job) == [ev.JobPlanned(calls=0, seconds=0.0, bound=0.0, servers={})]
    assert fakes.ledger(ledger, "start") == []


def test_a_retry_of_a_dry_run_is_a_dry_run_with_a_new_plan(world, worker):
    ledger = world("create_campaign:missing")
    first = worker()
    job = run(first, launch(dryRun=True))
    first.stop()
    world()
    actions.retry(job, story.user())
    again = feed.progress(job.pk)
    assert (again.planned, again.calls[STEPS[0]].state) == (None, "waiting")
    job = run(worker(), Job.objects.get(pk=job.pk))
    assert (job.status, job.round, job.dry_run) == ("completed", 2, True)
    assert [one.calls for one in planned(job)] == [0, 3]
    assert fakes.ledger(ledger, "start") == []


def test_calls_planned_by_a_lost_worker_are_not_recorded_twice(world, worker, monkeypatch):
    world()
    tell, told = feed.append, []

    def lost(job_id, events, *, epoch=None):
        if isinstance(events[0], ev.CallPlanned):
            told.append(events[0].step)
            if len(told) == 2:
                Job.objects.filter(pk=job_id).update(epoch=epoch + 1, leased_by="", lease_until=None)
        return tell(job_id, events, epoch=epoch)

    monkeypatch.setattr(feed, "append", lost)
    job, one = launch(dryRun=True), worker()
    run(one, job)
    until(lambda: one.run(str(job.pk)) or Job.objects.filter(pk=job.pk, status="completed").exists())
    assert types(job).count("call:planned") == 3
    assert planned(job)[0].calls == 3


def test_a_cancelled_dry_run_checks_nothing_more_and_makes_no_plan(world, worker):
    world()
    job = launch(dryRun=True)
    held = leases.claim(job.pk, "elsewhere")
    actions.cancel(job, story.user())
    Job.objects.filter(pk=job.pk).update(leased_by="", lease_until=None)
    assert held is not None
    job = run(worker(), job)
    assert job.status == "cancelled"
    assert (planned(job), ToolCall.objects.filter(job=job).count()) == ([], 0)
