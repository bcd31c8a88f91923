"""Clients that follow a job: a stream that resumes at its cursor, and a page that reopens its socket."""

import asyncio
import json
import re
from typing import Any

import httpx2

from tests.jobs import running

FAR = 30  # events after which a stream has clearly started
AGAIN = 0.1  # seconds until a disconnected client reconnects
PIECE = re.compile(r'<hx-partial hx-target="#([^"]+)"[^>]*>(.*?)</hx-partial>', re.DOTALL)
BROKEN = (OSError, asyncio.IncompleteReadError, httpx2.TransportError, running.Refused)


class Follower:
    """A client that follows a job: `started` is set after some events, `cut` after a lost connection."""

    def __init__(self) -> None:
        self.started, self.cut = asyncio.Event(), asyncio.Event()


class Stream(Follower):
    """A reader of `/api/jobs/<id>/events?detail=all` that keeps the seqs and types of events."""

    def __init__(self, port: int, token: str, job: str) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{port}/api/jobs/{job}/events?detail=all"
        self.token = token
        self.got: list[int] = []
        self.types: list[str] = []

    async def follow(self) -> None:
        """Read until the job has ended."""
        while not self.types or self.types[-1] != "workflow:complete":
            try:
                await self._read()
            except BROKEN:
                self.cut.set()
                await asyncio.sleep(AGAIN)

    async def _read(self) -> None:
        last = str(self.got[-1]) if self.got else "0"
        headers = {"Authorization": f"Bearer {self.token}", "Last-Event-ID": last}
        async with (
            httpx2.AsyncClient(timeout=30) as client,
            client.stream("GET", self.url, headers=headers) as answer,
        ):
            assert answer.status_code == 200, answer.status_code
            id = 0
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    id = int(value)
                elif name == "data":
                    self.got.append(id)
                    self.types.append(json.loads(value)["type"])
                    if len(self.got) > FAR:
                        self.started.set()


class Page(Follower):
    """A job's page without a browser: the latest HTML of each piece, by its id."""

    def __init__(self, port: int, session: str, job: str) -> None:
        super().__init__()
        self.port, self.session, self.path = port, session, f"/ws/jobs/{job}/"
        self.pieces: dict[str, str] = {}

    async def follow(self) -> None:
        """Keep the pieces up to date until the server says that the job has ended."""
        while True:
            try:
                async with running.open_socket(self.port, self.path, session=self.session) as socket:
                    while True:
                        self.pieces |= dict(PIECE.findall(await socket.receive()))
                        self.started.set()
            except running.Closed as closed:
                if closed.args[0] == 1000:
                    return
                self.cut.set()
            except BROKEN:
                self.cut.set()
            await asyncio.sleep(AGAIN)

    @property
    def shown(self) -> dict[str, Any]:
        """Return the job's status and each stage's status and count, as the page shows them."""
        return {"status": _word(self.pieces["job-header"], r'data-status="(\w+)"')} | {
            id.removeprefix("stage-"): (
                _word(html, r'data-status="(\w+)"'),
                _word(html, r'class="count num">([^<]*)<'),
            )
            for id, html in self.pieces.items()
            if id.startswith("stage-")
        }


def from_api(job: dict[str, Any]) -> dict[str, Any]:
    """Return the same values from a job in the API."""
    return {"status": job["status"]} | {
        stage["id"]: (stage["status"], f"{stage['current']}/{stage['total']}" if stage["total"] else "")
        for stage in job["stages"]
    }


def _word(html: str, pattern: str) -> str:
    found = re.search(pattern, html)
    assert found, (pattern, html)
    return found[1]
