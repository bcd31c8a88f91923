"""What a transport learned about one attempt: it travels with the sender's context, past the SDK's layers."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Trace:
    """One attempt as its transport saw it. `sent`: a byte of it may have reached the server; `status` and
    `retry_after` (seconds): of the HTTP answer; `fault`: why the answer cannot be used."""

    sent: bool = False
    status: int | None = None
    retry_after: float | None = None
    fault: str = ""


TRACE: ContextVar[Trace | None] = ContextVar("flightplan_attempt", default=None)


def current_trace() -> Trace:
    """The trace of the attempt that runs in this context; a throw-away one outside of any."""
    return TRACE.get() or Trace()
