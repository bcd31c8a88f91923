"""Two workers on one PostgreSQL database: one is killed or suspended, and the other continues."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.deadly import deadly_world, made_twice
from tests.e2e.installation import ROOT, Installation, until
from tests.e2e.outside import ROLES

pytestmark = [pytest.mark.slow, pytest.mark.long]
SERVER = "postgres://root@127.0.0.1:5432"
LEASE = 5.0
ENDED = ("completed", "partial", "failed", "cancelled")


class Pair(Installation):
    """Two workers without a web process, on their own database."""

    def __init__(self, root: Path, database: str) -> None:
        self.world = deadly_world(root, {}, pace=0.5)
        url = f"{SERVER}/{database}"
        super().__init__(
            root, DATABASE_URL=url, TOOL_SERVERS=str(self.world.file), LEASE_SECONDS=str(int(LEASE))
        )
        self.database = psycopg.connect(url, autocommit=True)
        self.workers: dict[int, subprocess.Popen] = {}

    def start(self) -> None:
        """Start another worker."""
        with self.log.open("ab") as log:
            words = [sys.executable, "manage.py", "worker"]
            one = subprocess.Popen(
                words, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        self.workers[one.pid] = one

    def ask(self, sql: str, *values: object) -> list[Any]:
        """Query the database."""
        return self.database.execute(sql, values).fetchall()

    def begin(self) -> str:
        """Launch a campaign and wait until it is in progress."""
        before = len(self.world.entries("asana-v2", "effect"))
        self.manage("launch", "aurora-one", "--include-search")
        until(
            lambda: len(self.world.entries("asana-v2", "effect")) > before + 2, "the campaign is in progress"
        )
        return str(self.ask("SELECT id FROM jobs_job ORDER BY created_at DESC LIMIT 1")[0][0])

    def holder(self, id: str) -> int:
        """Return the process id of the worker that holds a job, 0 if none does."""
        name = self.ask("SELECT leased_by FROM jobs_job WHERE id = %s", id)[0][0]
        return int(name.split(":")[1]) if name else 0

    def ended(self, id: str, within: float = 60.0) -> str:  # type: ignore[override]
        """Wait until a job ends and return its status."""
        sql = "SELECT status FROM jobs_job WHERE id = %s"
        until(lambda: self.ask(sql, id)[0][0] in ENDED, f"the end: {self.log.read_text()}", within)
        return str(self.ask(sql, id)[0][0])

    def epoch(self, id: str) -> int:
        """Return a job's epoch."""
        return int(self.ask("SELECT epoch FROM jobs_job WHERE id = %s", id)[0][0])

    def servers_of(self, worker: int) -> set[int]:
        """Return the tool servers that a worker has started."""
        found = set()
        for id in self.processes():
            with contextlib.suppress(OSError):
                if int(Path(f"/proc/{id}/stat").read_text().rpartition(")")[2].split()[1]) == worker:
                    found.add(id)
        return found

    def end(self) -> None:
        """Stop the workers; no process may be left."""
        self.database.close()
        for one in self.workers.values():
            one.terminate()
            one.send_signal(signal.SIGCONT)  # a suspended worker handles no signal
        codes = {one.wait(45) for one in self.workers.values()}
        assert codes <= {0, -signal.SIGKILL}, self.log.read_text()
        until(lambda: not self.processes(), "all processes have ended", 5)

    def clear(self) -> None:
        """Kill all remaining processes."""
        for id in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(id, signal.SIGKILL)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    name = f"flightplan_deaths_{uuid.uuid4().hex[:12]}"
    try:
        server = psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        pytest.skip("PostgreSQL does not answer on 127.0.0.1:5432")
    with server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            one = Pair(tmp_path, name)
            one.manage("migrate")
            try:
                one.start()
                one.start()
                yield one
                one.end()
            finally:
                one.clear()
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_another_worker_takes_over_the_jobs_of_a_killed_worker(pair: Pair):
    id = pair.begin()
    dead = pair.holder(id)
    os.kill(dead, signal.SIGKILL)
    until(lambda: pair.holder(id) not in (0, dead), "the other worker has it", LEASE + 10)
    assert pair.ended(id) == "completed"
    assert pair.epoch(id) == 2 and made_twice(pair.world) == {}


def test_a_worker_that_slept_past_its_lease_stops_its_job_and_keeps_running(pair: Pair):
    id = pair.begin()
    sleeper = pair.holder(id)
    servers = pair.servers_of(sleeper)
    assert len(servers) == len(ROLES)
    os.kill(sleeper, signal.SIGSTOP)
    until(lambda: pair.holder(id) not in (0, sleeper), "the other worker has it", LEASE + 10)
    until(lambda: not any(alive(pid) for pid in servers), "the sleeper's servers are put down", LEASE + 10)
    woken = time.monotonic()
    os.kill(sleeper, signal.SIGCONT)
    assert pair.ended(id) == "completed"
    other = (set(pair.workers) - {sleeper}).pop()
    theirs = pair.servers_of(other)
    assert len(theirs) == len(ROLES)
    calls = [one for role in ROLES for one in pair.world.entries(role, "start") if one["t"] > woken]
    assert calls and not [one for one in calls if one["pid"] not in theirs], pair.log.read_text()[-3000:]
    assert pair.epoch(id) == 2 and made_twice(pair.world) == {}
    late = (
        "SELECT count(*) FROM jobs_callattempt a JOIN jobs_toolcall c ON c.id = a.call_id WHERE c.job_id = %s"
    )
    resumed = "(SELECT at FROM jobs_workflowevent WHERE job_id = %s AND type = 'job:resumed')"
    assert pair.ask(f"{late} AND a.epoch = 1 AND a.sent_at > {resumed}", id, id) == [(0,)]

    pair.workers[other].kill()
    assert pair.ended(pair.begin()) == "completed"
    assert pair.workers[sleeper].poll() is None and made_twice(pair.world) == {}


def alive(pid: int) -> bool:
    """Return whether a process can still act."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False
