"""What no order of planned calls could beat: chains that lead to a server's calls, its work, what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

#: Of so few calls every order is tried; of more the work is taken as if it could be divided at will.
FEW = 6


def bound(
    seconds: Sequence[float],
    needs: Sequence[set[int]],
    at: Mapping[str, Sequence[int]],
    permits: Mapping[str, int],
) -> float:
    """Give the least seconds in which calls can be made, whoever orders them and however well they know.

    `seconds` of each call; `needs`: the places of those it waits for, all before its own; `at`: the places of
    each server's calls; `permits`: how many calls a server bears at once. It is the longest chain of calls,
    or what one server alone would need if all others bore any number: its calls cannot begin before the
    chains that lead to them, nor is a job over before the chains that follow.
    """
    calls = list(zip(_heads(seconds, needs), seconds, _tails(seconds, needs), strict=True))
    chain = max((sum(call) for call in calls), default=0.0)
    alone = (_alone([calls[place] for place in mine], permits[name]) for name, mine in at.items())
    return max(chain, max(alone, default=0.0))


def _heads(seconds: Sequence[float], needs: Sequence[set[int]]) -> list[float]:
    """When each call could begin at the earliest."""
    heads: list[float] = []
    for before in needs:
        heads.append(max((heads[one] + seconds[one] for one in before), default=0.0))
    return heads


def _tails(seconds: Sequence[float], needs: Sequence[set[int]]) -> list[float]:
    """What must still follow each call's end."""
    tails = [0.0] * len(seconds)
    for place in reversed(range(len(seconds))):
        for one in needs[place]:
            tails[one] = max(tails[one], seconds[place] + tails[place])
    return tails


def _alone(calls: Sequence[tuple[float, float, float]], permits: int) -> float:
    """The least end of one server's calls, each (head, seconds, tail), with so many permits."""
    if not calls:
        return 0.0
    if permits < len(calls) <= FEW:
        return min(_in_order(order, permits) for order in permutations(calls))
    heads, work, tails = (list(column) for column in zip(*calls, strict=True))
    # the first of each permit's calls waits for its head, the last of each leaves its tail
    first, last = sorted(heads)[:permits], sorted(tails)[:permits]
    return (sum(first) + sum(work) + sum(last)) / permits if len(calls) >= permits else 0.0


def _in_order(calls: Sequence[tuple[float, float, float]], permits: int) -> float:
    """When the last tail is over if these calls take the first free permit in this order."""
    free, end = [0.0] * permits, 0.0
    for head, seconds, tail in calls:
        began = max(head, min(free))
        free[free.index(min(free))] = began + seconds
        end = max(end, began + seconds + tail)
    return end
