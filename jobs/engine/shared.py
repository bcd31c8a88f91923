"""What a job makes once, though several of its stages ask for it side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Shared:
    """Keeps one making a name. The work belongs to `group`, not to the stage that happened to ask first:
    that stage may end, or fail, and the others still get what they wait for."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._made: dict[str, asyncio.Task[tuple[Any, Exception | None]]] = {}

    async def get(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
        """Give what the first asker's `make` made under this name. Raises what it raised, for every asker."""
        if name not in self._made:
            self._made[name] = self._group.create_task(_outcome(make), name=f"shared-{name}")
        value, error = await asyncio.shield(self._made[name])
        if error is not None:
            raise error
        return value


async def _outcome(make: Callable[[], Awaitable[Any]]) -> tuple[Any, Exception | None]:
    """Run the making; an error is its outcome, and does not end the group it runs in."""
    try:
        return await make(), None
    except Exception as error:
        return None, error
