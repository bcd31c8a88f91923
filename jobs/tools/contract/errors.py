"""The errors of tool calls as one class tree; each class says whether a retry can help."""

from __future__ import annotations

from typing import ClassVar

from jobs.engine.results import StepError
from jobs.engine.results import Stopped as Stopped
from jobs.tools.contract.reply import Reply

# StepError (of the engine)
#   ToolError
#     NotSent               definitely not done: it never reached the server      retry
#       ServerUnavailable   no process, no connection, no answer to the greeting  retry
#       CircuitOpen         its server keeps failing; calls to it are paused
#     UnknownTool           definitely not done: the server has no such tool
#     InvalidArguments      definitely not done: refused before or by the server
#     SpendRefused          definitely not done: no user has confirmed this spend
#     RateLimited           definitely not done: too many calls                   retry, after retry_after
#     ToolFailed            failed: the tool says so
#     Ambiguous             sent; it is unknown whether it took effect           never sent again blindly
#       TimedOut ConnectionLost ServerFault BadReply
#     Unknown               an ambiguous effect that could not be resolved
# Stopped (of the engine)   not an error: the job may start no more calls

LONGEST_MESSAGE = 300


def one_line(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """Return `text` on one line, with white space collapsed, cut to `limit` characters."""
    line = " ".join(text[: 20 * limit].split())
    line = "".join(sign for sign in line if sign.isprintable())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class ToolError(StepError):
    """A tool call without a usable reply. `message` is safe to show: one line, no secrets.

    `retryable`: the effect definitely did not happen, and a retry can help.
    `ambiguous`: the effect may have happened.
    """

    retryable: ClassVar[bool] = False
    ambiguous: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        self.message = one_line(message)
        super().__init__(self.message)


class NotSent(ToolError):
    """The call was never sent: it is definitely not done."""

    retryable = True


class ServerUnavailable(NotSent):
    """The server cannot be started or reached."""


class CircuitOpen(NotSent):
    """The server keeps failing and calls to it are paused: nothing was sent. `reason`: its latest failure."""

    retryable = False

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"{server} is failing; calls to it are paused: {reason}")
        self.reason = one_line(reason)


class SpendRefused(ToolError):
    """The call commits spend that no user has confirmed; nothing was done."""


class UnknownTool(ToolError):
    """The server does not list this tool; nothing was done."""


class InvalidArguments(ToolError):
    """The tool does not take these arguments; nothing was done."""


class RateLimited(ToolError):
    """The server refused the call for now; nothing was done. `retry_after`: seconds, None if not stated."""

    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ToolFailed(ToolError):
    """The tool itself reported a failure. `reply`: its answer, if it could be read."""

    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


class Ambiguous(ToolError):
    """The call was sent and its outcome is not known: the effect may exist.

    `over`: the server has sent some answer, so it no longer works on the call.
    """

    ambiguous = True

    def __init__(self, message: str, *, over: bool = False) -> None:
        super().__init__(message)
        self.over = over


class TimedOut(Ambiguous):
    """No answer within the deadline of one attempt."""


class ConnectionLost(Ambiguous):
    """The connection ended during the call."""


class ServerFault(Ambiguous):
    """The server had an internal error (such as a 5xx) and does not report how far it got."""


class BadReply(Ambiguous):
    """The answer cannot be used: malformed, too large, or not as the tool's schema promises."""

    def __init__(self, message: str) -> None:
        super().__init__(message, over=True)


class Unknown(ToolError):
    """An ambiguous effect that could not be resolved; it ends the call and waits for a user."""
