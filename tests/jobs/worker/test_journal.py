"""The journal: an intent before each call is sent, a result afterwards, each with its event and epoch."""

import asyncio
import time
from dataclasses import asdict, replace

import pytest
from django.utils import timezone

from jobs.acts import answers
from jobs.acts.answers import leave_unknown
from jobs.engine.results import Source, SpendLine, Stopped
from jobs.models import CallAttempt, Job, ToolCall
from jobs.store import feed
from jobs.store.calls import ANSWERED, call_hash
from jobs.tools.contract.calls import Call, Earlier, Outcome, ServerProcess
from jobs.tools.contract.errors import CircuitOpen, SpendRefused, ToolFailed, Unknown
from jobs.tools.contract.reply import Reply
from jobs.worker import leases
from jobs.worker.journal import JobJournal
from tests.jobs import spend, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
DONE = Outcome("done", took=1.25, waited=0.5, reply=Reply({"id": "c-1"}, "", (), "c-1", "/c-1", Source.LIVE))


@pytest.fixture
def job():
    return leases.claim(story.job().pk, "worker-a")


@pytest.fixture(params=[True, False], ids=["knows the rows", "looks for each row"])
def journal(job, writer, request):
    journal = JobJournal(job, writer)
    if request.param:
        asyncio.run(journal.begin())
    return journal


def call(step="creative.image.a", **values):
    values = {"stage": "creative", "server": "image-gen", "tool": "generate_image", "item": "a"} | values
    return Call(
        **{"job": "j", "order": 1.0, "step": step, "args": {"prompt": "sun"}, "key": "k" * 32} | values
    )


def types(job):
    return [one.event.type for one in feed.whole(job.pk)]


def test_an_intent_is_in_the_database_before_the_call_may_be_sent(journal, job):
    asyncio.run(journal.intent(call(), 1))
    row = ToolCall.objects.get(job=job)
    assert (row.state, row.attempts, row.args) == ("sent", 1, {"prompt": "sun"})
    attempt = row.tries.get()
    assert (attempt.number, attempt.epoch, attempt.outcome, attempt.ended_at) == (1, job.epoch, "", None)
    assert types(job)[-1] == "call:start"
    assert journal.in_flight("creative.image.a")
    assert 0 <= time.monotonic() - journal.sent_at("creative.image.a") < 20
    assert journal.sent_at("creative.image.b") is None


def test_only_a_successful_step_is_returned_as_done_and_asking_writes_nothing(journal, job):
    async def story_of_a_call():
        before = await journal.done("creative.image.a")
        await journal.intent(call(), 1)
        on_its_way = await journal.done("creative.image.a")
        await journal.result(call(), 1, DONE)
        return before, on_its_way, await journal.done("creative.image.a")

    before, on_its_way, done = asyncio.run(story_of_a_call())
    assert before is on_its_way is None
    assert (done.args, done.reply.remote_id) == ({"prompt": "sun"}, "c-1")
    assert types(job)[-2:] == ["call:start", "call:complete"]


def test_a_result_closes_its_attempt_and_emits_an_event(journal, job):
    async def story_of_a_call():
        await journal.intent(call(), 1)
        await journal.result(call(), 1, Outcome("retry", "429", delay=1.0, waited=0.25))
        await journal.intent(call(), 2)
        await journal.result(call(), 2, DONE)

    asyncio.run(story_of_a_call())
    row = ToolCall.objects.get(job=job)
    assert (row.state, row.attempts, row.remote_id, row.remote_url, row.source) == (
        "done",
        2,
        "c-1",
        "/c-1",
        "live",
    )
    assert (row.waited, row.took) == (0.75, 1.25)
    assert [attempt.outcome for attempt in row.tries.all()] == ["retry", "done"]
    assert types(job)[-4:] == ["call:start", "call:retry", "call:start", "call:complete"]
    assert not journal.in_flight("creative.image.a")


