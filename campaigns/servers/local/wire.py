"""MCP over stdin and stdout, standard library only: one JSON-RPC message per line, concurrent calls."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any, BinaryIO, Protocol

JSON = dict[str, Any]

#: Revisions that start with `initialize`; clients of later revisions fall back to it if `server/discover` is
#: unknown.
PROTOCOL_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, INTERNAL_ERROR = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
)


class ProtocolError(Exception):
    """A request answered with a JSON-RPC error of this code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Served(Protocol):
    """What the connection needs from a server."""

    name: str

    def describe(self) -> list[JSON]:
        """Return every tool as in `tools/list`."""
        ...

    async def call(self, name: str, arguments: JSON, meta: Mapping[str, Any]) -> JSON:
        """Return the result object of `tools/call`. Raises ProtocolError for an unknown tool."""
        ...


class Wire:
    """The connection of one client: read requests, run each call as a task, write whole lines."""

    def __init__(self, server: Served, out: BinaryIO) -> None:
        self._server = server
        self._out = out
        self._calls: dict[str | int, asyncio.Task[None]] = {}

    async def receive(self, lines: asyncio.Queue[bytes | None]) -> None:
        """Answer line by line until None, then cancel the calls in progress: their client is gone."""
        while (line := await lines.get()) is not None:
            if line.strip():
                self._take(line)
        for task in self._calls.values():
            task.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self._error(None, ProtocolError(PARSE_ERROR, "Not JSON"))
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            self._error(None, ProtocolError(INVALID_REQUEST, "Not a request"))
        elif "id" in message:
            self._request(message["id"], message["method"], _object(message.get("params")))
        elif message["method"] == "notifications/cancelled":
            self._cancel(_object(message.get("params")).get("requestId"))

    def _request(self, ident: Any, method: str, params: JSON) -> None:
        if not isinstance(ident, str | int):
            self._error(None, ProtocolError(INVALID_REQUEST, "The id is neither text nor a number"))
        elif method == "tools/call":
            task = asyncio.create_task(self._call(ident, params))
            self._calls[ident] = task
            task.add_done_callback(lambda _: self._calls.pop(ident, None))
        else:
            try:
                self._send({"id": ident, "result": self._answer(method, params)})
            except ProtocolError as error:
                self._error(ident, error)

    def _answer(self, method: str, params: JSON) -> JSON:
        if method == "initialize":
            asked = params.get("protocolVersion")
            return {
                "protocolVersion": asked if asked in PROTOCOL_VERSIONS else PROTOCOL_VERSIONS[0],
                "capabilities": {"tools": {"listChanged": False}},
                "serverInfo": {"name": self._server.name, "version": "1"},
            }
        if method == "ping":
            return {}
        if method == "tools/list":
            return {"tools": self._server.describe()}
        raise ProtocolError(UNKNOWN_METHOD, f"Method not found: {method}")

    async def _call(self, ident: str | int, params: JSON) -> None:
        try:
            result = await self._server.call(
                str(params.get("name")), _object(params.get("arguments")), _object(params.get("_meta"))
            )
        except ProtocolError as error:
            self._error(ident, error)
        else:
            self._send({"id": ident, "result": result})

    def _cancel(self, ident: Any) -> None:
        # A cancelled request gets no answer; an effect that is already being written is kept.
        if isinstance(ident, str | int) and (task := self._calls.get(ident)):
            task.cancel()

    def _error(self, ident: str | int | None, error: ProtocolError) -> None:
        self._send({"id": ident, "error": {"code": error.code, "message": str(error)}})

    def _send(self, message: JSON) -> None:
        try:
            self._out.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self._out.flush()
        except BrokenPipeError:
            # The client is gone: stdin ends next, and with it this process.
            print("the client is gone, the answer is dropped", file=sys.stderr)  # noqa: T201


def _object(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}


async def serve(server: Served) -> None:
    """Serve over this process's stdin and stdout until stdin ends; other output goes to stderr."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def read() -> None:
        # A thread can read a pipe, a file and a terminal alike, and lines of any length.
        for line in sys.stdin.buffer:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    await Wire(server, out).receive(lines)
