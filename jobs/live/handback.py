"""Database connections are given back as soon as a request has been answered, before its stream begins.

Under ASGI each request has a thread of its own, and what Django keeps open for the thread's next request is
never used again: it lies there until Python collects it, and under a stream for as long as somebody follows.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware


def hand_back() -> None:
    """Close this thread's database connections; one that is in a transaction stays."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


@sync_and_async_middleware
def handing_back(
    get_response: Any,
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Be the outermost middleware: nothing but the body of a streamed answer comes after it."""

    async def async_answer(request: HttpRequest) -> HttpResponseBase:
        try:
            return await get_response(request)
        finally:
            await sync_to_async(hand_back)()

    def answer(request: HttpRequest) -> HttpResponseBase:
        try:
            return get_response(request)
        finally:
            hand_back()

    return async_answer if iscoroutinefunction(get_response) else answer