def test_no_intent_of_a_cancelled_job_is_written(journal, job):
    Job.objects.filter(pk=job.pk).update(cancel_asked_at=timezone.now())
    with pytest.raises(Stopped):
        asyncio.run(journal.intent(call(), 1))
    assert not ToolCall.objects.exists()
    assert "call:start" not in types(job)
    assert not journal.in_flight("creative.image.a")


def test_a_worker_whose_lease_is_lost_writes_nothing(journal, job):
    asyncio.run(journal.intent(call(), 1))
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now())
    assert leases.claim(job.pk, "worker-b").epoch == job.epoch + 1
    before = types(job)
    for work in (journal.intent(call("creative.image.b"), 1), journal.result(call(), 1, DONE)):
        with pytest.raises(Stopped):
            asyncio.run(work)
    assert types(job) == before
    assert ToolCall.objects.get(job=job).state == "sent"
    assert CallAttempt.objects.count() == 1


def test_the_reply_of_a_finished_call_is_returned(journal, job):
    async def done():
        await journal.intent(call(), 1)
        await journal.result(call(), 1, DONE)
        return await journal.recorded(call())

    reply = asyncio.run(done())
    assert (reply.data, reply.remote_id, reply.remote_url, reply.source) == (
        {"id": "c-1"},
        "c-1",
        "/c-1",
        Source.LIVE,
    )


def test_a_failed_call_stays_failed(journal):
    async def failed():
        await journal.intent(call(), 1)
        await journal.result(call(), 1, Outcome("failed", "no such advertiser"))
        await journal.recorded(call())

    with pytest.raises(ToolFailed, match="no such advertiser"):
        asyncio.run(failed())


def test_a_step_that_was_never_requested_has_nothing_recorded(journal):
    assert asyncio.run(journal.recorded(call())) == Earlier()


def test_a_call_that_was_never_sent_is_still_to_be_made(journal):
    async def waited():
        await journal.waiting(call(), 2, 2)
        return await journal.recorded(call())

    assert asyncio.run(waited()) == Earlier()
    assert ToolCall.objects.get().state == "waiting"


def taken_over(job, writer):
    """Return the journal of the next worker, after the first was lost."""
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now())
    return JobJournal(leases.claim(job.pk, "worker-b"), writer)


PROCESS = ServerProcess("host", "boot", "pids", 17, 4711)


def test_a_call_in_progress_when_its_worker_died_is_returned_with_its_process(journal, job, writer):
    asyncio.run(journal.intent(call(), 1, process=PROCESS))
    next_worker = taken_over(job, writer)
    earlier = asyncio.run(next_worker.recorded(call()))
    assert (earlier.attempts, earlier.sent.process, earlier.sent.args) == (1, PROCESS, {"prompt": "sun"})
    assert earlier.sent.at == CallAttempt.objects.get().sent_at
    assert next_worker.in_flight("creative.image.a"), "until its end is known it may be under way"
    asyncio.run(next_worker.result(call(), 1, DONE))
    attempt = CallAttempt.objects.get()
    assert (attempt.outcome, attempt.epoch) == ("done", job.epoch)
    assert attempt.ended_at
    assert not next_worker.in_flight("creative.image.a")


def test_a_call_that_waited_for_its_retry_continues_counting_attempts(journal, job, writer):
    async def retried():
        await journal.intent(call(), 1)
        await journal.result(call(), 1, Outcome("retry", "429"))

    asyncio.run(retried())
    assert asyncio.run(taken_over(job, writer).recorded(call())) == Earlier(1)


@pytest.mark.parametrize("done", [True, False])
def test_a_sent_call_with_other_arguments_becomes_unknown(journal, job, writer, done):
    async def sent():
        await journal.intent(call(), 1)
        if done:
            await journal.result(call(), 1, DONE)

    asyncio.run(sent())
    other = replace(call(), args={"prompt": "moon"})
    for _ in range(2):
        with pytest.raises(Unknown, match="different arguments"):
            asyncio.run(taken_over(job, writer).recorded(other))
    row = ToolCall.objects.get()
    assert (row.state, row.args, row.remote_id) == ("unknown", {"prompt": "sun"}, "c-1" if done else "")
    assert types(job).count("call:unknown") == 1


