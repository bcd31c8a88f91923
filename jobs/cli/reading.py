"""Reads a job's events from the API: each once, in order, tolerating unknown types."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from jobs.cli.installation import EventLine, Say
from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import Artifact

# what building or applying an event of another version may raise
FOREIGN = (ValueError, TypeError, LookupError, AttributeError)
ARTIFACT = {ev.camel(field.name) for field in fields(Artifact)}

Absolute = Callable[[str], str]


class Reading:
    """The log of one job as far as it was read: `cursor` is the last seq, `progress` the state after it.

    The reader sets `over` when there will be no more events.
    """

    def __init__(self, absolute: Absolute, say: Say) -> None:
        self.cursor = 0
        self.over = False
        self.progress = Progress()
        self._absolute, self._say = absolute, say
        self._strange: set[str] = set()

    def take(self, id: str, data: str) -> EventLine | None:
        """Return the event with this id from a stream, or None if it was read before.

        An event of a type that this version does not know is returned as its line only, and reported once
        per type.
        """
        if not id.isascii() or not id.isdecimal() or int(id) <= self.cursor:
            return None
        self.cursor = int(id)
        try:
            payload = json.loads(data)
            line = data if data.isascii() and "\n" not in data else json.dumps(payload, separators=(",", ":"))
        except (ValueError, RecursionError):
            self._say(f"event {id} is not JSON and is skipped")
            return None
        try:
            recorded = recorded_from(self.cursor, payload, self._absolute)
            self.progress.apply(recorded)
        except FOREIGN:
            kind = str(payload.get("type", "")) if isinstance(payload, dict) else ""
            if kind not in self._strange:
                self._strange.add(kind)
                self._say(f"this version does not recognize {kind or 'untyped'} events and ignores them")
            return EventLine(line, None)
        return EventLine(line, recorded)


def recorded_from(seq: int, payload: Mapping[str, Any], absolute: Absolute) -> ev.Recorded:
    """Rebuild an event from its JSON. Links become absolute and unknown fields are dropped.

    Raises ValueError, TypeError or LookupError if it is not an event of this version.
    """
    kind = ev.KINDS.get(payload["type"])
    known = {ev.camel(field.name) for field in fields(kind)} if kind else set()
    values = {key: value for key, value in payload.items() if key in known}
    if "artifacts" in values:
        values["artifacts"] = [_artifact(one, absolute) for one in values["artifacts"]]
    at = datetime.fromisoformat(payload["timestamp"])
    if at.tzinfo is None:
        raise ValueError("a timestamp without a time zone")
    return ev.Recorded(seq, at, ev.event_from(payload["type"], values))


def _artifact(payload: Mapping[str, Any], absolute: Absolute) -> dict[str, Any]:
    """Return the fields of an artifact that the engine knows, with an absolute `url`."""
    known = {key: value for key, value in payload.items() if key in ARTIFACT}
    return known | ({"url": absolute(str(payload["url"]))} if payload.get("url") else {})
