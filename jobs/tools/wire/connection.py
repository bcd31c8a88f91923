"""One live MCP connection: opened and closed in one task, tools listed once, each call's end classified."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from jobs.tools.contract.calls import ServerProcess
from jobs.tools.contract.errors import (
    Ambiguous,
    BadReply,
    ConnectionLost,
    NotSent,
    ServerUnavailable,
    TimedOut,
    ToolError,
    UnknownTool,
    one_line,
)
from jobs.tools.contract.spec import ServerSpec
from jobs.tools.contract.tool import Tool
from jobs.tools.wire.deadline import deadline
from jobs.tools.wire.fence import fence, process_of
from jobs.tools.wire.http import http_transport
from jobs.tools.wire.lines import LARGEST_LINE
from jobs.tools.wire.process import Process
from jobs.tools.wire.reading import protocol_error
from jobs.tools.wire.stdio import stdio_transport
from jobs.tools.wire.trace import TRACE, Trace

log = logging.getLogger(__name__)
PING = 2.0  # seconds for the answer to a ping
HEARD = 5.0  # seconds for which a server counts as alive after its last answer
READ_OUT = 2.0  # seconds for the last answers of a dead server to reach their callers
MOST_PAGES = 50
CLIENT = types.Implementation(name="flightplan", version="0.1.0")


class Connection:
    """A connection that is open while one task runs `live`; other tasks make calls through it meanwhile.

    `identity`: its server process, which any worker on this machine can identify; None over HTTP.
    """

    def __init__(self, spec: ServerSpec, *, log_dir: Path | None, largest: int = LARGEST_LINE) -> None:
        self.spec = spec
        self.tools: dict[str, Tool] = {}
        self.answered = 0
        self._heard_at = 0.0  # by the loop's clock
        self._asking: asyncio.Task[None] | None = None
        self.process: Process | None = None
        self.identity: ServerProcess | None = None
        self.lost = False  # the server ended it or forgot the session: no more calls may use it
        self._log_dir, self._largest = log_dir, largest
        self.greeting = Trace()
        self._session: ClientSession | None = None
        self._over = asyncio.Event()
        self._fence: asyncio.Task[None] | None = None
        self.retiring = asyncio.Event()
        self._retirement: asyncio.Task[bool] | None = None
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def tools_known(self) -> bool:
        """Return whether the connection is initialized and its tools are listed."""
        return self._session is not None

    async def live(self, ready: asyncio.Future[None], connect_timeout: float) -> None:
        """Connect, resolve `ready`, wait until the connection ends or `close` is called, and clean up.

        `connect_timeout` is in seconds. Raises the error that made connecting fail.
        """
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(connect_timeout):
                await self._open(stack)
            if not ready.done():
                ready.set_result(None)
            try:
                await self._over.wait()
            finally:
                self.lost = True

    def close(self) -> None:
        """Make `live` end."""
        self.lost = True
        self._over.set()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        if self.spec.transport == "http":
            streams = await stack.enter_async_context(http_transport(self.spec, largest=self._largest))
        else:
            streams, process = await stack.enter_async_context(
                stdio_transport(self.spec, log_dir=self._log_dir, largest_line=self._largest)
            )
            self.process = process
            if process.started is not None:
                self.identity = process_of(process.pid, process.started)
            watch = asyncio.create_task(self._watch(process), name=f"watch {self.spec.name}")
            stack.callback(watch.cancel)
        session = await stack.enter_async_context(ClientSession(*streams, client_info=CLIENT))
        token = TRACE.set(self.greeting)
        try:
            await session.initialize()
            self.tools = await self._list(session)
        finally:
            TRACE.reset(token)
        self._heard_at = asyncio.get_running_loop().time()
        self._session = session

    async def _watch(self, process: Process) -> None:
        """Close the connection as soon as its process ends, and kill what is left of the server."""
        await process.ended.wait()
        process.kill()
        self.lost = True
        with contextlib.suppress(TimeoutError):  # calls in flight may have their answers in the pipe
            async with deadline(READ_OUT):
                await process.read_out.wait()
        self.close()

    async def _list(self, session: ClientSession) -> dict[str, Tool]:
        tools: dict[str, Tool] = {}
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            tools |= {tool.name: Tool.listed(self.spec.name, tool) for tool in page.tools}
            cursor = page.next_cursor
            if not cursor:
                break
        return tools

    def tool(self, name: str) -> Tool:
        """Return the tool of this name as the server lists it. Raises UnknownTool."""
        if name not in self.tools:
            raise UnknownTool(f"{self.spec.name} has no tool {name}")
        return self.tools[name]

    async def call(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any], timeout: float
    ) -> types.CallToolResult:
        """Make one call with a total deadline of `timeout` seconds and return the raw result.

        Raises ToolError; ServerUnavailable means that the connection had ended and nothing was sent. At the
        deadline the SDK sends `notifications/cancelled`, which the server may ignore. If this process was
        suspended past the deadline, a short grace period remains to read an answer that came meanwhile.
        """
        session = self._session
        if session is None or self.lost:
            raise ServerUnavailable(f"{self.spec.name}: not connected")
        self._in_flight += 1
        self._idle.clear()
        try:
            return await self._call(session, tool, arguments, meta, timeout)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def answers(self) -> None:
        """Check that the server is alive, with a ping unless it has answered within the last seconds. No tool
        is called. Concurrent callers share one ping. Raises ServerUnavailable."""
        if asyncio.get_running_loop().time() - self._heard_at < HEARD:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name=f"ping {self.spec.name}")
            self._asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        session, trace = self._session, Trace()
        if session is None or self.lost:
            raise ServerUnavailable(f"{self.spec.name}: not connected")
        TRACE.set(trace)  # in the context of this task alone
        try:
            async with deadline(PING):
                await session.send_ping()
        except TimeoutError:
            raise ServerUnavailable(f"{self.spec.name}: no answer to a ping within {PING:g} s") from None
        except MCPError as error:
            fault = protocol_error(self.spec, "ping", error, trace)
            if isinstance(fault, NotSent | Ambiguous):
                await self._close_if_lost(fault, trace)
                raise ServerUnavailable(fault.message) from None
            # it is alive, even if it does not support pings
        self._heard_at = asyncio.get_running_loop().time()

    async def retire(self) -> bool:
        """End the server and wait until it is dead: what it has not done by then it will never do.

        New calls use a new connection from now on; calls in flight finish first, each within its deadline.
        Concurrent callers share one retirement. Return True if the process is certainly dead; False over
        HTTP, where the server cannot be ended and the connection stays open.
        """
        if self.spec.transport == "http":
            return False
        self.lost = True
        self.retiring.set()
        if self._retirement is None:
            self._retirement = asyncio.create_task(self._retire(), name=f"retire {self.spec.name}")
        return await asyncio.shield(self._retirement)

    async def _retire(self) -> bool:
        try:
            await self._idle.wait()
            if self.process is None:
                return True  # no process was started
            if self.identity is None:
                return await self.process.kill_and_wait()
            return await fence(self.identity)  # which checks first, as the process may have died long ago
        finally:
            self.close()

    async def _call(
        self,
        session: ClientSession,
        tool: str,
        arguments: Mapping[str, Any],
        meta: Mapping[str, Any],
        timeout: float,
    ) -> types.CallToolResult:
        trace = Trace()
        token = TRACE.set(trace)
        try:
            async with deadline(timeout):
                result = await self._request(session, tool, arguments, meta, trace)
        except TimeoutError:
            await self._check_alive()
            raise TimedOut(f"{self.spec.name} {tool}: no answer within {timeout:g} s") from None
        finally:
            TRACE.reset(token)
        self.answered += 1
        self._heard_at = asyncio.get_running_loop().time()
        if self.process is not None:
            self.process.note_descendants()
        return result

    async def _request(
        self,
        session: ClientSession,
        tool: str,
        arguments: Mapping[str, Any],
        meta: Mapping[str, Any],
        trace: Trace,
    ) -> types.CallToolResult:
        # not session.call_tool, which raises for an invalid structured answer after the effect has happened
        params = types.CallToolRequestParams.model_validate(
            {"name": tool, "arguments": dict(arguments), "_meta": dict(meta)}
        )
        try:
            return await session.send_request(types.CallToolRequest(params=params), types.CallToolResult)
        except MCPError as error:
            fault = protocol_error(self.spec, tool, error, trace)
            await self._close_if_lost(fault, trace)
            raise fault from None
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise BadReply(f"{self.spec.name} {tool}: the answer is not a tool result ({where})") from None
        except Exception as error:
            log.exception("%s %s: the client broke", self.spec.name, tool)
            kind: type[ToolError] = ConnectionLost if trace.sent else ServerUnavailable
            raise kind(f"{self.spec.name} {tool}: internal error ({type(error).__name__})") from error

    async def _close_if_lost(self, fault: ToolError, trace: Trace) -> None:
        """Close a session that the server has forgotten; kill a server that has closed the connection."""
        if isinstance(fault, ServerUnavailable) and (trace.sent or self.process is not None):
            self.close()
        if isinstance(fault, ConnectionLost) and self.process is not None:
            self.close()
            await self.process.kill_and_wait()

    async def _check_alive(self) -> None:
        """After a timeout, kill the server process if it does not answer a ping. Callers share one check."""
        if self.process is None:
            return
        if self._fence is None or self._fence.done():
            self._fence = asyncio.create_task(self._ping_or_kill(), name=f"fence {self.spec.name}")
        await asyncio.shield(self._fence)

    async def _ping_or_kill(self) -> None:
        try:
            async with deadline(PING):
                if self._session is not None:
                    await self._session.send_ping()
        except MCPError:
            return  # it is alive and answers with an error, or it has already ended
        except TimeoutError:
            log.warning(
                "%s does not respond and is killed (process %s)",
                self.spec.name,
                self.process and self.process.pid,
            )
            self.lost = True
            if self.process is not None:
                await self.process.kill_and_wait()
            self.close()


def reason(error: BaseException, spec: ServerSpec, connection: Connection) -> str:
    """Return why connecting failed, for display and without secrets."""
    process, greeting = connection.process, connection.greeting
    if isinstance(error, BaseExceptionGroup):
        return reason(error.exceptions[0], spec, connection)
    if greeting.fault:
        return one_line(spec.redact(greeting.fault), 200)
    if (greeting.status or 0) >= 400:
        return f"it answers the initialize request with HTTP {greeting.status}"
    if isinstance(error, MCPError) and error.code == types.CONNECTION_CLOSED and process is not None:
        code = process.returncode
        return f"its process ended{'' if code is None else f' with code {code}'}; see {spec.name}.stderr.log"
    if isinstance(error, TimeoutError):
        return "does not answer the initialize request"
    if isinstance(error, FileNotFoundError):
        return one_line(spec.redact(f"{error.filename or spec.command} not found"), 200)
    return one_line(spec.redact(f"{type(error).__name__}: {error}".removesuffix(": ")), 200)
