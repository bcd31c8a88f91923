"""A tool's reply, and the images in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs.engine.results import Source


@dataclass(frozen=True, slots=True)
class ImageContent:
    """An image that a tool answered with, decoded."""

    data: bytes = field(repr=False)
    mime: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a tool answered. `data`: its JSON object, {} for plain text, {"items": [...]} for a bare list;
    `remote_id`, `remote_url`: what the policy's keys name in it, or ""; `source`: what a success is called;
    `dry_run`: nothing was sent, and the reply is made up for a dry run.
    """

    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    images: tuple[ImageContent, ...] = ()
    remote_id: str = ""
    remote_url: str = ""
    source: Source = Source.LIVE
    dry_run: bool = False
