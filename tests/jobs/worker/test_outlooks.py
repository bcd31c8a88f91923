"""The expected time left: emitted while a job runs, and again when it has changed."""

import asyncio
from dataclasses import replace

import pytest

from jobs.engine import events as ev
from jobs.engine.graph import Hop
from jobs.engine.outlook import Outlook
from jobs.models import Job
from jobs.store import feed
from jobs.worker import outlooks, runtime
from jobs.worker.outlooks import Outlooks
from tests.jobs.small import SMALL
from tests.jobs.working import launch, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


def estimates(job: Job) -> list[float]:
    """Return the estimates in a job's log, in seconds left, in order."""
    return [one.event.seconds for one in feed.whole(job.pk) if isinstance(one.event, ev.JobExpected)]


class Alone:
    """The outlooks of one running job, without a worker."""

    def __init__(self, writer, monkeypatch) -> None:
        self.job = launch()
        Job.objects.filter(pk=self.job.pk).update(status="running", leased_by="w", epoch=3)
        self.job.refresh_from_db()
        self.left = 100.0
        monkeypatch.setattr(outlooks, "seconds_left", lambda jobs, *more: [self.left for _ in jobs])
        self.outlooks = Outlooks(writer, Gateway)

    def emit_each(self, *lefts: float, happens: bool = True) -> list[float]:
        """Emit once with each of these estimates, and return the estimates in the log."""

        async def all_of_them() -> None:
            outlook = Outlook(SMALL, None, order=1.0, sent_at=lambda step: None)
            with self.outlooks.watching(self.job, outlook):
                for number, self.left in enumerate(lefts):
                    if happens:
                        outlook.asked(str(number), "lines", "ttd", "create_campaign")
                    await self.outlooks.emit()

        asyncio.run(all_of_them())
        return estimates(self.job)


class Gateway:
    """The part of a gateway that estimates need."""

    durations = None

    def limits(self) -> dict:
        return {}


@pytest.fixture
def alone(world, writer, monkeypatch) -> Alone:
    world()
    return Alone(writer, monkeypatch)


def test_an_unchanged_estimate_is_emitted_once(alone):
    assert alone.emit_each(100, 100, 99.9) == [100]


def test_a_changed_estimate_is_emitted_again(alone):
    assert alone.emit_each(100, 100, 60, 60, 95) == [100, 60, 95]


def test_a_call_that_takes_ever_longer_emits_nothing_so_that_a_stuck_job_is_detected(alone):
    assert alone.emit_each(100, 100, 200, 400, happens=False) == [100]


def test_an_estimate_is_emitted_once_the_job_runs(alone):
    Job.objects.filter(pk=alone.job.pk).update(status="queued")
    outlook = Outlook(SMALL, None, order=1.0, sent_at=lambda step: None)

    async def twice() -> None:
        with alone.outlooks.watching(alone.job, outlook):
            await alone.outlooks.emit()
            await alone.outlooks._writer.run(
                lambda: Job.objects.filter(pk=alone.job.pk).update(status="running")
            )
            await alone.outlooks.emit()

    asyncio.run(twice())
    assert estimates(alone.job) == [100]


def test_a_small_change_is_not_emitted(alone):
    assert alone.emit_each(100, 105, 3, 4.5) == [100, 3]


@pytest.mark.parametrize("change", [{"epoch": 4}, {"status": "cancelled"}, {"leased_by": "another"}])
def test_nothing_is_emitted_for_a_job_that_another_worker_holds(alone, change):
    Job.objects.filter(pk=alone.job.pk).update(**change)
    assert alone.emit_each(100) == []


def test_nothing_is_emitted_after_a_cancel(alone):
    feed.append(alone.job.pk, [ev.JobCancelling(by="mara")])
    assert alone.emit_each(100) == []


@pytest.mark.slow
def test_a_running_job_emits_an_estimate_based_on_its_calls(world, worker, monkeypatch):
    monkeypatch.setattr(runtime, "EMIT_SECONDS", 0.05)
    world(latency=0.3)
    job = run(worker(), launch())
    # three lines of one declared second each, two at once; then the measured time of the first
    assert estimates(job)[0] == pytest.approx(2.0, abs=0.5)
    progress = feed.progress(job.pk)
    assert (progress.status, progress.expected_end) == ("completed", None)


@pytest.mark.slow
def test_a_dry_run_emits_no_estimate(world, worker, monkeypatch):
    monkeypatch.setattr(runtime, "EMIT_SECONDS", 0.01)
    world()
    assert estimates(run(worker(), launch(dryRun=True))) == []


def test_the_expected_end_can_be_read_from_the_log(alone):
    alone.emit_each(100)
    last = list(feed.whole(alone.job.pk))[-1]
    left = (feed.progress(alone.job.pk).expected_end - last.at).total_seconds()
    assert left == 100


def test_a_job_whose_calls_cannot_be_counted_does_not_affect_others(alone, caplog):
    other = launch("Other")

    def broken(brief: object) -> int:
        raise KeyError("an older brief")

    async def both() -> None:
        hop = Hop("ttd", "create_campaign", 1, broken)
        flow = replace(SMALL, stages=(replace(SMALL.stages[0], path=(hop,)),))
        with (
            alone.outlooks.watching(other, Outlook(flow, None, order=0.0, sent_at=lambda step: None)),
            alone.outlooks.watching(alone.job, Outlook(SMALL, None, order=1.0, sent_at=lambda step: None)),
        ):
            await alone.outlooks.emit()
            await alone.outlooks.emit()

    asyncio.run(both())
    assert estimates(other) == []
    assert estimates(alone.job) == [100]
    assert len([one for one in caplog.records if "cannot estimate" in one.message]) == 1
