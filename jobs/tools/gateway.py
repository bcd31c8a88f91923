"""The one door: permit, intent, deadline, outcome, retry. Every effect on the outside goes through here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from jobs.tools.calls import Call, Journal, Outcome, Settle
from jobs.tools.errors import Ambiguous, RateLimited, ToolError, ToolFailed, Unknown, UnknownTool
from jobs.tools.limits import Permits
from jobs.tools.policy import Role, ToolPolicy
from jobs.tools.reply import Reply, read_result
from jobs.tools.session import Session
from jobs.tools.spec import ServerSpec
from jobs.workflow.results import Source

__all__ = ["Call", "Gateway", "Journal", "Outcome", "Reply", "ServerStatus", "Settle"]

ATTEMPTS = 3
LONGEST_WAIT = 120.0  # seconds; however long a server wants us to wait


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A tool server as a page shows it."""

    name: str
    transport: str
    source: Source
    bundled: bool
    connected: bool
    tools: tuple[str, ...]
    in_use: int
    limit: int
    waiting: int
    last_error: str


@dataclass(slots=True)
class _Attempts:
    """Where one call stands: the number of the attempt, and what it cost."""

    number: int = 0
    waited: float = 0.0
    took: float = 0.0
    told: bool = False  # that it waits
    note: str = ""  # how the end came about, where that is not plain


class _Again(Exception):
    """The attempt is over, and another one may follow."""

    def __init__(self, error: ToolError) -> None:
        self.error = error


