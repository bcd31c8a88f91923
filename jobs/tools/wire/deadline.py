"""A total deadline that does not count a pause of our own against the one who is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LATE = 0.5  # seconds; a timer that fires later than this tells that the event loop did not run meanwhile
GRACE = 2.0  # seconds after such a pause in which what came meanwhile is read


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Cancel the block after `seconds` and raise TimeoutError, exactly as asyncio.timeout does.

    Where the process slept past the deadline (stopped, starved), the answer may lie unread in a pipe: then
    the block has GRACE seconds more.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def passed(when: float) -> None:
        nonlocal timer
        now = loop.time()
        if now - when > LATE:
            timer = loop.call_at(now + GRACE, passed, now + GRACE)
        else:
            limit.reschedule(now)

    async with asyncio.timeout(None) as limit:
        when = loop.time() + seconds
        timer = loop.call_at(when, passed, when)
        try:
            yield
        finally:
            timer.cancel()
