"""One live MCP connection: entered and left in one task, tools listed once, every call's end classified."""

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
PING = 2.0  # seconds that a server has to show that it is alive
HEARD = 5.0  # seconds for which a server's last word shows that it is there
READ_OUT = 2.0  # seconds for what a dead server has said to reach whoever waits for it
MOST_PAGES = 50
CLIENT = types.Implementation(name="flightplan", version="0.1.0")


class Connection:
    """Lives in the task that runs `live`; other tasks call through it while `ready` is set.

    `identity`: its server process, by which any worker of this machine knows it again; None for HTTP.
    """

    def __init__(self, spec: ServerSpec, *, log_dir: Path | None, largest: int = LARGEST_LINE) -> None:
        self.spec = spec
        self.tools: dict[str, Tool] = {}
        self.answered = 0
        self._heard_at = 0.0  # by the loop's clock
        self._asking: asyncio.Task[None] | None = None
        self.process: Process | None = None
        self.identity: ServerProcess | None = None
        self.lost = False  # the server forgot or left us: no further call may use this connection
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
        """Whether the greeting is over and calls may go through."""
        return self._session is not None

    async def live(self, ready: asyncio.Future[None], connect_timeout: float) -> None:
        """Connect, resolve `ready`, stay until the connection ends or `close` is called, and clean up.

        Raises what made connecting fail.
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
        """Let `live` end."""
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
        """Notice an idle death at once, not at the next call; what is left of the server may not act on."""
        await process.ended.wait()
        process.kill()
        self.lost = True
        with contextlib.suppress(TimeoutError):  # calls on the way may have their answers in the pipe
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
        """The tool of this name as this connection lists it. Raises UnknownTool."""
        if name not in self.tools:
            raise UnknownTool(f"{self.spec.name} has no tool {name}")
        return self.tools[name]

    async def call(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any], timeout: float
    ) -> types.CallToolResult:
        """Make one call with a total deadline in seconds and give the raw result. Raises ToolError.

        ServerUnavailable: the connection ended before, nothing was sent. A server whose time is up is told
        so (`notifications/cancelled`, by the SDK), which it may heed or not. A deadline that passed while our
        own process slept leaves a short grace to read an answer that came meanwhile.
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
        """Make sure that the server is there, by a ping where its last word is some seconds old; no tool is
        called. All callers share one ping. Raises ServerUnavailable."""
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
                await self._take_note(fault, trace)
                raise ServerUnavailable(fault.message) from None
            # it answers, be it that it knows no ping
        self._heard_at = asyncio.get_running_loop().time()

    async def retire(self) -> bool:
        """Give the server up, and wait for its certain end: what it has not done by then it never does.

        New calls go to a new connection from here on; calls in flight end first, each within its own
        deadline. All callers share one retirement. True when the process is certainly dead; False for HTTP,
        which this leaves alone: nothing there can be ended from here.
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
                return True  # it was never started
            if self.identity is None:
                return await self.process.put_down()
            return await fence(self.identity)  # it looks before it kills: the process may be long dead
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
            await self._fenced()
            raise TimedOut(f"{self.spec.name} {tool}: no answer within {timeout:g} s") from None
        finally:
            TRACE.reset(token)
        self.answered += 1
        self._heard_at = asyncio.get_running_loop().time()
        if self.process is not None:
            self.process.look_around()
        return result

    async def _request(
        self,
        session: ClientSession,
        tool: str,
        arguments: Mapping[str, Any],
        meta: Mapping[str, Any],
        trace: Trace,
    ) -> types.CallToolResult:
        # not session.call_tool: it raises for a wrong output schema after the effect has happened
        params = types.CallToolRequestParams.model_validate(
            {"name": tool, "arguments": dict(arguments), "_meta": dict(meta)}
        )
        try:
            return await session.send_request(types.CallToolRequest(params=params), types.CallToolResult)
        except MCPError as error:
            fault = protocol_error(self.spec, tool, error, trace)
            await self._take_note(fault, trace)
            raise fault from None
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise BadReply(f"{self.spec.name} {tool}: the answer is not a tool result ({where})") from None
        except Exception as error:
            log.exception("%s %s: the client broke", self.spec.name, tool)
            kind: type[ToolError] = ConnectionLost if trace.sent else ServerUnavailable
            raise kind(f"{self.spec.name} {tool}: internal error ({type(error).__name__})") from error

    async def _take_note(self, fault: ToolError, trace: Trace) -> None:
        """A session that the server forgot is of no further use; a server that hung up may not act on."""
        if isinstance(fault, ServerUnavailable) and (trace.sent or self.process is not None):
            self.close()
        if isinstance(fault, ConnectionLost) and self.process is not None:
            self.close()
            await self.process.put_down()

    async def _fenced(self) -> None:
        """After a timeout: a server process that does not answer a ping either is killed, once for all."""
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
            return  # it answers, be it with an error; or it is gone already
        except TimeoutError:
            log.warning(
                "%s hangs and is killed (process %s)", self.spec.name, self.process and self.process.pid
            )
            self.lost = True
            if self.process is not None:
                await self.process.put_down()
            self.close()


def reason(error: BaseException, spec: ServerSpec, connection: Connection) -> str:
    """Why connecting failed, in words for people and without secrets."""
    process, greeting = connection.process, connection.greeting
    if isinstance(error, BaseExceptionGroup):
        return reason(error.exceptions[0], spec, connection)
    if greeting.fault:
        return one_line(spec.redact(greeting.fault), 200)
    if (greeting.status or 0) >= 400:
        return f"it answers the greeting with HTTP {greeting.status}"
    if isinstance(error, MCPError) and error.code == types.CONNECTION_CLOSED and process is not None:
        code = process.returncode
        return f"its process ended{'' if code is None else f' with code {code}'}; see {spec.name}.stderr.log"
    if isinstance(error, TimeoutError):
        return "does not answer the greeting"
    if isinstance(error, FileNotFoundError):
        return one_line(spec.redact(f"{error.filename or spec.command} not found"), 200)
    return one_line(spec.redact(f"{type(error).__name__}: {error}".removesuffix(": ")), 200)
