"""Follows one job's log on this machine: events as they are committed."""

import os
import select
import socket
import time
from collections.abc import Iterator
from uuid import UUID

from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.store import doorbell, feed

POLL = 1.0  # seconds between two checks for a lost ring


class JobRemoved(LookupError):
    """The job was removed while it was followed."""


def follow(job_id: UUID, poll: float = POLL) -> Iterator[ev.Recorded]:
    """Yield every event of a job once and in order, as it is committed, until the job has ended.

    The log of a retried job continues after its first end; this follows it to the end of the last round. The
    doorbell wakes it, and every `poll` seconds it checks for a lost ring. Raises JobRemoved.
    """
    bell = doorbell.hang(f"follow-{os.getpid()}-{time.monotonic_ns()}")
    seen = Progress()
    try:
        while True:  # the bell exists before the log is read, so that later commits ring it
            page = feed.after(job_id, seen.last_seq)
            for one in page:
                seen.apply(one)
                yield one
            if seen.ended and len(page) < feed.PAGE:
                return
            if not page and not _rings(bell, job_id, poll) and not feed.heads([job_id]):
                raise JobRemoved(f"job {job_id} no longer exists")
    finally:
        doorbell.take_down(bell)


def _rings(bell: socket.socket, job_id: UUID, seconds: float) -> bool:
    """Wait at most `seconds` for a ring of this job, and return whether it came. Ignore other rings."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([bell], [], [], left)[0] and bell.recv(200) == str(job_id).encode():
            return True
    return False
