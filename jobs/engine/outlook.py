"""What is still ahead of jobs under way: the calls that will be made, and so the seconds that are left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobs.engine.durations import Durations
from jobs.engine.graph import Hop, Stage, Workflow
from jobs.engine.play import Limits, Played, play

#: The share of its expected seconds that a call still has left at least, however long it has taken already.
LEAST_LEFT = 0.05


@dataclass(slots=True)
class _Asked:
    """A call that its stage has asked for, and whether it has come to its end."""

    stage: str
    server: str
    tool: str
    size: str
    ended: bool = False


class Outlook:
    """One job's calls, those made, under way, and still to come.

    What is to come follows from the paths of the stages that have not ended, and from how often the brief
    wants each of their calls. `sent_at` gives when the running attempt of a step was sent, by the clock that
    `ahead` is asked with, None while it waits. `news` tells whether anything has happened since.
    """

    def __init__(
        self, flow: Workflow, brief: Any, *, order: float, sent_at: Callable[[str], float | None]
    ) -> None:
        self.flow, self.brief, self.order, self._sent_at = flow, brief, order, sent_at
        self._asked: dict[str, _Asked] = {}
        self._ended: set[str] = set()
        self.news = 0  # grows with all that happens

    @cached_property
    def times(self) -> dict[str, list[int]]:
        """Give for each stage how often the brief wants each of its hops. Raises what a count raises."""
        return {stage.id: [hop.times(self.brief) for hop in stage.path] for stage in self.flow.stages}

    def asked(self, step: str, stage: str, server: str, tool: str, size: str = "") -> None:
        """Know that a stage has asked for a call."""
        self._asked[step] = _Asked(stage, server, tool, size)
        self.news += 1

    def call_ended(self, step: str) -> None:
        """Know that a call has come to its end, whatever that was."""
        self._asked[step].ended = True
        self.news += 1

    def stage_ended(self, stage: str) -> None:
        """Know that a stage makes no more calls."""
        self._ended.add(stage)
        self.news += 1

    def ahead(self, now: float, learned: Durations | None = None) -> list[Played]:
        """Give the calls that are still to come or under way; `needs` are places in this list."""
        calls: list[Played] = []
        last: dict[str, frozenset[int]] = {}
        for stage in self.flow.stages:
            if stage.id not in self._ended:
                needs = frozenset().union(*(last.get(need, frozenset()) for need in stage.needs))
                last[stage.id] = self._stage(stage, needs, calls, now, learned)
        return calls

    def _stage(
        self,
        stage: Stage,
        needs: frozenset[int],
        calls: list[Played],
        now: float,
        learned: Durations | None,
    ) -> frozenset[int]:
        """Add a stage's calls, and give the places of all of them."""
        mine: list[int] = []
        before: list[int] = []
        shared = False
        for hop, times in zip(stage.path, self.times[stage.id], strict=True):
            open_, left = self._left(stage, hop, times)
            remaining = self.flow.remaining(stage.id, hop.server, hop.tool, learned)
            here: list[int] = []
            for number in range(left):
                follows = frozenset(before) if shared else _own(before, left, number)
                step = open_[number] if number < len(open_) else ""
                size = self._asked[step].size if step else ""
                seconds = hop.expected(learned, size)
                if step and (sent := self._sent_at(step)) is not None:
                    seconds = max(seconds - (now - sent), LEAST_LEFT * seconds)
                here.append(len(calls))
                calls.append(Played(hop.server, hop.tool, seconds, needs | follows, self.order, remaining))
            mine += here
            before, shared = here, times == 1
        return frozenset(mine) or needs

    def _left(self, stage: Stage, hop: Hop, times: int) -> tuple[list[str], int]:
        """The steps of this hop that are under way, and how many there are still to be, these included."""
        steps = [
            step
            for step, call in self._asked.items()
            if (call.stage, call.server, call.tool) == (stage.id, hop.server, hop.tool)
        ]
        ended = sum(self._asked[step].ended for step in steps)
        open_ = [step for step in steps if not self._asked[step].ended]
        return open_, max(times, len(steps)) - ended


def _own(before: Sequence[int], left: int, number: int) -> frozenset[int]:
    """The place of the call that the call of this number follows, of those of the hop before it. The items
    that have passed that hop come first and follow none."""
    place = number - (left - len(before))
    return frozenset({before[place]}) if place >= 0 else frozenset()


def seconds_left(
    jobs: Sequence[Outlook], limits: Mapping[str, Limits], now: float, learned: Durations | None = None
) -> list[float]:
    """Give the seconds that are left of each job, all of them played through together: they share permits."""
    calls: list[Played] = []
    spans: list[tuple[int, int]] = []
    for job in jobs:
        start = len(calls)
        for call in job.ahead(now, learned):
            needs = frozenset(start + need for need in call.needs)
            calls.append(Played(call.server, call.tool, call.seconds, needs, call.order, call.remaining))
        spans.append((start, len(calls)))
    ends = play(calls, limits)
    return [max(ends[start:end], default=0.0) for start, end in spans]
