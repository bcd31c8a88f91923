"""What running jobs still have to do: the calls that remain, and the seconds that are left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobs.engine.durations import Durations
from jobs.engine.graph import Hop, Stage, Workflow
from jobs.engine.play import Limits, Played, play

#: The least share of its expected seconds that a call still has left, however long it has already taken.
LEAST_LEFT = 0.05


@dataclass(slots=True)
class _Asked:
    """A call that its stage has asked for, and whether it has ended."""

    stage: str
    server: str
    tool: str
    size: str
    ended: bool = False


class Outlook:
    """One job's calls: those that have ended, those in progress, and those that remain.

    Which calls remain follows from the paths of the stages that have not ended and from how often the brief
    needs each of their calls. `sent_at` returns when the current attempt of a step was sent, on the clock of
    `ahead`'s `now`; None while it waits. `news` grows with every change.
    """

    def __init__(
        self, flow: Workflow, brief: Any, *, order: float, sent_at: Callable[[str], float | None]
    ) -> None:
        self.flow, self.brief, self.order, self._sent_at = flow, brief, order, sent_at
        self._asked: dict[str, _Asked] = {}
        self._ended: set[str] = set()
        self.news = 0

    @cached_property
    def times(self) -> dict[str, list[int]]:
        """Return for each stage how often the brief needs each of its hops. Raises what a count raises."""
        return {stage.id: [hop.times(self.brief) for hop in stage.path] for stage in self.flow.stages}

    def asked(self, step: str, stage: str, server: str, tool: str, size: str = "") -> None:
        """Record that a stage has asked for a call."""
        self._asked[step] = _Asked(stage, server, tool, size)
        self.news += 1

    def call_ended(self, step: str) -> None:
        """Record that a call has ended, with or without success."""
        self._asked[step].ended = True
        self.news += 1

    def stage_ended(self, stage: str) -> None:
        """Record that a stage makes no more calls."""
        self._ended.add(stage)
        self.news += 1

    def ahead(self, now: float, learned: Durations | None = None) -> list[Played]:
        """Return the calls that are in progress or remain; their `needs` are indices in this list."""
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
        """Append a stage's calls to `calls` and return their indices."""
        mine: list[int] = []
        before: list[int] = []
        shared = False
        for hop, times in zip(stage.path, self.times[stage.id], strict=True):
            open_, left = self._left(stage, hop, times)
            remaining = self.flow.remaining(stage.id, hop.server, hop.tool, learned)
            here: list[int] = []
            for number in range(left):
                follows = frozenset(before) if shared else _predecessor(before, left, number)
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
        """Return the steps of this hop in progress, and how many of its calls are left, including those."""
        steps = [
            step
            for step, call in self._asked.items()
            if (call.stage, call.server, call.tool) == (stage.id, hop.server, hop.tool)
        ]
        ended = sum(self._asked[step].ended for step in steps)
        open_ = [step for step in steps if not self._asked[step].ended]
        return open_, max(times, len(steps)) - ended


def _predecessor(before: Sequence[int], left: int, number: int) -> frozenset[int]:
    """Return the index of the previous hop's call that this hop's call `number` follows.

    Items that have already passed the previous hop come first and follow no call.
    """
    place = number - (left - len(before))
    return frozenset({before[place]}) if place >= 0 else frozenset()


def seconds_left(
    jobs: Sequence[Outlook], limits: Mapping[str, Limits], now: float, learned: Durations | None = None
) -> list[float]:
    """Return the seconds left of each job; the jobs are simulated together, as they share permits."""
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
