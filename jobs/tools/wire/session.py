"""One supervised, long-lived session per server: connects on demand, reconnects after a crash, fails fast."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mcp_types as types

from jobs.tools.contract.calls import ServerProcess
from jobs.tools.contract.errors import ServerUnavailable
from jobs.tools.contract.spec import ServerSpec
from jobs.tools.contract.tool import Tool
from jobs.tools.wire.connection import Connection, reason
from jobs.tools.wire.lines import LARGEST_LINE

log = logging.getLogger(__name__)
CONNECT = 15.0
LONGEST_DELAY = 5.0
STABLE = 5.0  # seconds after which a connection counts as stable
CLOSE = 10.0


class Session:
    """Provides the one connection of a server. A supervisor task runs it in a child task: a crash ends the
    child, never the supervisor. The calls of a retiring connection end in the background, beside its
    successor.

    Concurrent callers share one attempt to connect (`connect_timeout` seconds). After a failure, calls are
    refused immediately until the next attempt is due: `delay` seconds later, then twice that, and so on.
    """

    def __init__(
        self,
        spec: ServerSpec,
        *,
        log_dir: Path | None = None,
        connect_timeout: float = CONNECT,
        delay: float = 0.5,
        largest: int = LARGEST_LINE,
    ) -> None:
        self.spec = spec
        self.last_error = ""
        self._log_dir, self._connect_timeout, self._first_delay = log_dir, connect_timeout, delay
        self._largest = largest
        self._connection: Connection | None = None
        self._lives: dict[asyncio.Task[None], Connection] = {}  # the current and retiring connections
        self._attempt: asyncio.Future[None] | None = None  # the connection attempt that callers share
        self._wanted = asyncio.Event()
        self._resting = False
        self._closed = False
        self._strikes = 0
        self._delay = 0.0
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Return whether calls can be sent without connecting first."""
        return self._live() is not None

    @property
    def tools(self) -> Mapping[str, Tool]:
        """Return the tools of the current connection, by name."""
        connection = self._live()
        return connection.tools if connection else {}

    @property
    def identity(self) -> ServerProcess | None:
        """Return the server process of the current connection, or None."""
        return self._connection.identity if self._connection else None

    def held(self, process: ServerProcess) -> Connection | None:
        """Return the current or retiring connection to this server process, or None."""
        return next((one for one in self._lives.values() if one.identity == process), None)

    def start(self) -> None:
        """Connect in the background."""
        if self._supervisor is None and not self._closed:
            self._supervisor = asyncio.create_task(self._supervise(), name=f"session {self.spec.name}")
        self._wanted.set()

    async def tool(self, name: str) -> Tool:
        """Return the tool, connecting first if needed. Raises ServerUnavailable or UnknownTool."""
        return (await self.connection()).tool(name)

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, meta: Mapping[str, Any], timeout: float
    ) -> types.CallToolResult:
        """Make one call with a total deadline of `timeout` seconds. Raises ToolError."""
        return await (await self.connection()).call(tool, arguments, meta, timeout)

    def close(self) -> None:
        """Start to end the session and its server process, without waiting."""
        if self._closed:
            return  # a second cancellation would interrupt the cleanup
        self._closed = True
        for connection in self._lives.values():
            connection.close()
        if self._supervisor is not None:
            self._supervisor.cancel()

    async def aclose(self) -> None:
        """End the session and its server process, within seconds."""
        self.close()
        if self._supervisor is not None:
            await asyncio.wait({self._supervisor}, timeout=2 * CLOSE)

    async def connection(self) -> Connection:
        """Return the current connection, connecting first if needed. Raises ServerUnavailable."""
        if (connection := self._live()) is not None:
            return connection
        if self._closed:
            raise ServerUnavailable(f"{self.spec.name}: closed")
        if self._resting:
            raise ServerUnavailable(f"{self.spec.name}: {self.last_error}")
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.get_running_loop().create_future()
        attempt = self._attempt
        self.start()
        await asyncio.shield(attempt)
        if (connection := self._live()) is None:
            raise ServerUnavailable(f"{self.spec.name}: {self.last_error or 'not connected'}")
        return connection

    def _live(self) -> Connection | None:
        connection = self._connection
        return None if connection is None or connection.lost or not connection.tools_known else connection

    # the supervising task

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wanted.wait()
                since = loop.time()
                try:
                    if await self._one_life():
                        continue  # retired: connect again immediately
                except Exception as error:  # an internal error must not close the session forever
                    self._broke(error)
                self._count(loop.time() - since)
                await self._rest()
        finally:
            self._closed = True
            self._settle_attempt()
            await self._end_lives()

    async def _one_life(self) -> bool:
        """Run one connection in a child task. Return True once it retires, False once it ends."""
        loop = asyncio.get_running_loop()
        connection = self._connection = Connection(self.spec, log_dir=self._log_dir, largest=self._largest)
        ready: asyncio.Future[None] = loop.create_future()
        ready.add_done_callback(lambda done: None if done.cancelled() else self._settle_attempt())
        child = asyncio.create_task(
            connection.live(ready, self._connect_timeout), name=f"live {self.spec.name}"
        )
        self._lives[child] = connection
        child.add_done_callback(self._over)
        retiring = asyncio.create_task(connection.retiring.wait())
        try:
            await asyncio.wait({child, retiring}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            retiring.cancel()
        if not child.done():
            return True
        self._note(child, connection)
        if ready.cancel():  # it never connected: wake the waiting callers
            self._settle_attempt()
        return False

    def _over(self, child: asyncio.Task[None]) -> None:
        del self._lives[child]
        if not child.cancelled():
            child.exception()  # retrieved, as nothing else awaits a retired connection

    async def _end_lives(self) -> None:
        """Close all connections; cancel those that do not end in time."""
        for child, connection in self._lives.items():
            connection.close()
            if not connection.tools_known:
                child.cancel()  # it is still connecting
        for _ in range(2):
            if not self._lives:
                return
            _, late = await asyncio.wait(set(self._lives), timeout=CLOSE / 2)
            for child in late:
                child.cancel()

    def _broke(self, error: Exception) -> None:
        log.error("a tool server's session had an internal error and continues after a pause", exc_info=error)
        self.last_error = f"internal error ({type(error).__name__})"
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._settle_attempt()

    def _note(self, child: asyncio.Task[None], connection: Connection) -> None:
        if child.cancelled():
            self.last_error = "the connection was cancelled"
        elif (error := child.exception()) is not None:
            self.last_error = reason(error, self.spec, connection)
        else:
            self.last_error = "the connection ended"
        log.warning("tool server %s: %s", self.spec.name, self.last_error)

    def _count(self, lived: float) -> None:
        """Count failures in a row and set the delay; the first crash of a server that connected has none."""
        connection = self._connection
        ready = connection is not None and connection.tools_known
        good = connection is not None and ready and (connection.answered > 0 or lived > STABLE)
        self._strikes = 0 if good else self._strikes + 1
        delays = self._strikes - 1 if ready else self._strikes
        self._delay = min(self._first_delay * 2 ** (delays - 1), LONGEST_DELAY) if delays > 0 else 0.0

    async def _rest(self) -> None:
        """Refuse calls until the next attempt is due."""
        self._connection = None
        self._resting = self._delay > 0
        if self._resting:
            self._settle_attempt()
            await asyncio.sleep(self._delay)
        self._resting = False
        if self._strikes > 1:
            self._wanted.clear()  # from now on only a caller starts the next attempt
        if self._attempt is not None and not self._attempt.done():
            self._wanted.set()

    def _settle_attempt(self) -> None:
        if self._attempt is not None and not self._attempt.done():
            self._attempt.set_result(None)
