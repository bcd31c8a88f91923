"""Quarantine: after three worker deaths with the same step in progress, that job and no other stops."""

import asyncio

import pytest

from jobs.engine import events as ev
from jobs.models import CallAttempt, Job, ToolCall
from jobs.store import feed
from jobs.worker import leases, quarantine
from jobs.worker.quarantine import MOST_SILENT_DEATHS, Company, after_death, evidence, runs_alone
from tests.jobs import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


def sends(job, step="creative/image/a", number=1):
    """Record an attempt of a step that is in progress."""
    values = {"stage": "creative", "server": "image-gen", "tool": "generate_image", "args": {}}
    values |= {"state": "sent", "attempts": number}
    call, _ = ToolCall.objects.update_or_create(job=job, step=step, defaults=values)
    return CallAttempt.objects.create(call=call, number=number, epoch=job.epoch)


def settles(attempt):
    """End an attempt."""
    attempt.ended_at = attempt.sent_at
    attempt.save()
    ToolCall.objects.filter(pk=attempt.call_id).update(state="waiting")


def dies_with(job, *steps):
    """Let a worker claim a job, end the attempts of its predecessor, send these steps and die."""
    taken = leases.claim(job.pk, "a worker")
    if taken is None:
        return None
    for attempt in CallAttempt.objects.filter(call__job=job, ended_at=None):
        settles(attempt)
    for step in steps:
        sends(taken, step, taken.epoch)
    leases.end_leases_of_the_dead()
    return taken


def makes_progress(job):
    """Let the worker that claimed a job resume it and finish one call."""
    resumed = ev.JobResumed(epoch=job.epoch, reason="its last worker was lost")
    done = ev.CallComplete(**story.CALL, state="done", attempt=1, waited=0.0, took=0.1)
    feed.append(job.pk, [resumed, done], epoch=job.epoch)


@pytest.mark.parametrize(
    ("attempts", "running", "found"),
    [
        ([("a", 2), ("b", 2), ("c", 1)], ["x"], ["a", "b"]),
        ([("c", 1)], ["x"], ["look-up:c"]),
        ([], ["x", "y"], ["stage:x", "stage:y"]),
        ([], [], ["job"]),
    ],
)
def test_sent_calls_are_stronger_evidence_than_look_ups_and_stages(attempts, running, found):
    assert evidence(2, attempts, running) == found


def test_deaths_count_while_they_share_a_suspect():
    assert after_death(0, [], ["a", "b"]) == (1, ["a", "b"])
    assert after_death(1, ["a", "b"], ["b", "c"]) == (2, ["b"])
    assert after_death(2, ["b"], ["c"]) == (1, ["c"])


def test_three_deaths_with_the_same_step_quarantine_a_job():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    for _ in range(3):
        assert dies_with(job, "creative/image/a", "creative/image/b") is not None
    assert leases.claim(job.pk, "the fourth") is None
    job.refresh_from_db()
    assert (job.status, job.lease_until, job.crashes) == ("failed", None, 3)
    assert job.error == (
        "quarantined: its worker died three times while creative/image/a or creative/image/b was in progress"
    )
    assert set(ToolCall.objects.values_list("state", flat=True)) == {"unknown"}
    assert not CallAttempt.objects.filter(ended_at=None).exists()
    assert feed.progress(job.pk).ended


def test_deaths_at_a_different_step_each_time_do_not_add_up():
    job = story.job()
    for number in range(6):
        assert dies_with(job, f"step-{number}").epoch == number + 1
    assert leases.claim(job.pk, "the next").crashes == 1


def test_a_job_whose_steps_finish_between_the_deaths_is_not_quarantined():
    guilty, innocent = story.job(), story.job()
    for number in range(3):
        assert dies_with(guilty, "deadly") is not None
        assert dies_with(innocent, f"step-{number}") is not None
    assert leases.claim(guilty.pk, "w") is None
    assert leases.claim(innocent.pk, "w") is not None


def test_releasing_a_job_does_not_count_as_a_death():
    job = story.job()
    for _ in range(5):
        taken = leases.claim(job.pk, "w")
        sends(taken, "a", taken.epoch)
        leases.hand_over(job.pk, taken.epoch)
    assert leases.claim(job.pk, "w").crashes == 0


@pytest.mark.parametrize(("begins", "words"), [(True, "the stage creative"), (False, "the job")])
def test_a_job_that_kills_without_a_call_is_quarantined_after_more_deaths(begins, words):
    job = story.job()
    if begins:
        feed.append(job.pk, [story.begin()])
    for _ in range(MOST_SILENT_DEATHS):
        assert dies_with(job) is not None
    assert leases.claim(job.pk, "w") is None
    assert Job.objects.get(pk=job.pk).error.endswith(f"while {words} was in progress")


