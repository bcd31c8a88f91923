"""The supervisor: runs web and worker as child processes, restarts them with back-off, ends them together."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

GRACE_SECONDS = 70.0  # longer than a worker needs to stop during long calls
LOOK_SECONDS = 0.1
SHORT_LIFE_SECONDS = 5.0
MOST_SHORT_LIVES = 5
# a job must resume within its lease plus 10 s however often its worker was killed, start time included
LONGEST_WAIT_SECONDS = 5.0
PARENT_PIPE = "FLIGHTPLAN_PARENT_FD"


@dataclass
class Child:
    """A supervised process. It leads its own process group, so that Ctrl-C in the terminal reaches only the
    parent, which then stops the children in order."""

    name: str
    argv: Sequence[str]
    fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    short_lives: int = 0
    not_before: float = 0.0

    def spawn(self, env: dict[str, str]) -> None:
        """Start the process."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.argv, env=env, pass_fds=self.fds, process_group=0, stdin=subprocess.DEVNULL
        )

    def signal(self, number: int) -> None:
        """Send a signal to the process group, if it exists."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Supervisor:
    """Keeps its children running until it gets a signal. Stops them all if one keeps failing."""

    children: list[Child]
    say: Callable[[str], None]
    _stops: int = 0

    def run(self, on_start: Callable[[], None] = lambda: None) -> int:
        """Run until SIGINT or SIGTERM. Return 0, or 1 if a child keeps failing.

        `on_start` is called once, in its own thread, after the children have started.
        """
        read, write = (
            os.pipe()
        )  # closes when the parent dies, for whatever reason, so that the children notice
        env = os.environ | {PARENT_PIPE: str(read), "PYTHONUNBUFFERED": "1"}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)
        for child in self.children:
            child.fds = (*child.fds, read)
            child.spawn(env)
        threading.Thread(target=on_start, name="on-start", daemon=True).start()
        code = 0
        while not self._stops and code == 0:
            # not an Event set by the handler: a signal inside its wait could deadlock
            time.sleep(LOOK_SECONDS)
            code = self._tend(env)
        self._end()
        os.close(write)
        return code

    def _asked(self, number: int, frame: object) -> None:
        self._stops += 1

    def _tend(self, env: dict[str, str]) -> int:
        now = time.monotonic()
        for child in self.children:
            if child.process is not None and not child.alive:
                if not self._bury(child, now):
                    return 1
            elif child.process is None and now >= child.not_before:
                child.spawn(env)
        return 0

    def _bury(self, child: Child, now: float) -> bool:
        code = child.process.returncode if child.process else None
        child.signal(signal.SIGKILL)  # the rest of the dead leader's group
        child.process = None
        young = now - child.started < SHORT_LIFE_SECONDS
        child.short_lives = child.short_lives + 1 if young else 1
        # a child killed by a signal is always restarted: a job that kills its worker gets quarantined
        if child.short_lives > MOST_SHORT_LIVES and (code is None or code >= 0):
            self.say(f"{child.name} keeps failing (exit code {code}); giving up")
            return False
        wait = min(LONGEST_WAIT_SECONDS, 0.5 * 2 ** (child.short_lives - 1))
        child.not_before = now + wait
        self.say(f"{child.name} ended with exit code {code}; restarting it in {wait:.1f} s")
        return True

    def _end(self) -> None:
        self.say("Stopping once the calls in progress have finished. Press Ctrl-C again to stop at once.")
        for child in self.children:
            child.signal(signal.SIGTERM)
        asked, deadline = self._stops, time.monotonic() + GRACE_SECONDS
        while any(child.alive for child in self.children) and time.monotonic() < deadline:
            time.sleep(0.05)
            if self._stops > max(1, asked):  # a second Ctrl-C: at once
                break
        for child in self.children:
            child.signal(signal.SIGKILL)
            if child.process:
                child.process.wait()


def end_with_parent() -> None:
    """Send SIGTERM to this process when the supervisor that started it has died."""
    number = os.environ.get(PARENT_PIPE)
    if not number:
        return

    def watch() -> None:
        os.read(int(number), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def manage(*words: str) -> list[str]:
    """Return the command line that runs a management command in its own process."""
    return [sys.executable, os.path.abspath(sys.argv[0]), *words]
