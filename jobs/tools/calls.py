"""A call as the gateway takes it, its outcome, and the journal that is told of every step of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from jobs.tools.errors import Ambiguous, ToolError
from jobs.tools.policy import KEY_META, ToolPolicy, marker
from jobs.tools.reply import Reply
from jobs.tools.tool import Tool


@dataclass(frozen=True, slots=True)
class Call:
    """One effect that a stage wants. `order`: smaller for an older job; `step`: unique in the job; `key`: 32
    hex, the same for every attempt; `remaining`: seconds of the longest path that still lies ahead;
    `item`: what it is for, in people's words."""

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
class Outcome:
    """How one attempt ended. `state`: `done`, `failed` and `unknown` end the call, `retry` does not; `delay`:
    seconds until the next attempt; `waited`: seconds for the permit; `took`: seconds of the attempt."""

    state: Literal["done", "failed", "unknown", "retry"]
    reason: str = ""
    delay: float = 0.0
    waited: float = 0.0
    took: float = 0.0
    reply: Reply | None = None
    error: ToolError | None = None


class Journal(Protocol):
    """Told of a call before and after each attempt; what it raises ends the call."""

    async def waiting(self, call: Call, in_use: int, limit: int) -> None:
        """The permit is not free at once. At most once a call."""

    async def intent(self, call: Call, attempt: int) -> None:
        """The attempt (from 1) is about to be sent; it is once this returns. May raise Stopped."""

    async def result(self, call: Call, attempt: int, outcome: Outcome) -> None:
        """The attempt has ended."""


# settles an ambiguous end: the reply of the effect that was found, "absent" when it surely does not exist
# (it is then sent again), or None when nobody can tell
Settle = Callable[[Call, ToolPolicy, Ambiguous], Awaitable["Reply | Literal['absent'] | None"]]
