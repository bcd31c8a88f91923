"""A deadline that allows for pauses of this process itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LATE = 0.5  # seconds; a timer that fires later than this shows that the event loop was not running
GRACE = 2.0  # seconds after such a pause to read what arrived meanwhile


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Cancel the block after `seconds` and raise TimeoutError, exactly as asyncio.timeout does.

    If this process was suspended or starved past the deadline, the answer may be unread in a pipe: the block
    then has another GRACE seconds.
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
