"""Where one call stands between its attempts, and the outcome that each of them is told with."""

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
    """Where one call stands. `waited` and `took` are seconds of the attempt, `began` the loop's time at its
    sending; `told`: that it waits; `note`: how its end came about, where that is not plain; `doubt`: why an
    attempt that another one followed may have taken effect, "" where none may."""

    number: int = 0
    waited: float = 0.0
    took: float = 0.0
    began: float = 0.0
    told: bool = False
    note: str = ""
    doubt: str = ""
    connection: Connection | None = None
    repeatable: bool = False


class Again(Exception):
    """The attempt is over, and another one may follow."""

    def __init__(self, error: ToolError) -> None:
        self.error = error


def error_of(state: RetryCallState) -> ToolError:
    """Give why an attempt ended that another one follows."""
    error = state.outcome.exception() if state.outcome else None
    return error.error if isinstance(error, Again) else ToolError("no error")


def made_nothing(error: ToolError) -> bool:
    """Tell whether a tool that failed names nothing that exists all the same."""
    return isinstance(error, ToolFailed) and not (error.reply and error.reply.remote_id)


def final(error: ToolError, attempts: Attempts) -> ToolError:
    """Give the error that a call ends with: what its last attempt said does not undo one before it."""
    if not attempts.doubt or isinstance(error, Unknown):
        return error
    return Unknown(f"{error.message}; an earlier attempt may have taken effect: {attempts.doubt}")


def done(reply: Reply, attempts: Attempts) -> Outcome:
    """Give the outcome of a call that has its reply."""
    return Outcome("done", attempts.note, 0.0, attempts.waited, attempts.took, reply)


def ended(error: ToolError, attempts: Attempts) -> Outcome:
    """Give the outcome of a call that ends with an error, with what a failed tool made all the same."""
    reply = error.reply if isinstance(error, ToolFailed) else None
    state: Literal["unknown", "failed"] = "unknown" if isinstance(error, Unknown) else "failed"
    return Outcome(state, error.message, 0.0, attempts.waited, attempts.took, reply, error)
