"""The journal: an intent before each sending, a result after it, each with its event and its epoch."""

import asyncio

import pytest
from django.utils import timezone

from jobs import actions, feed
from jobs.journal import JobJournal
from jobs.models import CallAttempt, Job, ToolCall
from jobs.tools.calls import Call, Outcome
from jobs.tools.errors import ToolFailed, Unknown
from jobs.tools.reply import Reply
from jobs.workflow.results import Source, Stopped
from jobs.writer import Writer
from tests.jobs import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
DONE = Outcome("done", took=1.25, waited=0.5, reply=Reply({"id": "c-1"}, "", (), "c-1", "/c-1", Source.LIVE))


@pytest.fixture
def writer():
    made = Writer()
    yield made
    made.close()


@pytest.fixture
def job():
    return actions.claim(story.job().pk, "worker-a")


@pytest.fixture
def journal(job, writer):
    return JobJournal(job, writer)


def call(step="creative.image.a", **values):
    values = {"stage": "creative", "server": "image-gen", "tool": "generate_image", "item": "a"} | values
    return Call(job="j", order=1.0, step=step, args={"prompt": "sun"}, key="k" * 32, **values)


def types(job):
    return [one.event.type for one in feed.whole(job.pk)]


def test_an_intent_stands_in_the_database_before_the_call_may_be_sent(journal, job):
    asyncio.run(journal.intent(call(), 1))
    row = ToolCall.objects.get(job=job)
    assert (row.state, row.attempts, row.args) == ("sent", 1, {"prompt": "sun"})
    attempt = row.tries.get()
    assert (attempt.number, attempt.epoch, attempt.outcome, attempt.ended_at) == (1, job.epoch, "", None)
    assert types(job)[-1] == "call:start"
    assert journal.in_flight("creative.image.a")


def test_a_result_closes_its_attempt_and_tells_it(journal, job):
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
    assert actions.claim(job.pk, "worker-b").epoch == job.epoch + 1
    before = types(job)
    for work in (journal.intent(call("creative.image.b"), 1), journal.result(call(), 1, DONE)):
        with pytest.raises(Stopped):
            asyncio.run(work)
    assert types(job) == before
    assert ToolCall.objects.get(job=job).state == "sent"
    assert CallAttempt.objects.count() == 1


def test_what_is_done_is_given_back_and_not_done_again(journal, job):
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


def test_what_failed_stays_failed(journal):
    async def failed():
        await journal.intent(call(), 1)
        await journal.result(call(), 1, Outcome("failed", "no such advertiser"))
        await journal.recorded(call())

    with pytest.raises(ToolFailed, match="no such advertiser"):
        asyncio.run(failed())


def test_what_was_never_sent_is_still_to_be_done(journal):
    async def waited():
        await journal.waiting(call(), 2, 2)
        return await journal.recorded(call())

    assert asyncio.run(waited()) is None
    assert ToolCall.objects.get().state == "waiting"


def test_a_call_that_was_under_way_when_its_worker_died_is_unknown_and_not_sent_again(journal, job, writer):
    asyncio.run(journal.intent(call(), 1))
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now())
    next_worker = JobJournal(actions.claim(job.pk, "worker-b"), writer)
    for _ in range(2):
        with pytest.raises(Unknown, match="may have taken effect"):
            asyncio.run(next_worker.recorded(call()))
    assert ToolCall.objects.get(job=job).state == "unknown"
    assert types(job).count("call:unknown") == 1


def test_a_read_that_was_under_way_when_its_worker_died_is_simply_done_again(journal, job, writer):
    asyncio.run(journal.intent(call(), 1))
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now())
    next_worker = JobJournal(actions.claim(job.pk, "worker-b"), writer)
    assert asyncio.run(next_worker.recorded(call(), repeatable=True)) is None
    assert "call:unknown" not in types(job)
