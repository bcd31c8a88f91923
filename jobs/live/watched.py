"""One watched job as the hub keeps it, and the two kinds of subscription to it."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar
from uuid import UUID

from jobs.engine.events import Recorded
from jobs.engine.progress import Progress

RECENT = 500
BATCH = 200  # events at most that a stream takes at once: what it holds while its client reads them

T = TypeVar("T")
ReadPage = Callable[[UUID, int, int], Awaitable[list[Recorded]]]


class JobNotFound(LookupError):
    """The watched job does not exist (any more)."""


class HubBroken(RuntimeError):
    """The hub could not go on with this job; the log has the cause, and subscribing again starts afresh."""


async def heard(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, at most so many seconds (None: without end), and tell whether it came."""
    try:
        async with asyncio.timeout(None if seconds is None else max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Room:
    """What the hub keeps of one job while somebody watches it.

    `progress` is folded and read in the hub's thread only, everything else on the loop only.
    `head` is the seq of the newest event read; `whole` tells that the log was once read to its end,
    `settled` that nothing is known to be unread. `pieces` show the job as far as the event `painted`.
    """

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        self.progress = Progress()
        self.recent: deque[Recorded] = deque(maxlen=RECENT)
        self.head = 0
        self.ended = False
        self.rung, self.settled, self.whole = True, False, False
        self.pieces: dict[str, str] = {}
        self.painted = -1
        self.paint_at = 0.0
        self.pages: set[PieceSubscription] = set()
        self.streams: set[EventSubscription] = set()

    @property
    def watchers(self) -> int:
        """Give the number of subscriptions."""
        return len(self.pages) + len(self.streams)

    @property
    def stale(self) -> bool:
        """Tell whether somebody looks at pieces that are older than the log."""
        return bool(self.pages) and self.whole and self.painted < self.head

    @property
    def over(self) -> bool:
        """Tell whether the job has ended and its whole log was read since the last ring."""
        return self.ended and self.settled

    def ring(self) -> None:
        """Note that the log may have grown."""
        self.rung, self.settled = True, False

    def extend(self, page: Sequence[Recorded], ended: bool) -> None:
        """Take over events that were read and folded, and how the job stands after them."""
        self.recent.extend(page)
        self.head = page[-1].seq if page else self.head
        self.ended = ended

    def settle(self) -> None:
        """Note that the log was read to its end, unless it was rung for again, and wake who waits."""
        self.whole, self.settled = True, not self.rung
        self.wake()

    def wake(self) -> None:
        """Let the streams look again, and the pages when that may be the end: else a page waits for paint."""
        for one in (*self.streams, *(self.pages if self.over else ())):
            one.wake.set()

    def paint(self, pieces: dict[str, str], seq: int) -> None:
        """Take over freshly rendered pieces and offer the changed ones to the pages."""
        changed = {id: html for id, html in pieces.items() if self.pieces.get(id) != html}
        self.pieces, self.painted = pieces, seq
        if changed or self.over:
            for page in self.pages:
                page.offer(changed)

    def fail(self, error: Exception, *, pages_only: bool = False) -> None:
        """End subscriptions with an error, which their next `take` raises."""
        for one in (*self.pages, *(() if pages_only else self.streams)):
            one.error = error
            one.wake.set()


class Subscription(ABC, Generic[T]):
    """One viewer of a room. `over` tells that the job has ended and all of it was taken."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.wake = asyncio.Event()
        self.error: Exception | None = None

    async def take(self, seconds: float) -> T:
        """Give what is new; something empty when that is nothing within so many seconds, or for ever.

        Raises JobNotFound, or HubBroken when the hub cannot go on with this job.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            self.wake.clear()  # before looking: a wake that comes while looking must not be lost
            if isinstance(self.error, JobNotFound):
                raise JobNotFound(str(self.room.job_id))
            if self.error:
                raise HubBroken(f"job {self.room.job_id}: {type(self.error).__name__}") from self.error
            new = await self._new()
            if new or self.over or not await heard(self.wake, deadline - loop.time()):
                return new

    @property
    @abstractmethod
    def over(self) -> bool: ...

    @abstractmethod
    async def _new(self) -> T: ...


class PieceSubscription(Subscription[dict[str, str]]):
    """A page: all pieces first, then the changed ones; a slow reader finds each piece's latest html."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self._pending = dict(room.pieces)
        room.pages.add(self)

    def offer(self, changed: dict[str, str]) -> None:
        """Add pieces to what the page has not taken yet; a newer html replaces an older one."""
        self._pending |= changed
        self.wake.set()

    @property
    def over(self) -> bool:
        return self.room.over and self.room.painted >= self.room.head and not self._pending

    async def _new(self) -> dict[str, str]:
        pending, self._pending = self._pending, {}
        return pending


class EventSubscription(Subscription[list[Recorded]]):
    """A stream: every event after its cursor, in seq order; a slow reader reads the log at its own pace."""

    def __init__(self, room: Room, after: int, read: ReadPage) -> None:
        super().__init__(room)
        self.cursor = after
        self._read = read
        room.streams.add(self)

    @property
    def over(self) -> bool:
        return self.room.over and self.cursor >= self.room.head

    async def _new(self) -> list[Recorded]:
        room = self.room
        if self.cursor >= room.head:
            if room.settled:  # a cursor from a log that has since been put back to an older state
                self.cursor = room.head
            return []
        first = room.recent[0].seq
        if first <= self.cursor + 1:
            skip = self.cursor + 1 - first
            batch = list(islice(room.recent, skip, skip + BATCH))
        else:
            # no further than the room, or what it reads next would come a second time
            page = await self._read(room.job_id, self.cursor, BATCH)
            batch = [one for one in page if one.seq <= room.head]
        if batch:
            self.cursor = batch[-1].seq
        return batch
