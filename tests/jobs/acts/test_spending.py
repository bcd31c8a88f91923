"""Setting lines live: the offer, what its hash covers, permission, and what starts no second round."""

import threading
from dataclasses import fields, replace

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from jobs import registry
from jobs.acts import actions, spending
from jobs.engine import events as ev
from jobs.engine.inputs import InvalidInput
from jobs.engine.results import SpendLine
from jobs.models import AuditEntry, Job, ToolCall
from jobs.store import feed, projection
from tests.jobs import acting, spend, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
words = st.text(max_size=6)
lines = st.builds(SpendLine, **{field.name: words for field in fields(SpendLine)})


@pytest.fixture(autouse=True)
def worker_messages(monkeypatch, settings):
    """Catch messages to the worker and return them; install the small workflow that has an activation."""
    settings.WORKFLOWS = ["tests.jobs.spend.SPEND"]
    settings.TOOL_ROLES = "tests.jobs.spend.ROLES"
    registry.workflows.cache_clear()
    messages = []
    monkeypatch.setattr("jobs.acts.actions.run_job", messages.append)
    yield messages
    registry.workflows.cache_clear()


def activate(job: Job, by=None) -> Job:
    """Set live every line that is offered now."""
    return actions.activate(job, by or spend.spender(), actions.activation(job).digest)


def untouched(job: Job, worker_messages: list) -> bool:
    """Return whether an ended job is unchanged."""
    found = Job.objects.get(pk=job.pk)
    same = (found.status, found.round, found.last_seq) == (job.status, job.round, job.last_seq)
    return same and found.spend_by is None and not AuditEntry.objects.exists() and worker_messages == []


def test_the_offer_lists_every_line_and_the_total_for_each_currency():
    offer = actions.activation(spend.prepared())
    assert [line.item for line in offer.lines] == ["north", "south", "east"]
    assert [(one.currency, one.amount) for one in offer.totals] == [("EUR", "70"), ("USD", "300.50")]
    assert (offer.live, offer.reason, offer.stays) == (
        frozenset(),
        "",
        ("The search campaign stays paused.",),
    )
    assert offer.what == "3 lines, EUR 70.00, USD 300.50"
    assert len(offer.digest) == 64


@given(st.lists(lines, min_size=1, max_size=4), st.data())
def test_any_change_to_a_line_changes_the_hash(some, data):
    index = data.draw(st.integers(0, len(some) - 1))
    name = data.draw(st.sampled_from([field.name for field in fields(SpendLine)]))
    value = data.draw(words.filter(lambda text: text != getattr(some[index], name)))
    other = [*some[:index], replace(some[index], **{name: value}), *some[index + 1 :]]
    before = spending.digest("job", some)
    assert spending.digest("job", other) != before
    assert spending.digest("other job", some) != before
    assert spending.digest("job", [*some, some[0]]) != before
    assert spending.digest("job", some[1:]) != before
    assert spending.digest("job", data.draw(st.permutations(some))) == before


def test_lines_that_are_live_already_do_not_change_the_hash():
    job = spend.prepared()
    before = actions.activation(job).digest
    spend.called(job, "north", "done", reply={"data": {"status": "ACTIVE"}})
    offer = actions.activation(job)
    assert (offer.live, offer.digest) == (frozenset({"north"}), before)


def test_a_line_is_not_live_if_its_dsp_reports_another_status():
    job = spend.prepared()
    spend.called(job, "north", "done", reply={"data": {"status": "PAUSED"}})
    assert actions.activation(job).live == frozenset()


def test_an_activation_stores_a_round_an_event_and_an_audit_entry_in_one_transaction(worker_messages):
    job, sol = spend.prepared(), spend.spender()
    digest = actions.activation(job).digest
    job = actions.activate(job, sol, digest)
    assert (job.status, job.round, job.spend_by, worker_messages) == ("queued", 2, sol, [str(job.pk)])
    assert [id for id, *_ in job.plan] == ["lines", "note", "live"]
    assert (job.confirmed["digest"], job.confirmed["by"]) == (digest, "sol")
    assert spending.confirmed(job) == actions.activation(job).lines
    (event,) = [one.event for one in feed.whole(job.pk) if isinstance(one.event, ev.JobActivating)]
    assert (event.by, event.digest, event.what) == ("sol", digest, "3 lines, EUR 70.00, USD 300.50")
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.by, entry.digest, entry.stage) == ("activate", sol, digest, "live")
    assert entry.details["sums"] == {"EUR": "70", "USD": "300.50"}
    assert entry.details["lines"] == job.confirmed["lines"]
    shown = feed.progress(job.pk)
    assert [(stage.id, str(stage.status)) for stage in shown.stages][-1] == ("live", "pending")
    assert (shown.round, str(shown.status), shown.activating) == (2, "queued", event)


