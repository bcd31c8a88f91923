"""Plays a bundled server over real pipes, with the SDK's own client."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

from campaigns.roles import bundled_servers
from campaigns.servers.local.server import KEY_FIELD


class Player:
    """A client of one server, with the calls short."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def raw(self, tool: str, key: str = "", **arguments: Any) -> CallToolResult:
        meta = {KEY_FIELD: key} if key else None
        return await self.client.call_tool(tool, arguments, read_timeout_seconds=20, meta=meta)

    async def do(self, tool: str, key: str = "", **arguments: Any) -> dict[str, Any]:
        """The JSON object of a success."""
        result = await self.raw(tool, key, **arguments)
        assert not result.is_error, said(result)
        return json.loads(said(result))

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """The text of a failure."""
        result = await self.raw(tool, **arguments)
        assert result.is_error, said(result)
        return said(result)


def said(result: CallToolResult) -> str:
    """The text of an answer."""
    return "".join(part.text for part in result.content if part.type == "text")


@asynccontextmanager
async def playing(
    role: str, folder: Path, url: str = "/local/", latency: str = "", mode: str = "legacy"
) -> AsyncIterator[Player]:
    """A running server over a world's folder."""
    entry = bundled_servers(folder, latency, url)[role]
    async with Client(StdioServerParameters(**entry), mode=mode) as client:
        yield Player(client)
