"""The expected time left of every job that runs here, told in its log when it changes much."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jobs import feed
from jobs.models import Job
from jobs.tools.gateway import Gateway
from jobs.workflow import events as ev
from jobs.workflow.outlook import Outlook, seconds_left
from jobs.writer import Writer

TELL_SECONDS = 2.0
#: What was told is told anew when it has moved by more than so many seconds, and by more than this share of
#: what is left: a page counts down by itself.
LEAST_MOVE, LEAST_SHARE = 2.0, 0.1
#: An end that slips on and on, as under a call that hangs, is told after twice as long each time, up to this.
MOST_SLIP = 16.0


@dataclass
class _Told:
    """A job's outlook, and the end that its log was last told, by the monotonic clock. `slip`: by how many
    seconds more it must move on to be told anew."""

    job: Job
    outlook: Outlook
    end: float | None = None
    slip: float = LEAST_MOVE

    def news(self, end: float, left: float) -> bool:
        """Tell whether this end, so many seconds ahead, is worth telling; take it as told where it is."""
        later = self.end is not None and end > self.end
        least = max(self.slip if later else LEAST_MOVE, LEAST_SHARE * left)
        if self.end is not None and abs(end - self.end) <= least:
            return False
        self.end, self.slip = end, min(2 * self.slip, MOST_SLIP) if later else LEAST_MOVE
        return True


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

    async def tell(self) -> None:
        """Reckon what is left of all jobs, and tell the logs of those whose end has moved."""
        gateway, jobs = self._gateway(), list(self._jobs.values())
        if gateway is None or not jobs:
            return
        now = time.monotonic()
        left = seconds_left([one.outlook for one in jobs], gateway.limits(), now, gateway.durations)
        for one, seconds in zip(jobs, left, strict=True):
            if one.news(now + seconds, seconds):
                event = ev.JobExpected(seconds=round(seconds, 1))
                await self._writer.run(lambda job=one.job, event=event: _tell(job, event))


def _tell(job: Job, event: ev.JobExpected) -> None:
    """Add to the log of a job that is still ours, still runs, and was not cancelled meanwhile."""
    held = Job.objects.filter(pk=job.pk, epoch=job.epoch, cancel_asked_at=None)
    if held.filter(status=Job.Status.RUNNING, leased_by=job.leased_by).exists():
        feed.append(job.pk, [event], epoch=job.epoch)
