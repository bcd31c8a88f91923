"""The writer: writes are ordered, committed before they are reported, and isolated from each other."""

import asyncio
import threading
import time
import uuid

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from jobs.models import Job, WorkflowEvent
from jobs.store.writer import LARGEST_BATCH, Writer, WriterClosed
from tests.jobs import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


def rename(job, title):
    return lambda: Job.objects.filter(pk=job.pk).update(title=title)


async def together(writer, *writes):
    """Return the results of writes committed together: the writer is kept busy until all are queued."""
    begun, free = threading.Event(), threading.Event()
    busy = asyncio.create_task(writer.run(lambda: (begun.set(), free.wait(10))))
    await asyncio.to_thread(begun.wait, 10)
    rest = asyncio.gather(*writes, return_exceptions=True)
    while writer._queue.empty():  # noqa: ASYNC110 - the loop's next turns hand them over
        await asyncio.sleep(0)
    free.set()
    await busy
    return await rest


def test_a_write_is_committed_before_its_caller_continues(writer):
    job = story.job()
    assert asyncio.run(writer.run(rename(job, "new"))) == 1
    assert not connection.in_atomic_block
    assert Job.objects.get(pk=job.pk).title == "new"


def test_writes_happen_in_the_order_of_the_requests(writer):
    seen = []

    async def ask():
        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(writer.run(lambda number=number: seen.append(number)))

    asyncio.run(ask())
    assert seen == list(range(300))


def test_only_the_failed_write_is_rolled_back(writer):
    job, other = story.job(), story.job()

    def fail():
        Job.objects.filter(pk=job.pk).update(title="half")
        raise IntegrityError("no")

    async def ask():
        return await asyncio.gather(
            writer.run(fail), writer.run(rename(other, "whole")), return_exceptions=True
        )

    failed, done = asyncio.run(ask())
    assert isinstance(failed, IntegrityError)
    assert done == 1
    assert Job.objects.get(pk=job.pk).title == "Aurora One"
    assert Job.objects.get(pk=other.pk).title == "whole"


def test_waiting_writes_are_committed_in_one_transaction(writer):
    commits = []

    async def ask():
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(
                    writer.run(lambda number=number: transaction.on_commit(lambda: commits.append(number)))
                )

    asyncio.run(ask())
    assert commits == list(range(50))


def test_a_write_is_completed_although_its_caller_was_cancelled(writer):
    job = story.job()

    async def ask():
        task = asyncio.create_task(writer.run(rename(job, "kept")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await writer.run(lambda: None)

    asyncio.run(ask())
    assert Job.objects.get(pk=job.pk).title == "kept"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="needs PostgreSQL; DATABASE_URL names it")
def test_no_write_is_lost_if_the_server_ended_the_session_while_the_process_slept(writer):
    job, other, tries = story.job(), story.job(), []

    def sleep():
        tries.append(1)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
            if len(tries) == 1:
                time.sleep(0.3)
            cursor.execute("SELECT 1")
        return rename(job, "slept")()

    async def ask():
        return await together(writer, writer.run(rename(other, "before")), writer.run(sleep))

    assert asyncio.run(ask()) == [1, 1]
    assert len(tries) == 2
    assert set(Job.objects.values_list("title", flat=True)) == {"slept", "before"}


def test_a_silently_rolled_back_batch_is_repeated(writer):
    job, tries = story.job(), []

    def refuse(savepoint):
        del connection.savepoint_rollback
        raise OperationalError("the connection is gone")

    def fail():
        tries.append(1)
        if len(tries) == 1:  # Django then marks the whole transaction, and rolls it back when it ends
            connection.savepoint_rollback = refuse
        raise ValueError("no")

    async def ask():
        return await together(writer, writer.run(rename(job, "whole")), writer.run(fail))

    done, failed = asyncio.run(ask())
    assert done == 1 and isinstance(failed, ValueError) and len(tries) == 2
    assert Job.objects.get(pk=job.pk).title == "whole"


def test_closing_commits_waiting_writes():
    writer, job = Writer(), story.job()

    async def ask():
        task = asyncio.create_task(writer.run(rename(job, "last")))
        await asyncio.sleep(0)
        await asyncio.to_thread(writer.close)
        return await task

    assert asyncio.run(ask()) == 1
    assert Job.objects.get(pk=job.pk).title == "last"


def test_a_write_refused_at_the_commit_fails_alone_and_the_writer_continues(writer):
    job = story.job()

    def orphan():  # foreign keys are checked at the commit
        WorkflowEvent.objects.create(job_id=uuid.uuid4(), seq=1, type="x", payload={}, at=timezone.now())

    async def ask():
        both = asyncio.gather(writer.run(orphan), writer.run(rename(job, "whole")), return_exceptions=True)
        return await asyncio.wait_for(both, 10), await asyncio.wait_for(writer.run(lambda: "next"), 10)

    (fallen, done), after = asyncio.run(ask())
    assert isinstance(fallen, IntegrityError)
    assert (done, after) == (1, "next")
    assert Job.objects.get(pk=job.pk).title == "whole"


def test_a_write_refused_once_at_the_commit_is_repeated_from_the_start(writer):
    job, seen = (
        story.job(),
        [uuid.uuid4()],
    )  # as if another session deleted a row between the read and the commit

    def end():
        gone = seen.pop() if seen else job.pk
        WorkflowEvent.objects.create(job_id=gone, seq=9, type="x", payload={}, at=timezone.now())
        return "written"

    assert asyncio.run(asyncio.wait_for(writer.run(end), 10)) == "written"
    assert WorkflowEvent.objects.get(seq=9).job_id == job.pk


def test_a_permanently_refused_write_does_not_affect_others(writer, monkeypatch):
    monkeypatch.setattr("jobs.store.writer.TRIES", 2)
    jobs = [story.job(), story.job()]

    def refused():
        raise OperationalError("string too long")

    async def ask():
        works = [rename(jobs[0], "first"), refused, rename(jobs[1], "last")]
        both = asyncio.gather(*map(writer.run, works), return_exceptions=True)
        return await asyncio.wait_for(both, 10)

    first, fallen, last = asyncio.run(ask())
    assert (first, last) == (1, 1)
    assert isinstance(fallen, OperationalError)
    assert {job.title for job in Job.objects.all()} == {"first", "last"}


def test_every_caller_gets_an_error_in_bounded_time_if_the_database_is_down(writer, monkeypatch):
    monkeypatch.setattr("jobs.store.writer.TRIES", 1)
    monkeypatch.setattr("jobs.store.writer.ONE_BY_ONE_SECONDS", 0.0)
    asked = []

    def away(number):
        asked.append(number)
        raise OperationalError("the server closed the connection")

    async def ask():
        writes = [writer.run(lambda number=number: away(number)) for number in range(50)]
        return await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 10)

    assert {type(one) for one in asyncio.run(ask())} == {OperationalError}
    assert len(asked) < 10


