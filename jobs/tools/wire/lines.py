"""Parse a server's stdout into JSON-RPC messages, in linear time and bounded memory, ignoring noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import mcp_types as types
from pydantic import ValidationError

LARGEST_LINE = 16_000_000
LARGEST_WASTE = 8 * LARGEST_LINE  # bytes of one discarded line, after which the server is given up
# an answer of that size is limited too: objects take about a hundred times their bytes in memory
MOST_OBJECTS = 50_000
MOST_VALUES = 500_000
EDGE = 4096  # bytes kept at each end of an oversized line, to find the id that it answers
# request ids are numbers, and are at the very start or the very end of an answer
FIRST_ID = re.compile(rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*"?(\d{1,15})')
LAST_ID = re.compile(rb'"id"\s*:\s*"?(\d{1,15})"?\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


class Endless(Exception):
    """The server writes a line that does not end."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The `data` of an error created here for an answer that cannot be used. No peer can send an object of
    this class."""

    reason: str


class Density:
    """Estimates the objects and values of incoming JSON; characters inside its strings count too."""

    def __init__(self) -> None:
        self._objects = self._values = 0

    def too_much(self, data: bytes) -> bool:
        """Add bytes and return whether all bytes so far would take too much memory and time to parse."""
        self._objects += data.count(b"{") + data.count(b"[")
        self._values += data.count(b",")
        return self._objects > MOST_OBJECTS or self._values > MOST_VALUES


class LineSplitter:
    """Splits chunks into lines in linear time. An oversized line is discarded as it arrives, except for
    its two ends."""

    def __init__(self, largest: int = LARGEST_LINE) -> None:
        self._largest, self._most_waste = largest, LARGEST_WASTE
        self._parts: list[bytes] = []
        self._size = 0
        self._ends: tuple[bytes, bytes] | None = None  # of the oversized line that is being discarded

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield the lines that end in `chunk`, each with whether it is whole. Raises Endless."""
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
    """Return the message of a line; None for notifications, log lines and banners.

    A line that cannot be parsed but looks like the answer to a request becomes an error for that request.
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
    """Return an error for the request whose id is at an end of a broken line, or None."""
    found = FIRST_ID.match(line[:EDGE]) or LAST_ID.search(line[-EDGE:])
    if found is None:
        return None
    error = types.ErrorData(code=types.PARSE_ERROR, message=reason, data=Broken(reason))
    return types.JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error)
