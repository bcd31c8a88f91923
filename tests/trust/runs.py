"""Which faults are run: all of them or a selection, concurrently on a few cores."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.trust.driver import Template
from tests.trust.judge import Verdict
from tests.trust.kills import COMMIT_MODES, SERVER_MODES, TWICE, WORKER_MODES, Kill

SIDE_BY_SIDE = 3
MORE_COMMITS = 5  # a run may make a few more commits than the clean run


def at_calls(
    template: Template, modes: Sequence[str], seeds: Sequence[int], stride: int = 1
) -> Iterator[Kill]:
    """Return a kill for every call, or every `stride`-th, each mode starting at a different call."""
    steps = template.steps()
    for seed, (place, mode) in itertools.product(seeds, enumerate(modes)):
        for number in range((place + seed) % stride, len(steps), stride):
            role, tool, key, what = steps[number]
            commit = 1 + (number * 7 + seed) % 40 if mode in TWICE else 0
            # neighboring calls get different latencies and different times for late effects
            yield Kill(mode, seed * 1000 + number, role, key, tool, what[:60], commit)


def at_commits(template: Template, seeds: Sequence[int], stride: int = 1) -> Iterator[Kill]:
    """Return a kill before and one after every commit, or every `stride`-th."""
    for seed, (place, mode) in itertools.product(seeds, enumerate(COMMIT_MODES)):
        first = 1 + (place * (stride // 2) + seed) % stride
        for commit in range(first, template.commits + MORE_COMMITS, stride):
            yield Kill(mode, seed * 1000 + commit, commit=commit)


def everything(template: Template, seeds: int, stride: int = 1) -> list[Kill]:
    """Return all kills of this many seeds, or every `stride`-th; the commits of one seed, since they have no
    call to vary."""
    numbers = range(seeds)
    calls = at_calls(template, [*WORKER_MODES, *SERVER_MODES], numbers, stride)
    return [*calls, *at_calls(template, list(TWICE), numbers, 3 * stride), *at_commits(template, [0], stride)]


def spread(template: Template) -> list[Kill]:
    """Return some kills of every kind, including spending calls, which take a few minutes."""
    calls = at_calls(template, list(WORKER_MODES), [1], 12)
    less = at_calls(template, [*SERVER_MODES, *TWICE], [2], 20)
    return [*calls, *less, *at_commits(template, [0], 16)]


def blind(template: Template) -> list[Kill]:
    """Return a few kills, some at spending calls, that cause duplicates in an engine without reconcile."""
    return [kill for kill in at_calls(template, ["after"], [0]) if kill.role in ("dv360", "asana-v2")][-3:]


def play(
    template: Template,
    kills: Sequence[Kill],
    report: Callable[[Kill, Verdict], None] = lambda kill, verdict: None,
    *,
    blind: bool = False,
) -> list[tuple[Kill, Verdict]]:
    """Run them, a few at a time, and return each with its verdict; call `report` after each run."""

    def one(kill: Kill) -> tuple[Kill, Verdict]:
        verdict = template.judged(kill, blind=blind)
        report(kill, verdict)
        return kill, verdict

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(one, kills))
