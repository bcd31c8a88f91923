"""The supervisor with real processes: restarts, giving up, an orderly end, no child left."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import supervisor
from jobs.management.commands import worker as worker_command
from jobs.worker import runtime
from tests import fakes

ROOT = Path(__file__).resolve().parents[3]
SOON = 15.0
#: A parent with two children. Each child writes its process id, then does what `does` says.
PARENT = """
import sys
from jobs.cli import supervisor
from jobs.cli.supervisor import Child, Supervisor
for name, value in {settings!r}.items():
    setattr(supervisor, name, value)
say = lambda text: print(text, flush=True)
children = [Child(name, [sys.executable, "-c", code]) for name, code in {children!r}]
sys.exit(Supervisor(children, say).run(lambda: say("started")))
"""
NOTE = "import os; open({file!r}, 'a').write(f'{{os.getpid()}}\\n'); "
FOR_EVER = "from jobs.cli.supervisor import end_with_parent; end_with_parent(); import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); NOTE; time.sleep(600)"
pytestmark = pytest.mark.slow


def until(condition: Callable[[], Any], within: float = SOON) -> Any:
    """Wait for something true and give it."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not buried yet does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def told(file: Path, does: str) -> str:
    """Return a child's code that first, or at NOTE, writes its process id."""
    note = NOTE.format(file=str(file))
    return does.replace("NOTE; ", note) if "NOTE; " in does else note + does


@dataclass
class Family:
    """A parent process and the notes of its children."""

    folder: Path
    process: subprocess.Popen[str]

    def born(self, name: str) -> list[int]:
        """Return the process ids that a child has had so far."""
        with contextlib.suppress(FileNotFoundError):
            return [int(line) for line in (self.folder / name).read_text().split("\n") if line]
        return []

    def both(self) -> list[int]:
        """Wait for both children and give their process ids."""
        return [until(lambda name=name: self.born(name))[-1] for name in ("one", "two")]

    def end(self) -> tuple[int, str]:
        """Wait for the parent's end; give its exit code and all that it said."""
        said, _ = self.process.communicate(timeout=SOON)
        return self.process.returncode, said


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Callable[..., Family]]:
    """Return a function that starts a parent with children that run the given code."""
    families: list[Family] = []

    def start(one: str = FOR_EVER, two: str = FOR_EVER, **settings: float) -> Family:
        codes = [(name, told(tmp_path / name, does)) for name, does in (("one", one), ("two", two))]
        words = [sys.executable, "-c", PARENT.format(settings=settings, children=codes)]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True)
        families.append(Family(tmp_path, process))
        return families[-1]

    yield start
    for one in families:
        # whole groups: a helper that is left would keep the pipe open that is read to its end below
        for pid in (one.process.pid, *one.born("one"), *one.born("two")):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        one.process.communicate(timeout=SOON)


def test_a_child_that_dies_is_restarted_without_the_other(family):
    parent = family()
    first, other = parent.both()
    os.kill(first, signal.SIGKILL)
    until(lambda: len(parent.born("one")) == 2)
    assert alive(other) and parent.born("two") == [other]
    parent.process.terminate()
    code, said = parent.end()
    assert code == 0 and "one ended with exit code -9; restarting it in 0.5 s" in said


def test_the_processes_of_a_dead_child_are_killed(family):
    helper = "import subprocess as s, sys; s.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    parent = family(one=f"{helper}; {FOR_EVER}")
    first, _ = parent.both()
    children = Path(f"/proc/{first}/task/{first}/children")
    helpers = [int(word) for word in until(lambda: children.read_text().split())]
    os.kill(first, signal.SIGKILL)
    until(lambda: not alive(helpers[0]))
    until(lambda: len(parent.born("one")) == 2)


def test_restarts_come_later_and_later_until_it_gives_up(family):
    parent = family(one="raise SystemExit(7)", MOST_SHORT_LIVES=3)
    _, other = parent.both()
    code, said = parent.end()
    assert code == 1
    assert "restarting it in 0.5 s" in said and "in 1.0 s" in said and "in 2.0 s" in said
    assert "one keeps failing (exit code 7); giving up" in said
    assert len(parent.born("one")) == 4 and not alive(other)


def test_a_child_that_is_killed_is_always_restarted(family):
    dies = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    parent = family(one=dies, MOST_SHORT_LIVES=1, LONGEST_WAIT_SECONDS=0.1)
    until(lambda: len(parent.born("one")) == 4)
    parent.process.terminate()
    code, said = parent.end()
    assert code == 0 and "giving up" not in said


def test_a_killed_worker_is_restarted_in_time_for_its_jobs():
    said: list[str] = []
    dies = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    child = supervisor.Child("worker", dies, short_lives=50)
    parent = supervisor.Supervisor([child], said.append)
    child.spawn(dict(os.environ))
    until(lambda: not child.alive)
    assert parent._tend(dict(os.environ)) == 0
    # the promise is LEASE_SECONDS + 10 s, and a short lease has run out by then; a start takes some of them
    assert child.not_before - time.monotonic() < 6, said


