"""One configured tool server, complete and validated; its secrets are redacted from every text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jobs.engine.results import Source

SHORTEST_SECRET = 8
HIDDEN = "***"


@dataclass(frozen=True)
class ServerSpec:
    """How to reach a server, and its limits.

    `timeout`: seconds for one attempt; `per_minute`: calls a minute, in total or by tool; `secrets`: the
    values that no log, event or error may show.
    """

    name: str
    transport: Literal["stdio", "http"]
    concurrency: int
    timeout: float
    source: Source
    bundled: bool = False
    command: str = ""
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    per_minute: int | Mapping[str, int] | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def redact(self, text: str) -> str:
        """Return `text` with every secret of this server hidden."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text
