"""The expected time left of each running job, recorded in its log when it changes noticeably."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from jobs.engine import events as ev
from jobs.engine.outlook import Outlook, seconds_left
from jobs.models import Job
from jobs.store import feed
from jobs.store.writer import Writer
from jobs.tools.gateway import Gateway

log = logging.getLogger(__name__)
EMIT_SECONDS = 2.0
#: A new estimate is recorded only if it differs by more than this many seconds and by more than this share
#: of the time left: pages count down on their own.
LEAST_MOVE, LEAST_SHARE = 2.0, 0.1


@dataclass
class _Watched:
    """A job's outlook and the expected end last recorded, by the monotonic clock.

    `news`: the outlook's `news` at that time. While nothing happens, nothing is recorded: a log that grew by
    its own estimates alone would never count as stuck.
    """

    job: Job
    outlook: Outlook
    end: float | None = None
    news: int = -1
    countable: bool | None = None


class Outlooks:
    """The outlooks of one worker's jobs, which share the permits of its gateway."""

    def __init__(self, writer: Writer, gateway: Callable[[], Gateway | None]) -> None:
        self._writer, self._gateway = writer, gateway
        self._jobs: dict[uuid.UUID, _Watched] = {}

    @contextlib.contextmanager
    def watching(self, job: Job, outlook: Outlook) -> Iterator[None]:
        """Record the outlook of a job for as long as the block lasts."""
        self._jobs[job.pk] = _Watched(job, outlook)
        try:
            yield
        finally:
            del self._jobs[job.pk]

    async def _count(self, one: _Watched) -> bool:
        """Count a job's calls, once and in a thread, and return whether that works.

        It may fail for a job that an older version launched; the job runs all the same.
        """
        if one.countable is None:
            try:
                await asyncio.to_thread(lambda: one.outlook.times)
                one.countable = True
            except Exception:
                log.exception("cannot estimate how long job %s takes", one.job.pk)
                one.countable = False
        return one.countable

    async def emit(self) -> None:
        """Estimate the time left of all jobs and emit an event for those whose expected end has moved."""
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
                if await self._writer.run(partial(_emit, one.job, event)):
                    one.end, one.news = now + seconds, news


def _emit(job: Job, event: ev.JobExpected) -> bool:
    """Add an event to the log of a job that is ours, is running and is not being cancelled.

    Return whether it was added.
    """
    held = Job.objects.filter(pk=job.pk, epoch=job.epoch, cancel_asked_at=None)
    if not held.filter(status=Job.Status.RUNNING, leased_by=job.leased_by).exists():
        return False
    feed.append(job.pk, [event], epoch=job.epoch)
    return True
