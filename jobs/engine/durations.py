"""Learned durations: the medians of past calls, by server, tool and size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from statistics import median

#: Gives the expected seconds of a call by server, tool and size ("" for any); None where nothing is known.
Durations = Callable[[str, str, str], float | None]
#: What durations are kept by: server, tool, size.
Kind = tuple[str, str, str]
#: So many calls of a kind are remembered: a service that has become slower is known to be so soon.
RECENT = 21


class Learned:
    """What past calls took. A `Durations`: of a size that was never seen it gives the median of all sizes,
    and None where there is none either.

    `fresh` holds what was learned since it was last taken away, to be stored by whoever owns a store.
    """

    def __init__(self) -> None:
        self._recent: dict[Kind, deque[float]] = {}
        self._medians: dict[Kind, float | None] = {}
        self.fresh: dict[Kind, list[float]] = {}

    def add(self, server: str, tool: str, size: str, seconds: float) -> None:
        """Learn that one call took so many seconds, as its server had it: without its wait for a permit."""
        self.fresh.setdefault((server, tool, size), []).append(seconds)
        self.put((server, tool, size), [*self._recent.get((server, tool, size), ()), seconds])

    def put(self, kind: Kind, recent: Iterable[float]) -> None:
        """Know these as the last calls of a kind, oldest first."""
        server, tool, _ = kind
        self._recent[kind] = deque(recent, maxlen=RECENT)
        for known in [one for one in self._medians if one[:2] == (server, tool)]:
            del self._medians[known]

    def take_fresh(self) -> dict[Kind, list[float]]:
        """Give what was learned since the last time, to store it."""
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
