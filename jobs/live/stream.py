"""A job's events over HTTP: a resumable stream of server-sent events, or a page of JSON."""

import logging
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpResponse, StreamingHttpResponse

from jobs import public
from jobs.engine.events import KINDS, PUBLIC, Recorded
from jobs.live.handback import hand_back
from jobs.live.hub import HubBroken, JobNotFound, hub
from jobs.models import Job
from jobs.store import feed

HEARTBEAT = 15.0
RECHECK = 30.0
RETRY_MS = 2000

logger = logging.getLogger(__name__)


def kinds(everything: bool) -> Collection[str]:
    """Return the event types of a stream: all of them, or the five public types."""
    return KINDS.keys() if everything else PUBLIC


def response(
    job: Job, after: int, wanted: Collection[str], allowed: Callable[[], bool]
) -> StreamingHttpResponse | HttpResponse:
    """Return a response that streams a job's events after the seq `after`, or 204 if there will be none.

    A browser's EventSource reconnects unless it gets a 204. `allowed` is called every 30 seconds and returns
    whether the caller may continue to read.
    """
    if job.ended and not _any(job.pk, after, wanted):
        return HttpResponse(status=204)
    streamed = StreamingHttpResponse(stream(job.pk, after, wanted, allowed), "text/event-stream")
    streamed["Cache-Control"] = "no-cache"
    streamed["X-Accel-Buffering"] = "no"
    return streamed


def _any(job_id: UUID, after: int, wanted: Collection[str]) -> bool:
    while page := feed.after(job_id, after):
        if any(one.event.type in wanted for one in page):
            return True
        after = page[-1].seq
    return False


async def stream(
    job_id: UUID, after: int, wanted: Collection[str], allowed: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Yield a job's events as server-sent events until the job has ended.

    Delivery is that of the hub's `events`; `id:` is the cursor to resume from. Ends early if the caller may
    no longer read, or if the hub fails; the client can then resume. It is no faster than the client reads,
    because the server only asks for the next part when the last was read (see `serving`).
    """
    now = get_running_loop().time
    beat_at, check_at = now() + HEARTBEAT, now() + RECHECK
    yield f"retry: {RETRY_MS}\n\n".encode()
    with hub().events(job_id, after) as events:
        while not events.over:
            try:
                batch = await events.take(min(beat_at, check_at) - now())
            except (JobNotFound, HubBroken) as error:
                logger.warning("the stream of job %s ends: %r", job_id, error)
                return
            if now() >= check_at:
                if not await sync_to_async(_checked)(allowed):
                    return
                check_at = now() + RECHECK
            chunk = b"".join(encoded(job_id, one) for one in batch if one.event.type in wanted)
            if chunk or now() >= beat_at:
                beat_at = now() + HEARTBEAT
                yield chunk or b": still here\n\n"


def _checked(allowed: Callable[[], bool]) -> bool:
    try:
        return allowed()
    finally:
        hand_back()  # the response, and its thread, may last for hours


def encoded(job_id: UUID, one: Recorded) -> bytes:
    """Return one event in the text/event-stream format."""
    return f"id: {one.seq}\nevent: {one.event.type}\ndata: {public.line(job_id, one)}\n\n".encode()


def page(job: Job, after: int, wanted: Collection[str], limit: int) -> dict[str, Any]:
    """Return the events of the wanted types among the next `limit` events after the seq `after`."""
    found = feed.after(job.pk, after, limit)
    return {
        "items": [public.event(job.pk, one) for one in found if one.event.type in wanted],
        "after": found[-1].seq if found else after,
        "last_event_id": job.last_seq,
    }
