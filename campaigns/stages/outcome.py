"""How a stage ends: what was made, what was missed and why, and what is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, ItemOutcome, StageResult, Status, judge
from jobs.tools.contract.errors import Unknown

URL_LIMIT, ID_LIMIT = 2000, 300
#: The note of an artifact that a launch would create outside.
NOT_SENT = "dry run: nothing was sent"
#: The number of missed items that a stage's error names; the rest are counted.
NAMED = 3


class Misses:
    """The items that a stage did not make, by their display names, and which of them may exist anyway."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self.unknown: list[str] = []
        self.fallbacks: dict[str, str] = {}

    def add(self, name: str, error: Exception | str) -> str:
        """Record a missed item and return the reason; an effect that may exist is recorded as unknown."""
        reason = str(error)
        self.items[name] = f"{self.items[name]}; {reason}" if name in self.items else reason
        self.add_unknown(name, error)
        return reason

    def add_unknown(self, name: str, error: Exception | str) -> None:
        """Record an item as unknown if the error leaves its outcome open."""
        if isinstance(error, Unknown) and name not in self.unknown:
            self.unknown.append(name)

    def add_fallback(self, name: str, what: str) -> None:
        """Record the fallback of a missed item."""
        self.fallbacks[name] = what

    def outcomes(self, outcomes: Iterable[ItemOutcome], name: Callable[[Any], str]) -> None:
        """Record all missed items that were not recorded yet."""
        for outcome in outcomes:
            if not outcome.made and name(outcome.thing) not in self.items:
                self.add(name(outcome.thing), outcome.error)

    def __str__(self) -> str:
        told = [f"{name}: {reason}" for name, reason in list(self.items.items())[:NAMED]]
        more = len(self.items) - len(told)
        return "; ".join(told) + (f"; and {more} more" if more > 0 else "")

    def result(
        self, made: int, total: int, artifacts: Sequence[Artifact], data: Mapping[str, Any] | None = None
    ) -> StageResult:
        """Return the stage's result by the rule of three quarters, with the missed items in its data."""
        status = judge(made, total)
        return StageResult(
            status=status,
            made=made,
            total=total,
            artifacts=tuple(artifacts),
            data={**(data or {}), **self.data()},
            error="" if status is Status.COMPLETED else str(self),
        )

    def data(self) -> dict[str, Any]:
        """Return the missed items as JSON, without empty fields."""
        missed = [
            {"item": name, "why": reason, "fallback": self.fallbacks.get(name, "")}
            for name, reason in self.items.items()
        ]
        return {key: value for key, value in (("missed", missed), ("unknown", self.unknown)) if value}


def left_out(reason: Exception | str) -> bool:
    """Return whether the error only means that a user chose to skip the step."""
    return str(reason).startswith("skipped by ")


def address(url: Any) -> str:
    """Return a server's link if it is safe to show, else ""."""
    if not isinstance(url, str) or len(url) > URL_LIMIT:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    on_the_web = parts.scheme in ("http", "https") and bool(parts.netloc)
    on_this_site = not parts.scheme and not parts.netloc and url.startswith("/") and "\\" not in url
    return url if on_the_web or on_this_site else ""


def place(reply: Any) -> dict[str, Any]:
    """Return the `url` and `remote_id` of a reply's artifact; a dry run's reply has neither."""
    if reply.dry_run:
        return {"url": "", "remote_id": ""}
    remote_id = reply.remote_id if len(reply.remote_id) <= ID_LIMIT else ""
    return {"url": address(reply.remote_url), "remote_id": remote_id}


def reported_status(reply: Any) -> str:
    """Return a created line's or campaign's status as its server reported it, or as it was requested.

    `planned` if nothing was sent.
    """
    if reply.dry_run:
        return "planned"
    told = reply.data.get("status")
    return told.upper()[:40] if isinstance(told, str) and told else "PAUSED"


def remark(reply: Any, note: str = "") -> str:
    """Return an artifact's note; in a dry run it begins by saying that nothing was sent."""
    return "; ".join(filter(None, (NOT_SENT if reply.dry_run else "", note)))


async def keep(ctx: StageContext, name: str, data: bytes | str) -> str:
    """Store a local copy in the job's folder and return its name. Raises OSError."""
    return await asyncio.to_thread(ctx.files.write, name, data)
