"""A bundled server: its tools, the effect key, the pace, and the form of a failure."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from campaigns.servers.local.arguments import Schema, problems, schema_of
from campaigns.servers.local.pace import Pace
from campaigns.servers.local.wire import INVALID_PARAMS, JSON, ProtocolError
from campaigns.servers.local.world import Refused, ToolText, World

#: The field of a request's `_meta` with the key of an effect: the same key never makes a second effect.
KEY_FIELD = "flightplan/idempotency-key"


@dataclass(frozen=True)
class Call:
    """A call of a tool; `ident` is a new id, the same for one key; `ready` is the result of `prepare`."""

    world: World
    args: Mapping[str, Any]
    ident: str
    ready: Any = None

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    def get(self, name: str, default: Any = "") -> Any:
        """Return an argument, or the default if it is absent or null."""
        value = self.args.get(name)
        return default if value is None else value


Returned = JSON | str | ToolText


@dataclass(frozen=True)
class Tool:
    """A tool. `run` makes the whole effect in a transaction; slow work without state belongs in `prepare`.

    Both raise Refused for what the service would refuse. `run` of a tool that `reads` changes nothing.
    """

    name: str
    description: str
    properties: Mapping[str, Schema]
    run: Callable[[Call], Returned]
    required: tuple[str, ...] = ()
    reads: bool = False
    replaces: bool = False
    reference: str = ""
    prepare: Callable[[Mapping[str, Any]], Any] | None = None

    def schema(self) -> Schema:
        """Return the JSON schema of its arguments."""
        return schema_of(self.properties, self.required)

    def describe(self) -> JSON:
        """Return the tool as in `tools/list`."""
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.schema(),
            "annotations": {
                "readOnlyHint": self.reads,
                "destructiveHint": self.replaces,
                "idempotentHint": self.reads or self.replaces,
                "openWorldHint": False,
            },
        }


class LocalServer:
    """The server of one role. An effect happens once per key or reference, however often it is requested."""

    def __init__(
        self, name: str, tools: Sequence[Tool], world: World, pace: Pace, *, error_key: bool = False
    ) -> None:
        self.name = name
        self._tools = {tool.name: tool for tool in tools}
        self._world = world
        self._pace = pace
        self._error_key = error_key
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def describe(self) -> list[JSON]:
        """Return every tool as in `tools/list`."""
        return [tool.describe() for tool in self._tools.values()]

    async def call(self, name: str, arguments: JSON, meta: Mapping[str, Any]) -> JSON:
        """Run a tool and return the result object. Raises ProtocolError for an unknown tool."""
        if (tool := self._tools.get(name)) is None:
            raise ProtocolError(INVALID_PARAMS, f"Unknown tool: {name[:80]}")
        if found := problems(tool.schema(), arguments):
            return self._failure(f"Invalid arguments for {name}: {'; '.join(found[:5])}")
        try:
            return self._result(await self._run(tool, arguments, meta))
        except (Refused, ValueError) as reason:
            return self._failure(str(reason))
        except Exception as error:
            # The transaction was rolled back, so nothing was made; the details are for the log.
            traceback.print_exc(file=sys.stderr)
            return self._failure(f"Internal error in {name}: {type(error).__name__}; nothing was made")

    async def _run(self, tool: Tool, args: JSON, meta: Mapping[str, Any]) -> ToolText:
        tokens = _tokens(tool, args, meta)
        before, after = self._pace.of(tool.name, tokens[0] if tokens else secrets.token_hex(4))
        if tool.reads:
            await asyncio.sleep(before + after)
            return await asyncio.to_thread(self._look, tool, args)
        async with AsyncExitStack() as held:
            for token in sorted(tokens):
                lock = self._locks.setdefault(f"{tool.name} {token}", asyncio.Lock())
                await held.enter_async_context(lock)
            if known := await asyncio.to_thread(self._known, tool, tokens):
                return known
            await asyncio.sleep(before)
            ready = await asyncio.to_thread(tool.prepare, args) if tool.prepare else None
            answer = await asyncio.to_thread(self._effect, tool, args, tokens, ready)
        # The effect is committed before its answer is sent, as in any service: a caller can lose the answer.
        await asyncio.sleep(after)
        return answer

    def _look(self, tool: Tool, args: JSON) -> ToolText:
        with self._world.reading():
            return _as_text(tool.run(Call(self._world, args, "")))

    def _known(self, tool: Tool, tokens: Sequence[str]) -> ToolText | None:
        with self._world.reading():
            return self._world.answered(tool.name, tokens)

    def _effect(self, tool: Tool, args: JSON, tokens: Sequence[str], ready: Any) -> ToolText:
        with self._world.transaction():
            # Checked again inside the write lock: another process of this role may have been faster.
            if known := self._world.answered(tool.name, tokens):
                return known
            answer = _as_text(tool.run(Call(self._world, args, _ident(tool, tokens), ready)))
            self._world.remember(tool.name, tokens, answer)
            return answer

    def _result(self, answer: ToolText) -> JSON:
        if answer.failed:
            return self._failure(answer.text)
        return {"content": [{"type": "text", "text": answer.text}]}

    def _failure(self, reason: str) -> JSON:
        if self._error_key:
            return {"content": [{"type": "text", "text": json.dumps({"error": reason})}]}
        return {"content": [{"type": "text", "text": reason}], "isError": True}


def _as_text(returned: Returned) -> ToolText:
    if isinstance(returned, ToolText):
        return returned
    return ToolText(returned if isinstance(returned, str) else json.dumps(returned, ensure_ascii=False))


def _tokens(tool: Tool, args: JSON, meta: Mapping[str, Any]) -> list[str]:
    key, reference = meta.get(KEY_FIELD), args.get(tool.reference) if tool.reference else None
    named = [("key", key), ("reference", reference)]
    return [f"{kind}:{value}" for kind, value in named if isinstance(value, str) and value]


def _ident(tool: Tool, tokens: Sequence[str]) -> str:
    if not tokens:
        return secrets.token_hex(8)
    return hashlib.sha256(f"{tool.name} {tokens[0]}".encode()).hexdigest()[:16]
