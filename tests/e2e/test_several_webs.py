"""Three web processes and a worker on one SQLite file: through any of them one sees the one log."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx2
import pytest

from tests.e2e.following import Page, Stream, told
from tests.e2e.installation import ROOT, Installation, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.long]
JOBS = 3
LATE = 90.0


class Extra:
    """One more web process of an installation, on a port of its own."""

    def __init__(self, house: Installation) -> None:
        self.house, self.port = house, free_port()
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.house.log.open("ab") as log:
            words = [sys.executable, "manage.py", "web", "--port", str(self.port)]
            self.process = subprocess.Popen(words, cwd=ROOT, env=self.house.env, stdout=log, stderr=log)
        until(self._answers, "the web process answers")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.house.log.read_text()
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    """An installation at a pace that leaves time to kill something."""
    with Installation(tmp_path / "installation", LOCAL_LATENCY="0.2") as one:
        yield one


@pytest.fixture
def extras(house: Installation) -> Iterator[list[Extra]]:
    """Two more web processes beside the installation's own."""
    started: list[Extra] = []
    try:
        for _ in range(2):
            started.append(Extra(house))
        yield started
    finally:
        for one in started:
            one.kill()


def log_of(house: Installation, job: str) -> list[int]:
    """Return the seqs of a job's whole log, page by page."""
    seqs: list[int] = []
    while True:
        query = f"?detail=all&limit=500&after={seqs[-1] if seqs else 0}"
        answer = house.api.get(f"/api/jobs/{job}/events{query}", headers={"Accept": "application/json"})
        page = [one["seq"] for one in answer.json()["items"]]
        if not page:
            return seqs
        seqs += page


async def test_every_web_process_delivers_the_log_complete_and_in_order(
    house: Installation, extras: list[Extra]
):
    token = house.api.headers["Authorization"].removeprefix("Bearer ")
    with house.browser() as browser:
        session = browser.cookies["sessionid"]
    jobs = [house.launch() for _ in range(JOBS)]
    ways = list(product([house.port, *(one.port for one in extras)], jobs))
    streams = [Stream(port, token, job) for port, job in ways]
    pages = [Page(port, session, job) for port, job in ways]
    victim = extras[0]
    through_it = [
        one for (port, _), one in zip(ways * 2, streams + pages, strict=True) if port == victim.port
    ]
    async with asyncio.timeout(LATE), asyncio.TaskGroup() as group:
        for one in (*streams, *pages):
            group.create_task(one.follow())
        for one in (*streams, *pages):
            await one.under_way.wait()
        await asyncio.to_thread(victim.kill)
        for one in through_it:
            await one.cut.wait()
        await asyncio.to_thread(victim.start)
    for (port, job), stream, page in zip(ways, streams, pages, strict=True):
        seqs = log_of(house, job)
        assert seqs == list(range(1, len(seqs) + 1))
        assert stream.got == seqs, (port, job)
        assert page.shown == told(house.job(job)), (port, job)
        assert stream.cut.is_set() == page.cut.is_set() == (port == victim.port)