def test_an_error_after_a_commit_affects_neither_the_write_nor_the_writer(writer):
    job, done = story.job(), []

    def broken():
        raise OSError("too many open files")

    def write():
        transaction.on_commit(broken)
        done.append(rename(job, "kept")())

    async def ask():
        await asyncio.wait_for(writer.run(write), 10)
        return await asyncio.wait_for(writer.run(lambda: "next"), 10)

    assert asyncio.run(ask()) == "next"
    assert done == [1]
    assert Job.objects.get(pk=job.pk).title == "kept"


def test_a_closed_writer_refuses_writes_immediately():
    writer = Writer()
    writer.close()
    with pytest.raises(WriterClosed):
        asyncio.run(writer.run(lambda: None))


def test_writes_of_one_loop_iteration_and_of_tasks_they_wake_commit_together(writer):
    seen: list[bool] = []

    def note():
        transaction.on_commit(lambda: seen.append(True))

    async def ends(free: asyncio.Event):
        free.set()
        await writer.run(note)

    async def begins(free: asyncio.Event):
        await free.wait()
        await writer.run(lambda: note() or len(seen))

    async def both():
        free = asyncio.Event()
        waiting = asyncio.create_task(begins(free))
        await asyncio.sleep(0)
        await ends(free)
        await waiting

    batches = []
    commit = writer._commit
    writer._commit = lambda batch: (batches.append(len(batch)), commit(batch))
    asyncio.run(both())
    assert (batches, len(seen)) == ([2], 2)


def test_writes_of_one_loop_iteration_hold_the_database_for_at_most_a_batch(writer):
    seen, batches, commit = [], [], writer._commit
    writer._commit = lambda batch: (batches.append(len(batch)), commit(batch))

    async def ask():
        asked = (writer.run(lambda number=number: seen.append(number)) for number in range(450))
        await asyncio.gather(*asked)

    asyncio.run(ask())
    assert (batches, seen) == ([LARGEST_BATCH, LARGEST_BATCH, 50], list(range(450)))


def test_writes_requested_just_before_closing_are_committed():
    writer, job = Writer(), story.job()

    async def ask():
        asking = asyncio.create_task(writer.run(rename(job, "last")))
        await asyncio.sleep(0)  # requested, but not queued yet
        writer.close()
        return await asking

    assert asyncio.run(ask()) == 1
    assert Job.objects.get(pk=job.pk).title == "last"


def test_a_loop_that_ended_early_delays_neither_its_write_nor_another_loop(writer):
    job, other, first = story.job(), story.job(), asyncio.new_event_loop()
    left = first.create_task(writer.run(rename(job, "first")))
    first.call_soon(first.stop)  # requested, but not queued yet
    first.run_forever()
    first.close()
    assert asyncio.run(asyncio.wait_for(writer.run(rename(other, "second")), 10)) == 1
    assert not left.done()
    assert [Job.objects.get(pk=one.pk).title for one in (job, other)] == ["first", "second"]


def test_writes_requested_while_the_writer_closes_are_refused_immediately():
    writer, job = Writer(), story.job()

    class Gate:
        """The writer's gate; asks for a write as soon as it is released while the writer closes."""

        def __init__(self, gate) -> None:
            self.gate, self.asking = gate, None

        def __enter__(self) -> None:
            self.gate.acquire()

        def __exit__(self, *about: object) -> None:
            self.gate.release()
            if self.asking is None:
                self.asking = asyncio.ensure_future(writer.run(rename(job, "late")), loop=loop)
                loop.call_soon(loop.stop)
                loop.run_forever()

    loop = asyncio.new_event_loop()
    writer._gate = gate = Gate(writer._gate)
    writer.close()
    with pytest.raises(WriterClosed):
        loop.run_until_complete(asyncio.wait_for(gate.asking, 10))
    loop.close()
    assert Job.objects.get(pk=job.pk).title == "Aurora One"