def test_a_different_folder_does_not_count_as_other_arguments(journal):
    first = call(args={"title": "Brief"}, placing=("parentFolderId",))

    async def done():
        await journal.intent(first, 1)
        await journal.result(first, 1, DONE)
        return await journal.recorded(replace(first, args={"title": "Brief", "parentFolderId": "f"}))

    assert asyncio.run(done()).remote_id == "c-1"


def test_a_call_that_was_never_done_may_be_sent_with_other_arguments(journal):
    async def changed():
        await journal.intent(call(), 1)
        await journal.result(call(), 1, Outcome("retry", "429"))
        await journal.intent(replace(call(), args={"prompt": "moon"}), 2)

    asyncio.run(changed())
    row = ToolCall.objects.get()
    assert (row.args, row.args_hash) == ({"prompt": "moon"}, call_hash(call(args={"prompt": "moon"})))


def test_a_resolved_call_matches_any_arguments(journal):
    async def done():
        await journal.intent(call(), 1)
        await journal.result(call(), 1, DONE)

    asyncio.run(done())
    ToolCall.objects.update(args_hash=ANSWERED)
    assert asyncio.run(journal.recorded(replace(call(), args={"prompt": "moon"}))).remote_id == "c-1"


def unknown(journal):
    """Return the row of a call whose result is unknown."""

    async def lost():
        await journal.intent(call(), 1, process=ServerProcess("h", "b", "p", 7, 8))
        await journal.result(call(), 1, Outcome("unknown", "it hung"))

    asyncio.run(lost())
    return ToolCall.objects.get()


def test_a_resolution_holds_for_any_arguments_of_the_next_run(journal):
    answers.resolve(unknown(journal), "exists", "c-9", "mara")
    reply = asyncio.run(journal.recorded(replace(call(), args={"prompt": "moon"})))
    assert reply.remote_id == "c-9"


def test_a_call_resolved_as_absent_is_looked_up_once_more(journal):
    row = unknown(journal)
    answers.resolve(row, "absent", "", "mara")
    earlier = asyncio.run(journal.recorded(call()))
    assert (earlier.sent, earlier.refused) == (None, False)
    assert (earlier.denied.at, earlier.denied.process.pid) == (row.tries.get().sent_at, 7)


def test_a_retried_skipped_call_is_looked_up_before_it_is_sent(journal):
    row = unknown(journal)
    answers.resolve(row, "skip", "", "mara")
    ToolCall.objects.update(state="waiting", error="")  # as a retry leaves it
    earlier = asyncio.run(journal.recorded(call()))
    assert (earlier.attempts, earlier.sent.process) == (1, ServerProcess("h", "b", "p", 7, 8))
    assert earlier.sent.at == row.tries.get().sent_at
    assert "never settled" in earlier.sent.why
    assert journal.in_flight("creative.image.a")
    with pytest.raises(Unknown, match="different arguments"):
        asyncio.run(journal.recorded(replace(call(), args={"prompt": "moon"})))


@pytest.mark.parametrize(("end", "said"), [("unknown", "unknown"), ("retry", "retry"), ("done", "done")])
def test_a_call_in_progress_at_the_end_of_its_job_is_looked_up_once_in_a_later_round(journal, job, end, said):
    asyncio.run(journal.intent(call(), 1))
    leave_unknown(job, "the job was cancelled")
    ToolCall.objects.update(state="waiting", error="")  # as a retry leaves it
    earlier = asyncio.run(journal.recorded(call()))
    assert earlier.sent is not None and earlier.denied is None
    reply = DONE.reply if end == "done" else None
    asyncio.run(journal.result(call(), 1, Outcome(end, "looked up", reply=reply)))
    assert ToolCall.objects.get().tries.get().outcome == said, "it was looked up and is not lost any more"


