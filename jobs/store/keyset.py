"""Keyset pagination: a page starts at a row's own key, not at the number of rows before it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

LOOKED_THROUGH = 5000  # most rows that one page reads if no index finds the rows asked for
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# microseconds, up to some thousand years from now, and an id
MOMENT_AND_ID = "[0-9]{1,17}-[0-9a-f]{32}"
NUMBER = "[0-9]{1,18}"

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Order:
    """The order of a list, newest first, by these non-null fields; the last field is unique.

    The fields are one number, or a time and a UUID.
    """

    fields: tuple[str, ...]

    def key(self, row: Any) -> Key:
        """Return the place of a row in the list."""
        return tuple(getattr(row, name) for name in self.fields)

    def text(self, key: Key) -> str:
        """Return a place as text for a URL."""
        if len(key) == 1:
            return str(key[0])
        return f"{(key[0] - EPOCH) // MICROSECOND}-{key[1].hex}"

    def place(self, text: str) -> Key:
        """Parse a place from a URL. Raises ValueError for text that `text` never returns."""
        if not re.fullmatch(NUMBER if len(self.fields) == 1 else MOMENT_AND_ID, text):
            raise ValueError("not a place in a list")
        if len(self.fields) == 1:
            return (int(text),)
        micros, _, id = text.partition("-")
        return EPOCH + int(micros) * MICROSECOND, UUID(id)

    def names(self, *, up: bool = False) -> list[str]:
        """Return the fields to order by: newest first, or oldest first if `up`."""
        return [name if up else f"-{name}" for name in self.fields]

    def past(self, rows: QuerySet[Any], key: Key, *, up: bool = False) -> QuerySet[Any]:
        """Return the rows older than a place, or newer if `up`."""
        return self._beyond(rows, key, "gt" if up else "lt", "lte" if up else "gte")

    def until(self, rows: QuerySet[Any], key: Key, *, up: bool = False) -> QuerySet[Any]:
        """Return the rows from the newest down to a place, or from the oldest up to it, including its row."""
        return self._beyond(rows, key, "lte" if up else "gte", "gt" if up else "lt")

    def _beyond(self, rows: QuerySet[Any], key: Key, wanted: str, unwanted: str) -> QuerySet[Any]:
        first, last = self.fields[0], self.fields[-1]
        if first == last:
            return rows.filter(**{f"{first}__{wanted}": key[0]})
        # the first condition alone is what an index can use
        near = {f"{first}__{wanted[:2]}e": key[0]}
        return rows.filter(**near).exclude(Q(**{first: key[0], f"{last}__{unwanted}": key[1]}))


MOMENTS, IDS, SEQS = Order(("created_at", "id")), Order(("id",)), Order(("seq",))


@dataclass(frozen=True)
class Page:
    """Some rows of a list, newest first, and where the neighboring pages continue, None at an end.

    `cut_short`: LOOKED_THROUGH rows were read before the page was full, and there are more.
    """

    rows: list[Any]
    older: Key | None = None
    newer: Key | None = None
    cut_short: bool = False


def page(
    rows: QuerySet[Any],
    order: Order,
    size: int,
    *,
    older: Key | None = None,
    newer: Key | None = None,
    among: QuerySet[Any] | None = None,
) -> Page:
    """Return a page of at most `size` rows: the newest, or those next to a place, `older` or `newer`.

    `among`: the rows to search, if no index finds `rows` directly. At most LOOKED_THROUGH of them are read,
    starting at the place.
    """
    if newer is not None:
        above = _found(rows, order, size, newer, among, up=True)
        if above.newer is not None:
            return above
        older = None  # the newest page starts less than a page away
    below = _found(rows, order, size, older, among, up=False)
    if older is None:
        return below
    return Page(below.rows, below.older, order.key(below.rows[0]) if below.rows else older, below.cut_short)


def _found(
    rows: QuerySet[Any], order: Order, size: int, place: Key | None, among: QuerySet[Any] | None, *, up: bool
) -> Page:
    if place is not None:
        rows = order.past(rows, place, up=up)
    bound = _bound(among, order, place, up=up) if among is not None else None
    if bound is not None:
        rows = order.until(rows, bound, up=up)
    found: Sequence[Any] = list(rows.order_by(*order.names(up=up))[: size + 1])
    full = len(found) > size
    on = order.key(found[size - 1]) if full else bound
    cut_short = bound is not None and len(found) < size
    if not up:
        return Page(list(found[:size]), older=on, cut_short=cut_short)
    back = order.key(found[0]) if found else place
    return Page([*reversed(found[:size])], back, on, cut_short)


def _bound(among: QuerySet[Any], order: Order, place: Key | None, *, up: bool) -> Key | None:
    """Return the place of the last row that may be read, or None if the list ends before it."""
    if place is not None:
        among = order.past(among, place, up=up)
    keys = among.order_by(*order.names(up=up)).values_list(*order.fields)
    last = list(keys[LOOKED_THROUGH - 1 : LOOKED_THROUGH + 1])
    return last[0] if len(last) > 1 else None


def id_of(text: str) -> UUID | None:
    """Return the id that was searched for, with or without dashes, or None if it is not an id.

    Databases differ in how they write a UUID as text, so it cannot be searched for as text.
    """
    try:
        return UUID(text.strip())
    except ValueError:
        return None
