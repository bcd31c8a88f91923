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

from jobs.tools.errors import (
    BadReply,
    ConnectionLost,
    ServerUnavailable,
    TimedOut,
    ToolError,
    one_line,
)
from jobs.tools.http import http_transport
from jobs.tools.lines import LARGEST_LINE
from jobs.tools.process import Process
from jobs.tools.reply import protocol_error
from jobs.tools.spec import ServerSpec
from jobs.tools.stdio import stdio_transport
from jobs.tools.tool import Tool
from jobs.tools.trace import TRACE, Trace

log = logging.getLogger(__name__)
PING = 2.0  # seconds that a server has to show that it is alive after a call timed out
MOST_PAGES = 50
CLIENT = types.Implementation(name="flightplan", version="0.1.0")


class Connection:
    """Lives in the task that runs `live`; other tasks call through it while `ready` is set."""

    def __init__(self, spec: ServerSpec, *, log_dir: Path | None, largest: int = LARGEST_LINE) -> None:
        self.spec = spec
        self.tools: dict[str, Tool] = {}
        self.answered = 0
        self.process: Process | None = None
        self.lost = False  # the server forgot or left us: no further call may use this connection
        self._log_dir, self._largest = log_dir, largest
        self.greeting = Trace()
        self._session: ClientSession | None = None
        self._over = asyncio.Event()
        self._fence: asyncio.Task[None] | None = None

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
            watch = asyncio.create_task(self._watch(process), name=f"watch {self.spec.name}")
            stack.callback(watch.cancel)
        session = await stack.enter_async_context(ClientSession(*streams, client_info=CLIENT))
        token = TRACE.set(self.greeting)
        try:
            await session.initialize()
            self.tools = await self._list(session)
        finally:
            TRACE.reset(token)
        self._session = session

    async def _watch(self, process: Process) -> None:
        """Notice an idle death at once, not at the next call; what is left of the server may not act on."""
        await process.ended.wait()
        process.kill()
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

    async def call(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any], timeout: float
    ) -> types.CallToolResult:
        """Make one call with a total deadline in seconds and give the raw result. Raises ToolError."""
        session = self._session
        if session is None or self.lost:
            raise ServerUnavailable(f"{self.spec.name}: not connected")
        trace = Trace()
        token = TRACE.set(trace)
        try:
            async with asyncio.timeout(timeout):
                result = await self._request(session, tool, arguments, meta, trace)
        except TimeoutError:
            await self._fenced()
            raise TimedOut(f"{self.spec.name} {tool}: no answer within {timeout:g} s") from None
        finally:
            TRACE.reset(token)
        self.answered += 1
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
            async with asyncio.timeout(PING):
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
