"""Clients that follow one job and are cut off again and again: by stream, by poll, and by a page's socket."""

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
    """What one client got: the seqs of its events as they came, or the states that its page showed.

    `states` are how far the job had come by its page after each message; `bare` counts openings that did not
    show every piece; `pieces` is the page as it stands at the end.
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
    """How often each client is to be cut off, and when all have been."""

    each: int
    dice: random.Random
    waiting: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def before(self, one: Followed) -> int:
        """Give how many things this client gets before its next cut; once it was cut enough, all."""
        return self.dice.randint(1, MOST) if one.reconnects < self.each else ALL

    def cut(self, one: Followed) -> None:
        """Count a cut, and see whether it was the last of all."""
        one.reconnects += 1
        if one.reconnects == self.each:
            self.waiting -= 1
            if not self.waiting:
                self.done.set()


Follow = Callable[[Installation, str, Followed, Cuts, str], Any]


async def by_stream(house: Installation, job: str, one: Followed, cuts: Cuts, session: str) -> None:
    """Follow the server-sent events; come back with the last id."""
    query = {"detail": "all"} if one.everything else {}
    async with caller(house, "text/event-stream") as client:
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
    """Give the id and the type of each event of a stream; its data must be an event of that seq and type."""
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


async def by_poll(house: Installation, job: str, one: Followed, cuts: Cuts, session: str) -> None:
    """Ask for page after page of events, each over a connection of its own, with the cursor of the last."""
    after, detail = 0, {"detail": "all"} if one.everything else {}
    async with caller(house, "application/json") as client:
        while not one.over:
            limit = min(cuts.before(one), 1000)
            query = detail | {"after": str(after), "limit": str(limit)}
            told = (await client.get(f"/api/jobs/{job}/events", params=query)).json()
            one.seqs += [event["seq"] for event in told["items"]]
            one.over = any(event["type"] == "workflow:complete" for event in told["items"])
            if told["after"] == after:
                await asyncio.sleep(0.05)  # nothing new: that was a look, no cut
            elif not one.over:
                after = told["after"]
                cuts.cut(one)


async def by_socket(house: Installation, job: str, one: Followed, cuts: Cuts, session: str) -> None:
    """Follow the page's socket: all pieces when it opens, then those that change."""
    while not one.over:
        left = cuts.before(one)
        async with open_socket(house.port, f"/ws/jobs/{job}/", session=session) as page:
            one.over = await shown(page, one, left)
            page.writer.transport.abort()
        if not one.over:
            cuts.cut(one)


async def shown(page: Socket, one: Followed, left: int) -> bool:
    """Take so many messages; True when the socket said that the job has ended."""
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
    """Give how far the job has come by its page: stages ended, and the highest number of an item."""
    page = "".join(pieces.values())
    return page.count('data-ended="yes"'), max(map(int, ITEM.findall(page)), default=0)


def caller(house: Installation, accept: str) -> httpx2.AsyncClient:
    """Give a client with the installation's token, which keeps no connection from one request to the next."""
    headers = {"Authorization": house.api.headers["Authorization"], "Accept": accept}
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.AsyncClient(
        base_url=house.url, headers=headers, timeout=PATIENCE, limits=limits, verify=False
    )


WAYS: dict[str, Follow] = {"stream": by_stream, "poll": by_poll, "socket": by_socket}
