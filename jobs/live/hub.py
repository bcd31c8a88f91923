"""The hub, one per web process: learns that job logs have grown, reads them once, and serves every viewer."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from typing import ParamSpec, TypeVar
from uuid import UUID

import psycopg
from django.db import DatabaseError, InterfaceError, close_old_connections

from jobs.engine.events import Recorded
from jobs.engine.progress import Progress
from jobs.live import pieces
from jobs.live.watched import EventSubscription, HubBroken, JobNotFound, PieceSubscription, Room, heard
from jobs.models import Job
from jobs.store import doorbell, feed, notices

__all__ = ["Hub", "HubBroken", "JobNotFound", "hub"]

P = ParamSpec("P")
R = TypeVar("R")
Render = Callable[[Job, Progress], dict[str, str]]

GATHER = 0.02  # seconds in which rings are combined into one read
POLL = 1.0  # seconds between two checks for lost rings
PACE = 0.25  # minimum seconds between two renderings of one job
AGAIN = 5.0  # seconds before the hub reconnects to a database that closed the connection
MANY = 8  # with this many rings at once the bell may have been full, so that others were lost
TIDY = 60.0  # seconds between two checks of the connection's age; a check per read would close it each time

logger = logging.getLogger(__name__)
_bell_numbers = count(1)


class Hub:
    """Distributes the logs of watched jobs to pages and streams. It has no tasks while there are no viewers.

    Delivery: the log is the source of truth; the hub only reduces latency. An `events` subscription gets
    every committed event after its cursor exactly once, in seq order. A `pieces` subscription gets all
    pieces, then the latest html of each piece that changes, up to and including the job's end; states in
    between may be skipped. A subscription is registered before the log is read, so no event is missed. A
    lost ring delays events by at most `poll` seconds. After a broken connection a page gets all pieces again
    and a stream resumes from its cursor.

    Events are read once and pieces are rendered once for any number of viewers, in one thread with its own
    database connection. A slow viewer uses no extra memory: its pieces are merged, and a stream that falls
    behind reads the log.
    """

    def __init__(
        self,
        render: Render = pieces.pieces,
        *,
        gather: float = GATHER,
        poll: float = POLL,
        pace: float = PACE,
    ) -> None:
        self.gather, self.poll, self.pace = gather, poll, pace
        self._render = render
        self._rooms: dict[UUID, Room] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._bell: socket.socket | None = None
        self._thread = ThreadPoolExecutor(1, "hub")
        self._tidy_at = 0.0
        self._poll_at = 0.0

    @contextmanager
    def pieces(self, job_id: UUID) -> Iterator[PieceSubscription]:
        """Subscribe a page to a job for the duration of the block."""
        page = PieceSubscription(self._room(job_id))
        with self._subscribed(page.room, lambda: page.room.pages.discard(page)):
            yield page

    @contextmanager
    def events(self, job_id: UUID, after: int = 0) -> Iterator[EventSubscription]:
        """Subscribe a stream to a job's events after the seq `after`, for the duration of the block."""
        stream = EventSubscription(self._room(job_id), after, self._read_page)
        with self._subscribed(stream.room, lambda: stream.room.streams.discard(stream)):
            yield stream

    def watchers(self, job_id: UUID | None = None) -> int:
        """Return the number of subscriptions to one job, or to all jobs."""
        return sum(room.watchers for room in self._rooms.values() if job_id in (None, room.job_id))

    @contextmanager
    def _subscribed(self, room: Room, leave: Callable[[], None]) -> Iterator[None]:
        try:
            yield
        finally:
            leave()
            if not room.watchers and self._rooms.get(room.job_id) is room:
                del self._rooms[room.job_id]
            if not self._rooms:
                self._sleep()

    def _room(self, job_id: UUID) -> Room:
        """Return the job's room, marked as unread: a new subscriber needs a read that starts after it."""
        self._awake()
        room = self._rooms.setdefault(job_id, Room(job_id))
        room.ring()
        self._rung.set()
        self._stale.set()
        return room

    def _awake(self) -> None:
        if self._tasks:
            return
        loop = asyncio.get_running_loop()
        self._rung, self._stale = asyncio.Event(), asyncio.Event()
        try:
            self._bell = doorbell.hang(f"web-{os.getpid()}-{next(_bell_numbers)}")
            loop.add_reader(self._bell.fileno(), self._listen, self._bell)
        except OSError:
            logger.exception("cannot create a doorbell; new events are found every %g s", self.poll)
        works = [self._reading, self._painting, *([self._noticing] if notices.available() else [])]
        self._tasks = [loop.create_task(work(), name="hub") for work in works]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _sleep(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if self._bell:
            asyncio.get_running_loop().remove_reader(self._bell.fileno())
            doorbell.take_down(self._bell)
            self._bell = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End all subscriptions if a task of the hub failed unexpectedly."""
        if task.cancelled() or not (error := task.exception()):
            return
        logger.critical("a task of the hub failed", exc_info=error)
        for room in list(self._rooms.values()):
            self._drop(room, HubBroken("a task of the hub failed"))
        if task in self._tasks:
            self._sleep()

    def _drop(self, room: Room, error: Exception) -> None:
        self._rooms.pop(room.job_id, None)
        room.fail(error)

    def _listen(self, bell: socket.socket) -> None:
        rings = 0
        with suppress(BlockingIOError):
            while True:
                self._hear(bell.recv(64).decode("ascii", "replace"))
                rings += 1
        if rings >= MANY:
            self._poll_at = 0.0
            self._rung.set()

    def _hear(self, name: str) -> None:
        with suppress(ValueError):  # a ring for something other than a job
            if room := self._rooms.get(UUID(name)):
                room.ring()
                self._rung.set()

    async def _noticing(self) -> None:
        """Receive notices of commits on other machines. Without the connection, polling finds them."""
        while True:
            try:
                async for name in notices.listen():
                    self._hear(name)
            except (psycopg.Error, OSError) as error:
                logger.warning("the hub cannot listen to the database: %s", error)
            await asyncio.sleep(AGAIN)

    async def _reading(self) -> None:
        now = asyncio.get_running_loop().time
        self._poll_at = now() + self.poll
        while True:
            if await heard(self._rung, self._poll_at - now()):
                await asyncio.sleep(self.gather)
            self._rung.clear()
            if now() >= self._poll_at:
                self._poll_at = now() + self.poll
                await self._look_for_lost_rings()
            behind = [room for room in self._rooms.values() if room.rung]
            while behind:  # one page of each in turn, so that a long log does not delay the others
                behind = [room for room in behind if await self._catch_up(room)]

    async def _look_for_lost_rings(self) -> None:
        rooms = list(self._rooms.values())
        try:
            heads = await self._in_thread(feed.heads, [room.job_id for room in rooms])
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the hub cannot check for new events: %s", error)
            return
        for room in rooms:
            if room.job_id not in heads:
                self._drop(room, JobNotFound(str(room.job_id)))
            elif heads[room.job_id] != room.head:
                room.ring()

    async def _catch_up(self, room: Room) -> bool:
        """Read a page of new events. Return whether there may be more."""
        room.rung = False
        try:
            page, ended = await self._in_thread(_read_and_fold, room)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the hub cannot read job %s: %s", room.job_id, error)
            room.ring()  # retried at the next poll
            return False
        except Exception as error:
            logger.exception("the hub cannot follow job %s", room.job_id)
            self._drop(room, error)
            return False
        room.extend(page, ended)
        if len(page) == feed.PAGE:
            room.wake()
            return True
        room.settle()
        self._stale.set()
        return False

    async def _painting(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            self._stale.clear()
            stale = (room for room in self._rooms.values() if room.stale)
            room = min(stale, key=lambda room: room.paint_at, default=None)
            if room is None:
                await self._stale.wait()
            elif room.paint_at > now():
                await heard(self._stale, room.paint_at - now())
            else:
                room.paint_at = now() + self.pace
                await self._paint(room)

    async def _paint(self, room: Room) -> None:
        try:
            pieces, seq = await self._in_thread(self._render_room, room)
        except Job.DoesNotExist:
            self._drop(room, JobNotFound(str(room.job_id)))
        except Exception as error:
            logger.exception("the hub cannot render job %s", room.job_id)
            room.fail(error, pages_only=True)
            room.painted = room.head  # not retried before there are new events
        else:
            room.paint(pieces, seq)

    def _render_room(self, room: Room) -> tuple[dict[str, str], int]:
        job = Job.objects.select_related("owner").get(pk=room.job_id)
        return self._render(job, room.progress), room.progress.last_seq

    async def _read_page(self, job_id: UUID, after: int, limit: int) -> list[Recorded]:
        try:
            return await self._in_thread(feed.after, job_id, after, limit)
        except Exception as error:
            logger.warning("the hub cannot read the log of job %s: %r", job_id, error)
            raise HubBroken(f"job {job_id}: {type(error).__name__}") from error

    async def _in_thread(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in the hub's thread, the only user of its database connection."""

        def run() -> R:
            try:
                return work(*args, **kwargs)
            except (DatabaseError, InterfaceError):
                close_old_connections()
                raise
            finally:
                if time.monotonic() >= self._tidy_at:
                    self._tidy_at = time.monotonic() + TIDY
                    close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)


def _read_and_fold(room: Room) -> tuple[list[Recorded], bool]:
    page = feed.after(room.job_id, room.progress.last_seq)
    for one in page:
        room.progress.apply(one)
    return page, room.progress.ended


@cache
def hub() -> Hub:
    """Return this process's hub."""
    return Hub()
