"""The worker's loop with real servers: jobs are found, run, released and resumed."""

import asyncio
import threading
import time
import uuid
from datetime import timedelta
from statistics import median

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from jobs.engine.runner import Runner
from jobs.models import CallDuration, Job, ToolCall, WorkerBeat
from jobs.store import feed, projection
from jobs.worker import durations, leases, runtime
from jobs.worker.runtime import Runtime
from tests import fakes
from tests.jobs.working import SOON, launch, run, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage, pytest.mark.slow]


def test_a_job_runs_to_its_end_with_its_calls_files_and_events(world, worker):
    ledger = world()
    job = run(worker(), launch())
    assert (job.status, job.stages_ended, job.lease_until) == ("completed", 2, None)
    assert len(fakes.ledger(ledger, "start", "create_campaign")) == 3
    assert set(ToolCall.objects.values_list("step", "state")) == {
        ("lines.line.north", "done"),
        ("lines.line.south", "done"),
        ("lines.line.east", "done"),
    }
    assert default_storage.exists(f"{job.folder}/note.md")
    assert [one.seq for one in feed.whole(job.pk)] == list(range(1, job.last_seq + 1))


def test_a_crashing_stage_fails_without_details_and_the_others_continue(world, worker):
    world()
    job = run(worker(), launch(broken=True))
    assert job.status == "partial"
    progress = feed.progress(job.pk)
    assert {stage.id: str(stage.status) for stage in progress.stages} == {
        "lines": "completed",
        "broken": "failed",
        "note": "completed",
    }
    assert progress.stage("broken").error == "internal error (KeyError)"


def test_a_job_whose_message_was_lost_is_found_by_the_sweep(world, worker):
    world()
    job = launch()
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    worker()
    until(lambda: Job.objects.filter(pk=job.pk, status="completed").exists())


