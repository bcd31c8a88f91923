"""The hub's state of one watched job, and the two kinds of subscription to it."""

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
BATCH = 200  # maximum events that a stream takes at once and holds while its client reads them

T = TypeVar("T")
ReadPage = Callable[[UUID, int, int], Awaitable[list[Recorded]]]


class JobNotFound(LookupError):
    """The watched job does not exist, or no longer exists."""


class HubBroken(RuntimeError):
    """The hub failed to follow this job. The cause is in the log; a new subscription starts over."""


async def heard(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event for at most `seconds` (None for no limit). Return whether it was set."""
    try:
        async with asyncio.timeout(None if seconds is None else max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Room:
    """What the hub keeps of one job while it has viewers.

    Only the hub's thread uses `progress`, and only the event loop uses everything else. `head` is the seq of
    the newest event read. `whole`: the log was once read to its end. `settled`: no unread events are known.
    `pieces` show the job as of the event `painted`.
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
        return len(self.pages) + len(self.streams)

    @property
    def stale(self) -> bool:
        """Whether there are pages and their pieces are older than the log."""
        return bool(self.pages) and self.whole and self.painted < self.head

    @property
    def over(self) -> bool:
        """Whether the job has ended and its whole log was read since the last ring."""
        return self.ended and self.settled

    def ring(self) -> None:
        """Note that the log may have grown."""
        self.rung, self.settled = True, False

    def extend(self, page: Sequence[Recorded], ended: bool) -> None:
        """Add events that were read and applied. `ended` is whether the job has ended after them."""
        self.recent.extend(page)
        self.head = page[-1].seq if page else self.head
        self.ended = ended

    def settle(self) -> None:
        """Note that the log was read to its end, unless it rang again, and wake the subscriptions."""
        self.whole, self.settled = True, not self.rung
        self.wake()

    def wake(self) -> None:
        """Wake the streams, and at the job's end also the pages, which otherwise wait for new pieces."""
        for one in (*self.streams, *(self.pages if self.over else ())):
            one.wake.set()

    def paint(self, pieces: dict[str, str], seq: int) -> None:
        """Store new pieces and offer those that changed to the pages."""
        changed = {id: html for id, html in pieces.items() if self.pieces.get(id) != html}
        self.pieces, self.painted = pieces, seq
        if changed or self.over:
            for page in self.pages:
                page.offer(changed)

    def fail(self, error: Exception, *, pages_only: bool = False) -> None:
        """End the subscriptions with an error, which their next `take` raises."""
        for one in (*self.pages, *(() if pages_only else self.streams)):
            one.error = error
            one.wake.set()


class Subscription(ABC, Generic[T]):
    """One viewer of a room. `over`: the job has ended and everything was taken."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.wake = asyncio.Event()
        self.error: Exception | None = None

    async def take(self, seconds: float) -> T:
        """Return what is new, or an empty value if nothing is new within `seconds` or the job is over.

        Raises JobNotFound, or HubBroken if the hub failed to follow this job.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            self.wake.clear()  # before reading, so that a wake during the read is not lost
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
    """A page: gets all pieces first, then those that changed; a slow page gets each piece's latest html."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self._pending = dict(room.pieces)
        room.pages.add(self)

    def offer(self, changed: dict[str, str]) -> None:
        """Add pieces to those the page has not taken yet; newer html replaces older html."""
        self._pending |= changed
        self.wake.set()

    @property
    def over(self) -> bool:
        return self.room.over and self.room.painted >= self.room.head and not self._pending

    async def _new(self) -> dict[str, str]:
        pending, self._pending = self._pending, {}
        return pending


class EventSubscription(Subscription[list[Recorded]]):
    """A stream: gets every event after its cursor, in seq order; a slow stream reads them from the log."""

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
            if room.settled:  # a cursor beyond the log, from before an older backup was restored
                self.cursor = room.head
            return []
        first = room.recent[0].seq
        if first <= self.cursor + 1:
            skip = self.cursor + 1 - first
            batch = list(islice(room.recent, skip, skip + BATCH))
        else:
            # not beyond the room's head, or the events it reads next would be repeated
            page = await self._read(room.job_id, self.cursor, BATCH)
            batch = [one for one in page if one.seq <= room.head]
        if batch:
            self.cursor = batch[-1].seq
        return batch
