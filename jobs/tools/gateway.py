"""The gateway that every tool call passes: permit, intent, deadline, outcome, retry, reconciliation."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from jobs.engine.durations import Learned
from jobs.engine.play import Limits
from jobs.engine.results import Source
from jobs.tools.attempts import Attempts, Retry, done, ended, error_of, final, made_nothing
from jobs.tools.contract.calls import Call, Earlier, Journal, Outcome, Sent, check_lease
from jobs.tools.contract.errors import (
    Ambiguous,
    BadReply,
    RateLimited,
    ServerUnavailable,
    Stopped,
    TimedOut,
    ToolError,
    ToolFailed,
    Unknown,
    UnknownTool,
)
from jobs.tools.contract.policy import Role, ToolPolicy
from jobs.tools.contract.reply import Reply
from jobs.tools.contract.spec import ServerSpec
from jobs.tools.dry_run import DryRunCall, check_call
from jobs.tools.reconcile import Doubt, Reconciler
from jobs.tools.server import Server, ServerStatus
from jobs.tools.wire.fence import fence
from jobs.tools.wire.reading import read_result

__all__ = ["Call", "DryRunCall", "Gateway", "Journal", "Outcome", "Reply", "ServerStatus"]

log = logging.getLogger(__name__)
ATTEMPTS = 3
LOOK_ATTEMPTS = 5  # of one look-up: a server that has just died needs a moment to restart
LONGEST_WAIT = 120.0  # seconds, even if a server asks for more


class Gateway:
    """Calls tools on behalf of jobs; one gateway serves all jobs of a process, in one event loop.

    A call is sent again only if it is known to have had no effect: at most two retries, after the wait that
    the server asks for, or else after `backoff` and then twice `backoff` seconds (0: no wait). An ambiguous
    end of a writing tool is reconciled: an effect that the role's look-up finds is adopted, one that
    certainly does not exist is sent again, and otherwise the call ends as Unknown.

    `durations`: how long its calls took.
    """

    def __init__(
        self,
        servers: Mapping[str, ServerSpec],
        roles: Mapping[str, Role],
        *,
        backoff: float = 1.0,
        log_dir: Path | None = None,
    ) -> None:
        self._roles, self._backoff = roles, backoff
        self.durations = Learned()
        delay = min(0.5, backoff / 2)
        self._servers = {
            name: Server(
                spec, roles.get(name) or Role(name, spec.concurrency, {}), log_dir=log_dir, delay=delay
            )
            for name, spec in servers.items()
        }

    def start(self) -> None:
        """Connect all servers concurrently, in the background."""
        for server in self._servers.values():
            server.session.start()

    async def aclose(self) -> None:
        """End all sessions and server processes, within seconds."""
        for server in self._servers.values():
            server.session.close()  # all of them, even if the wait is cancelled
        await asyncio.gather(*(server.session.aclose() for server in self._servers.values()))

    def source(self, server: str) -> Source:
        """Return the source that a success on this server is recorded with."""
        return self._servers[server].spec.source

    def policy(self, server: str, tool: str) -> ToolPolicy:
        """Return the policy of a tool. Raises UnknownTool for a tool that no role has."""
        role = self._roles.get(server)
        if role is None or server not in self._servers or tool not in role.tools:
            raise UnknownTool(f"no role {server} with a tool {tool}")
        return role.tools[tool]

    def status(self) -> dict[str, ServerStatus]:
        """Return the current status of every server."""
        return {name: server.status for name, server in self._servers.items()}

    def limits(self) -> dict[str, Limits]:
        """Return the limits of every server: calls at once and calls a minute."""
        specs = (server.spec for server in self._servers.values())
        return {spec.name: Limits(spec.concurrency, spec.per_minute) for spec in specs}

    async def dry_run(self, call: Call) -> DryRunCall:
        """Check a call without calling its tool, and return the made-up reply.

        The server must be reachable, list the tool, and accept the arguments exactly as they would be sent. A
        server that cannot be reached is retried as often as a call. Raises ToolError.
        """
        policy = self.policy(call.server, call.tool)
        loop = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            retry=retry_if_exception_type(ServerUnavailable),
            wait=self._delay,
            reraise=True,
        )
        checked: DryRunCall = await loop(check_call, self._servers[call.server], call, policy)
        return checked

    async def call(self, call: Call, journal: Journal, earlier: Earlier | None = None) -> Reply:
        """Make one call with its retries, continuing what an earlier run of it left.

        Raises ToolError, and what the journal raises (such as Stopped).
        """
        earlier = earlier or Earlier()
        policy, attempts = self.policy(call.server, call.tool), Attempts(earlier.attempts)
        if earlier.sent is not None:
            found = await self._close_open_attempt(call, policy, journal, earlier.sent, attempts)
            if found is not None:
                return found
        elif found := await self._find_existing(call, policy, journal, earlier):
            attempts.note = "looked up before the retry: it was done"
            await journal.result(call, attempts.number, done(found, attempts))
            return found

        async def retrying(state: RetryCallState) -> None:
            error = error_of(state)
            delay = state.next_action.sleep if state.next_action else 0.0
            spent, doubt = (attempts.waited, attempts.took), bool(attempts.doubt)
            outcome = Outcome("retry", error.message, delay, *spent, error=error, doubt=doubt)
            await journal.result(call, attempts.number, outcome)

        loop = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            retry=retry_if_exception_type(Retry),
            wait=self._delay,
            before_sleep=retrying,
            reraise=True,
        )
        try:
            reply: Reply = await loop(self._attempt, call, policy, journal, attempts)
        except Retry as last:
            error = last.error
            self._servers[call.server].attempts_exhausted(error)
            if error.ambiguous and policy.writes:
                error = Unknown(f"{error.message}; it is unknown whether it took effect")
            error = final(error, attempts)
            await journal.result(call, attempts.number, ended(error, attempts))
            raise error from None
        except ToolError as raised:
            error = final(raised, attempts)
            await journal.result(call, attempts.number, ended(error, attempts))
            if error is raised:
                raise
            raise error from raised
        await journal.result(call, attempts.number, done(reply, attempts))
        if not attempts.note:  # the time of a look-up says nothing about the call
            self.durations.add(call.server, call.tool, call.size, attempts.took)
        return reply

    async def _find_existing(
        self, call: Call, policy: ToolPolicy, journal: Journal, earlier: Earlier
    ) -> Reply | None:
        """Return the reply if a look-up finds the effect after a failure or after a user called it absent."""
        reconciler, denied = self._reconciler(call, journal), earlier.denied
        if denied is None:
            # the tool reports a failure of the service behind it, which may have carried out the call anyway
            return await reconciler.seen(call, policy) if earlier.refused else None
        # a user who resolves a lost call cannot see whether its server is still working on it
        stop = partial(self._stop, call, journal, denied)
        doubt = Doubt(denied.why, stop, asyncio.get_running_loop().time())
        verdict = await reconciler.settle(call, policy, doubt)
        return verdict if isinstance(verdict, Reply) else None

    async def _stop(self, call: Call, journal: Journal, sent: Sent) -> bool:
        """End the server process of an earlier attempt. Return whether it is certainly dead."""
        if sent.process is None:
            return False
        check_lease(journal, "the server of a lost worker was ended")  # another worker may be using it by now
        # one of this worker's own processes: the job was handed back, and no worker was lost
        own = self._servers[call.server].session.held(sent.process)
        return await _certainly_stopped(call, own.retire() if own else fence(sent.process))

    async def _close_open_attempt(
        self, call: Call, policy: ToolPolicy, journal: Journal, sent: Sent, attempts: Attempts
    ) -> Reply | None:
        """Resolve the attempt that a lost worker left open. Return its reply, or None to send it again."""
        server, stop = self._servers[call.server], partial(self._stop, call, journal, sent)
        verdict: Reply | Literal["absent"] | None = "absent"
        repeatable = policy.repeatable and await server.may_repeat(call.tool)
        if not repeatable:
            age = (datetime.now(UTC) - sent.at).total_seconds()
            until = asyncio.get_running_loop().time() + server.spec.timeout - age
            doubt = Doubt(sent.why, stop, None if policy.careful else until)
            verdict = await self._reconciler(call, journal).settle(call, policy, doubt)
        elif policy.money:
            # setting the same status twice is harmless, but a late one could undo what a user has done since
            await stop()
        if isinstance(verdict, Reply):
            attempts.note = f"{sent.why}; a look-up found its effect"
            await journal.result(call, attempts.number, done(verdict, attempts))
            return verdict
        if verdict is None:
            error = Unknown(f"{sent.why}; it may have taken effect")
            await journal.result(call, attempts.number, ended(error, attempts))
            raise error
        how = "it is sent again" if repeatable else "a look-up found no effect"
        attempts.doubt = sent.why if repeatable and policy.writes else ""
        retry = Outcome("retry", f"{sent.why}; {how}", doubt=bool(attempts.doubt))
        await journal.result(call, attempts.number, retry)
        return None

    async def _attempt(self, call: Call, policy: ToolPolicy, journal: Journal, attempts: Attempts) -> Reply:
        """Make one attempt. Raises Retry if another may follow, else the ToolError that ends the call."""
        attempts.number += 1
        attempts.connection = None
        try:
            return await self._send(call, policy, journal, attempts)
        except Ambiguous as error:
            if attempts.repeatable:
                if policy.writes:
                    attempts.doubt = error.message
                raise Retry(error) from None
            return await self._resolve_ambiguous(call, policy, journal, error, attempts)
        except ToolError as error:
            if error.retryable or (policy.retry_failed and made_nothing(error)):
                raise Retry(error) from None
            raise

    async def _send(self, call: Call, policy: ToolPolicy, journal: Journal, attempts: Attempts) -> Reply:
        """Send the call under a permit, which is held for this attempt only."""

        async def waiting(in_use: int, limit: int) -> None:
            if not attempts.announced:
                attempts.announced = True
                await journal.waiting(call, in_use, limit)

        server = self._servers[call.server]
        async with server.permit(call, call.tool, waiting) as waited:
            attempts.waited, attempts.took = waited, 0.0
            async with server.connected(call) as connection:
                tool = connection.tool(call.tool)
                arguments = call.arguments(policy, tool)
                tool.check(arguments)
                # the attempt uses this connection only, so the process in the intent stays correct
                await journal.intent(call, attempts.number, process=connection.identity, spends=policy.money)
                check_lease(journal, "this attempt was sent")
                attempts.connection = connection
                attempts.repeatable = policy.repeatable and tool.may_repeat_hint
                attempts.began, began = asyncio.get_running_loop().time(), time.monotonic()
                try:
                    result = await connection.call(call.tool, arguments, call.meta(), server.spec.timeout)
                    return read_result(result, tool, policy, server.spec)
                except (ToolError, Stopped):
                    raise
                except Exception as error:  # an internal error after sending: the effect is in doubt
                    raise _internal_error(call, error) from error
                finally:
                    attempts.took = time.monotonic() - began

    async def _resolve_ambiguous(
        self, call: Call, policy: ToolPolicy, journal: Journal, error: Ambiguous, attempts: Attempts
    ) -> Reply:
        """Resolve an ambiguous end. Return the reply of an effect that is found; raise Retry or Unknown."""
        connection, server = attempts.connection, self._servers[call.server]

        async def stop() -> bool:
            # after an answer the server should be done with the call; the end of its process is certain
            ours = connection is not None and connection.process is not None and policy.lookup is not None
            if error.over and not ours:
                return True
            return connection is not None and await _certainly_stopped(call, connection.retire())

        # a call that exceeded its deadline may take longer still: only the end of its process is certain
        never = policy.careful or isinstance(error, TimedOut)
        until = None if never else attempts.began + server.spec.timeout
        doubt = Doubt(error.message, stop, until)
        found = await self._reconciler(call, journal).settle(call, policy, doubt)
        if isinstance(found, Reply):
            attempts.note = f"{error.message}; a look-up found its effect"
            return found
        if found == "absent":
            raise Retry(ToolFailed(f"{error.message}; a look-up found no effect"))
        raise Unknown(f"{error.message}; it is unknown whether it took effect") from error

    def _reconciler(self, call: Call, journal: Journal) -> Reconciler:
        server = self._servers[call.server]
        return Reconciler(server.spec, server.role, partial(self._look, journal))

    async def _look(self, journal: Journal, call: Call, tool: str, asked: Mapping[str, Any]) -> Reply:
        """Call a look-up tool, with retries: reading is harmless. Raises ToolError and Stopped."""
        loop = AsyncRetrying(
            stop=stop_after_attempt(LOOK_ATTEMPTS),
            retry=retry_if_exception(lambda e: isinstance(e, ToolError) and (e.retryable or e.ambiguous)),
            wait=wait_exponential(multiplier=max(self._backoff, 0.1) / 2, max=5),
            reraise=True,
        )
        server = self._servers[call.server]
        ask: Callable[..., Awaitable[Reply]] = server.look
        reply: Reply = await loop(ask, journal, call, tool, asked)
        return reply

    def _delay(self, state: RetryCallState) -> float:
        """Return the seconds until the next attempt: what the server asks for, else the growing backoff."""
        error = error_of(state)
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return min(error.retry_after, LONGEST_WAIT)
        return self._backoff * state.attempt_number


def _internal_error(call: Call, error: Exception) -> BadReply:
    """Return an internal error as an ambiguous end, so that the job goes on and the effect is looked up."""
    log.exception("%s of job %s broke", call.step, call.job)
    return BadReply(f"{call.server} {call.tool}: internal error ({type(error).__name__})")


async def _certainly_stopped(call: Call, stopping: Awaitable[bool]) -> bool:
    """Return whether the server of a call has certainly stopped; False if stopping it fails."""
    try:
        return await stopping
    except OSError:
        log.exception("the server of %s of job %s could not be ended", call.step, call.job)
        return False