def test_a_job_runs_once_even_if_it_is_requested_several_times(world, worker):
    ledger = world(latency=0.05)
    job, one = launch(), worker()
    threads = [threading.Thread(target=one.run, args=(str(job.pk),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(fakes.ledger(ledger, "start", "create_campaign")) == 3
    assert Job.objects.get(pk=job.pk).epoch == 1


def test_a_requested_job_that_does_not_exist_is_ignored(world, worker):
    world()
    one = worker()
    one.run(str(uuid.uuid4()))
    assert run(one, launch()).status == "completed"


def test_a_stopping_worker_lets_its_calls_finish_and_releases_the_job(world, worker):
    ledger = world(latency=0.6)
    job, one = launch(), worker()
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    until(lambda: len(fakes.ledger(ledger, "start", "create_campaign")) == 2)
    one.stop()
    thread.join(SOON)
    job.refresh_from_db()
    assert (job.status, job.lease_until) == ("running", None)
    assert sorted(ToolCall.objects.values_list("state", flat=True)) == ["done", "done", "waiting"]
    ended = run(worker(), job)
    assert (ended.status, ended.epoch) == ("completed", 2)
    assert len(fakes.ledger(ledger, "start", "create_campaign")) == 3
    counts = [one.event.current for one in feed.whole(job.pk) if one.event.type == "stage:progress"]
    assert counts == sorted(counts)
    kinds = [one.event.type for one in feed.whole(job.pk)]
    assert kinds.count("stage:start") == 2
    assert kinds.count("job:resumed") == 1


def test_a_worker_publishes_its_heartbeat_and_server_states_and_removes_them_at_the_end(world, worker):
    world()
    one = worker()
    servers = until(lambda: WorkerBeat.objects.filter(pk=one.name).values_list("servers", flat=True).first())
    assert servers["ttd"]["limit"] == 2
    one.stop()
    assert not WorkerBeat.objects.filter(pk=one.name).exists()


def test_jobs_wait_until_a_broken_servers_file_is_fixed(world, worker, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "LOST_MESSAGE_SECONDS", 0.0)
    world()
    job, sound = launch(), settings.TOOL_SERVERS
    settings.TOOL_SERVERS = str(tmp_path / "broken.json")
    (tmp_path / "broken.json").write_text("{")
    one = worker()
    one.run(str(job.pk))
    job.refresh_from_db()
    assert job.status == "queued"
    settings.TOOL_SERVERS = sound
    until(lambda: Job.objects.filter(pk=job.pk, status="completed").exists())


def test_a_stopping_worker_does_not_retry(world, worker, settings):
    settings.RETRY_BACKOFF = 0.2
    ledger = world("create_campaign:429=1", latency=0.6)
    job, one = launch(), worker()
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    until(lambda: len(fakes.ledger(ledger, "start", "create_campaign")) == 2)
    one.stop()
    thread.join(SOON)
    assert len(fakes.ledger(ledger, "start", "create_campaign")) == 2
    assert set(ToolCall.objects.values_list("state", flat=True)) == {"retry", "waiting"}


def test_jobs_that_start_at_once_share_one_gateway(world, worker, monkeypatch):
    world(latency=0.2)
    made = []

    def counted(*args, **options):
        made.append(runtime_gateway(*args, **options))
        return made[-1]

    def slow():
        time.sleep(0.2)  # so that all jobs ask for the gateway while it opens
        return servers()

    runtime_gateway, servers = runtime.Gateway, runtime.tool_servers
    monkeypatch.setattr(runtime, "Gateway", counted)
    monkeypatch.setattr(runtime, "tool_servers", slow)
    jobs, one = [launch() for _ in range(4)], worker()
    threads = [threading.Thread(target=one.run, args=(str(job.pk),)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert {job.status for job in Job.objects.all()} == {"completed"}
    assert len(made) == 1


def test_a_job_claimed_while_the_worker_stops_is_released(world, worker, monkeypatch):
    world()
    job, one = launch(), worker()
    until(lambda: one.gateway)
    claiming, go_on = threading.Event(), threading.Event()

    def slow(*args):
        claiming.set()
        go_on.wait(SOON)
        return claim(*args)

    claim = leases.claim
    monkeypatch.setattr(leases, "claim", slow)
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    assert claiming.wait(SOON)
    one.begin_shutdown()
    go_on.set()
    thread.join(SOON)
    one.stop()
    assert not thread.is_alive()
    job.refresh_from_db()
    assert (job.lease_until, job.leased_by, job.epoch) == (None, "", 1)


def test_a_crashed_loop_releases_its_callers_and_reports_the_crash(world):
    world(latency=2.0)

    async def end():
        raise SystemExit(3)

    crashed = threading.Event()
    one = Runtime(on_crash=crashed.set)
    one.start()
    job = launch()
    thread = threading.Thread(target=one.run, args=(str(job.pk),))
    thread.start()
    until(lambda: one.running)
    asyncio.run_coroutine_threadsafe(end(), one._loop)
    assert crashed.wait(SOON)
    thread.join(SOON)
    assert not thread.is_alive()
    assert one.failed
    one.run(str(job.pk))  # returns immediately
    one.stop()


def test_a_crashing_job_lets_its_calls_finish_and_leaves_none_as_sent(world, worker, monkeypatch):
    ledger = world(latency=1.0)
    project, result = projection.project, Runner._result

    async def late(self, stage, context):
        if stage.id == "broken":
            await asyncio.to_thread(until, lambda: len(fakes.ledger(ledger, "start", "create_campaign")) == 2)
        return await result(self, stage, context)

    def breaking(job, event, now):
        if event.type == "stage:error":
            raise ValueError("this event cannot be kept")
        project(job, event, now)

    monkeypatch.setattr(Runner, "_result", late)
    monkeypatch.setattr(projection, "project", breaking)
    job = run(worker(), launch(broken=True))
    assert (job.status, job.lease_until) == ("partial", None)
    states = set(ToolCall.objects.filter(attempts=1).values_list("state", "tries__outcome"))
    assert states == {("done", "done")}
    assert {call.state for call in feed.progress(job.pk).calls.values()} <= {"done", "waiting"}


def test_measured_durations_are_known_to_the_next_worker(world, worker):
    world(latency=0.05)
    first = worker()
    run(first, launch())
    first.stop()
    [row] = CallDuration.objects.all()
    assert (row.server, row.tool, row.source, len(row.recent)) == ("ttd", "create_campaign", "live", 3)
    second = worker()
    until(lambda: second.gateway and second.gateway.durations("ttd", "create_campaign"))
    assert second.gateway.durations("ttd", "create_campaign") == median(row.recent) > 0.04


def test_a_worker_that_cannot_read_measured_durations_uses_the_declared_durations(world, worker, monkeypatch):
    def broken(*args):
        raise ValueError("unreadable")

    monkeypatch.setattr(durations, "stored", broken)
    world()
    assert run(worker(), launch()).status == "completed"
