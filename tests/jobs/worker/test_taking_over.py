"""How a worker handles cancels, rounds, lost leases and dead workers, with real servers."""

import signal
import socket
import subprocess
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F
from django.utils import timezone

from jobs.acts import actions
from jobs.models import Job, ToolCall, WorkerBeat
from jobs.store import feed
from jobs.tools.wire import fence
from jobs.worker import leases, runtime
from jobs.worker.runtime import Runtime
from tests import fakes
from tests.jobs import story
from tests.jobs.working import SOON, launch, run, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage, pytest.mark.slow]


def test_a_cancelled_job_lets_its_calls_finish_sends_nothing_more_and_ends_in_seconds(world, worker):
    ledger = world(latency=0.6)
    job, one = launch(), worker()
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    until(lambda: len(fakes.ledger(ledger, "start", "create_campaign")) == 2)
    actions.cancel(job, story.user())
    thread.join(SOON)
    job.refresh_from_db()
    assert (job.status, job.lease_until, job.leased_by) == ("cancelled", None, "")
    assert len(fakes.ledger(ledger, "effect", "create_campaign")) == 2
    assert sorted(ToolCall.objects.values_list("state", flat=True)) == ["done", "done", "waiting"]
    assert feed.progress(job.pk).status == "cancelled"
    assert run(worker(), job).epoch == 1


def test_a_starting_worker_releases_the_jobs_of_a_lost_worker_and_kills_its_servers(world, monkeypatch):
    monkeypatch.setattr(runtime, "LOST_MESSAGE_SECONDS", 0.0)
    world()
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        started = int(Path(f"/proc/{left.pid}/stat").read_text().rpartition(")")[2].split()[19])
        process = fence.as_json(fence.process_of(left.pid, started))
        WorkerBeat.objects.create(worker="dead", host="x", pid=1, servers={"ttd": {"process": process}})
        job = launch()
        leases.claim(job.pk, "dead")
        one = Runtime(only=True)
        one.start()
        try:
            assert left.wait(SOON) == -signal.SIGKILL
            until(lambda: Job.objects.filter(pk=job.pk, status="completed").exists())
        finally:
            one.stop()
    finally:
        left.kill()
    job.refresh_from_db()
    assert (job.epoch, job.crashes, job.suspects) == (2, 1, ["job"])
    assert not WorkerBeat.objects.exists()


def test_a_worker_without_a_heartbeat_for_a_lease_is_removed_by_the_others(world, worker):
    world()
    long_ago = timezone.now() - timedelta(seconds=31)
    for name, seen_at in (("dead", long_ago), ("alive", timezone.now())):
        WorkerBeat.objects.create(worker=name, host=socket.gethostname(), pid=1, seen_at=seen_at)
    WorkerBeat.objects.create(worker="elsewhere", host="far away", pid=1, seen_at=long_ago)
    worker()
    until(lambda: not WorkerBeat.objects.filter(pk="dead").exists())
    assert WorkerBeat.objects.filter(pk__in=["alive", "elsewhere"]).count() == 2


def test_a_job_stops_when_another_worker_takes_its_lease(world, worker, monkeypatch):
    world(latency=2.0)
    job, one = launch(), worker()
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    until(lambda: ToolCall.objects.filter(state="sent").exists())
    Job.objects.filter(pk=job.pk).update(epoch=F("epoch") + 1, leased_by="another")
    seq = Job.objects.get(pk=job.pk).last_seq
    thread.join(SOON)
    job.refresh_from_db()
    assert (job.leased_by, job.epoch, job.last_seq) == ("another", 2, seq)


def test_a_retried_round_is_not_recorded_as_resumed(world, worker):
    ledger = world("create_campaign:iserror?east")
    job = run(worker(), launch())
    assert (job.status, job.stages_ended) == ("partial", 2)
    actions.retry(job, story.user())
    job = run(worker(), job)
    assert (job.round, job.epoch) == (2, 2)
    kinds = [one.event.type for one in feed.whole(job.pk)]
    assert "job:resumed" not in kinds
    assert kinds.count("workflow:complete") == 2
    made = [entry["args"]["name"] for entry in fakes.ledger(ledger, "effect", "create_campaign")]
    assert len(made) == len(set(made)) == 2


def test_a_job_whose_worker_died_twice_runs_alone(world, worker):
    world(latency=0.2)
    suspect, neighbor = launch("Suspect"), launch("Neighbor")
    Job.objects.filter(pk=suspect.pk).update(crashes=1, suspects=["job"], leased_by="dead")
    one = worker()
    threads = [threading.Thread(target=one.run, args=(str(job.pk),)) for job in (suspect, neighbor)]
    threads[0].start()
    until(lambda: suspect.pk in one.running)
    threads[1].start()
    for thread in threads:
        thread.join(SOON)
    suspect.refresh_from_db()
    neighbor.refresh_from_db()
    assert (suspect.status, suspect.crashes, neighbor.status) == ("completed", 2, "completed")
    assert neighbor.started_at >= suspect.ended_at


def test_a_job_of_an_older_version_finishes_by_the_plan_that_it_recorded(world, worker):
    world()
    # one removed stage, renamed stages, and no stage that was added later
    plan = [["lines", "Old Lines", []], ["gone", "Gone", []], ["note", "Old Note", ["lines", "gone"]]]
    params = {"title": "Old", "broken": True}
    job = run(worker(), story.job(workflow="small", params=params, plan=plan))
    assert (job.status, job.stages_ended) == ("partial", 3)
    stages = feed.progress(job.pk).stages
    assert [(one.id, one.name, one.status) for one in stages] == [
        ("lines", "Old Lines", "completed"),
        ("gone", "Gone", "failed"),
        ("note", "Old Note", "completed"),
    ]
    assert stages[1].error == "this version of Flightplan no longer has a stage gone; it cannot be run"
