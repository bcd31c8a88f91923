"""The worker's only database writer: a thread that commits all waiting writes together (group commit)."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import InterfaceError, InternalError, OperationalError, connection, transaction

log = logging.getLogger(__name__)
T = TypeVar("T")
LARGEST_BATCH = 200
TRIES = 6
ONE_BY_ONE_SECONDS = 10.0
# locked, or the connection is gone: a retry can help. PostgreSQL raises InternalError if the worker slept so
# long in a transaction that the server ended the session.
PASSING = (OperationalError, InterfaceError, InternalError)


class WriterClosed(RuntimeError):
    """The writer accepts no more work; the work was not done."""


@dataclass(slots=True)
class _Write:
    """One piece of work and the future that is set after its commit."""

    work: Callable[[], Any]
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = field(default=None)


class Writer:
    """Runs writes in order, in one thread with one connection.

    `run` returns after the commit, never before. All waiting writes go into one transaction, each in its own
    savepoint, so that a failed write does not affect the others. Work may run again if the database was
    locked, so it must read everything it needs itself.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[list[_Write] | None] = queue.SimpleQueue()
        self._asked: list[_Write] = []
        self._due: asyncio.AbstractEventLoop | None = None  # the loop that will hand writes over
        self._gate, self._closed = threading.Lock(), False
        self._thread = threading.Thread(target=self._loop, name="writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a transaction, commit it, and return its value; what it raises is raised here.

        Raises WriterClosed after `close`.
        """
        loop = asyncio.get_running_loop()
        write = _Write(work, loop.create_future())
        with self._gate:
            if self._closed:
                raise WriterClosed("the writer is closed")
            self._asked.append(write)
            if self._due is not loop:  # another loop may have ended before its next turn
                # deferred: the end of one call often starts another at once; both then commit together
                loop.call_soon(self._hand_over)
                self._due = loop
        # a cancelled caller no longer retrieves the error
        write.future.add_done_callback(lambda done: done.cancelled() or done.exception())
        # shielded: the write of a cancelled caller is still done, completely and in order
        return await asyncio.shield(write.future)

    def close(self, seconds: float = 10.0) -> None:
        """Commit the waiting writes and end the thread."""
        with self._gate:  # one lock: a write requested in between would never be done
            self._closed = True
            self._put_asked()
            self._queue.put(None)
        self._thread.join(seconds)

    def _hand_over(self) -> None:
        """Pass the thread the writes requested since the last time."""
        with self._gate:
            self._put_asked()

    def _put_asked(self) -> None:
        asked, self._asked, self._due = self._asked, [], None
        for start in range(0, len(asked), LARGEST_BATCH):  # one turn may request many writes at once
            self._queue.put(asked[start : start + LARGEST_BATCH])

    def _loop(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._gather()
            if batch:
                self._commit(batch)
        connection.close()

    def _gather(self) -> tuple[list[_Write], bool]:
        first = self._queue.get()
        if first is None:
            return [], False
        batch = first
        while len(batch) < LARGEST_BATCH:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                return batch, False
            batch = batch + more
        return batch, True

    def _commit(self, batch: list[_Write]) -> None:
        """Commit a batch and resolve its callers' futures. The thread survives any error."""
        for attempt in range(1, TRIES + 1):
            error = _transact(batch)
            if not isinstance(error, PASSING):
                break
            connection.close()
            log.warning("commit %d of %d failed: %s", attempt, TRIES, error)
            if attempt < TRIES:
                time.sleep(0.05 * 2**attempt)
        if error is not None and (len(batch) > 1 or not isinstance(error, PASSING)):
            self._one_by_one(batch)
            return
        if error is not None:
            self._give_up(batch, error)
            return
        for write in batch:
            _resolve(write)

    def _one_by_one(self, batch: list[_Write]) -> None:
        """Commit each write of a failed batch separately, so that one bad write does not affect the others.

        A foreign key, for example, is checked only at the commit; when run again, the write sees that the row
        it refers to is gone. If the database is unavailable, this ends too: once the time is up, all
        remaining writes are given up at the next failure.
        """
        deadline = time.monotonic() + ONE_BY_ONE_SECONDS
        for number, write in enumerate(batch):
            error = _transact([write])
            if isinstance(error, PASSING):
                connection.close()
                if time.monotonic() > deadline:
                    self._give_up(batch[number:], error)
                    return
            if error is not None:
                self._give_up([write], error)
            else:
                _resolve(write)

    @staticmethod
    def _give_up(batch: list[_Write], error: Exception) -> None:
        log.error("a batch of %d writes was given up: %s", len(batch), error)
        for write in batch:
            write.value, write.error = None, error
            _resolve(write)


def _transact(batch: list[_Write]) -> Exception | None:
    """Run a batch in one transaction and return the error that prevented its commit, if any."""
    committed: list[bool] = []
    try:
        with transaction.atomic():
            transaction.on_commit(lambda: committed.append(True))
            for write in batch:
                _do(write)
    except Exception as error:
        if not committed:
            return error
        log.exception("an on_commit callback failed; the writes are committed")
    # Django rolls back silently after a broken savepoint
    return None if committed else OperationalError("the transaction was rolled back")


def _do(write: _Write) -> None:
    write.value = write.error = None
    try:
        with transaction.atomic():
            write.value = write.work()
    except PASSING:
        raise
    except Exception as error:
        write.error = error


def _resolve(write: _Write) -> None:
    def settle() -> None:
        if write.future.done():
            return
        if write.error is not None:
            write.future.set_exception(write.error)
        else:
            write.future.set_result(write.value)

    try:
        write.future.get_loop().call_soon_threadsafe(settle)
    except RuntimeError:
        log.info("a write was committed after its loop had closed")
