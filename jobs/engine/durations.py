"""Learned durations: the medians of past calls, by server, tool and size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from statistics import median

#: Returns the expected seconds of a call by server, tool and size ("" for any); None if nothing is known.
Durations = Callable[[str, str, str], float | None]
#: The key of a duration: server, tool, size.
Kind = tuple[str, str, str]
#: How many calls of a kind are remembered; few, so that the median follows a service that becomes slower.
RECENT = 21


class Learned:
    """The durations of past calls. A `Durations`: for a size without any it returns the median of all sizes
    of the tool, and None if there are none either.

    `fresh` holds the durations added since the last `take_fresh`, for the caller to store.
    """

    def __init__(self) -> None:
        self._recent: dict[Kind, deque[float]] = {}
        self._medians: dict[Kind, float | None] = {}
        self.fresh: dict[Kind, list[float]] = {}

    def add(self, server: str, tool: str, size: str, seconds: float) -> None:
        """Add the seconds that one call took at its server, without its wait for a permit."""
        self.fresh.setdefault((server, tool, size), []).append(seconds)
        self.put((server, tool, size), [*self._recent.get((server, tool, size), ()), seconds])

    def put(self, kind: Kind, recent: Iterable[float]) -> None:
        """Replace the recent durations of a kind, oldest first."""
        server, tool, _ = kind
        self._recent[kind] = deque(recent, maxlen=RECENT)
        for known in [one for one in self._medians if one[:2] == (server, tool)]:
            del self._medians[known]

    def take_fresh(self) -> dict[Kind, list[float]]:
        """Return the durations added since the last call of this method."""
        fresh, self.fresh = self.fresh, {}
        return fresh

    def __call__(self, server: str, tool: str, size: str = "") -> float | None:
        kind = (server, tool, size)
        if kind not in self._medians:
            self._medians[kind] = self._median(kind)
        return self._medians[kind]

    def _median(self, kind: Kind) -> float | None:
        recent = list(self._recent.get(kind, ()))
        if not recent:
            recent = [one for known, some in self._recent.items() if known[:2] == kind[:2] for one in some]
        return median(recent) if recent else None
