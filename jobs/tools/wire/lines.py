"""Bytes from a server's stdout into JSON-RPC messages: linear, bounded, and deaf to noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import mcp_types as types
from pydantic import ValidationError

LARGEST_LINE = 16_000_000
LARGEST_WASTE = 8 * LARGEST_LINE  # of one line that is thrown away; after that the server is given up
# what an answer of that size may hold: objects cost us a hundred times the bytes that name them
MOST_OBJECTS = 50_000
MOST_VALUES = 500_000
EDGE = 4096  # how much of an oversized line's ends is kept, to find out whom it answers
# our request ids are numbers, and stand at the very start or the very end of an answer
FIRST_ID = re.compile(rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*"?(\d{1,15})')
LAST_ID = re.compile(rb'"id"\s*:\s*"?(\d{1,15})"?\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


class Endless(Exception):
    """The server writes a line that has no end."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Rides as the `data` of an error that we made ourselves: an answer came and cannot be used. No peer can
    send an object of this class."""

    reason: str


class Density:
    """Counts the objects and values of JSON that comes in, roughly: signs inside of its texts count too."""

    def __init__(self) -> None:
        self._objects = self._values = 0

    def too_much(self, data: bytes) -> bool:
        """Add bytes, and tell whether all of them together would cost too much memory and time."""
        self._objects += data.count(b"{") + data.count(b"[")
        self._values += data.count(b",")
        return self._objects > MOST_OBJECTS or self._values > MOST_VALUES


class LineSplitter:
    """Cuts chunks into lines in linear time. An oversized line is thrown away while it comes in; what is left
    of it are its two ends."""

    def __init__(self, largest: int = LARGEST_LINE) -> None:
        self._largest, self._most_waste = largest, LARGEST_WASTE
        self._parts: list[bytes] = []
        self._size = 0
        self._ends: tuple[bytes, bytes] | None = None  # of the oversized line that is being thrown away

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bool]]:
        """Give the lines that end in `chunk`, each with whether it was whole. Raises Endless."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._add(chunk[start:end])
            yield self._take()
            start = end + 1
        self._add(chunk[start:])

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._ends is not None:
            self._ends = (self._ends[0], (self._ends[1] + part)[-EDGE:])
            if self._size > self._most_waste:
                raise Endless
        elif self._size > self._largest:
            whole = b"".join((*self._parts, part))
            self._ends, self._parts = (whole[:EDGE], whole[-EDGE:]), []
        elif part:
            self._parts.append(part)

    def _take(self) -> tuple[bytes, bool]:
        whole = self._ends is None
        line = b"".join(self._ends if self._ends is not None else self._parts)
        self._parts, self._size, self._ends = [], 0, None
        return line, whole


def read_line(line: bytes, *, whole: bool = True) -> types.JSONRPCMessage | None:
    """The message of a line; None for what nobody waits for: notifications, log lines, banners.

    A line that cannot be read but looks like somebody's answer becomes an error to that request.
    """
    if b'"id"' not in line:
        return None
    if not whole or Density().too_much(line):
        return _unusable(line, "the answer is too large")
    try:
        message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except (ValidationError, ValueError, RecursionError):
        return _unusable(line, "the answer is not a JSON-RPC message")
    return None if isinstance(message, types.JSONRPCNotification) else message


def _unusable(line: bytes, reason: str) -> types.JSONRPCError | None:
    """An error to the request that a broken line names at its edges, if it names one."""
    found = FIRST_ID.match(line[:EDGE]) or LAST_ID.search(line[-EDGE:])
    if found is None:
        return None
    error = types.ErrorData(code=types.PARSE_ERROR, message=reason, data=Broken(reason))
    return types.JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error)
