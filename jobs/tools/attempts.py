"""The state of one call between its attempts, and the outcomes that the journal records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tenacity import RetryCallState

from jobs.tools.contract.calls import Outcome
from jobs.tools.contract.errors import ToolError, ToolFailed, Unknown
from jobs.tools.contract.reply import Reply
from jobs.tools.wire.connection import Connection


@dataclass(slots=True)
class Attempts:
    """The state of one call.

    `number`: the current attempt, from 1; `waited`: its seconds until the permit; `took`: its seconds after
    the permit; `began`: when it was sent, by the loop's clock; `announced`: whether the journal knows that
    the call waits; `note`: how the call ended, if not by a reply; `doubt`: why an earlier attempt may have
    taken effect, "" if none may.
    """

    number: int = 0
    waited: float = 0.0
    took: float = 0.0
    began: float = 0.0
    announced: bool = False
    note: str = ""
    doubt: str = ""
    connection: Connection | None = None
    repeatable: bool = False


class Retry(Exception):
    """The attempt ended with `error`, and another one may follow."""

    def __init__(self, error: ToolError) -> None:
        self.error = error


def error_of(state: RetryCallState) -> ToolError:
    """Return the error of an attempt that is retried."""
    error = state.outcome.exception() if state.outcome else None
    return error.error if isinstance(error, Retry) else ToolError("no error")


def made_nothing(error: ToolError) -> bool:
    """Return whether a tool failed without naming something that it made."""
    return isinstance(error, ToolFailed) and not (error.reply and error.reply.remote_id)


def final(error: ToolError, attempts: Attempts) -> ToolError:
    """Return the error that ends a call; Unknown if an earlier attempt may have taken effect."""
    if not attempts.doubt or isinstance(error, Unknown):
        return error
    return Unknown(f"{error.message}; an earlier attempt may have taken effect: {attempts.doubt}")


def done(reply: Reply, attempts: Attempts) -> Outcome:
    """Return the outcome of a call that has its reply."""
    return Outcome("done", attempts.note, 0.0, attempts.waited, attempts.took, reply)


def ended(error: ToolError, attempts: Attempts) -> Outcome:
    """Return the outcome of a call that ends with an error, with the reply of a failed tool if any."""
    reply = error.reply if isinstance(error, ToolFailed) else None
    state: Literal["unknown", "failed"] = "unknown" if isinstance(error, Unknown) else "failed"
    return Outcome(state, error.message, 0.0, attempts.waited, attempts.took, reply, error)
