"""Cut clients off a thousand times by each way of following a job. Run with `-m benchmarks.reconnects`.

By stream and by poll each client must receive the log exactly once and in order; by socket a page must never
show an older state than before; all must end with the state that the API returns.
"""

import asyncio
import random
import re
import time
from collections import Counter
from dataclasses import dataclass

from benchmarks.common import Story, Written, cores, demand, installation, table, verdict
from benchmarks.followers import MOST, WAYS, Cuts, Followed
from jobs.engine.events import PUBLIC
from tests.e2e.installation import Installation

RECONNECTS = 1000
CLIENTS = {"stream": 5, "poll": 5, "socket": 20}
RATE = 60.0
SEED = 4
STAGE = re.compile(r'data-stage="([\w-]+)" data-status="(\w+)"')
HEAD = (
    "by",
    "clients",
    "reconnects",
    "a second",
    "events of each",
    "missing",
    "double",
    "out of order",
    "stale",
)


@dataclass
class Judged:
    """The faults in what a client received; the promise is none."""

    missing: int = 0
    double: int = 0
    disordered: int = 0
    stale: int = 0

    @property
    def kept(self) -> bool:
        """Return whether there are no faults."""
        return not (self.missing or self.double or self.disordered or self.stale)


def main() -> None:
    """Follow a job with all clients, print the figures, and judge them."""
    demand(cores() >= 2, "one core is not enough: clients and server would wait for each other")
    with installation() as site, site.browser() as browser:
        session = browser.cookies["sessionid"]
        with Story(site, rate=RATE) as story:
            begun = time.monotonic()
            followed, seconds = asyncio.run(follow(site, story, session, RECONNECTS))
            written = story.written
        print(
            f"\n{len(written)} events in {time.monotonic() - begun:.0f} s; a cut after 1 to {MOST} of them\n"
        )
        print(table(HEAD, [row(way, followed, written, seconds) for way in WAYS]))
        demand(
            len(written) > RATE * seconds / 2, "the writer did not keep its pace: cuts fell on a quiet log"
        )
        for one in followed:
            judged = judge(one, written)
            demand(judged.kept, f"by {one.way}, cut {one.reconnects} times: {judged}")
        for one in followed:
            demand(not one.pieces or ends_as_told(site, story.job, one), "a page ended in another state")


async def follow(
    site: Installation, story: Story, session: str, reconnects: int
) -> tuple[list[Followed], float]:
    """Follow a story by all ways until each was cut `reconnects` times, then end it.

    Return what each client received, and the seconds until the last cut; the job writes all that time.
    """
    dice = random.Random(SEED)
    followed = [Followed(way, everything=bool(at % 2)) for way, many in CLIENTS.items() for at in range(many)]
    shares = {way: Cuts(reconnects // many, dice, many) for way, many in CLIENTS.items()}
    begun = time.monotonic()
    async with asyncio.TaskGroup() as clients:
        for one in followed:
            clients.create_task(WAYS[one.way](site, story.job, one, shares[one.way], session))
        for cuts in shares.values():
            await cuts.done.wait()
        demand(story.going, "the job ended while clients were still being cut")
        seconds = time.monotonic() - begun
        await asyncio.to_thread(story.end)
    return followed, seconds


def judge(one: Followed, written: list[Written]) -> Judged:
    """Compare what a client received with what was committed."""
    if one.way == "socket":
        older = sum(after < before for before, after in zip(one.states, one.states[1:], strict=False))
        return Judged(stale=older + one.bare)
    due = [event.seq for event in written if one.everything or event.type in PUBLIC]
    counts = Counter(one.seqs)
    return Judged(
        missing=len(set(due) - counts.keys()),
        double=sum(counts.values()) - len(counts),
        disordered=sum(after < before for before, after in zip(one.seqs, one.seqs[1:], strict=False)),
        stale=len(counts.keys() - set(due)),
    )


def ends_as_told(site: Installation, job: str, one: Followed) -> bool:
    """Return whether a page ended with the status of each stage that the API returns."""
    told = {stage["id"]: stage["status"] for stage in site.job(job)["stages"]}
    return told == dict(STAGE.findall("".join(one.pieces.values())))


def row(way: str, followed: list[Followed], written: list[Written], seconds: float) -> tuple[object, ...]:
    """Return the figures of one way of following as cells of a table."""
    mine = [one for one in followed if one.way == way]
    cuts = sum(one.reconnects for one in mine)
    judged = [judge(one, written) for one in mine]
    events = (
        "-"
        if way == "socket"
        else f"{min(len(one.seqs) for one in mine)} to {max(len(one.seqs) for one in mine)}"
    )
    wrong = ("missing", "double", "disordered")
    known = ["-" if way == "socket" else str(sum(getattr(one, name) for one in judged)) for name in wrong]
    stale = str(sum(one.stale for one in judged))
    return (way, str(len(mine)), str(cuts), f"{cuts / seconds:.0f}", events, *known, stale)


if __name__ == "__main__":
    verdict(main)
