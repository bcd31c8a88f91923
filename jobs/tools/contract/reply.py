"""A tool's reply, and the images in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs.engine.results import Source


@dataclass(frozen=True, slots=True)
class ImageContent:
    """An image of a tool's reply, decoded."""

    data: bytes = field(repr=False)
    mime: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A tool's reply.

    `data`: its JSON object, {} for plain text, {"items": [...]} for a bare list; `remote_id`, `remote_url`:
    the values of the policy's keys in it, or ""; `source`: where the effect is; `dry_run`: the reply is made
    up for a dry run, and nothing was sent.
    """

    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    images: tuple[ImageContent, ...] = ()
    remote_id: str = ""
    remote_url: str = ""
    source: Source = Source.LIVE
    dry_run: bool = False
