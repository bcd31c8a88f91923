"""One tool server as the gateway uses it: its session, permits, circuit and status."""

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
    CircuitOpen,
    ConnectionLost,
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

LOOK_SECONDS = 20.0  # the deadline of a look-up
PROBE_SECONDS = 10.0  # the longest that other calls wait for the result of a probe
OnWait = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A tool server for display.

    `held_back`: why calls to it are paused, or ""; `held`: the seconds for which its permits were held,
    summed over all permits; `counted`: the seconds over which that was measured.
    """

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
    """A configured server with its role."""

    def __init__(self, spec: ServerSpec, role: Role, *, log_dir: Path | None, delay: float) -> None:
        self.spec, self.role = spec, role
        self.session = Session(spec, log_dir=log_dir, delay=delay)
        self.permits = Permits(spec.concurrency, spec.per_minute)
        self.circuit = Circuit()
        self._judged = asyncio.Event()  # replaced after each attempt that ends

    @asynccontextmanager
    async def permit(self, call: Call, tool: str, on_wait: OnWait | None = None) -> AsyncIterator[float]:
        """Hold a permit for one attempt of a tool; yield the seconds of waiting for it."""
        hold = self.permits.hold(order=call.order, remaining=call.remaining, tool=tool, on_wait=on_wait)
        async with hold as waited:
            yield waited

    @asynccontextmanager
    async def connected(self, call: Call) -> AsyncIterator[Connection]:
        """Yield the connection for one attempt, and update the circuit by how the attempt ends.

        Raises CircuitOpen while calls to the server are paused, and ServerUnavailable.
        """
        await self._allowed()
        judged = not (probe := self.circuit.probing)  # only a probe must be released
        try:
            connection = await self.session.connection()
            # calls that fail because their process ends are one failure
            incident = connection if connection.process is not None else None
            yield connection
        except ServerUnavailable as error:
            if probe:
                self.circuit.strike(None, error.message)
                judged = True
            raise
        except Ambiguous as error:
            self.circuit.strike(incident if isinstance(error, ConnectionLost) else None, error.message)
            judged = True
            raise
        except ToolFailed as error:
            if wording.is_outage(error.message):
                self.circuit.strike(None, error.message)
            else:
                self.circuit.success()  # it answers, though with a failure
            judged = True
            raise
        else:
            self.circuit.success()
            judged = True
        finally:
            if not judged:
                self.circuit.give_up()
            self._judged.set()
            self._judged = asyncio.Event()

    def attempts_exhausted(self, error: ToolError) -> None:
        """Update the circuit by the last error of a call whose attempts have all failed.

        Attempts that were not sent or were rate limited count here, once per call: a server that is back
        within the retries of a call has not failed.
        """
        if not self.circuit.open and isinstance(error, NotSent | RateLimited):
            self.circuit.strike(None, error.message)

    async def _allowed(self) -> None:
        """Return once an attempt may be sent. Raises CircuitOpen while calls to the server are paused.

        Waits for the result of a probe in progress, so that concurrent calls to a server that has recovered
        do not fail while one of them probes it.
        """
        deadline = time.monotonic() + PROBE_SECONDS
        while not self.circuit.allow():
            left = deadline - time.monotonic()
            if not self.circuit.probing or left <= 0:
                raise CircuitOpen(self.spec.name, self.circuit.reason)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._judged.wait(), left)

    async def look(self, journal: Journal, call: Call, tool: str, asked: Mapping[str, Any]) -> Reply:
        """Call a look-up tool for a call, under a permit. Raises ToolError, and Stopped if another worker has
        taken the job.

        It ignores an open circuit: calls that were sent must be reconciled, and look-ups are few.
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
        """Raise ToolError for a call that is sent without its key: no look-up could find its effect."""
        policy, made_by = self.role.tools[call.tool], connection.tools.get(call.tool)
        for name in (policy.key_argument, policy.note_argument):
            if name and made_by is not None and not made_by.declares(name):
                raise ToolError(
                    f"{self.spec.name} {call.tool} has no argument {name}, "
                    "so its effect couldn't be looked up"
                )

    async def may_repeat(self, tool: str) -> bool:
        """Return False if the server states that a tool must not be called twice, True in all other cases."""
        try:
            return (await self.session.tool(tool)).may_repeat_hint
        except ToolError:
            return True

    @property
    def status(self) -> ServerStatus:
        """Return the current status of the server."""
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
