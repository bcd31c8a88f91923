"""The journal's knowledge of its rows matches what was committed, even after rollbacks and lost answers."""

import asyncio

import pytest
from django.db import OperationalError

from jobs.models import CallAttempt, ToolCall
from jobs.store import rows
from jobs.store import writer as writer_room
from jobs.tools.contract.calls import Earlier
from jobs.worker import leases
from jobs.worker.journal import JobJournal
from tests.jobs import story
from tests.jobs.worker.test_journal import DONE, call

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


@pytest.fixture
def job():
    return leases.claim(story.job().pk, "worker-a")


@pytest.fixture(params=[True, False], ids=["knows the rows", "looks for each row"])
def journal(job, writer, request):
    journal = JobJournal(job, writer)
    if request.param:
        asyncio.run(journal.begin())
    return journal


def test_a_journal_that_knows_the_rows_finds_the_results_of_an_earlier_run(journal, job, writer):
    asyncio.run(journal.intent(call(), 1))
    asyncio.run(journal.result(call(), 1, DONE))
    later = JobJournal(leases.claim(job.pk, "worker-b") or job, writer)
    asyncio.run(later.begin())
    assert asyncio.run(later.recorded(call())).remote_id == "c-1"
    assert asyncio.run(later.done("creative.image.a")).reply.remote_id == "c-1"
    assert asyncio.run(later.recorded(call("creative.image.b"))) == Earlier()
    assert asyncio.run(later.done("creative.image.b")) is None


def test_a_rolled_back_intent_leaves_nothing_for_a_later_intent_to_rely_on(journal, job, monkeypatch):
    whole = rows.insert

    def broken(model, **values):
        if model is CallAttempt:
            raise ValueError("no room")
        return whole(model, **values)

    monkeypatch.setattr(rows, "insert", broken)
    with pytest.raises(ValueError, match="no room"):
        asyncio.run(journal.intent(call(), 1))
    assert not ToolCall.objects.exists() and not journal.in_flight("creative.image.a")
    monkeypatch.undo()
    asyncio.run(journal.intent(call(), 1))
    asyncio.run(journal.result(call(), 1, DONE))
    [row] = ToolCall.objects.all()
    assert (row.state, row.tries.get().outcome) == ("done", "done")


def test_an_intent_of_a_cancelled_caller_is_found_by_the_next_caller(journal, job):
    async def gone() -> None:
        asking = asyncio.create_task(journal.intent(call(), 1))
        await asyncio.sleep(0)  # the write is requested
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await journal.writer.run(lambda: None)  # and committed although its caller was cancelled
        await journal.intent(call(), 2)

    asyncio.run(gone())
    [row] = ToolCall.objects.all()
    assert (row.attempts, row.tries.count()) == (2, 2)


def test_an_intent_is_found_on_repetition_if_it_was_committed_without_an_answer(journal, job, monkeypatch):
    answers = iter([OperationalError("the connection is gone")])
    transact = writer_room._transact
    monkeypatch.setattr(writer_room, "_transact", lambda batch: transact(batch) or next(answers, None))
    asyncio.run(journal.intent(call(), 1))
    asyncio.run(journal.result(call(), 1, DONE))
    [row] = ToolCall.objects.all()
    assert (row.state, row.attempts, row.remote_id) == ("done", 1, "c-1")
    assert [one.outcome for one in row.tries.all()] == ["done"]