def test_spending_without_permission_is_refused_before_anything_else_is_checked(worker_messages):
    job = spend.prepared()
    for given_ in ("", "nonsense", actions.activation(job).digest):
        with pytest.raises(actions.MayNotSpend, match="mara doesn't have permission to spend"):
            actions.activate(job, story.user(), given_)
    assert untouched(job, worker_messages)


def test_a_superuser_may_spend():
    assert activate(spend.prepared(), story.user("root", is_superuser=True)).spend_by.username == "root"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: spend.prepared(dry_run=True), "dry run"),
        (lambda: story.job(workflow="spend", plan=spend.PLAN), "still running"),
        (lambda: story.ended_job(workflow="spend", plan=spend.PLAN), "no prepared lines"),
        (lambda: story.ended_job(workflow="gone", plan=spend.PLAN), "does not prepare lines"),
        (lambda: spend.prepared(plan=[*spend.PLAN, ["tale", "Tale", []]]), "Tale did not finish"),
    ],
)
def test_an_impossible_activation_is_refused_with_the_reason(worker_messages, make, why):
    job = make()
    job.refresh_from_db()
    assert why in actions.activation(job).reason
    with pytest.raises(actions.ActionRefused, match=why):
        actions.activate(job, spend.spender(), "")
    assert untouched(job, worker_messages)


def test_the_hash_is_required_and_must_be_current(worker_messages):
    job = spend.prepared()
    with pytest.raises(InvalidInput) as missing:
        actions.activate(job, spend.spender(), "")
    assert [fault.field for fault in missing.value.faults] == ["hash"]
    with pytest.raises(actions.Changed, match="changed since they were shown: review them again"):
        actions.activate(job, spend.spender(), "0" * 64)
    assert untouched(job, worker_messages)


def test_the_old_hash_is_a_conflict_once_a_line_is_added():
    job = spend.prepared("north")
    shown = actions.activation(job).digest
    feed.append(job.pk, [spend.end("lines", lines=[spend.record("north"), spend.record("south")])])
    with pytest.raises(actions.Changed):
        actions.activate(job, spend.spender(), shown)


def test_repeating_an_activation_in_progress_changes_nothing(worker_messages):
    job = activate(spend.prepared())
    seq = job.last_seq
    again = actions.activate(job, spend.spender("lea"), job.confirmed["digest"])
    assert (again.round, again.last_seq, again.spend_by.username) == (2, seq, "sol")
    assert (len(worker_messages), AuditEntry.objects.count()) == (1, 1)
    with pytest.raises(actions.ActionRefused, match="being set live now"):
        actions.activate(job, spend.spender(), "0" * 64)


def test_repeating_an_activation_changes_nothing_once_all_lines_are_live(worker_messages):
    job = activate(spend.prepared())
    for item in spend.BUDGETS:
        spend.called(job, item, "done")
    spend.over(job, *spend.BUDGETS)
    offer = actions.activation(job)
    assert offer.reason == "3 lines are already live"
    assert actions.activate(job, spend.spender(), offer.digest).round == 2
    assert (len(worker_messages), AuditEntry.objects.count()) == (1, 1)


def test_another_activation_sends_only_the_lines_that_are_not_live():
    job = activate(spend.prepared())
    spend.called(job, "north", "done")
    spend.called(job, "south", "failed", error="archived")
    spend.called(job, "east", "unknown", error="no answer")
    spend.over(job, "north", status="partial")
    job = activate(job)
    assert acting.states(job) == {
        "live.status.north": "done",
        "live.status.south": "waiting",
        "live.status.east": "waiting",
    }
    assert (job.round, len(job.plan)) == (3, 3)
    assert spending.confirmed(job) == actions.activation(job).lines


