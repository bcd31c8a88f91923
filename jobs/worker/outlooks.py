"""The expected time left of every job that runs here, told in its log when it changes much."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jobs.engine import events as ev
from jobs.engine.outlook import Outlook, seconds_left
from jobs.models import Job
from jobs.store import feed
from jobs.store.writer import Writer
from jobs.tools.gateway import Gateway

log = logging.getLogger(__name__)
EMIT_SECONDS = 2.0
#: What was told is told anew when it has moved by more than so many seconds, and by more than this share of
#: what is left: a page counts down by itself.
LEAST_MOVE, LEAST_SHARE = 2.0, 0.1


@dataclass
class _Told:
    """A job's outlook, and the end that its log was last told, by the monotonic clock.

    `news`: as much had happened then. While nothing does, nothing is told: a log that only its own guesses
    make grow would never be stuck.
    """

    job: Job
    outlook: Outlook
    end: float | None = None
    news: int = -1
    countable: bool | None = None


class Outlooks:
    """The outlooks of one worker's jobs; they share the permits of its gateway."""

    def __init__(self, writer: Writer, gateway: Callable[[], Gateway | None]) -> None:
        self._writer, self._gateway = writer, gateway
        self._jobs: dict[uuid.UUID, _Told] = {}

    @contextlib.contextmanager
    def watching(self, job: Job, outlook: Outlook) -> Iterator[None]:
        """Tell of a job for as long as the block lasts."""
        self._jobs[job.pk] = _Told(job, outlook)
        try:
            yield
        finally:
            del self._jobs[job.pk]

    async def _count(self, one: _Told) -> bool:
        """Count a job's calls, once and in a thread, and tell whether that can be done. The job of an older
        version, say, still runs where it cannot."""
        if one.countable is None:
            try:
                await asyncio.to_thread(lambda: one.outlook.times)
                one.countable = True
            except Exception:
                log.exception("how long job %s takes cannot be told", one.job.pk)
                one.countable = False
        return one.countable

    async def emit(self) -> None:
        """Reckon what is left of all jobs, and tell the logs of those whose end has moved."""
        gateway, jobs = self._gateway(), [one for one in list(self._jobs.values()) if await self._count(one)]
        if gateway is None or not jobs:
            return
        now = time.monotonic()
        left = seconds_left([one.outlook for one in jobs], gateway.limits(), now, gateway.durations)
        for one, seconds in zip(jobs, left, strict=True):
            if one.news == one.outlook.news:
                continue
            if one.end is None or abs(now + seconds - one.end) > max(LEAST_MOVE, LEAST_SHARE * seconds):
                news, event = one.outlook.news, ev.JobExpected(seconds=round(seconds, 1))
                if await self._writer.run(lambda job=one.job, event=event: _emit(job, event)):
                    one.end, one.news = now + seconds, news


def _emit(job: Job, event: ev.JobExpected) -> bool:
    """Add to the log of a job that is ours, runs, and was not cancelled; tell whether it was such a one."""
    held = Job.objects.filter(pk=job.pk, epoch=job.epoch, cancel_asked_at=None)
    if not held.filter(status=Job.Status.RUNNING, leased_by=job.leased_by).exists():
        return False
    feed.append(job.pk, [event], epoch=job.epoch)
    return True
