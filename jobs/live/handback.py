"""Middleware that closes database connections as soon as a response is ready, before its stream begins.

Under ASGI each request has its own thread, so a connection that Django keeps for the thread's next request is
never used again. It would stay open until Python collects it, or as long as a client follows a stream.
"""

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware


def hand_back() -> None:
    """Close this thread's database connections, except those in a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


@sync_and_async_middleware
def handing_back(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Return the middleware. It must be the outermost: only the body of a streamed response follows it."""

    async def async_middleware(request: HttpRequest) -> HttpResponseBase:
        try:
            return await cast(Awaitable[HttpResponseBase], get_response(request))
        finally:
            await sync_to_async(hand_back)()

    def middleware(request: HttpRequest) -> HttpResponseBase:
        try:
            return cast(HttpResponseBase, get_response(request))
        finally:
            hand_back()

    return async_middleware if iscoroutinefunction(get_response) else middleware