def partly(job: Job | None = None) -> Job:
    """Return a job of which one line is live and one failed."""
    job = activate(job or spend.prepared())
    spend.called(job, "north", "done")
    spend.called(job, "south", "failed", error="archived")
    spend.over(job, "north", status="partial")
    return job


@pytest.mark.parametrize("what", [{}, {"stage": "live"}, {"step": "live.status.south"}])
def test_a_retry_sets_no_line_live_and_the_refusal_names_the_action_that_does(worker_messages, what):
    job = partly()
    with pytest.raises(actions.ActionRefused, match="a retry does not set lines live: set them live again"):
        actions.retry(job, spend.spender(), **what)
    assert acting.states(job)["live.status.south"] == "failed"
    assert len(worker_messages) == 1


def test_any_other_round_removes_the_permission_to_spend_and_leaves_the_spending_calls():
    job = partly()
    acting.call(job, "lines.line.west", "failed", tool="create_campaign", server="ttd", error="no")
    job = actions.retry(job, story.user("plain"), stage="lines")
    assert (job.round, job.spend_by) == (3, None)
    assert acting.states(job)["live.status.south"] == "failed"
    assert "live" in projection.ends(job.pk)  # so the stage does not run again
    assert not spending.allows(job, "ttd", {"id": "c-north"})


def test_a_spending_call_must_name_a_line_that_was_confirmed_in_this_round():
    job = activate(spend.prepared("north"))
    assert spending.allows(job, "ttd", {"id": "c-north", "status": "ACTIVE"})
    assert not spending.allows(job, "ttd", {"id": "c-south", "status": "ACTIVE"})
    assert not spending.allows(job, "dv360", {"id": "c-north", "status": "ACTIVE"})


@pytest.mark.parametrize(("outcome", "state"), [("absent", "failed"), ("skip", "skipped")])
def test_resolving_a_spending_call_sends_nothing(outcome, state):
    job = activate(spend.prepared("north"))
    spend.called(job, "north", "unknown", error="no answer")
    spend.over(job, status="partial")
    job = actions.resolve(job, "live.status.north", outcome, story.user())
    assert (acting.states(job)["live.status.north"], job.spend_by) == (state, None)
    assert job.status == "queued"  # to emit its result again; the journal sends nothing


def test_a_line_resolved_as_live_must_have_the_id_that_was_sent():
    job = activate(spend.prepared("north"))
    spend.called(job, "north", "unknown", error="no answer")
    spend.over(job, status="partial")
    with pytest.raises(InvalidInput, match="remoteId: must be c-north"):
        actions.resolve(job, "live.status.north", "exists", story.user(), remote_id="c-9")
    actions.resolve(job, "live.status.north", "exists", story.user(), remote_id="c-north")
    assert actions.activation(job).live == {"north"}


def test_two_simultaneous_activations_start_one_round(worker_messages):
    job, sol = spend.prepared(), spend.spender()
    digest, gate, rounds = actions.activation(job).digest, threading.Barrier(2), []

    def act() -> None:
        try:
            gate.wait(10)
            rounds.append(actions.activate(job.pk, sol, digest).round)
        finally:
            connection.close()

    threads = [threading.Thread(target=act) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert rounds == [2, 2]
    assert acting.types(job).count("job:activating") == AuditEntry.objects.count() == 1
    assert len(worker_messages) == 1


def test_the_page_offers_lines_only_after_the_end_while_some_are_not_live():
    job = spend.prepared()
    assert spending.shown(job, feed.progress(job.pk)) == 3
    activate(job)
    assert spending.shown(job, feed.progress(job.pk)) == 0
    spend.over(job, "north", status="partial")
    assert spending.shown(job, feed.progress(job.pk)) == 3
    feed.append(job.pk, [spend.end("live", live=list(spend.BUDGETS))])
    assert spending.shown(job, feed.progress(job.pk)) == 0


def test_a_cancelled_activation_can_be_confirmed_again():
    job = activate(spend.prepared())
    ToolCall.objects.all().delete()
    job = actions.cancel(job, spend.spender())
    assert (job.status, actions.activation(job).reason) == ("cancelled", "")
    assert activate(job).round == 3
