"""One tool server as the gateway uses it: its session, its permits, its circuit, and how it stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.engine.results import Source
from jobs.tools.circuit import Circuit
from jobs.tools.contract import wording
from jobs.tools.contract.calls import Call, Journal, ServerProcess, check_lease
from jobs.tools.contract.errors import (
    Ambiguous,
    ConnectionLost,
    HeldBack,
    NotSent,
    RateLimited,
    ServerUnavailable,
    ToolError,
    ToolFailed,
)
from jobs.tools.contract.policy import Role
from jobs.tools.contract.reply import Reply
from jobs.tools.contract.spec import ServerSpec
from jobs.tools.limits import Permits
from jobs.tools.wire.connection import Connection
from jobs.tools.wire.reading import read_result
from jobs.tools.wire.session import Session

LOOK_SECONDS = 20.0  # the longest that a look-up may take
PROBE_SECONDS = 10.0  # the longest that other calls wait for the word of a probe
OnWait = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A tool server as a page shows it. `held_back`: why no call is sent to it for now, or "". `held`: the
    seconds that its permits were held, those of all together; `counted`: for how long that was counted."""

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
    held_back: str = ""
    process: ServerProcess | None = None
    held: float = 0.0
    counted: float = 0.0


class Server:
    """A configured server that plays a role."""

    def __init__(self, spec: ServerSpec, role: Role, *, log_dir: Path | None, delay: float) -> None:
        self.spec, self.role = spec, role
        self.session = Session(spec, log_dir=log_dir, delay=delay)
        self.permits = Permits(spec.concurrency, spec.per_minute)
        self.circuit = Circuit()
        self._judged = asyncio.Event()  # a new one after each attempt that has ended

    @asynccontextmanager
    async def permit(self, call: Call, tool: str, on_wait: OnWait | None = None) -> AsyncIterator[float]:
        """Hold a permit for one attempt of a tool; gives the seconds it took to get."""
        hold = self.permits.hold(order=call.order, remaining=call.remaining, tool=tool, on_wait=on_wait)
        async with hold as waited:
            yield waited

    @asynccontextmanager
    async def connected(self, call: Call) -> AsyncIterator[Connection]:
        """Give the connection for one attempt, and judge the server by how the attempt ends.

        Raises HeldBack while the server is left alone, and ServerUnavailable.
        """
        await self._allowed()
        told = not (probe := self.circuit.probing)  # one that is no probe has nothing to give up
        try:
            connection = await self.session.connection()
            # all calls on a process that ends fail with it, and are one failure
            incident = connection if connection.process is not None else None
            yield connection
        except ServerUnavailable as error:
            if probe:
                self.circuit.strike(None, error.message)
                told = True
            raise
        except Ambiguous as error:
            self.circuit.strike(incident if isinstance(error, ConnectionLost) else None, error.message)
            told = True
            raise
        except ToolFailed as error:
            if wording.is_outage(error.message):
                self.circuit.strike(None, error.message)
            else:
                self.circuit.success()  # it answers, if not as wished
            told = True
            raise
        else:
            self.circuit.success()
            told = True
        finally:
            if not told:
                self.circuit.give_up()
            self._judged.set()
            self._judged = asyncio.Event()

    def used_up(self, error: ToolError) -> None:
        """Judge the server by a call whose attempts are used up without one that was done.

        What was not sent, or sent too fast, counts here and not with each attempt: a server that is back
        within a call's retries has not failed.
        """
        if not self.circuit.open and isinstance(error, NotSent | RateLimited):
            self.circuit.strike(None, error.message)

    async def _allowed(self) -> None:
        """Come back when an attempt may be sent. Raises HeldBack while the server is left alone.

        While a probe is on its way its word is waited for, so that the calls of a job that come side by side
        to a server that is well again do not fail beside the one that finds it so.
        """
        deadline = time.monotonic() + PROBE_SECONDS
        while not self.circuit.allow():
            left = deadline - time.monotonic()
            if not self.circuit.probing or left <= 0:
                raise HeldBack(self.spec.name, self.circuit.reason)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._judged.wait(), left)

    async def look(self, journal: Journal, call: Call, tool: str, asked: Mapping[str, Any]) -> Reply:
        """Ask a reading tool something about a call, under a permit. Raises ToolError, and Stopped once the
        job is another worker's.

        It passes an open circuit: what was sent must be settled, and few questions are asked.
        """
        async with self.permit(call, tool):
            connection = await self.session.connection()
            self._check_findable(connection, call)
            known, policy = connection.tool(tool), self.role.tools[tool]
            known.check(asked)
            timeout = min(self.spec.timeout, LOOK_SECONDS)
            check_lease(journal, "this look-up was sent")
            result = await connection.call(tool, asked, call.meta(), timeout)
            return read_result(result, known, policy, self.spec)

    def _check_findable(self, connection: Connection, call: Call) -> None:
        """Raise ToolError where a call is sent without its key: no look-up could show its effect."""
        policy, made_by = self.role.tools[call.tool], connection.tools.get(call.tool)
        for name in (policy.key_argument, policy.note_argument):
            if name and made_by is not None and not made_by.declares(name):
                raise ToolError(f"{self.spec.name} {call.tool} takes no {name}, by which it could be found")

    async def may_repeat(self, tool: str) -> bool:
        """Whether the server, as far as it can be asked now, says nothing against calling a tool twice."""
        try:
            return (await self.session.tool(tool)).may_repeat_hint
        except ToolError:
            return True

    @property
    def status(self) -> ServerStatus:
        """How the server stands right now."""
        spec, session, permits = self.spec, self.session, self.permits
        return ServerStatus(
            name=spec.name,
            transport=spec.transport,
            source=spec.source,
            bundled=spec.bundled,
            connected=session.connected,
            tools=tuple(sorted(session.tools)),
            in_use=permits.in_use,
            limit=permits.limit,
            waiting=permits.waiting,
            last_error="" if session.connected else session.last_error,
            held_back=self.circuit.reason if self.circuit.open else "",
            process=session.identity,
            held=round(permits.held, 3),
            counted=round(permits.counted, 3),
        )
