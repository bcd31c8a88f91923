"""The event log: numbering, guarding, and what clients read."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from jobs import doorbell, feed
from jobs.models import Artifact, Job, WorkflowEvent
from jobs.workflow.results import JobStatus
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


def test_seq_has_no_gap_and_no_double_however_many_write_at_once():
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


def test_the_bell_rings_after_the_commit_and_not_at_all_without_one(bell):
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


def test_the_row_and_the_artifacts_follow_the_events():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    job.refresh_from_db()
    assert (job.status, job.stages_ended) == (JobStatus.RUNNING, 0)
    feed.append(job.pk, story.end("partial"))
    job.refresh_from_db()
    assert (job.status, job.stages_ended, job.ended) == (JobStatus.PARTIAL, 1, True)
    assert [(one.name, one.stage) for one in Artifact.objects.filter(job=job)] == [
        ("creative-1x1.png", "creative")
    ]


def test_a_long_log_is_read_page_by_page_in_order():
    job = story.job()
    feed.append(job.pk, [story.step(n) for n in range(1, feed.PAGE + 50)])
    assert story.seqs(feed.whole(job.pk)) == list(range(1, feed.PAGE + 51))
    assert story.seqs(feed.after(job.pk, 5, 3)) == [6, 7, 8]
    assert feed.after(job.pk, feed.PAGE + 50) == []
    assert feed.progress(job.pk).stage("creative").current == feed.PAGE + 49


def test_clients_read_camel_case_with_links_and_nothing_of_what_stays_inside():
    job = story.ended_job()
    stage, whole = [feed.public(job.pk, one) for one in feed.after(job.pk, 4)]
    assert stage["type"] == "stage:complete"
    assert (stage["jobId"], stage["stageName"], stage["stageIndex"], stage["totalStages"]) == (
        str(job.pk),
        "Generate Creatives",
        1,
        2,
    )
    assert stage["timestamp"].endswith("Z")
    assert "data" not in stage
    assert "error" not in stage
    url = f"/api/jobs/{job.pk}/artifacts/creative-1x1.png"
    assert stage["artifacts"] == [
        {
            "name": "creative-1x1.png",
            "title": "Square",
            "kind": "image",
            "source": "local",
            "url": url,
            "fileUrl": url,
        }
    ]
    assert whole["type"] == "workflow:complete"
    assert whole["status"] == "completed"


def test_only_the_end_of_the_job_is_its_end():
    job = story.ended_job()
    assert [feed.is_end(one) for one in feed.whole(job.pk)] == [False] * 5 + [True]


def test_the_log_goes_with_its_job():
    job = story.ended_job()
    Job.objects.filter(pk=job.pk).delete()
    assert WorkflowEvent.objects.count() == 0
    assert feed.heads([job.pk]) == {}
