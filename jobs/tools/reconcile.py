"""What became of an effect whose end is ambiguous: stopped, settled, looked up; found, absent or unknown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jobs.tools import lookup as looking
from jobs.tools.contract.calls import Call
from jobs.tools.contract.errors import Stopped, ToolError
from jobs.tools.contract.policy import Lookup, Role, ToolPolicy
from jobs.tools.contract.reply import Reply
from jobs.tools.contract.spec import ServerSpec
from jobs.tools.lookup import Undecided
from jobs.tools.wire.reading import adopted

log = logging.getLogger(__name__)
MOST_PAGES = 50
LOOKS = 3  # at an effect that a server which nobody can stop may still make
SHORTEST_WAIT = 0.5  # seconds between two of them

# asks a look-up tool on behalf of a call; raises ToolError
Ask = Callable[[Call, str, Mapping[str, Any]], Awaitable[Reply]]
Verdict = Reply | Literal["absent"] | None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why an effect is in doubt, and what can be done about whoever may still be at work on it.

    `stop` makes sure that nobody is, and tells whether that is certain. `until`: where it is not, the
    loop's time from which on nobody is all the same, because the call's deadline has passed; None: never.
    """

    why: str
    stop: Callable[[], Awaitable[bool]]
    until: float | None = None


class Reconciler:
    """Settles effects of one server by its role's look-up tools.

    An effect that is found is adopted at once. It counts as absent only when a look-up does not find it
    after two things: nobody can make it any more, and the role's lag has passed, within which an index may
    not show what exists.
    """

    def __init__(self, spec: ServerSpec, role: Role, ask: Ask) -> None:
        self._spec, self._role, self._ask = spec, role, ask

    async def seen(self, call: Call, policy: ToolPolicy) -> Reply | None:
        """Give the reply of an effect that a look-up shows; None when none does, or none can tell."""
        try:
            return await self._look(call, policy, policy.lookup) if policy.lookup else None
        except Undecided:
            return None

    async def settle(self, call: Call, policy: ToolPolicy, doubt: Doubt) -> Verdict:
        """Give the reply of the effect that was found, "absent" when it surely does not exist, or None when
        nobody can tell; whoever may be at work on it is stopped then too, before a person answers."""
        if policy.lookup is not None:
            try:
                found = await self._look(call, policy, policy.lookup)
                return found or await self._settle(call, policy, policy.lookup, doubt)
            except Undecided as reason:
                log.warning("%s of job %s cannot be looked up: %s", call.step, call.job, reason)
        await doubt.stop()
        return None

    async def _settle(self, call: Call, policy: ToolPolicy, lookup: Lookup, doubt: Doubt) -> Verdict:
        if await doubt.stop():
            await asyncio.sleep(self._role.lag)
            return await self._look(call, policy, lookup) or "absent"
        return await self._watch(call, policy, lookup, doubt)

    async def _watch(self, call: Call, policy: ToolPolicy, lookup: Lookup, doubt: Doubt) -> Verdict:
        """Look again and again at what may still be made, longer each time."""
        now, wait, looks = asyncio.get_running_loop().time, max(self._role.lag, SHORTEST_WAIT), 0
        while doubt.until is not None or looks < LOOKS:
            over = doubt.until is not None and now() >= doubt.until
            await asyncio.sleep(wait if over or doubt.until is None else min(wait, doubt.until - now()))
            if (found := await self._look(call, policy, lookup)) is not None:
                return found
            if over:
                return "absent"
            looks, wait = looks + 1, 2 * wait
        return None

    async def _look(self, call: Call, policy: ToolPolicy, lookup: Lookup) -> Reply | None:
        """The reply of the effect if the look-up shows it. Raises Undecided."""
        asked = looking.arguments(call, lookup)
        for _ in range(MOST_PAGES):
            try:
                reply = await self._ask(call, lookup.tool, asked)
            except ToolError as error:
                raise Undecided(error.message) from error
            except Stopped:
                raise
            except Exception as error:  # a fault of our own: it leaves the effect in doubt, and the job going
                log.exception("the look-up for %s of job %s broke", call.step, call.job)
                raise Undecided(f"internal error ({type(error).__name__})") from error
            if (item := looking.ours(reply, call, policy, lookup)) is not None:
                return self._adopted(item, policy)
            if (offset := looking.next_page(reply, lookup)) is None:
                return None
            asked = asked | {lookup.page_argument: offset}
        raise Undecided(f"{lookup.tool} has more than {MOST_PAGES} pages")

    def _adopted(self, item: Mapping[str, Any], policy: ToolPolicy) -> Reply:
        reply = adopted(item, policy, self._spec)
        if not reply.remote_id and not policy.image:
            raise Undecided("it exists, but the look-up does not name it")
        return reply
