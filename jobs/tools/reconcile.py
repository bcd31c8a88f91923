"""Reconcile an ambiguous effect: stop its server, wait, look it up; it is found, absent or unknown."""

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
LOOKS = 3  # look-ups for an effect that a server may still make and that cannot be stopped
SHORTEST_WAIT = 0.5  # seconds between two look-ups

# calls a look-up tool on behalf of a call; raises ToolError
Ask = Callable[[Call, str, Mapping[str, Any]], Awaitable[Reply]]
Verdict = Reply | Literal["absent"] | None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why an effect is in doubt, and how its server can be stopped from still making it.

    `stop` stops the server and returns whether that is certain. `until`: if it is not, the loop's time after
    which the server no longer works on the call, as its deadline has passed; None: never.
    """

    why: str
    stop: Callable[[], Awaitable[bool]]
    until: float | None = None


class Reconciler:
    """Reconciles effects of one server by its role's look-up tools.

    An effect that is found is adopted immediately. It counts as absent only if a look-up does not find it
    after the server can no longer make it and after the role's lag, within which an index may not yet show an
    effect that exists.
    """

    def __init__(self, spec: ServerSpec, role: Role, ask: Ask) -> None:
        self._spec, self._role, self._ask = spec, role, ask

    async def seen(self, call: Call, policy: ToolPolicy) -> Reply | None:
        """Return the reply of an effect that a look-up finds; None if it finds none or cannot decide."""
        try:
            return await self._look(call, policy, policy.lookup) if policy.lookup else None
        except Undecided:
            return None

    async def settle(self, call: Call, policy: ToolPolicy, doubt: Doubt) -> Verdict:
        """Return the reply of the effect if it is found, "absent" if it certainly does not exist, or None if
        neither is certain; the server is then stopped too, before a user resolves the call."""
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
        """Look up repeatedly, with growing waits, an effect that may still be made."""
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
        """Return the reply of the effect if the look-up finds it. Raises Undecided."""
        asked = looking.arguments(call, lookup)
        for _ in range(MOST_PAGES):
            try:
                reply = await self._ask(call, lookup.tool, asked)
            except ToolError as error:
                raise Undecided(error.message) from error
            except Stopped:
                raise
            except Exception as error:  # an internal error: the effect stays in doubt and the job goes on
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
            raise Undecided("it exists, but the look-up does not return its id")
        return reply
