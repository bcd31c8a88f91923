"""Quarantine: three deaths with the same thing under way set a job aside, and only that job."""

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
    """Let a job's worker have an attempt of a step under way."""
    values = {"stage": "creative", "server": "image-gen", "tool": "generate_image", "args": {}}
    values |= {"state": "sent", "attempts": number}
    call, _ = ToolCall.objects.update_or_create(job=job, step=step, defaults=values)
    return CallAttempt.objects.create(call=call, number=number, epoch=job.epoch)


def settles(attempt):
    """Let an attempt have ended."""
    attempt.ended_at = attempt.sent_at
    attempt.save()
    ToolCall.objects.filter(pk=attempt.call_id).update(state="waiting")


def dies_with(job, *steps):
    """Let a worker take a job, send these steps and die; the attempts of its last worker are settled."""
    taken = leases.claim(job.pk, "a worker")
    if taken is None:
        return None
    for attempt in CallAttempt.objects.filter(call__job=job, ended_at=None):
        settles(attempt)
    for step in steps:
        sends(taken, step, taken.epoch)
    leases.end_leases_of_the_dead()
    return taken


def gets_on(job):
    """Let the worker that has taken a job take it up and end one call."""
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
def test_what_the_dead_worker_had_sent_weighs_more_than_what_it_looked_up_or_ran(attempts, running, found):
    assert evidence(2, attempts, running) == found


def test_deaths_count_while_one_thing_is_always_under_way():
    assert after_death(0, [], ["a", "b"]) == (1, ["a", "b"])
    assert after_death(1, ["a", "b"], ["b", "c"]) == (2, ["b"])
    assert after_death(2, ["b"], ["c"]) == (1, ["c"])


def test_three_deaths_with_the_same_step_set_a_job_aside():
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


def test_deaths_at_other_steps_each_time_are_not_held_against_a_job():
    job = story.job()
    for number in range(6):
        assert dies_with(job, f"step-{number}").epoch == number + 1
    assert leases.claim(job.pk, "the next").crashes == 1


def test_a_neighbour_whose_step_ended_between_the_deaths_goes_free():
    guilty, innocent = story.job(), story.job()
    for number in range(3):
        assert dies_with(guilty, "poison") is not None
        assert dies_with(innocent, f"step-{number}") is not None
    assert leases.claim(guilty.pk, "w") is None
    assert leases.claim(innocent.pk, "w") is not None


def test_a_job_that_was_handed_over_never_counts():
    job = story.job()
    for _ in range(5):
        taken = leases.claim(job.pk, "w")
        sends(taken, "a", taken.epoch)
        leases.hand_over(job.pk, taken.epoch)
    assert leases.claim(job.pk, "w").crashes == 0


@pytest.mark.parametrize(("begins", "words"), [(True, "the stage creative"), (False, "the job")])
def test_a_job_that_kills_without_a_call_is_set_aside_after_more_deaths(begins, words):
    job = story.job()
    if begins:
        feed.append(job.pk, [story.begin()])
    for _ in range(MOST_SILENT_DEATHS):
        assert dies_with(job) is not None
    assert leases.claim(job.pk, "w") is None
    assert Job.objects.get(pk=job.pk).error.endswith(f"while {words} was in progress")


def test_deaths_soon_after_a_takeover_say_little():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    sends(leases.claim(job.pk, "w"), "a")
    leases.end_leases_of_the_dead()
    for _ in range(5):
        assert leases.claim(job.pk, "w") is not None
        leases.end_leases_of_the_dead()
    assert leases.claim(job.pk, "w") is not None


def test_deaths_without_a_call_on_its_way_are_forgotten_once_the_job_gets_on():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    for number in range(3 * MOST_SILENT_DEATHS):
        taken = leases.claim(job.pk, "w")
        assert taken is not None
        if number % 3 == 2:
            gets_on(taken)
        leases.end_leases_of_the_dead()
    assert leases.claim(job.pk, "w").crashes == 0


def test_what_an_earlier_worker_had_done_says_nothing_of_one_that_died_at_once():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    gets_on(dies_with(job))
    for _ in range(MOST_SILENT_DEATHS):
        assert dies_with(job) is not None
    assert leases.claim(job.pk, "w") is None


def test_a_step_that_kills_is_convicted_however_well_its_job_gets_on_beside_it():
    job = story.job()
    feed.append(job.pk, [story.begin()])
    for _ in range(3):
        gets_on(dies_with(job, "poison"))
    assert leases.claim(job.pk, "w") is None


def test_a_look_up_that_kills_is_found_as_well_and_a_cancelled_job_ends_as_cancelled():
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


def test_who_is_to_run_alone_is_known_before_the_claim():
    assert not runs_alone(0, "w")
    assert not runs_alone(1, "")
    assert runs_alone(1, "w")
    assert runs_alone(2, "")


class Floor:
    """Jobs that come into a company and go when they are told; `inside` are those that run."""

    def __init__(self):
        self.company, self.inside, self.go = Company(), [], {}
        self.arrived = asyncio.Event()  # of a second one beside the first

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


def test_a_suspect_waits_for_the_others_and_the_others_for_it():
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


def test_a_suspect_that_lived_for_its_time_has_company_again(monkeypatch):
    monkeypatch.setattr(quarantine, "ALONE_SECONDS", 0.01)

    async def play():
        floor = Floor()
        await floor.come("suspect", alone=True)
        await floor.come("late")
        assert floor.inside == ["suspect"]
        await floor.arrived.wait()
        assert floor.inside == ["suspect", "late"]

    asyncio.run(asyncio.wait_for(play(), 10))


def test_a_suspect_that_gives_up_waiting_holds_nobody():
    async def play():
        floor = Floor()
        await floor.come("a")
        waiting = await floor.come("suspect", alone=True)
        await floor.come("late")
        waiting.cancel()
        await floor.settle()
        assert floor.inside == ["a", "late"]

    asyncio.run(play())
