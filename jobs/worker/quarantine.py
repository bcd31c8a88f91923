"""Quarantine: find and stop a job that keeps killing its worker, by what was in progress at each death."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager

from jobs.acts import actions
from jobs.acts.answers import leave_unknown
from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import JobStatus, Status
from jobs.models import CallAttempt, Job
from jobs.store import feed

ALONE_FROM = 2  # deaths; the next one must convict the right job
MOST_DEATHS = 3  # with the same call sent anew by each worker
# Whoever is killed from outside soon after a takeover dies at a look-up or before any call: those deaths say
# little, and only so many of them, without anything done in between, set a job aside.
MOST_SILENT_DEATHS = 6
ALONE_SECONDS = 30.0
_KINDS = {"stage:": "the stage ", "look-up:": "the look-up of "}
_NUMBERS = {MOST_DEATHS: "three", MOST_SILENT_DEATHS: "six"}


def evidence(epoch: int, attempts: Iterable[tuple[str, int]], running: Iterable[str]) -> list[str]:
    """Give what was under way when the worker of this epoch died.

    `attempts` are the (step, epoch) of all attempts without an end, `running` the stages that had begun and
    not ended. What that worker had sent counts first, then what it had to look up of an earlier one's, then
    the running stages.
    """
    open_ = list(attempts)
    found = {step for step, sent in open_ if sent == epoch}
    found = found or {f"look-up:{step}" for step, _ in open_}
    found = found or {f"stage:{stage}" for stage in running}
    return sorted(found or {"job"})


def silent(found: Collection[str]) -> bool:
    """Tell whether what was under way is no call that was sent."""
    return all(one == "job" or one.startswith(tuple(_KINDS)) for one in found)


def after_death(crashes: int, suspects: Collection[str], found: Collection[str]) -> tuple[int, list[str]]:
    """Give the count of deaths in a row with the same thing under way, and what that thing may be."""
    both = sorted(set(suspects) & set(found))
    return (crashes + 1, both) if both else (1, sorted(found))


def held_to_account(job: Job, epoch: int) -> bool:
    """Count the death of the worker of this epoch; True when it was one too many and the job was ended.

    The job is the row as the next worker has just claimed it, in that transaction.
    """
    recorded = list(feed.whole(job.pk))
    progress = Progress.from_events(recorded)
    attempts = CallAttempt.objects.filter(call__job=job, ended_at=None).values_list("call__step", "epoch")
    running = [stage.id for stage in progress.stages if stage.status is Status.RUNNING]
    found = evidence(epoch, attempts, running)
    if silent(found) and _got_on(epoch, recorded):
        job.crashes, job.suspects = 0, []
    else:
        job.crashes, job.suspects = after_death(job.crashes, job.suspects, found)
    job.save(update_fields=["crashes", "suspects"])
    most = MOST_SILENT_DEATHS if silent(job.suspects) else MOST_DEATHS
    if job.crashes < most:
        return False
    what = _in_words(job.suspects)
    leave_unknown(job, "the worker died while this call was in progress; it may have taken effect")
    end = ev.WorkflowComplete(
        status=JobStatus.CANCELLED if job.cancel_asked_at else JobStatus.FAILED,
        total_stages=len(job.plan),
        artifacts=tuple(progress.artifacts),
        error=f"set aside: its worker died {_NUMBERS[most]} times while {what} was under way",
    )
    actions.finish(job.pk, job.epoch, end)
    return True


def _got_on(epoch: int, recorded: list[ev.Recorded]) -> bool:
    """Tell whether the worker of this epoch, having taken the job up, ended a call or a stage of it."""
    resumed = max((i for i, one in enumerate(recorded) if isinstance(one.event, ev.JobResumed)), default=None)
    if resumed is None:
        return False
    begin, *told = (one.event for one in recorded[resumed:])
    # a worker that died before it told of itself is not credited with what an earlier one did
    return begin.epoch == epoch and any(isinstance(event, ev.CallComplete | ev.StageEnd) for event in told)


def _in_words(suspects: list[str]) -> str:
    words = []
    for suspect in suspects:
        mark = next((mark for mark in _KINDS if suspect.startswith(mark)), "")
        words.append(_KINDS.get(mark, "") + suspect.removeprefix(mark))
    return " or ".join("the job" if word == "job" else word for word in words)


def wants_to_be_alone(crashes: int, leased_by: str) -> bool:
    """Tell whether a job of this row is to run alone, by its count as it will be once it is claimed."""
    return crashes + bool(leased_by and crashes) >= ALONE_FROM


class Company:
    """Who runs beside whom in one worker: all side by side, but a suspect begins with nobody beside it.

    While a suspect waits nobody else begins, so that its turn comes.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._inside = self._waiting = 0
        self._alone: object = None

    @asynccontextmanager
    async def join(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for a place, and keep it inside the block. `alone`: the first 30 s of it with nobody else."""
        me = object()
        await self._enter(me, alone)
        door = asyncio.get_running_loop().call_later(ALONE_SECONDS, self._open, me)
        try:
            yield
        finally:
            door.cancel()
            self._inside -= 1
            self._open(me)

    async def _enter(self, me: object, alone: bool) -> None:
        self._waiting += alone
        try:
            while self._alone is not None or (self._inside if alone else self._waiting):
                await self._changed.wait()
        finally:
            self._waiting -= alone
            self._wake()
        self._inside += 1
        if alone:
            self._alone = me

    def _open(self, me: object) -> None:
        if self._alone is me:
            self._alone = None
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
