"""Runs one campaign through one fault: a worker dies, the next takes over, and the run is judged."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import fakes
from tests.trust import judge
from tests.trust.kills import COMMIT_MODES, MARK, SHORT_TIMEOUT, TWICE, WORKER_MODES, Kill

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
END_SECONDS = 60.0
STOP_SECONDS = 30.0
LEAVE_SECONDS = 5.0
LOOK_SECONDS = 0.05
PASSED_ON = ("PATH", "HOME", "LANG")


class Template:
    """An installation with one launched campaign that no worker has started; each run is a copy of it.

    The installation's own secret is copied too, so that every run has the same effect keys.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "template"
        (folder / "runs").mkdir(parents=True)
        launch = [sys.executable, "manage.py", "launch", "aurora-one", "--include-search"]
        done = subprocess.run(
            launch, cwd=ROOT, env=environment(self.data), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        run = Run(self, Kill())
        commits = run.folder / "commits"
        try:
            self.clean = run.play("--commits", str(commits))
        finally:
            run.clear()
        assert self.clean.status == "completed", f"the clean run is {self.clean.status}: {run.output()}"
        self.commits = commits.stat().st_size
        shutil.rmtree(run.folder)

    def steps(self) -> list[tuple[str, str, str, str]]:
        """Return every call of the campaign once: role, tool, key and what it is about."""
        return list(
            {(role, tool, key): (role, tool, key, what) for role, tool, key, what in self.clean.sent}.values()
        )

    def judged(self, kill: Kill, *, blind: bool = False) -> judge.Verdict:
        """Run one fault in its own copy and judge the run; delete the copy if the run has no faults."""
        run = Run(self, kill, blind=blind)
        try:
            story = run.play()
        finally:
            run.clear()
        verdict = judge.judge(story, self.clean)
        verdict.injected = run.injected
        if not verdict.faults or blind:
            shutil.rmtree(run.folder)
        return verdict


def environment(data: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process of such an installation."""
    own = {"DATA_DIR": str(data), "ADMIN_PASSWORD": "pw-of-the-tests-1", "SECRET_KEY": "of-the-tests"}
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | own | more


class Run:
    """One installation folder, one campaign, one injected fault."""

    def __init__(self, template: Template, kill: Kill, *, blind: bool = False) -> None:
        self.kill, self.blind = kill, blind
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=template.folder / "runs"))
        self.data, self.world = self.folder / "data", self.folder / "world"
        self.log = self.folder / "worker.log"
        self.injected = False
        shutil.copytree(template.data, self.data)
        self.world.mkdir()
        kill.write(self.world)
        entries = {role: self._entry(role) for role in fakes.CONTRACT}
        servers = fakes.servers_file(self.world / "servers.json", entries)
        self.env = environment(self.data, TOOL_SERVERS=str(servers), RETRY_BACKOFF="0.05")
        self.workers: list[subprocess.Popen] = []

    def _entry(self, role: str) -> dict:
        args = ["-S", "-E", str(HERE / "server.py"), role, str(self.world)]
        entry = {"command": sys.executable, "args": args, "perMinute": 6000}
        short = self.kill.mode == "timeout-late" and self.kill.role == role
        return entry | ({"timeout": SHORT_TIMEOUT} if short else {})

    def play(self, *words: str) -> judge.Story:
        """Run worker after worker until the job has ended, stop the last one, and return the story."""
        for hurts in [self._hurts(0), *([self._hurts(1)] if self.kill.mode in TWICE else [])]:
            self._start(*words, *hurts)
            self.injected = self._dies()
        if self.injected:
            self._start(*words)
            self._until(lambda: self.status() in judge.ENDED or self.workers[-1].poll() is not None)
        if self.kill.role:
            self.injected = (self.world / MARK).exists()
        if self.kill.mode == "timeout-late" and self.injected:
            # its worker is alive and would stop the server too
            time.sleep(max(0.0, (self.world / MARK).stat().st_mtime + self.kill.late + 0.1 - time.time()))
        self._stop()
        # by now an orphan that was not killed would have acted
        self._until(lambda: not self.processes(), LEAVE_SECONDS)
        story = judge.read(self.data, self.world)
        story.left = self.processes()
        return story

    def _hurts(self, number: int) -> list[str]:
        """Return the command-line options of the worker with this number (from 0)."""
        words = ["--blind"] if self.blind else []
        if self.kill.mode in COMMIT_MODES or (self.kill.mode in TWICE and number):
            words += ["--die-at-commit", str(self.kill.commit), self.kill.mode.removeprefix("commit-")]
        return words

    def _start(self, *words: str) -> None:
        if self.blind and "--blind" not in words:
            words = (*words, "--blind")
        with self.log.open("ab") as log:
            command = [sys.executable, str(HERE / "worker.py"), *words]
            self.workers.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
                )
            )

    def _dies(self) -> bool:
        """Wait until the worker is killed or its job has ended; return whether the worker was killed."""
        worker = self.workers[-1]
        self._until(lambda: worker.poll() is not None or self.status() in judge.ENDED)
        # the kill may come with the last answer
        if worker.poll() is None and self.kill.mode in WORKER_MODES:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(0.3)
        return worker.poll() == -signal.SIGKILL

    def _until(self, holds, within: float = END_SECONDS) -> None:
        deadline = time.monotonic() + within
        while not holds() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    def status(self) -> str:
        """Return the job's current state."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.data / 'flightplan.sqlite3'}?mode=ro", uri=True, timeout=20)
        ) as database:
            return str(database.execute("SELECT status FROM jobs_job").fetchone()[0])

    def _stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.wait(STOP_SECONDS)

    def processes(self) -> dict[int, str]:
        """Return the command lines of all processes of this run, tool servers too, by id."""
        found, mark = {}, str(self.folder).encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes()
                if mark in words or mark in (folder / "environ").read_bytes():
                    found[int(folder.name)] = words.replace(b"\0", b" ").decode(errors="replace")
        return found

    def clear(self) -> None:
        """Kill the remaining processes of the run."""
        for id in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(id, signal.SIGKILL)
        for worker in self.workers:
            worker.wait(10)

    def output(self) -> str:
        """Return the workers' output."""
        return self.log.read_text()
