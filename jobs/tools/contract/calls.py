"""A call as the gateway takes it, its outcome, and the journal that is told of every step of it."""

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
    """One effect that a stage wants. `order`: smaller for an older job; `step`: unique in the job; `key`: 32
    hex, the same for every attempt; `remaining`: seconds of the longest path that still lies ahead;
    `item`: what it is for, in people's words; `placing`: arguments that say where and not what; `size`: as
    past calls are told apart by it."""

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
        """What travels beside the arguments."""
        return {KEY_META: self.key}

    def arguments(self, policy: ToolPolicy, tool: Tool) -> dict[str, Any]:
        """The arguments as they are sent: with the key wherever policy and connected tool take one."""
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
    """A server process that can be known again, on its machine and by nobody else's number: `host` and `boot`
    (the kernel's boot id) say which machine and since when, `pids` which pid namespace, `start` when the
    process began, in the kernel's ticks. The process leads its process group."""

    host: str
    boot: str
    pids: str
    pid: int
    start: int


@dataclass(frozen=True, slots=True)
class Sent:
    """An attempt whose end is not known, as its worker died before: when it was sent (UTC), to which process
    (None for a server that is no process of ours), with which arguments the stage had asked, and `why` its
    end is not known, for people."""

    at: datetime
    process: ServerProcess | None
    args: Mapping[str, Any] = field(repr=False)
    why: str = "the worker was lost while this call was under way"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run left of a call: attempts made, and the one that is still open, if one is.

    `refused`: its tool said that it failed. A service behind it may have done it all the same. `denied`: the
    attempt that a person has called absent, which may be a mistake, or too early.
    """

    attempts: int = 0
    sent: Sent | None = None
    refused: bool = False
    denied: Sent | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `state`: `done`, `failed` and `unknown` end the call, `retry` does not; `delay`:
    seconds until the next attempt; `waited`: seconds for the permit; `took`: seconds of the attempt;
    `doubt`: of a retry, that this attempt or one before it may have taken effect."""

    state: Literal["done", "failed", "unknown", "retry"]
    reason: str = ""
    delay: float = 0.0
    waited: float = 0.0
    took: float = 0.0
    reply: Reply | None = None
    error: ToolError | None = None
    doubt: bool = False


class Journal(Protocol):
    """Told of a call before and after each attempt; what it raises ends the call."""

    async def waiting(self, call: Call, in_use: int, limit: int) -> None:
        """The permit is not free at once. At most once a call."""

    async def intent(
        self, call: Call, attempt: int, *, process: ServerProcess | None = None, spends: bool = False
    ) -> None:
        """The attempt (from 1) is about to be sent, to this process (None: to none of ours); it is once this
        returns. `spends`: it commits spend. May raise Stopped and SpendRefused."""

    def may_send(self) -> bool:
        """Whether the job is still ours: asked right before the bytes of an attempt or of a look-up go out,
        and before a process of another worker is ended."""

    async def result(self, call: Call, attempt: int, outcome: Outcome) -> None:
        """The attempt has ended."""


def check_lease(journal: Journal, before: str) -> None:
    """Raise Stopped when the job is not ours any more; `before`: what was not done then."""
    if not journal.may_send():
        raise Stopped(f"the lease ran out before {before}")