def test_deaths_soon_after_a_takeover_count_little():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    sends(leases.claim(job.pk, "w"), "a")
    leases.end_leases_of_the_dead()
    for _ in range(5):
        assert leases.claim(job.pk, "w") is not None
        leases.end_leases_of_the_dead()
    assert leases.claim(job.pk, "w") is not None


def test_deaths_without_a_call_in_progress_are_cleared_once_the_job_makes_progress():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    for number in range(3 * MOST_SILENT_DEATHS):
        taken = leases.claim(job.pk, "w")
        assert taken is not None
        if number % 3 == 2:
            makes_progress(taken)
        leases.end_leases_of_the_dead()
    assert leases.claim(job.pk, "w").crashes == 0


def test_progress_of_an_earlier_worker_does_not_clear_the_deaths_of_later_workers():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    makes_progress(dies_with(job))
    for _ in range(MOST_SILENT_DEATHS):
        assert dies_with(job) is not None
    assert leases.claim(job.pk, "w") is None


def test_a_deadly_step_quarantines_its_job_even_if_other_steps_make_progress():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    for _ in range(3):
        makes_progress(dies_with(job, "deadly"))
    assert leases.claim(job.pk, "w") is None


def test_a_deadly_look_up_is_detected_and_a_cancelled_job_ends_as_cancelled():
    job = story.job()
    sends(leases.claim(job.pk, "w"), "a")
    leases.end_leases_of_the_dead()
    for _ in range(MOST_SILENT_DEATHS):
        assert leases.claim(job.pk, "w") is not None
        leases.end_leases_of_the_dead()
    Job.objects.filter(pk=job.pk).update(cancel_asked_at=job.created_at)
    assert leases.claim(job.pk, "w") is None
    job.refresh_from_db()
    assert job.status == "cancelled"
    assert job.error.endswith("while the look-up of a was in progress")


def test_whether_a_job_must_run_alone_is_known_before_the_claim():
    assert not runs_alone(0, "w")
    assert not runs_alone(1, "")
    assert runs_alone(1, "w")
    assert runs_alone(2, "")


class Floor:
    """Jobs that join a company and leave when asked; `inside` lists those that run."""

    def __init__(self):
        self.company, self.inside, self.go = Company(), [], {}
        self.arrived = asyncio.Event()  # set when a second job runs beside the first

    async def come(self, name, *, alone=False):
        self.go[name] = asyncio.Event()
        task = asyncio.create_task(self._stay(name, alone))
        await self.settle()
        return task

    async def _stay(self, name, alone):
        async with self.company.join(alone=alone):
            self.inside.append(name)
            if len(self.inside) == 2:
                self.arrived.set()
            await self.go[name].wait()
            self.inside.remove(name)

    async def leave(self, name):
        self.go[name].set()
        await self.settle()

    async def settle(self):
        for _ in range(10):
            await asyncio.sleep(0)


def test_a_suspect_waits_for_running_jobs_and_later_jobs_wait_for_it():
    async def play():
        floor = Floor()
        await floor.come("a")
        await floor.come("b")
        await floor.come("suspect", alone=True)
        await floor.come("late")
        assert floor.inside == ["a", "b"]
        await floor.leave("a")
        await floor.leave("b")
        assert floor.inside == ["suspect"]
        await floor.leave("suspect")
        assert floor.inside == ["late"]

    asyncio.run(play())


def test_two_suspects_run_one_after_the_other():
    async def play():
        floor = Floor()
        await floor.come("one", alone=True)
        await floor.come("two", alone=True)
        assert floor.inside == ["one"]
        await floor.leave("one")
        assert floor.inside == ["two"]

    asyncio.run(play())


def test_other_jobs_join_a_suspect_that_has_survived_its_time_alone(monkeypatch):
    monkeypatch.setattr(quarantine, "ALONE_SECONDS", 0.01)

    async def play():
        floor = Floor()
        await floor.come("suspect", alone=True)
        await floor.come("late")
        assert floor.inside == ["suspect"]
        await floor.arrived.wait()
        assert floor.inside == ["suspect", "late"]

    asyncio.run(asyncio.wait_for(play(), 10))


def test_a_suspect_that_stops_waiting_blocks_no_other_job():
    async def play():
        floor = Floor()
        await floor.come("a")
        waiting = await floor.come("suspect", alone=True)
        await floor.come("late")
        waiting.cancel()
        await floor.settle()
        assert floor.inside == ["a", "late"]

    asyncio.run(play())
