"""Roles and tool policies: limits, and how the effect of each tool is marked and found again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jobs.engine.results import Source

KEY_META = "flightplan/idempotency-key"
LONGEST_SIZE = 40


def _measure(value: Any) -> str:
    """Return a number as it is, and the length of a text or list rounded up to a power of two."""
    if isinstance(value, str | list | tuple):
        return str(1 << max(0, len(value) - 1).bit_length())
    return str(value)


def marker(key: str) -> str:
    """Return the short form of an effect's key (32 hex digits) for texts that people read: `fp-<12 hex>`."""
    return f"fp-{key[:12]}"


@dataclass(frozen=True)
class Lookup:
    """How the effect of a call is found again after an ambiguous end.

    `arguments`: for each argument of the look-up tool the source of its value: "$key", "$marker",
    "$<argument>" (as it was sent), "~<argument>" (the same, escaped as a regular expression), or a plain
    value. A look-up is not possible if the call did not send an argument that it needs.
    `match`: which items of the answer belong to the call: "answer", all of them, as the server searches by
    key; "marker", those that show the marker in `fields`; "name", those with the name that was sent.
    `items`: the keys under which the answer may hold its list; a bare list is always accepted.
    `page_argument`: the argument that takes the answer's `next_page.offset`, "" for a tool without pages.
    """

    tool: str
    arguments: Mapping[str, str | int]
    match: Literal["answer", "marker", "name"] = "answer"
    fields: tuple[str, ...] = ("notes", "name")
    items: tuple[str, ...] = ("items", "data", "files")
    page_argument: str = ""


@dataclass(frozen=True)
class ToolPolicy:
    """One tool of a role. The defaults are the cautious ones: it writes, and must name what it made.

    `money`: it commits spend. `idempotent`: sending it twice has the same effect as once, so it may be sent
    again after an ambiguous end. `key_argument`: takes the key. `note_argument`: gets `ref fp-<12 hex>` as
    its last line. `name_argument`: gets ` (fp-<12 hex>)` at its end. `plain_text`: success is text without an
    id. `image`: success is an image or a `path`. `error_may_name_effect`: an `isError` with an id means that
    the effect exists but is incomplete. `retry_failed`: retry a failure that the tool reports. `placing`:
    arguments that say where the effect goes, not what it is; a step sent again with other values of these is
    still the same step. `careful`: it prepares spend, so its effect never counts as absent while a server
    that cannot be stopped may still be working on it. `dry_run_data`: the reply's data in a dry run, besides
    the made-up id, which replaces "$id" at any depth. `sized_by`: arguments that determine how large the
    effect is, and so how long it takes.
    """

    writes: bool = True
    money: bool = False
    idempotent: bool = False
    key_argument: str = ""
    note_argument: str = ""
    name_argument: str = ""
    lookup: Lookup | None = None
    id_keys: tuple[str, ...] = ("id", "gid")
    url_keys: tuple[str, ...] = ("url", "permalink_url", "edit_url", "view_url")
    plain_text: bool = False
    image: bool = False
    error_may_name_effect: bool = False
    retry_failed: bool = False
    placing: tuple[str, ...] = ()
    careful: bool = False
    dry_run_data: Mapping[str, Any] = field(default_factory=dict, compare=False)
    sized_by: tuple[str, ...] = ()

    def size(self, args: Mapping[str, Any]) -> str:
        """Return the size by which the durations of such calls are kept: "728x90", or "" if all calls of the
        tool have the same size."""
        return "x".join(_measure(args.get(name)) for name in self.sized_by)[:LONGEST_SIZE]

    @property
    def repeatable(self) -> bool:
        """Return whether it is safe to send the call again after an ambiguous end."""
        return self.idempotent or not self.writes


@dataclass(frozen=True)
class Role:
    """The role of a tool server.

    `per_minute`: calls a minute, in total or by tool; `timeout` in seconds; `lag`: the seconds that a new
    effect may stay invisible to look-ups. A success is recorded with `source` on a configured external server
    and with `bundled_source` on the bundled one.
    """

    name: str
    concurrency: int
    tools: Mapping[str, ToolPolicy]
    per_minute: int | Mapping[str, int] | None = None
    timeout: float = 60.0
    source: Source = Source.LIVE
    bundled_source: Source = Source.LOCAL
    lag: float = 0.0
    title: str = field(default="", compare=False)
