"""A worker sets confirmed lines live: each once and by its id, through failures, deaths and cancels."""

import asyncio
import threading
from contextlib import closing
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import registry
from jobs.acts import actions
from jobs.models import Artifact, Job, ToolCall
from jobs.store import feed
from jobs.store.writer import Writer
from jobs.tools.contract.calls import Call
from jobs.worker import leases
from jobs.worker.job_tools import effect_key
from jobs.worker.journal import JobJournal
from tests.fakes import ledger
from tests.jobs import acting, spend, story
from tests.jobs.working import run, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
TOOL = "set_campaign_status"


@pytest.fixture(autouse=True)
def spending_world(world, settings):
    """Install the workflow that has an activation."""
    settings.WORKFLOWS = ["tests.jobs.spend.SPEND"]
    settings.TOOL_ROLES = "tests.jobs.spend.ROLES"
    registry.workflows.cache_clear()


def launched(worker) -> Job:
    """Return a job that has prepared its three lines."""
    return run(worker, actions.launch("spend", {"title": "Spend"}, story.user()).job)


def confirm(job: Job) -> Job:
    """Confirm every line that can be set live."""
    return actions.activate(job, spend.spender(), actions.activation(job).digest)


def sent(file) -> list[tuple[str, str]]:
    """Return the status calls that reached the server, in order."""
    return [(one["args"]["id"], one["args"]["status"]) for one in ledger(file, "start", TOOL)]


def wanted(job: Job) -> list[tuple[str, str]]:
    """Return the status calls that the server should receive, sorted."""
    return sorted((line.remote_id, "ACTIVE") for line in actions.activation(job).lines)


def test_each_confirmed_line_is_set_live_once_by_its_id_and_a_repeat_does_nothing(world, worker):
    file, one = world(), worker()
    job = launched(one)
    assert sent(file) == []
    job = run(one, confirm(job))
    assert (job.status, sorted(sent(file))) == ("completed", wanted(job))
    assert actions.activation(job).reason == "3 lines are already live"
    run(one, confirm(job))
    assert len(sent(file)) == 3
    row = Artifact.objects.get(job=job, name="note.md")
    assert (row.stage, feed.progress(job.pk).stage("live").current) == ("live", 3)


def test_a_line_refused_by_its_dsp_is_sent_again_only_after_another_confirmation(world, worker):
    file, one = world(f"{TOOL}:iserror=Campaign not found@2"), worker()
    job = run(one, confirm(launched(one)))
    assert job.status == "partial"
    assert "Campaign not found" in feed.progress(job.pk).stage("live").error
    with pytest.raises(actions.ActionRefused, match="set them live again"):
        actions.retry(job, spend.spender())
    assert len(sent(file)) == 3
    job = run(one, confirm(job))
    assert (job.status, len(sent(file)), set(sent(file))) == ("completed", 4, set(wanted(job)))


def test_the_same_status_is_sent_again_to_a_server_that_died_before_it_answered(world, worker):
    file, one = world(f"{TOOL}:die-after@1"), worker()
    job = run(one, confirm(launched(one)))
    assert (job.status, set(sent(file))) == ("completed", set(wanted(job)))
    assert actions.activation(job).todo == ()


def test_an_activation_resumes_after_its_worker_died_with_only_the_confirmed_lines(world, worker):
    file, one = world(), worker()
    job = confirm(launched(one))
    line, *_ = actions.activation(job).lines
    dead = leases.claim(job.pk, "worker-dead")
    step = f"live.status.{line.item}"
    call = Call(
        job=str(job.pk),
        order=0.0,
        stage="live",
        step=step,
        item=line.item,
        server="ttd",
        tool=TOOL,
        args={"id": line.remote_id, "status": "ACTIVE"},
        key=effect_key(job.pk, step),
    )
    with closing(Writer()) as writer:
        asyncio.run(JobJournal(dead, writer).intent(call, 1, spends=True))
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    job = run(one, job)
    assert (job.status, sorted(sent(file))) == ("completed", wanted(job))
    assert (job.round, ToolCall.objects.get(job=job, step=step).attempts) == (2, 2)


def test_no_call_starts_after_a_cancel_and_live_lines_are_not_sent_again(world, worker):
    file, one = world(f"{TOOL}:slow=1"), worker()
    job = confirm(launched(one))
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    until(lambda: len(sent(file)) == 2)  # as many as the server takes at once
    actions.cancel(job, spend.spender())
    thread.join(20)
    job.refresh_from_db()
    assert (job.status, len(sent(file))) == ("cancelled", 2)
    assert len(actions.activation(job).live) == 2
    job = run(one, confirm(job))
    assert (job.status, len(sent(file)), set(sent(file))) == ("completed", 3, set(wanted(job)))


def test_a_round_without_permission_to_spend_sets_nothing_live_despite_earlier_confirmations(world, worker):
    file, one = world(), worker()
    job = confirm(launched(one))
    job = actions.cancel(job, spend.spender())  # the stage that sets lines live has no end
    acting.call(job, "note.x", "failed", server="ttd", tool="create_campaign")
    feed.append(job.pk, [spend.end("note", "failed")])
    job = run(one, actions.retry(job, story.user()))
    assert (job.status, sent(file)) == ("partial", [])
    assert "no one has allowed" in feed.progress(job.pk).stage("live").error
    assert {line.item for line in actions.activation(job).todo} == set(spend.BUDGETS)


@pytest.mark.parametrize("lost", ["right", "account"])
def test_nothing_is_sent_once_the_permission_to_spend_is_revoked(world, worker, lost):
    file, one = world(), worker()
    job = confirm(spend.prepared("north"))
    if lost == "right":
        job.spend_by.user_permissions.clear()
    else:
        type(job.spend_by).objects.filter(pk=job.spend_by_id).update(is_active=False)
    job = run(one, job)
    assert (job.status, sent(file)) == ("partial", [])
    assert (
        "sol, who allowed it, no longer has permission to spend" in feed.progress(job.pk).stage("live").error
    )


def test_a_line_that_an_earlier_attempt_may_have_set_live_is_unknown_not_paused(world, worker):
    file, one = world(f"{TOOL}:noid@1", f"{TOOL}:iserror=It is active already@2"), worker()
    job = run(one, confirm(spend.prepared("north")))
    row = ToolCall.objects.get(job=job, step="live.status.north")
    assert (row.state, len(sent(file)), job.status) == ("unknown", 2, "partial")
    assert "may have taken effect" in row.error


def test_a_call_cancelled_between_two_attempts_is_unknown(world, worker, settings):
    settings.RETRY_BACKOFF = 60
    file, one = world(f"{TOOL}:noid@1"), worker()
    job = confirm(spend.prepared("north"))
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    until(lambda: ToolCall.objects.filter(job=job, state="retry").exists())
    actions.cancel(job, spend.spender())
    thread.join(20)
    job.refresh_from_db()
    assert (job.status, len(sent(file))) == ("cancelled", 1)
    assert acting.states(job)["live.status.north"] == "unknown"


def test_unknown_calls_stay_unknown_when_an_activation_is_cancelled_before_it_starts():
    job = spend.prepared("north")
    spend.called(job, "north", "unknown").tries.update(outcome="unknown", ended_at=timezone.now())
    job = actions.cancel(confirm(job), spend.spender("ines"))
    assert (job.status, acting.states(job)) == ("cancelled", {"live.status.north": "unknown"})