def test_a_child_that_ran_for_a_while_resets_the_count(family):
    parent = family(one="import time; time.sleep(0.3)", SHORT_LIFE_SECONDS=0.1, MOST_SHORT_LIVES=1)
    until(lambda: len(parent.born("one")) == 4)
    parent.process.terminate()
    code, said = parent.end()
    assert code == 0 and "giving up" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_on_a_signal_it_stops_its_children_first(family, number: int):
    parent = family()
    children = parent.both()
    parent.process.send_signal(number)
    assert parent.end()[0] == 0
    assert not any(alive(child) for child in children)


def test_a_child_that_ignores_the_signal_is_killed_after_the_grace_period(family):
    parent = family(one=DEAF, GRACE_SECONDS=0.5)
    children = parent.both()
    parent.process.terminate()
    assert parent.end()[0] == 0
    assert not any(alive(child) for child in children)


def test_a_second_signal_stops_it_at_once(family):
    parent = family(one=DEAF)
    children = parent.both()
    parent.process.send_signal(signal.SIGINT)
    until(lambda: not alive(children[1]))  # the first word has been heard
    assert alive(children[0])
    parent.process.send_signal(signal.SIGINT)
    assert parent.end()[0] == 0
    assert not alive(children[0])


def test_children_end_when_their_parent_is_killed(family):
    parent = family()
    children = parent.both()
    parent.process.kill()
    until(lambda: not any(alive(child) for child in children))


def test_a_second_worker_on_sqlite_refuses_with_the_reason(tmp_path: Path):
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env |= {"DATA_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=env, check=True)
    worker = [sys.executable, "manage.py", "worker"]
    first = subprocess.Popen(worker, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    try:
        until(lambda: locked(tmp_path / "worker.lock"))
        second = subprocess.run(worker, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SOON)
        assert second.returncode == 1
        assert f"another worker is running on {tmp_path}" in second.stderr
        assert "PostgreSQL" in second.stderr and "Traceback" not in second.stderr
        assert first.poll() is None
    finally:
        first.terminate()
        assert first.wait(SOON) == 0


def locked(file: Path) -> bool:
    """Whether a process holds the lock of this file."""
    if not file.exists():
        return False
    inode = f":{file.stat().st_ino} "
    return any(inode in line for line in Path("/proc/locks").read_text().splitlines())


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of an SQLite installation with a slow project server that keeps a ledger."""
    servers = {"asana-v2": fakes.entry("asana-v2", tmp_path / "ledger.jsonl", latency=0.4)}
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env |= {
        "DATA_DIR": str(tmp_path),
        "TOOL_SERVERS": str(fakes.servers_file(tmp_path / "servers.json", servers)),
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=env, check=True)
    return env


def job_of(folder: Path) -> dict[str, Any]:
    """Return the row of an installation's only job."""
    file = next(file for file in folder.glob("*.sqlite3") if "huey" not in file.name)
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.row_factory = sqlite3.Row
        return dict(database.execute("SELECT * FROM jobs_job").fetchone())


def test_a_deploy_during_calls_loses_and_repeats_nothing(installation: dict[str, str], tmp_path: Path):
    ledger = tmp_path / "ledger.jsonl"
    manage = [sys.executable, "manage.py"]
    launch = [*manage, "launch", "aurora-one"]
    subprocess.run(launch, cwd=ROOT, env=installation, check=True, stdout=subprocess.DEVNULL)
    for last in (False, True):
        worker = subprocess.Popen([*manage, "worker"], cwd=ROOT, env=installation, stderr=subprocess.DEVNULL)
        try:
            if last:
                until(lambda: job_of(tmp_path)["ended_at"], within=60)
            else:
                until(lambda: len(fakes.ledger(ledger, "start", "asana_create_task")) >= 3, within=60)
        finally:
            worker.terminate()
            assert worker.wait(SOON + 20) == 0
        if not last:
            job = job_of(tmp_path)
            assert (job["status"], job["leased_by"], job["lease_until"]) == ("running", "", None)
            started, ended = (fakes.ledger(ledger, event, "asana_create_task") for event in ("start", "end"))
            assert len(started) == len(ended) < 13
    made = [entry["args"]["name"] for entry in fakes.ledger(ledger, "effect", "asana_create_task")]
    assert len(made) == len(set(made)) == 13
    assert len(fakes.ledger(ledger, "effect", "asana_create_project")) == 1
    assert (job_of(tmp_path)["status"], job_of(tmp_path)["epoch"], job_of(tmp_path)["crashes"]) == (
        "completed",
        2,
        0,
    )


def test_the_supervisor_waits_for_longer_than_a_worker_may_take():
    assert supervisor.GRACE_SECONDS > worker_command.CONSUMER_SECONDS + runtime.END_SECONDS
