"""A call as the gateway takes it, its outcome, and the journal that records every step of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from jobs.tools.contract.errors import Stopped, ToolError
from jobs.tools.contract.policy import KEY_META, ToolPolicy, marker
from jobs.tools.contract.reply import Reply
from jobs.tools.contract.tool import Tool


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a stage asks for.

    `order`: smaller for an older job; `step`: unique in the job; `key`: 32 hex digits, the same for every
    attempt; `remaining`: the expected seconds of the longest path from here; `item`: the display name of what
    it is for; `placing`: arguments that say where the effect goes, not what it is; `size`: the size by which
    durations are learned.
    """

    job: str
    order: float
    stage: str
    step: str
    server: str
    tool: str
    args: Mapping[str, Any] = field(repr=False)
    key: str
    remaining: float = 0.0
    item: str = ""
    placing: tuple[str, ...] = ()
    size: str = ""

    def meta(self) -> dict[str, Any]:
        """Return the metadata that is sent with the arguments."""
        return {KEY_META: self.key}

    def arguments(self, policy: ToolPolicy, tool: Tool) -> dict[str, Any]:
        """Return the arguments to send, with the key wherever policy and tool allow it."""
        args = dict(self.args)
        if policy.key_argument and tool.declares(policy.key_argument):
            args[policy.key_argument] = self.key
        if policy.note_argument and tool.declares(policy.note_argument):
            note = str(args.get(policy.note_argument) or "").rstrip()
            args[policy.note_argument] = f"{note}\n\nref {marker(self.key)}".lstrip()
        if policy.name_argument and policy.name_argument in args:
            args[policy.name_argument] = f"{args[policy.name_argument]} ({marker(self.key)})"
        return args


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """The identity of a server process, safe against a reused pid.

    `host` and `boot` (the kernel's boot id) identify the machine and its current start, `pids` the pid
    namespace, and `start` is the process's start time in the kernel's ticks. The process leads its process
    group.
    """

    host: str
    boot: str
    pids: str
    pid: int
    start: int


@dataclass(frozen=True, slots=True)
class Sent:
    """An attempt whose outcome is unknown because its worker died first.

    `at`: when it was sent (UTC); `process`: the server process that received it, None for a server over HTTP;
    `args`: the arguments that the stage passed; `why`: why the outcome is unknown, for display.
    """

    at: datetime
    process: ServerProcess | None
    args: Mapping[str, Any] = field(repr=False)
    why: str = "the worker was lost during this call"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run left of a call: the number of attempts, and in `sent` the one still open, if any.

    `refused`: the tool reported a failure, but the service behind it may still have carried out the call.
    `denied`: the attempt that a user resolved as absent, perhaps by mistake or too early.
    """

    attempts: int = 0
    sent: Sent | None = None
    refused: bool = False
    denied: Sent | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    `state`: `done`, `failed` and `unknown` end the call, `retry` does not; `delay`: seconds until the next
    attempt; `waited`: seconds until the permit; `took`: seconds of the attempt; `doubt`: for a retry, whether
    this attempt or an earlier one may have taken effect.
    """

    state: Literal["done", "failed", "unknown", "retry"]
    reason: str = ""
    delay: float = 0.0
    waited: float = 0.0
    took: float = 0.0
    reply: Reply | None = None
    error: ToolError | None = None
    doubt: bool = False


class Journal(Protocol):
    """Records a call before and after each attempt; what it raises ends the call."""

    async def waiting(self, call: Call, in_use: int, limit: int) -> None:
        """Record that the call waits for a permit. Called at most once per call."""

    async def intent(
        self, call: Call, attempt: int, *, process: ServerProcess | None = None, spends: bool = False
    ) -> None:
        """Record that the attempt (from 1) is about to be sent; it is sent as soon as this returns.

        `process`: the server process that receives it, None over HTTP; `spends`: whether it commits spend.
        Raises Stopped, and SpendRefused for spend that no user has confirmed.
        """

    def may_send(self) -> bool:
        """Return whether this worker still holds the job. Called right before the bytes of an attempt or a
        look-up are sent, and before another worker's process is ended."""

    async def result(self, call: Call, attempt: int, outcome: Outcome) -> None:
        """Record the outcome of the attempt."""


def check_lease(journal: Journal, before: str) -> None:
    """Raise Stopped if this worker no longer holds the job; `before`: what is not done then."""
    if not journal.may_send():
        raise Stopped(f"the lease ran out before {before}")
