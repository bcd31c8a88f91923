"""The event log: how events are numbered, guarded, read and announced."""

import socket
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from jobs.engine import events as ev
from jobs.models import Job, WorkflowEvent
from jobs.store import doorbell, feed
from tests.jobs import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


def heard(bell: socket.socket) -> list[str]:
    rings = []
    try:
        while True:
            rings.append(bell.recv(64).decode())
    except BlockingIOError:
        return rings


@pytest.fixture
def bell():
    bell = doorbell.hang("test-feed")
    yield bell
    doorbell.take_down(bell)


def test_seqs_have_no_gaps_and_no_duplicates_with_concurrent_writers():
    job = story.job()

    def write(number: int) -> None:
        try:
            for _ in range(5):
                feed.append(job.pk, [story.step(number), story.step(number)])
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(write, range(10)))
    assert story.seqs(feed.whole(job.pk)) == list(range(1, 102))
    assert feed.heads([job.pk]) == {job.pk: 101}


def test_a_worker_whose_lease_is_lost_writes_nothing():
    job = story.job(epoch=3)
    with pytest.raises(feed.LeaseLost):
        feed.append(job.pk, [story.begin()], epoch=2)
    assert story.seqs(feed.whole(job.pk)) == [1]
    assert feed.heads([job.pk]) == {job.pk: 1}
    feed.append(job.pk, [story.begin()], epoch=3)
    assert story.seqs(feed.whole(job.pk)) == [1, 2]


def test_the_bell_rings_only_after_a_commit(bell):
    job = story.job()
    heard(bell)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        feed.append(job.pk, [story.begin()])
        1 / 0  # noqa: B018
    assert heard(bell) == []
    assert story.seqs(feed.whole(job.pk)) == [1]
    with transaction.atomic():
        feed.append(job.pk, [story.begin()])
        assert heard(bell) == []
    assert heard(bell) == [str(job.pk)]


def test_a_long_log_is_read_page_by_page_in_order():
    job = story.job()
    feed.append(job.pk, [story.step(n) for n in range(1, feed.PAGE + 50)])
    assert story.seqs(feed.whole(job.pk)) == list(range(1, feed.PAGE + 51))
    assert story.seqs(feed.after(job.pk, 5, 3)) == [6, 7, 8]
    assert feed.after(job.pk, feed.PAGE + 50) == []
    assert feed.progress(job.pk).stage("creative").current == feed.PAGE + 49


def test_the_log_is_deleted_with_its_job():
    job = story.ended_job()
    Job.objects.filter(pk=job.pk).delete()
    assert WorkflowEvent.objects.count() == 0
    assert feed.heads([job.pk]) == {}


def test_events_that_start_work_are_refused_after_a_cancel():
    job = story.job()
    feed.append(job.pk, [story.begin()], begins=True)
    feed.append(job.pk, [ev.JobCancelling(by="mara")])
    before = Job.objects.get(pk=job.pk).last_seq
    with pytest.raises(feed.Cancelled):
        feed.append(job.pk, [story.begin()], begins=True)
    with pytest.raises(feed.LeaseLost):
        feed.append(uuid.uuid4(), [story.begin()], begins=True)
    feed.append(job.pk, [story.begin()])
    assert Job.objects.get(pk=job.pk).last_seq == before + 1
