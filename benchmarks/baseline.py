"""The first system's plan, as a baseline: calls as they are asked for, a place for a whole creative."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.tools.contract.config import load_servers
from jobs.tools.contract.policy import Role
from jobs.tools.wire.session import Session

TIMEOUT = 60.0
#: One creative has its place at this server from its picture to its design.
WHOLE = ("creative", "image-gen")


@dataclass(frozen=True)
class Wanted:
    """A call of the plan: `needs` are the steps that it waits for."""

    stage: str
    step: str
    item: str
    server: str
    tool: str
    args: Mapping[str, Any] = field(repr=False)
    needs: frozenset[str]


def run(
    calls: Sequence[Wanted], servers: Path, roles: Mapping[str, Role], limits: Mapping[str, int]
) -> float:
    """Make all calls as the first system did, over one session a server, and give the seconds it took."""
    return asyncio.run(_run(calls, servers, roles, limits))


async def _run(
    calls: Sequence[Wanted], servers: Path, roles: Mapping[str, Role], limits: Mapping[str, int]
) -> float:
    sessions = {name: Session(spec) for name, spec in load_servers(servers, roles, {}).items()}
    await asyncio.gather(*(session.connection() for session in sessions.values()))
    loop = asyncio.get_running_loop()
    try:
        began = loop.time()
        await _Plan(calls, sessions, limits).run()
        return loop.time() - began
    finally:
        await asyncio.gather(*(session.aclose() for session in sessions.values()))


class _Plan:
    """One run of the calls. A semaphore a server, first come first served."""

    def __init__(
        self, calls: Sequence[Wanted], sessions: Mapping[str, Session], limits: Mapping[str, int]
    ) -> None:
        self.calls, self.sessions = calls, sessions
        self.places = {server: asyncio.Semaphore(limit) for server, limit in limits.items()}
        self.ended = {call.step: asyncio.Event() for call in calls}

    async def run(self) -> None:
        whole: dict[str, list[Wanted]] = {}
        async with asyncio.TaskGroup() as group:
            for call in self.calls:
                if call.stage == WHOLE[0]:
                    whole.setdefault(call.item, []).append(call)
                else:
                    group.create_task(self._single(call))
            for of_one in whole.values():
                group.create_task(self._creative(of_one))

    async def _single(self, call: Wanted) -> None:
        for need in call.needs:
            await self.ended[need].wait()
        async with self.places[call.server]:
            await self._make(call)

    async def _creative(self, calls: Sequence[Wanted]) -> None:
        async with self.places[WHOLE[1]]:
            for call in calls:
                await self._make(call)

    async def _make(self, call: Wanted) -> None:
        meta = {"flightplan/idempotency-key": f"baseline {call.step}"}
        await self.sessions[call.server].call(call.tool, call.args, meta=meta, timeout=TIMEOUT)
        self.ended[call.step].set()