def test_a_failed_call_keeps_what_it_left_behind_for_a_later_run(journal):
    async def half_made():
        await journal.intent(call(), 1)
        left = Reply({"id": "d-1"}, "no content", (), "d-1", "/d-1", Source.LIVE)
        await journal.result(call(), 1, Outcome("failed", "no content", reply=left))

    asyncio.run(half_made())
    with pytest.raises(ToolFailed) as failed:
        asyncio.run(journal.recorded(call()))
    assert (failed.value.reply.remote_id, failed.value.reply.remote_url) == ("d-1", "/d-1")


def test_skipped_and_unknown_calls_are_not_sent(journal):
    asyncio.run(journal.waiting(call(), 1, 1))
    for state, kind in (("skipped", ToolFailed), ("unknown", Unknown)):
        ToolCall.objects.update(state=state, error=f"{state} by mara")
        with pytest.raises(kind, match=f"{state} by mara"):
            asyncio.run(journal.recorded(call()))


def test_a_retried_call_is_marked_if_its_tool_reported_failure(journal):
    async def failed():
        await journal.intent(call(), 1)
        await journal.result(call(), 1, Outcome("failed", "the service timed out"))

    asyncio.run(failed())
    ToolCall.objects.update(state="waiting")  # as a retry does
    assert asyncio.run(journal.recorded(call())) == Earlier(1, refused=True)


def test_a_spending_call_needs_a_user_who_allowed_it(journal, job):
    with pytest.raises(SpendRefused):
        asyncio.run(journal.intent(call(), 1, spends=True))
    assert "call:start" not in types(job)
    assert not ToolCall.objects.exists()
    Job.objects.update(spend_by=spend.spender())
    with pytest.raises(SpendRefused, match="no one has allowed this line"):
        asyncio.run(journal.intent(call(), 1, spends=True))
    line = SpendLine("a", "A", call().server, "c-7", "1", "USD", "", "", "", "live")
    Job.objects.update(confirmed={"lines": [asdict(line)]})
    with pytest.raises(SpendRefused, match="no one has allowed this line"):
        asyncio.run(journal.intent(replace(call(), args={"id": "c-8"}), 1, spends=True))
    assert not ToolCall.objects.exists()
    Job.objects.get().spend_by.user_permissions.clear()
    with pytest.raises(SpendRefused, match="no longer has permission to spend"):
        asyncio.run(journal.intent(replace(call(), args={"id": "c-7"}), 1, spends=True))
    assert not ToolCall.objects.exists()
    Job.objects.update(spend_by=spend.spender("ines"))
    asyncio.run(journal.intent(replace(call(), args={"id": "c-7"}), 1, spends=True))
    assert ToolCall.objects.get().state == "sent"


def test_a_stopping_worker_writes_no_intent(job, writer):
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(Stopped):
        asyncio.run(JobJournal(job, writer, stop).intent(call(), 1))
    assert not ToolCall.objects.exists()


def test_an_open_circuit_is_recorded_once(journal, job):
    refused = Outcome("failed", "left alone", error=CircuitOpen("image-gen", "no answer"))

    async def story_of_two_calls():
        await journal.result(call("a"), 1, refused)
        await journal.result(call("b"), 1, refused)
        await journal.result(call("c"), 1, DONE)
        await journal.result(call("d"), 1, refused)

    asyncio.run(story_of_two_calls())
    assert types(job).count("job:server-down") == 2
    assert feed.progress(job.pk).down == {"image-gen": "no answer"}


def test_calls_that_a_broken_job_leaves_in_progress_become_unknown(journal, job):
    asyncio.run(journal.intent(call(), 1))
    assert leave_unknown(job, "the job broke") == 1
    assert leave_unknown(job, "the job broke") == 0
    row, why = ToolCall.objects.get(), "the job broke; a retry looks it up"
    assert (row.state, row.error, row.tries.get().outcome) == ("unknown", why, "lost")
    assert types(job)[-1] == "call:unknown"


def test_an_attempt_without_a_row_gets_the_time_of_its_call(journal, job, writer):
    asyncio.run(journal.intent(call(), 1))
    CallAttempt.objects.all().delete()
    earlier = asyncio.run(taken_over(job, writer).recorded(call()))
    assert (earlier.sent.process, earlier.sent.at) == (None, ToolCall.objects.get().created_at)
