"""The SDK's streamable HTTP transport, over a client that records what happened and limits reply sizes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client

from jobs.tools.contract.spec import ServerSpec
from jobs.tools.contract.wording import retry_after
from jobs.tools.wire.lines import LARGEST_LINE, Density
from jobs.tools.wire.trace import Trace, current_trace

CONNECT = 10.0  # seconds to reach the server
COURTESY = 5.0  # seconds for a message without a waiting caller
ASKED = ("initialize", "tools/list", "tools/call")  # requests with a waiting caller
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)

# the info messages of both contain addresses, which may hold keys
for _name in ("httpx2", "mcp.client.streamable_http"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class _Capped(httpx2.AsyncByteStream):
    """The body of a reply. If it is too large or breaks off, it raises StreamError, which the SDK handles."""

    def __init__(self, inner: Any, largest: int, trace: Trace) -> None:
        self._inner, self._largest, self._trace = inner, largest, trace

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, density = 0, Density()
        try:
            async for chunk in self._inner:
                size += len(chunk)
                if size > self._largest or density.too_much(chunk):
                    self._fail("the answer is too large")
                yield chunk
        except httpx2.TransportError as error:
            self._fail(f"the answer broke off ({type(error).__name__})")

    def _fail(self, reason: str) -> None:
        self._trace.fault = reason
        raise httpx2.StreamError(reason)

    async def aclose(self) -> None:
        await self._inner.aclose()


class TracingClient(httpx2.AsyncClient):
    """An HTTP client that records status, Retry-After and faults in the attempt's trace.

    A failed request becomes an answer with an error status, as an exception would end the session and with it
    every other call. A cancellation notice is sent in the background, so it never delays other calls.
    """

    def __init__(self, spec: ServerSpec, largest: int = LARGEST_LINE) -> None:
        super().__init__(
            headers={**spec.headers, "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(CONNECT, read=spec.timeout + COURTESY, write=spec.timeout),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self._largest = largest
        self._notices: set[asyncio.Task[None]] = set()

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request without raising transport errors."""
        method = _method(request)
        if method == "notifications/cancelled":
            notice = asyncio.create_task(self._notify(request, options))
            self._notices.add(notice)
            notice.add_done_callback(self._notices.discard)
            return httpx2.Response(202, request=request)
        # a reply to a request of the server runs in the context of the call during which it came
        trace = current_trace() if method in ASKED else Trace()
        if method.startswith("notifications/"):
            request.extensions = {**request.extensions, "timeout": httpx2.Timeout(COURTESY).as_dict()}
        return await self._send(request, trace, options)

    async def _notify(self, request: httpx2.Request, options: dict[str, Any]) -> None:
        request.extensions = {**request.extensions, "timeout": httpx2.Timeout(COURTESY).as_dict()}
        response = await self._send(request, Trace(), options)
        await response.aclose()

    async def _send(self, request: httpx2.Request, trace: Trace, options: dict[str, Any]) -> httpx2.Response:
        trace.sent = True
        try:
            response = await super().send(request, **options)
        except UNSENT as error:
            trace.sent, trace.fault = False, f"cannot be reached ({type(error).__name__})"
            return httpx2.Response(503, request=request)
        except httpx2.TransportError as error:
            trace.fault = f"the connection broke off ({type(error).__name__})"
            return httpx2.Response(502, request=request)
        trace.status = response.status_code
        trace.retry_after = retry_after(response.headers)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            trace.fault = "the answer is compressed, which was not requested"
            return httpx2.Response(502, request=request)
        response.stream = _Capped(response.stream, self._largest, trace)
        return response

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        for notice in self._notices:
            notice.cancel()
        await super().__aexit__(exc_type, exc_value, traceback)


def _method(request: httpx2.Request) -> str:
    """Return the JSON-RPC method of a request; "" for the SDK's other requests."""
    if request.method != "POST":
        return ""
    message = json.loads(request.content)
    return str(message.get("method", "")) if isinstance(message, dict) else ""


@asynccontextmanager
async def http_transport(spec: ServerSpec, *, largest: int = LARGEST_LINE) -> AsyncIterator[TransportStreams]:
    """Connect to the server's url while the block runs."""
    async with (
        TracingClient(spec, largest) as client,
        streamable_http_client(spec.url, http_client=client, max_sse_event_size=largest) as streams,
    ):
        yield streams
