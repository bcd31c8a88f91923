"""The event log: numbering, guarding, and what clients read."""

import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from jobs.engine import events as ev
from jobs.engine.results import JobStatus
from jobs.models import Artifact, Job, WorkflowEvent
from jobs.store import doorbell, feed, outbox
from tests.engine.test_events import EVERY
from tests.jobs import acting, story

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


def test_the_row_says_that_a_job_runs_as_soon_as_it_is_taken_up_again():
    job = story.job()
    feed.append(job.pk, [ev.JobResumed(epoch=2, reason="lost")])
    job.refresh_from_db()
    assert job.status == feed.progress(job.pk).status == JobStatus.RUNNING


def test_a_stage_counts_as_ended_by_its_latest_end_unless_a_later_round_runs_it_anew():
    job = story.job(plan=acting.PLAN)
    again = ev.JobRetrying(by="mara", round=2, stages=["creative"])
    feed.append(job.pk, [acting.end("brief"), acting.end("creative", "failed"), again])
    assert set(feed.ends(job.pk)) == {"brief"}
    job.refresh_from_db()
    assert (job.stages_ended, job.round, job.status) == (1, 2, JobStatus.QUEUED)
    feed.append(job.pk, [acting.end("creative", "partial")])
    assert feed.ends(job.pk)["creative"].status == "partial"
    job.refresh_from_db()
    assert job.stages_ended == 2


def test_a_later_result_of_a_stage_takes_away_what_it_does_not_hold_any_more_and_nothing_of_others():
    job = story.job(plan=acting.PLAN)
    feed.append(job.pk, [acting.end("brief", "failed", acting.made("fallback.md"), acting.made("kept.md"))])
    feed.append(job.pk, [acting.end("creative", "completed", acting.made("image.png"))])
    feed.append(job.pk, [acting.end("brief", "completed", acting.made("kept.md"), acting.made("real.md"))])
    names = set(Artifact.objects.filter(job=job).values_list("name", flat=True))
    assert names == {"kept.md", "real.md", "image.png"}


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


def test_the_log_goes_with_its_job():
    job = story.ended_job()
    Job.objects.filter(pk=job.pk).delete()
    assert WorkflowEvent.objects.count() == 0
    assert feed.heads([job.pk]) == {}


def test_what_a_later_stage_makes_anew_is_that_stages_in_the_rows_as_in_the_fold():
    job = story.job(plan=acting.PLAN)
    paused, live = acting.made("line.md"), replace(acting.made("line.md"), note="ACTIVE")

    def shown() -> list[tuple[str, str]]:
        (row,) = Artifact.objects.filter(job=job)
        progress = feed.progress(job.pk)
        (one,) = progress.artifacts
        (stage,) = [stage.id for stage in progress.stages if progress.artifacts_of(stage)]
        assert (row.stage, row.note) == (stage, one.note)
        return [(stage, one.note)]

    feed.append(job.pk, [acting.end("brief", "completed", paused)])
    assert shown() == [("brief", "")]
    feed.append(job.pk, [acting.end("report", "completed", live)])
    assert shown() == [("report", "ACTIVE")]
    feed.append(job.pk, [acting.end("brief", "completed", paused)])  # a later round of the first stage
    assert shown() == [("report", "ACTIVE")]


def test_an_activation_runs_its_stage_anew_and_is_no_retry():
    job = acting.ended(acting.end("creative", "partial"))
    told = ev.JobActivating(by="sol", round=2, stage="report", stage_name="Report", digest="d", what="1 line")
    feed.append(job.pk, [told])
    job.refresh_from_db()
    assert (job.status, job.round, job.stages_ended) == (JobStatus.QUEUED, 2, 2)
    assert set(feed.ends(job.pk)) == {"brief", "creative"}


@pytest.mark.parametrize(
    "event", [one for one in EVERY if not isinstance(one, feed.MORE_THAN_LOG)], ids=lambda event: event.type
)
def test_an_event_for_which_the_row_is_not_read_changes_nothing_but_the_log(event):
    job = story.job()
    before = Job.objects.filter(pk=job.pk).values().get()
    [one] = feed.append(job.pk, [event])
    with CaptureQueriesContext(connection) as asked:
        feed._project(job, event, one.at)
        outbox.notify(job, one)
    assert not asked.captured_queries
    assert Job.objects.filter(pk=job.pk).values().get() == before | {"last_seq": one.seq}


def test_what_begins_something_is_refused_once_somebody_has_asked_to_cancel():
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
