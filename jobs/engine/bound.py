"""A lower bound on how long planned calls take, from their chains and from the work of each server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

#: Up to this many calls of a server, every order is tried; beyond it, work counts as freely divisible.
MOST_ORDERED = 6


def bound(
    seconds: Sequence[float],
    needs: Sequence[set[int]],
    at: Mapping[str, Sequence[int]],
    permits: Mapping[str, int],
) -> float:
    """Return the seconds that the calls take at least, in whatever order they are made.

    `seconds`: how long each call takes; `needs`: the indices of the calls that each one waits for, all lower
    than its own; `at`: the indices of each server's calls; `permits`: how many calls a server takes at once.

    The bound is the longest chain of calls or, if longer, the time that one server needs when every other
    server takes any number at once. A server's calls start after the chains that lead to them, and the job
    ends after the chains that follow.
    """
    calls = list(zip(_heads(seconds, needs), seconds, _tails(seconds, needs), strict=True))
    chain = max((sum(call) for call in calls), default=0.0)
    alone = (_alone([calls[place] for place in mine], permits[name]) for name, mine in at.items())
    return max(chain, max(alone, default=0.0))


def _heads(seconds: Sequence[float], needs: Sequence[set[int]]) -> list[float]:
    """Return the earliest start of each call."""
    heads: list[float] = []
    for before in needs:
        heads.append(max((heads[one] + seconds[one] for one in before), default=0.0))
    return heads


def _tails(seconds: Sequence[float], needs: Sequence[set[int]]) -> list[float]:
    """Return the least time that must follow each call's end."""
    tails = [0.0] * len(seconds)
    for place in reversed(range(len(seconds))):
        for one in needs[place]:
            tails[one] = max(tails[one], seconds[place] + tails[place])
    return tails


def _alone(calls: Sequence[tuple[float, float, float]], permits: int) -> float:
    """Return the earliest end of one server's calls, each a (head, seconds, tail), under its permits."""
    if not calls:
        return 0.0
    if permits < len(calls) <= MOST_ORDERED:
        return min(_in_order(order, permits) for order in permutations(calls))
    heads, work, tails = (list(column) for column in zip(*calls, strict=True))
    # the first of each permit's calls waits for its head, the last of each leaves its tail
    first, last = sorted(heads)[:permits], sorted(tails)[:permits]
    return (sum(first) + sum(work) + sum(last)) / permits if len(calls) >= permits else 0.0


def _in_order(calls: Sequence[tuple[float, float, float]], permits: int) -> float:
    """Return when the last tail ends if the calls take the first free permit in this order."""
    free, end = [0.0] * permits, 0.0
    for head, seconds, tail in calls:
        began = max(head, min(free))
        free[free.index(min(free))] = began + seconds
        end = max(end, began + seconds + tail)
    return end
