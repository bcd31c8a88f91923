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

ALONE_FROM = 2  # deaths; the next death must point to one job
MOST_DEATHS = 3  # with the same call sent again by each worker
# A worker that is killed from outside soon after a takeover dies during a look-up or before any call. Such
# deaths say little, so it takes this many, with no progress in between, to quarantine a job.
MOST_SILENT_DEATHS = 6
ALONE_SECONDS = 30.0
_KINDS = {"stage:": "the stage ", "look-up:": "the look-up of "}
_NUMBERS = {MOST_DEATHS: "three", MOST_SILENT_DEATHS: "six"}


def evidence(epoch: int, attempts: Iterable[tuple[str, int]], running: Iterable[str]) -> list[str]:
    """Return what was in progress when the worker of this epoch died.

    `attempts` are the (step, epoch) of all attempts without an end, `running` the stages that had started
    but not ended. The calls that this worker had sent come first, then those of an earlier worker that it had
    to look up, then the running stages.
    """
    open_ = list(attempts)
    found = {step for step, sent in open_ if sent == epoch}
    found = found or {f"look-up:{step}" for step, _ in open_}
    found = found or {f"stage:{stage}" for stage in running}
    return sorted(found or {"job"})


def silent(found: Collection[str]) -> bool:
    """Return whether none of what was in progress is a call that was sent."""
    return all(one == "job" or one.startswith(tuple(_KINDS)) for one in found)


def after_death(crashes: int, suspects: Collection[str], found: Collection[str]) -> tuple[int, list[str]]:
    """Return the number of deaths in a row with the same suspect, and what the suspect may be."""
    both = sorted(set(suspects) & set(found))
    return (crashes + 1, both) if both else (1, sorted(found))


def count_death(job: Job, epoch: int) -> bool:
    """Count the death of the worker of this epoch; return True if the job was quarantined for it.

    `job` is the row that the next worker has just claimed, in the same transaction.
    """
    recorded = list(feed.whole(job.pk))
    progress = Progress.from_events(recorded)
    attempts = CallAttempt.objects.filter(call__job=job, ended_at=None).values_list("call__step", "epoch")
    running = [stage.id for stage in progress.stages if stage.status is Status.RUNNING]
    found = evidence(epoch, attempts, running)
    if silent(found) and _made_progress(epoch, recorded):
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
        error=f"quarantined: its worker died {_NUMBERS[most]} times while {what} was in progress",
    )
    actions.finish(job.pk, job.epoch, end)
    return True


def _made_progress(epoch: int, recorded: list[ev.Recorded]) -> bool:
    """Return whether the worker of this epoch, having resumed the job, finished a call or a stage of it."""
    resumed = max((i for i, one in enumerate(recorded) if isinstance(one.event, ev.JobResumed)), default=None)
    if resumed is None:
        return False
    begin, *later = (one.event for one in recorded[resumed:])
    # a worker that died before it recorded that it resumed gets no credit for an earlier worker's progress
    own = isinstance(begin, ev.JobResumed) and begin.epoch == epoch
    return own and any(isinstance(event, ev.CallComplete | ev.StageEnd) for event in later)


def _in_words(suspects: list[str]) -> str:
    words = []
    for suspect in suspects:
        mark = next((mark for mark in _KINDS if suspect.startswith(mark)), "")
        words.append(_KINDS.get(mark, "") + suspect.removeprefix(mark))
    return " or ".join("the job" if word == "job" else word for word in words)


def runs_alone(crashes: int, leased_by: str) -> bool:
    """Return whether a job with these values must run alone, by the count it will have once it is claimed."""
    return crashes + bool(leased_by and crashes) >= ALONE_FROM


class Company:
    """Which jobs of a worker run side by side: all of them, but a suspect starts with no other job running.

    While a suspect waits, no other job starts, so that its turn comes.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._inside = self._waiting = 0
        self._alone: object = None

    @asynccontextmanager
    async def join(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for a place and keep it inside the block. `alone`: no other job runs for the first 30 s."""
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
