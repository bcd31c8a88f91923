"""Clients that follow one job and are cut off repeatedly: by stream, by poll, and by a page's socket."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.e2e.installation import Installation
from tests.jobs.running import Closed, Socket, open_socket

MOST = 5  # events at most between two cuts
ALL = 10**9
PATIENCE = 60.0
PIECE = re.compile(r'<hx-partial hx-target="#([\w-]+)"[^>]*>(.*?)</hx-partial>', re.DOTALL)
ITEM = re.compile(r"item (\d+)")


@dataclass
class Followed:
    """What one client received: the seqs of its events in order, or the states that its page showed.

    `states`: the progress that the page showed after each message; `bare`: how many times the socket opened
    without every piece; `pieces`: the page at the end.
    """

    way: str
    everything: bool = True
    reconnects: int = 0
    seqs: list[int] = field(default_factory=list)
    states: list[tuple[int, int]] = field(default_factory=list)
    bare: int = 0
    pieces: dict[str, str] = field(default_factory=dict)
    over: bool = False


@dataclass
class Cuts:
    """How often each client is cut off (`each`); `done` is set when the last of them has been."""

    each: int
    dice: random.Random
    waiting: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def before(self, one: Followed) -> int:
        """Return how many messages this client gets before its next cut: all of them after its last cut."""
        return self.dice.randint(1, MOST) if one.reconnects < self.each else ALL

    def cut(self, one: Followed) -> None:
        """Count a cut, and set `done` if it was the last one."""
        one.reconnects += 1
        if one.reconnects == self.each:
            self.waiting -= 1
            if not self.waiting:
                self.done.set()


Follow = Callable[[Installation, str, Followed, Cuts, str], Any]


async def by_stream(site: Installation, job: str, one: Followed, cuts: Cuts, session: str) -> None:
    """Follow the server-sent events; reconnect with the last id."""
    query = {"detail": "all"} if one.everything else {}
    async with caller(site, "text/event-stream") as client:
        while not one.over:
            left, last = cuts.before(one), one.seqs[-1] if one.seqs else 0
            headers = {"Last-Event-ID": str(last)}
            url = f"/api/jobs/{job}/events"
            async with client.stream("GET", url, params=query, headers=headers) as answer:
                assert answer.status_code == 200, answer.status_code
                async for id, kind in frames(answer):
                    one.seqs.append(id)
                    one.over = kind == "workflow:complete"
                    left -= 1
                    if not left:
                        break
            if not one.over:
                cuts.cut(one)


async def frames(answer: httpx2.Response) -> AsyncIterator[tuple[int, str]]:
    """Yield the id and the type of each event of a stream, whose data must have the same seq and type."""
    frame: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name:
            frame[name] = value
        elif "data" in frame:
            told = json.loads(frame["data"])
            assert (str(told["seq"]), told["type"]) == (frame["id"], frame["event"]), frame
            yield told["seq"], told["type"]
            frame = {}


async def by_poll(site: Installation, job: str, one: Followed, cuts: Cuts, session: str) -> None:
    """Request page after page of events, each over a new connection, with the cursor of the page before."""
    after, detail = 0, {"detail": "all"} if one.everything else {}
    async with caller(site, "application/json") as client:
        while not one.over:
            limit = min(cuts.before(one), 1000)
            query = detail | {"after": str(after), "limit": str(limit)}
            told = (await client.get(f"/api/jobs/{job}/events", params=query)).json()
            one.seqs += [event["seq"] for event in told["items"]]
            one.over = any(event["type"] == "workflow:complete" for event in told["items"])
            if told["after"] == after:
                await asyncio.sleep(0.05)  # nothing new: it does not count as a cut
            elif not one.over:
                after = told["after"]
                cuts.cut(one)


async def by_socket(site: Installation, job: str, one: Followed, cuts: Cuts, session: str) -> None:
    """Follow the page's socket, which sends all pieces when it opens, then those that change."""
    while not one.over:
        left = cuts.before(one)
        async with open_socket(site.port, f"/ws/jobs/{job}/", session=session) as page:
            one.over = await shown(page, one, left)
            page.writer.transport.abort()
        if not one.over:
            cuts.cut(one)


async def shown(page: Socket, one: Followed, left: int) -> bool:
    """Read `left` messages; return whether the server closed the socket because the job has ended."""
    opening: dict[str, str] = {}
    try:
        while left:
            if not (changed := dict(PIECE.findall(await page.receive()))):
                continue  # a heartbeat
            opening |= changed
            one.pieces |= changed
            one.states.append(state(one.pieces))
            left -= 1
    except Closed as closed:
        if closed.args[0] != 1000:
            raise
        return True
    finally:
        one.bare += opening.keys() != one.pieces.keys()
    return False


def state(pieces: dict[str, str]) -> tuple[int, int]:
    """Return the progress that a page shows: how many stages have ended, and the highest item number."""
    page = "".join(pieces.values())
    return page.count('data-ended="yes"'), max(map(int, ITEM.findall(page)), default=0)


def caller(site: Installation, accept: str) -> httpx2.AsyncClient:
    """Return a client with the installation's token that opens a new connection for each request."""
    headers = {"Authorization": site.api.headers["Authorization"], "Accept": accept}
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.AsyncClient(
        base_url=site.url, headers=headers, timeout=PATIENCE, limits=limits, verify=False
    )


WAYS: dict[str, Follow] = {"stream": by_stream, "poll": by_poll, "socket": by_socket}
