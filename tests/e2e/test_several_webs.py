"""Three web processes and a worker on one SQLite file: each of them delivers the same log."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx2
import pytest

from tests.e2e.following import Page, Stream, from_api
from tests.e2e.installation import ROOT, Installation, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.long]
JOBS = 3
LATE = 90.0


class Extra:
    """An additional web process of an installation, on its own port."""

    def __init__(self, site: Installation) -> None:
        self.site, self.port = site, free_port()
        self.start()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        with self.site.log.open("ab") as log:
            words = [sys.executable, "manage.py", "web", "--port", str(self.port)]
            self.process = subprocess.Popen(words, cwd=ROOT, env=self.site.env, stdout=log, stderr=log)
        until(self._answers, "the web process answers")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.site.log.read_text()
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    """Start an installation slow enough that processes can be killed during a job."""
    with Installation(tmp_path / "installation", LOCAL_LATENCY="0.2") as one:
        yield one


@pytest.fixture
def extras(site: Installation) -> Iterator[list[Extra]]:
    """Start two web processes in addition to the installation's own."""
    started: list[Extra] = []
    try:
        for _ in range(2):
            started.append(Extra(site))
        yield started
    finally:
        for one in started:
            one.kill()


def log_of(site: Installation, job: str) -> list[int]:
    """Return the seqs of a job's whole log, page by page."""
    seqs: list[int] = []
    while True:
        query = f"?detail=all&limit=500&after={seqs[-1] if seqs else 0}"
        answer = site.api.get(f"/api/jobs/{job}/events{query}", headers={"Accept": "application/json"})
        page = [one["seq"] for one in answer.json()["items"]]
        if not page:
            return seqs
        seqs += page


async def test_every_web_process_delivers_the_log_complete_and_in_order(
    site: Installation, extras: list[Extra]
):
    token = site.api.headers["Authorization"].removeprefix("Bearer ")
    with site.browser() as browser:
        session = browser.cookies["sessionid"]
    jobs = [site.launch() for _ in range(JOBS)]
    ways = list(product([site.port, *(one.port for one in extras)], jobs))
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
            await one.started.wait()
        await asyncio.to_thread(victim.kill)
        for one in through_it:
            await one.cut.wait()
        await asyncio.to_thread(victim.start)
    for (port, job), stream, page in zip(ways, streams, pages, strict=True):
        seqs = log_of(site, job)
        assert seqs == list(range(1, len(seqs) + 1))
        assert stream.got == seqs, (port, job)
        assert page.shown == from_api(site.job(job)), (port, job)
        assert stream.cut.is_set() == page.cut.is_set() == (port == victim.port)
