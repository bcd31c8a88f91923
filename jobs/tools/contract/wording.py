"""How servers word their failures: rate limits, waiting times, unknown tools, ids in error texts."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any

RATE_LIMIT = re.compile(
    r"(?<![\w.])429(?![\w.]*\w)|too many requests|rate[\s_-]?limit|quota|throttl", re.IGNORECASE
)
WAIT = re.compile(
    r"(?:retry|try again|wait)[\s_-]*(?:after|in|for)?[\"']?\s*[:=]?\s*[\"']?(\d+(?:\.\d+)?)\s*"
    r"(ms\b|milliseconds?|minutes?|mins?\b|m\b)?",
    re.IGNORECASE,
)
UNKNOWN_TOOL = re.compile(
    r"^\W*(?:mcp error -?\d+:\s*)?(?:unknown tool|tool [\w.\"'-]+ (?:was )?not found)", re.IGNORECASE
)
NAMED_ID = re.compile(r"\b(?:id|documentId|gid)[\"']?\s*[:=]\s*[\"']?([\w-]{3,})", re.IGNORECASE)
OUTAGE = re.compile(
    r"(?:http|status|status code|error|code)\W{0,3}5\d\d\b"
    r"|\b5\d\d\W{0,2}(?:internal|bad gateway|service|gateway)|bad gateway|gateway time-?out"
    r"|service (?:is )?(?:temporarily )?unavailable|internal server error|overloaded",
    re.IGNORECASE,
)
URL = re.compile(r"https?://[^\s\"'<>)]+")
LONGEST = 20_000


def sentence(error: object) -> str:
    """Return the message of an error, whatever its form."""
    if isinstance(error, str):
        return error
    if isinstance(error, Mapping):
        for key in ("message", "error", "detail", "details", "code"):
            if error.get(key):
                return sentence(error[key])
    return str(error)[:LONGEST]


def is_outage(text: str) -> bool:
    """Return whether an error reports an outage of the service rather than a refusal of the call."""
    return OUTAGE.search(text[:LONGEST]) is not None


def is_rate_limit(error: object) -> bool:
    """Return whether an error reports a rate limit."""
    if isinstance(error, Mapping) and str(error.get("code", error.get("status", ""))) == "429":
        return True
    return RATE_LIMIT.search(_all(error)) is not None


def seconds_to_wait(error: object) -> float | None:
    """Return the seconds that the server asks to wait before a retry; None if it names no time."""
    if isinstance(error, Mapping):
        for key in ("retry_after", "retryAfter", "retry-after", "Retry-After"):
            try:
                return max(0.0, float(error[key]))
            except (KeyError, TypeError, ValueError):
                continue
    if (found := WAIT.search(_all(error))) is None:
        return None
    unit = (found[2] or "s").lower()
    factor = 0.001 if unit.startswith(("ms", "milli")) else 60.0 if unit[0] == "m" else 1.0
    return float(found[1]) * factor


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait by a Retry-After header (a number or a date); None if it names no time."""
    value = headers.get("retry-after", "")
    is_number = value.strip().replace(".", "", 1).isdigit()
    try:
        return max(0.0, float(value)) if is_number else _seconds_until(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds_until(date: str) -> float:
    return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - time.time())


def is_unknown_tool(text: str) -> bool:
    """Return whether a text says that the server has no such tool."""
    return UNKNOWN_TOOL.search(text[:LONGEST]) is not None


def object_in(text: str) -> dict[str, Any]:
    """Return the JSON object inside a text, or the `id` and `url` that it names in words, or {}."""
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        try:
            found = json.loads(text[start : end + 1])
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
    named, url = NAMED_ID.search(text[:LONGEST]), URL.search(text[:LONGEST])
    if named is None:
        return {}
    return {"id": named[1], "url": url[0] if url else ""}


def _all(error: object) -> str:
    """Return the whole text of an error, for searching."""
    if isinstance(error, str):
        return error[:LONGEST]
    try:
        return json.dumps(error)[:LONGEST]
    except (TypeError, ValueError, RecursionError):
        return str(error)[:LONGEST]
