"""Every way a tool call can end badly, as one tree; each class says whether a retry helps."""

from __future__ import annotations

from typing import ClassVar

from jobs.engine.results import StepError
from jobs.engine.results import Stopped as Stopped
from jobs.tools.contract.reply import Reply

# StepError (of the engine)
#   ToolError
#     NotSent               definitely not done: it never reached the server      retry
#       ServerUnavailable   no process, no connection, no answer to the greeting  retry
#       HeldBack            its server keeps failing and is left alone for now
#     UnknownTool           definitely not done: the server has no such tool
#     InvalidArguments      definitely not done: refused before or by the server
#     SpendRefused          definitely not done: nobody allowed this job to commit spend
#     RateLimited           definitely not done: too many calls                   retry, after retry_after
#     ToolFailed            definitely failed: the tool says so
#     Ambiguous             sent, and nobody knows what came of it                never a blind second send
#       TimedOut ConnectionLost ServerFault BadReply
#     Unknown               an ambiguous effect that could not be settled
# Stopped (of the engine)   not a fault: the job may start no further call

LONGEST_MESSAGE = 300


def one_line(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """`text` on one line, white space folded, cut to `limit` characters."""
    line = " ".join(text[: 20 * limit].split())
    line = "".join(sign for sign in line if sign.isprintable())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class ToolError(StepError):
    """A tool call that gave no usable reply. `message` is safe to show: one line, no secrets.

    `retryable`: the effect definitely did not happen and trying again can help.
    `ambiguous`: the effect may have happened.
    """

    retryable: ClassVar[bool] = False
    ambiguous: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        self.message = one_line(message)
        super().__init__(self.message)


class NotSent(ToolError):
    """The call never left: it is definitely not done."""

    retryable = True


class ServerUnavailable(NotSent):
    """The server cannot be started or reached."""


class HeldBack(NotSent):
    """The server keeps failing, and no call is sent to it for a while: nothing was done. `reason`: its newest
    failure."""

    retryable = False

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"{server} keeps failing and is left alone for now: {reason}")
        self.reason = one_line(reason)


class SpendRefused(ToolError):
    """The call commits spend, and nobody has allowed this job to do so; nothing was done."""


class UnknownTool(ToolError):
    """The server does not list this tool; nothing was done."""


class InvalidArguments(ToolError):
    """The tool does not take these arguments; nothing was done."""


class RateLimited(ToolError):
    """The server refused for now; nothing was done. `retry_after`: seconds, None where it did not say."""

    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ToolFailed(ToolError):
    """The tool itself reported a failure. `reply`: what it said, where that could be read."""

    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


class Ambiguous(ToolError):
    """The call was sent and its end is not known: the effect may exist.

    `over`: the server has answered in some way: by its own word it is no longer at work on the call.
    """

    ambiguous = True

    def __init__(self, message: str, *, over: bool = False) -> None:
        super().__init__(message)
        self.over = over


class TimedOut(Ambiguous):
    """No answer within the deadline of one attempt."""


class ConnectionLost(Ambiguous):
    """The connection ended while the call was on its way."""


class ServerFault(Ambiguous):
    """The server broke down inside (5xx, internal error) and cannot say how far it came."""


class BadReply(Ambiguous):
    """An answer came that cannot be read: garbage, too large, or without what the tool promises."""

    def __init__(self, message: str) -> None:
        super().__init__(message, over=True)


class Unknown(ToolError):
    """An ambiguous effect that could not be settled; it ends the call and waits for a person."""
