"""Reading a job's events as the API tells them: each once, in order, politely where they are unknown."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from jobs.cli.installation import EventLine, Say
from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import Artifact

# what building or folding an event raises that another version wrote
FOREIGN = (ValueError, TypeError, LookupError, AttributeError)
ARTIFACT = {ev.camel(field.name) for field in fields(Artifact)}

Absolute = Callable[[str], str]


class Reading:
    """The log of one job as far as it was read: `cursor` is the last seq, `progress` the fold over it.

    `over` is for who reads to say that there will be no more of it.
    """

    def __init__(self, absolute: Absolute, say: Say) -> None:
        self.cursor = 0
        self.over = False
        self.progress = Progress()
        self._absolute, self._say = absolute, say
        self._strange: set[str] = set()

    def take(self, id: str, data: str) -> EventLine | None:
        """Give the event that a stream carried under this id; None for one that was read before.

        What this version does not know is given as its line alone, and told of once a type.
        """
        if not id.isascii() or not id.isdecimal() or int(id) <= self.cursor:
            return None
        self.cursor = int(id)
        try:
            payload = json.loads(data)
            line = data if data.isascii() and "\n" not in data else json.dumps(payload, separators=(",", ":"))
        except (ValueError, RecursionError):
            self._say(f"event {id} is no JSON and is left out")
            return None
        try:
            recorded = recorded_from(self.cursor, payload, self._absolute)
            self.progress.apply(recorded)
        except FOREIGN:
            kind = str(payload.get("type", "")) if isinstance(payload, dict) else ""
            if kind not in self._strange:
                self._strange.add(kind)
                self._say(f"an event {kind or 'without a type'} is not known to this version and not shown")
            return EventLine(line, None)
        return EventLine(line, recorded)


def recorded_from(seq: int, payload: Mapping[str, Any], absolute: Absolute) -> ev.Recorded:
    """Build an event back from what clients read; links become absolute, unknown fields are dropped.

    Raises ValueError, TypeError or LookupError for what no event of this version can be made of.
    """
    kind = ev.KINDS.get(payload["type"])
    known = {ev.camel(field.name) for field in fields(kind)} if kind else set()
    values = {key: value for key, value in payload.items() if key in known}
    if "artifacts" in values:
        values["artifacts"] = [_artifact(one, absolute) for one in values["artifacts"]]
    at = datetime.fromisoformat(payload["timestamp"])
    if at.tzinfo is None:
        raise ValueError("a timestamp without its zone")
    return ev.Recorded(seq, at, ev.event_from(payload["type"], values))


def _artifact(told: Mapping[str, Any], absolute: Absolute) -> dict[str, Any]:
    """Give an artifact as the engine knows it: its `url` opens it, wherever it is."""
    known = {key: value for key, value in told.items() if key in ARTIFACT}
    return known | ({"url": absolute(str(told["url"]))} if told.get("url") else {})
