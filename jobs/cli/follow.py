"""Following one job's log on this machine: events as they are committed."""

import os
import select
import time
from collections.abc import Iterator
from typing import Any

from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.store import doorbell, feed

POLL = 1.0  # seconds between two looks for a ring that was lost


class JobRemoved(LookupError):
    """The job was removed while it was followed."""


def follow(job_id: object, poll: float = POLL) -> Iterator[ev.Recorded]:
    """Give every event of a job once and in order, as it is committed, up to the job's end.

    A log goes on after an end when the job was tried again; the end is that of its last round. The doorbell
    wakes it; every `poll` seconds it looks for a ring that was lost. Raises JobRemoved.
    """
    bell = doorbell.hang(f"follow-{os.getpid()}-{time.monotonic_ns()}")
    seen = Progress()
    try:
        while True:  # the bell hangs before the log is read: what is committed after the reading rings
            page = feed.after(job_id, seen.last_seq)
            for one in page:
                seen.apply(one)
                yield one
            if seen.ended and len(page) < feed.PAGE:
                return
            if not page and not _rings(bell, job_id, poll) and not feed.heads([job_id]):
                raise JobRemoved(f"job {job_id} does not exist any more")
    finally:
        doorbell.take_down(bell)


def _rings(bell: Any, job_id: object, seconds: float) -> bool:
    """Wait for a ring of this job, at most so many seconds; other jobs' rings are let pass."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([bell], [], [], left)[0] and bell.recv(200) == str(job_id).encode():
            return True
    return False
