"""The supervisor: web and worker as children of one parent, restarted with back-off, ended together."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

GRACE_SECONDS = 70.0  # longer than a worker that is stopped in the middle of long calls may take
LOOK_SECONDS = 0.1
SHORT_LIFE_SECONDS = 5.0
MOST_SHORT_LIVES = 5
# jobs are taken up within their lease and 10 s more, however often a worker was killed; a start takes some
LONGEST_WAIT_SECONDS = 5.0
PARENT_PIPE = "FLIGHTPLAN_PARENT_FD"


@dataclass
class Child:
    """One supervised process. It is the leader of its own process group, so that Ctrl-C in the terminal
    reaches only the parent, which then asks each child to end in order."""

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
        """Send a signal to the whole group, if it is there."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Supervisor:
    """Keeps its children running until it is asked to stop; a child that keeps dying young ends it all."""

    children: list[Child]
    say: Callable[[str], None]
    _stops: int = 0

    def run(self, on_start: Callable[[], None] = lambda: None) -> int:
        """Run until SIGINT or SIGTERM, and give the exit code: 0, or 1 when a child could not be kept alive.

        `on_start` is called once, in a thread of its own, when the children have been started.
        """
        read, write = os.pipe()  # its end tells the children of the parent's death, whatever killed it
        env = os.environ | {PARENT_PIPE: str(read), "PYTHONUNBUFFERED": "1"}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)
        for child in self.children:
            child.fds = (*child.fds, read)
            child.spawn(env)
        threading.Thread(target=on_start, name="on-start", daemon=True).start()
        code = 0
        while not self._stops and code == 0:
            # not an Event that the handler sets: a signal that lands inside its wait would lock it for good
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
        child.signal(signal.SIGKILL)  # what the dead leader has left of its group
        child.process = None
        young = now - child.started < SHORT_LIFE_SECONDS
        child.short_lives = child.short_lives + 1 if young else 1
        # one that a signal killed did not give up itself: a job that kills its worker ends only that job
        if child.short_lives > MOST_SHORT_LIVES and (code is None or code >= 0):
            self.say(f"{child.name} keeps failing (exit code {code}); giving up")
            return False
        wait = min(LONGEST_WAIT_SECONDS, 0.5 * 2 ** (child.short_lives - 1))
        child.not_before = now + wait
        self.say(f"{child.name} ended with exit code {code}; starting it again in {wait:.1f} s")
        return True

    def _end(self) -> None:
        self.say("Stopping; calls under way may end first. Ctrl-C again stops at once.")
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
    """End this process, as SIGTERM does, when the supervisor that started it is gone."""
    number = os.environ.get(PARENT_PIPE)
    if not number:
        return

    def watch() -> None:
        os.read(int(number), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def manage(*words: str) -> list[str]:
    """Give the command line of a management command in a process of its own."""
    return [sys.executable, os.path.abspath(sys.argv[0]), *words]
