"""What all benchmarks share: an installation of their own, a job that keeps writing, tables and a verdict."""

import atexit
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.installation import ROOT, Installation, until

SOON = 20.0
CALM, CALM_SECONDS = 0.25, 20.0  # the share that others may use, and how long that is waited for


class Unmet(AssertionError):
    """A promise that the benchmark is about was not kept, or what it needs was not there."""


def demand(kept: Any, what: str) -> None:
    """Hold that something is so. Raises Unmet, whose words the benchmark prints before it fails."""
    if not kept:
        raise Unmet(what)


def cores() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """Give a line about the machine: a figure means nothing without it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cores()} cores, {memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value that this share (0 to 1) of the values does not exceed. Raises Unmet for none at all."""
    demand(values, "there is nothing to take a quantile of")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Give a table as text: the first column to the left, figures to the right."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        return "  ".join((row[0].ljust(widths[0]), *cells))

    first, *rest = texts
    return "\n".join([line(first), "  ".join("-" * width for width in widths), *map(line, rest)])


def calm() -> None:
    """Wait until other programs leave the processor alone: the promise is for two free cores."""
    deadline = time.monotonic() + CALM_SECONDS
    while (used := busy()) > CALM:
        demand(time.monotonic() < deadline, f"other programs use {100 * used:.0f} % of the processor")


def busy() -> float:
    """Give the share of the processor that is in use, over half a second."""
    (spent, idle), wait = processor(), 0.5
    time.sleep(wait)
    after, still = processor()
    return (after - spent) / max(1, after - spent + still - idle)


def processor() -> tuple[int, int]:
    """Give the ticks that the processors spent and those that they idled, since the machine started."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    return user + nice + system + sum(rest), idle + waiting


def verdict(main: Callable[[], None]) -> None:
    """Run a benchmark as a program: the machine first, then what it prints; exit code 1 where it fails."""
    print(machine(), flush=True)
    begun = time.monotonic()
    try:
        main()
    except Unmet as unmet:
        print(f"\nFAILED after {time.monotonic() - begun:.0f} s: {unmet}", file=sys.stderr)
        sys.exit(1)
    print(f"\nKept, in {time.monotonic() - begun:.0f} s.")


def django() -> None:
    """Let this process read the product's own code, which wants settings; it touches no installation."""
    import django as framework

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if "DATA_DIR" not in os.environ:
        os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="flightplan-bench-")
        atexit.register(shutil.rmtree, os.environ["DATA_DIR"], ignore_errors=True)
    framework.setup()


@contextmanager
def installation(**settings: str) -> Iterator[Installation]:
    """Run Flightplan as a user does, with data, port and processes of its own, as long as the block lasts."""
    with (
        tempfile.TemporaryDirectory(prefix="flightplan-bench-") as folder,
        Installation(Path(folder) / "installation", **settings) as house,
    ):
        yield house


@dataclass(frozen=True)
class Written:
    """An event as its writer committed it: seq, type, and the monotonic moment right after the commit."""

    seq: int
    type: str
    at: float


class Story:
    """A job that goes on writing until it is ended, told by a process of its own (`benchmarks.story`).

    `words` are more of that program's options.
    """

    def __init__(self, house: Installation, *words: str, rate: float) -> None:
        self.rate = rate
        self.written: list[Written] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.story", "--rate", str(rate), *words],
            cwd=ROOT,
            env=house.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.job = self._process.stdout.readline().strip()
        demand(self.job, "the writer did not start")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            seq, kind, at = line.split()
            self.written.append(Written(int(seq), kind, float(at)))

    @property
    def going(self) -> bool:
        """Tell whether it still writes."""
        return self._process.poll() is None and not self._process.stdin.closed

    def reaches(self, seq: int, within: float = SOON) -> None:
        """Wait until an event of this seq is committed."""
        until(lambda: self.written and self.written[-1].seq >= seq, f"event {seq} is written", within)

    def end(self) -> list[Written]:
        """Let the job end, and give everything that was written."""
        if self.going:
            self._process.stdin.close()
        demand(self._process.wait(SOON) == 0, "the writer failed")
        self._reader.join(SOON)
        return self.written

    def __enter__(self) -> "Story":
        return self

    def __exit__(self, *about: object) -> None:
        self._process.kill()
        self._process.wait()
