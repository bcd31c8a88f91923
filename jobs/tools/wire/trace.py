"""What a transport recorded of one attempt, passed around the SDK in a context variable."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Trace:
    """One attempt as its transport saw it.

    `sent`: whether any of it may have reached the server; `status` and `retry_after` (seconds): of the HTTP
    answer; `fault`: why the answer cannot be used.
    """

    sent: bool = False
    status: int | None = None
    retry_after: float | None = None
    fault: str = ""


TRACE: ContextVar[Trace | None] = ContextVar("flightplan_attempt", default=None)


def current_trace() -> Trace:
    """Return the trace of the attempt in this context; a new one outside of any attempt."""
    return TRACE.get() or Trace()