class Gateway:
    """Calls tools on behalf of jobs; shared by all jobs of a process, and of one event loop.

    An effect is sent at most once unless it is known not to have happened: at most two retries, after the
    server's own time or `backoff` seconds and then twice that (0 switches that wait off). An ambiguous end of
    a writing tool goes to `settle`; without it, or when that cannot tell, the call ends as Unknown.
    """

    def __init__(
        self,
        servers: Mapping[str, ServerSpec],
        roles: Mapping[str, Role],
        *,
        backoff: float = 1.0,
        log_dir: Path | None = None,
        settle: Settle | None = None,
    ) -> None:
        self.settle = settle
        self._servers, self._roles, self._backoff = dict(servers), roles, backoff
        delay = min(0.5, backoff / 2)
        self._sessions = {
            name: Session(spec, log_dir=log_dir, delay=delay) for name, spec in self._servers.items()
        }
        self._permits = {
            name: Permits(spec.concurrency, spec.per_minute) for name, spec in self._servers.items()
        }

    def start(self) -> None:
        """Connect all servers side by side, in the background."""
        for session in self._sessions.values():
            session.start()

    async def aclose(self) -> None:
        """End all sessions and server processes, within seconds."""
        for session in self._sessions.values():
            session.close()  # all of them, even when the wait is cancelled
        await asyncio.gather(*(session.aclose() for session in self._sessions.values()))

    def source(self, server: str) -> Source:
        """What a success on this server is called."""
        return self._servers[server].source

    def repeatable(self, call: Call) -> bool:
        """Whether a second send of this call can do no harm, as its tool's policy says."""
        return self._policy(call).repeatable

    def status(self) -> dict[str, ServerStatus]:
        """How every server stands right now."""
        return {name: self._status(name) for name in self._servers}

    async def call(self, call: Call, journal: Journal) -> Reply:
        """Make one call with its retries. Raises ToolError, and whatever the journal raises (as Stopped)."""
        policy = self._policy(call)
        attempts = _Attempts()

        async def retrying(state: RetryCallState) -> None:
            error = _error(state)
            delay = state.next_action.sleep if state.next_action else 0.0
            outcome = Outcome("retry", error.message, delay, attempts.waited, attempts.took, error=error)
            await journal.result(call, attempts.number, outcome)

        loop = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            retry=retry_if_exception_type(_Again),
            wait=self._delay,
            before_sleep=retrying,
            reraise=True,
        )
        try:
            reply: Reply = await loop(self._attempt, call, policy, journal, attempts)
        except _Again as last:
            error = last.error
            if error.ambiguous and policy.writes:
                error = Unknown(f"{error.message}; whether it was done is not known")
            await journal.result(call, attempts.number, _ended(error, attempts))
            raise error from None
        except ToolError as error:
            await journal.result(call, attempts.number, _ended(error, attempts))
            raise
        done = Outcome("done", attempts.note, 0.0, attempts.waited, attempts.took, reply)
        await journal.result(call, attempts.number, done)
        return reply

    async def _attempt(self, call: Call, policy: ToolPolicy, journal: Journal, attempts: _Attempts) -> Reply:
        """One attempt. Raises _Again where another may follow, else the ToolError that ends the call."""
        attempts.number += 1
        try:
            return await self._send(call, policy, journal, attempts)
        except Ambiguous as error:
            if policy.repeatable:
                raise _Again(error) from None
            return await self._settled(call, policy, error, attempts)
        except ToolError as error:
            if error.retryable or (policy.retry_failed and _made_nothing(error)):
                raise _Again(error) from None
            raise

    async def _send(self, call: Call, policy: ToolPolicy, journal: Journal, attempts: _Attempts) -> Reply:
        """Send under a permit, which is held for this attempt only."""

        async def waiting(in_use: int, limit: int) -> None:
            if not attempts.told:
                attempts.told = True
                await journal.waiting(call, in_use, limit)

        spec, session = self._servers[call.server], self._sessions[call.server]
        permit = self._permits[call.server].hold(
            order=call.order, remaining=call.remaining, tool=call.tool, on_wait=waiting
        )
        async with permit as waited:
            attempts.waited = waited
            await journal.intent(call, attempts.number)
            began = time.monotonic()
            try:
                tool = await session.tool(call.tool)
                arguments = call.arguments(policy, tool)
                tool.check(arguments)
                result = await session.call(call.tool, arguments, meta=call.meta(), timeout=spec.timeout)
                return read_result(result, tool, policy, spec)
            finally:
                attempts.took = time.monotonic() - began

    async def _settled(self, call: Call, policy: ToolPolicy, error: Ambiguous, attempts: _Attempts) -> Reply:
        """What came of an effect whose end is ambiguous: found, or sent again, or Unknown."""
        found = await self.settle(call, policy, error) if self.settle else None
        if isinstance(found, Reply):
            attempts.note = f"{error.message}; looked up: it was done"
            return found
        if found == "absent":
            raise _Again(ToolFailed(f"{error.message}; looked up: it was not done"))
        raise Unknown(f"{error.message}; whether it was done is not known") from error

    def _policy(self, call: Call) -> ToolPolicy:
        role = self._roles.get(call.server)
        if role is None or call.server not in self._servers or call.tool not in role.tools:
            raise UnknownTool(f"no role {call.server} with a tool {call.tool}")
        return role.tools[call.tool]

    def _delay(self, state: RetryCallState) -> float:
        """Seconds until the next attempt: the server's own word, else backoff and then twice that."""
        error = _error(state)
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return min(error.retry_after, LONGEST_WAIT)
        return self._backoff * state.attempt_number

    def _status(self, name: str) -> ServerStatus:
        spec, session, permits = self._servers[name], self._sessions[name], self._permits[name]
        return ServerStatus(
            name=name,
            transport=spec.transport,
            source=spec.source,
            bundled=spec.bundled,
            connected=session.connected,
            tools=tuple(sorted(session.tools)),
            in_use=permits.in_use,
            limit=permits.limit,
            waiting=permits.waiting,
            last_error="" if session.connected else session.last_error,
        )


def _error(state: RetryCallState) -> ToolError:
    error = state.outcome.exception() if state.outcome else None
    return error.error if isinstance(error, _Again) else ToolError("no error")


def _made_nothing(error: ToolError) -> bool:
    return isinstance(error, ToolFailed) and not (error.reply and error.reply.remote_id)


def _ended(error: ToolError, attempts: _Attempts) -> Outcome:
    """The outcome of a call that ends with an error, with what a failed tool made all the same."""
    reply = error.reply if isinstance(error, ToolFailed) else None
    state: Literal["unknown", "failed"] = "unknown" if isinstance(error, Unknown) else "failed"
    return Outcome(state, error.message, 0.0, attempts.waited, attempts.took, reply, error)
