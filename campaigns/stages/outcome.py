"""How a stage ends: what was made, what was missed and why, and what nobody could settle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, ItemOutcome, StageResult, Status, judge
from jobs.tools.contract.errors import Unknown

URL_LIMIT, ID_LIMIT = 2000, 300
#: What is said of a thing that a dry run would have made outside.
NOT_SENT = "dry run: nothing was sent"
#: So many missed items are named in a stage's error; the rest are counted.
NAMED = 3


class Misses:
    """What a stage did not make, by the names that people know, and what of it may exist all the same."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self.unknown: list[str] = []
        self.fallbacks: dict[str, str] = {}

    def add(self, name: str, error: Exception | str) -> str:
        """Note that an item was missed and give the reason; an unsettled effect is noted as unknown."""
        reason = str(error)
        self.items[name] = f"{self.items[name]}; {reason}" if name in self.items else reason
        self.doubt(name, error)
        return reason

    def doubt(self, name: str, error: Exception | str) -> None:
        """Note something as unknown if this error leaves it so."""
        if isinstance(error, Unknown) and name not in self.unknown:
            self.unknown.append(name)

    def stands_in(self, name: str, what: str) -> None:
        """Note what takes the place of something that was missed."""
        self.fallbacks[name] = what

    def outcomes(self, outcomes: Iterable[ItemOutcome], name: Callable[[Any], str]) -> None:
        """Note the items that were missed and not noted yet."""
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
        """Give the stage's end by the rule of three quarters, with what was missed in its data."""
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
        """Give what was missed as JSON, without what is empty."""
        missed = [
            {"item": name, "why": reason, "fallback": self.fallbacks.get(name, "")}
            for name, reason in self.items.items()
        ]
        return {key: value for key, value in (("missed", missed), ("unknown", self.unknown)) if value}


def left_out(reason: Exception | str) -> bool:
    """Whether this is no failure, but a person's word that a step is to be skipped."""
    return str(reason).startswith("skipped by ")


def address(url: Any) -> str:
    """A server's link where a reader may be sent there, else ""."""
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
    """The `url` and `remote_id` of an artifact that a reply names; a made-up reply names nothing real."""
    if reply.dry_run:
        return {"url": "", "remote_id": ""}
    remote_id = reply.remote_id if len(reply.remote_id) <= ID_LIMIT else ""
    return {"url": address(reply.remote_url), "remote_id": remote_id}


def standing(reply: Any) -> str:
    """How a created line or campaign stands: by its server's word or as it was asked for; `planned` where
    nothing was sent."""
    if reply.dry_run:
        return "planned"
    told = reply.data.get("status")
    return told.upper()[:40] if isinstance(told, str) and told else "PAUSED"


def remark(reply: Any, note: str = "") -> str:
    """An artifact's note, which begins with the words that it does not exist where that is so."""
    return "; ".join(filter(None, (NOT_SENT if reply.dry_run else "", note)))


async def keep(ctx: StageContext, name: str, data: bytes | str) -> str:
    """Store our own copy of something in the job's folder and give its name. Raises OSError."""
    return await asyncio.to_thread(ctx.files.write, name, data)
