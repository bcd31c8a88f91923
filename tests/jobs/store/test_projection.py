"""The projection: how the job's row and its artifacts follow the events."""

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.engine import events as ev
from jobs.engine.results import JobStatus
from jobs.models import Artifact, Job
from jobs.store import feed, outbox, projection
from tests.jobs import acting, story
from tests.jobs.engine.test_events import EVERY

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


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


def test_a_resumed_job_counts_as_running_at_once():
    job = story.job()
    feed.append(job.pk, [ev.JobResumed(epoch=2, reason="lost")])
    job.refresh_from_db()
    assert job.status == feed.progress(job.pk).status == JobStatus.RUNNING


def test_a_stage_counts_by_its_latest_end_until_a_later_round_runs_it_again():
    job = story.job(plan=acting.PLAN)
    again = ev.JobRetrying(by="mara", round=2, stages=["creative"])
    feed.append(job.pk, [acting.end("brief"), acting.end("creative", "failed"), again])
    assert set(projection.ends(job.pk)) == {"brief"}
    job.refresh_from_db()
    assert (job.stages_ended, job.round, job.status) == (1, 2, JobStatus.QUEUED)
    feed.append(job.pk, [acting.end("creative", "partial")])
    assert projection.ends(job.pk)["creative"].status == "partial"
    job.refresh_from_db()
    assert job.stages_ended == 2


def test_a_later_result_deletes_only_the_stages_own_missing_artifacts():
    job = story.job(plan=acting.PLAN)
    feed.append(job.pk, [acting.end("brief", "failed", acting.made("fallback.md"), acting.made("kept.md"))])
    feed.append(job.pk, [acting.end("creative", "completed", acting.made("image.png"))])
    feed.append(job.pk, [acting.end("brief", "completed", acting.made("kept.md"), acting.made("real.md"))])
    names = set(Artifact.objects.filter(job=job).values_list("name", flat=True))
    assert names == {"kept.md", "real.md", "image.png"}


def test_an_artifact_replaced_by_a_later_stage_belongs_to_that_stage():
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


def test_an_activation_reruns_only_its_stage():
    job = acting.ended(acting.end("creative", "partial"))
    activating = ev.JobActivating(
        by="sol", round=2, stage="report", stage_name="Report", digest="d", what="1 line"
    )
    feed.append(job.pk, [activating])
    job.refresh_from_db()
    assert (job.status, job.round, job.stages_ended) == (JobStatus.QUEUED, 2, 2)
    assert set(projection.ends(job.pk)) == {"brief", "creative"}


@pytest.mark.parametrize(
    "event", [one for one in EVERY if not isinstance(one, feed.MORE_THAN_LOG)], ids=lambda event: event.type
)
def test_an_event_outside_more_than_log_changes_only_the_log(event):
    job = story.job()
    before = Job.objects.filter(pk=job.pk).values().get()
    [one] = feed.append(job.pk, [event])
    with CaptureQueriesContext(connection) as asked:
        projection.project(job, event, one.at)
        outbox.notify(job, one)
    assert not asked.captured_queries
    assert Job.objects.filter(pk=job.pk).values().get() == before | {"last_seq": one.seq}
