"""What a job makes only once, although several of its stages may ask for it concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Shared:
    """Runs one task per name. The task belongs to `group` and not to the stage that asks first: that stage
    may end or fail, and the others still get the result."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._made: dict[str, asyncio.Task[tuple[Any, Exception | None]]] = {}

    async def get(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
        """Return the result of the first `make` for this name. Raises what it raised, to every caller."""
        if name not in self._made:
            self._made[name] = self._group.create_task(_outcome(make), name=f"shared-{name}")
        value, error = await asyncio.shield(self._made[name])
        if error is not None:
            raise error
        return value


async def _outcome(make: Callable[[], Awaitable[Any]]) -> tuple[Any, Exception | None]:
    """Return the result or the error of `make`; an error raised here would end the task group."""
    try:
        return await make(), None
    except Exception as error:
        return None, error
