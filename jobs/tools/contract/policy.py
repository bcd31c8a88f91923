"""What a role is allowed and known to do, as data: limits, and how each tool's effect is keyed and found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jobs.engine.results import Source

KEY_META = "flightplan/idempotency-key"
LONGEST_SIZE = 40


def _measure(value: Any) -> str:
    """A number as it is; the length of a text or a list up to the next power of two, so that sizes recur."""
    if isinstance(value, str | list | tuple):
        return str(1 << max(0, len(value) - 1).bit_length())
    return str(value)


def marker(key: str) -> str:
    """The short form of an effect's key (32 hex) that stands in texts people read: `fp-<12 hex>`."""
    return f"fp-{key[:12]}"


@dataclass(frozen=True)
class Lookup:
    """How the effect of a call is found again after an ambiguous end.

    `arguments`: argument of the look-up tool -> where its value comes from: "$key", "$marker", "$<argument>"
    (as it was sent), "~<argument>" (the same, escaped as a regular expression), or a plain value. A look-up
    that needs an argument which the call did not send is not possible.
    `match`: "answer" when the server searches by key, so that every item returned is ours; "marker" when an
    item is ours that shows the marker in `fields`; "name" when its name equals the one sent.
    `items`: the keys under which the answer may hold its list; a bare list is always understood.
    `page_argument`: the argument that takes the answer's `next_page.offset`, "" where there are no pages.
    """

    tool: str
    arguments: Mapping[str, str | int]
    match: Literal["answer", "marker", "name"] = "answer"
    fields: tuple[str, ...] = ("notes", "name")
    items: tuple[str, ...] = ("items", "data", "files")
    page_argument: str = ""


@dataclass(frozen=True)
class ToolPolicy:
    """One tool of a role. The defaults are the careful ones: it writes, and must name what it made.

    `money`: it commits spend. `idempotent`: sending it twice is the same as once, so it may be sent again
    after an ambiguous end. `key_argument`: takes the key. `note_argument`: gets `ref fp-<12 hex>` as its last
    line. `name_argument`: gets ` (fp-<12 hex>)` at its end. `plain_text`: success is text without an id.
    `image`: success is an image or a `path`. `error_may_name_effect`: an `isError` that carries an id
    means that the thing exists, though incomplete. `retry_failed`: a failure that the tool reports is worth
    a retry. `placing`: arguments that say where the effect goes and not what it is; a step that is sent again
    with others of these is still the same step. `careful`: it prepares spend, so that it is never taken for
    absent while a server that cannot be stopped may still be at work on it. `dry_run_data`: what a dry run
    takes for its answer beside the made-up id; "$id" stands for that id, at any depth. `sized_by`: arguments
    that say how large the effect is, and so how long it takes.
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
        """Give the size of a call with these arguments, as past calls are told apart by it: "728x90", "" for
        a tool whose calls are all of one size."""
        return "x".join(_measure(args.get(name)) for name in self.sized_by)[:LONGEST_SIZE]

    @property
    def repeatable(self) -> bool:
        """Whether a second send after an ambiguous end can do no harm."""
        return self.idempotent or not self.writes


@dataclass(frozen=True)
class Role:
    """A part that a tool server plays. `per_minute`: calls a minute, or a number a tool; `timeout` and `lag`
    (how long a new effect may stay invisible to look-ups) in seconds. A success is called `source` on a
    configured outside server and `bundled_source` on the one that comes with the product.
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
