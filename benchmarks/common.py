"""Shared by all benchmarks: an installation of their own, a job that keeps writing, tables and a verdict."""

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

from tests.e2e.installation import ROOT, Installation, until

SOON = 20.0
CALM, CALM_SECONDS = 0.25, 20.0  # the share of the processor that others may use; how long to wait for it
TICKS, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Unmet(AssertionError):
    """A promise was not kept, or the benchmark cannot measure it on this machine."""


def demand(kept: object, what: str) -> None:
    """Raise Unmet with `what` as its message unless `kept` is true; the benchmark prints it and fails."""
    if not kept:
        raise Unmet(what)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """Return one line about the machine that the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cores()} cores, {memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share (0 to 1) of the values does not exceed. Raises Unmet without values."""
    demand(values, "there is nothing to take a quantile of")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as text, its first column aligned left and the others right."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        return "  ".join((row[0].ljust(widths[0]), *cells))

    first, *rest = texts
    return "\n".join([line(first), "  ".join("-" * width for width in widths), *map(line, rest)])


def calm() -> None:
    """Wait until other programs use little of the processor: the promises are for two free cores.

    Raises Unmet after CALM_SECONDS.
    """
    deadline = time.monotonic() + CALM_SECONDS
    while (used := busy()) > CALM:
        demand(time.monotonic() < deadline, f"other programs use {100 * used:.0f} % of the processor")


def busy() -> float:
    """Return the share of the processor that is in use, measured over half a second."""
    (spent, idle), wait = processor(), 0.5
    time.sleep(wait)
    after, still = processor()
    return (after - spent) / max(1, after - spent + still - idle)


def processor() -> tuple[int, int]:
    """Return the ticks that the processors have spent and idled since the machine started."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    return user + nice + system + sum(rest), idle + waiting


def verdict(main: Callable[[], None]) -> None:
    """Run a benchmark as a program: print the machine first; exit with code 1 if a promise is not kept."""
    print(machine(), flush=True)
    begun = time.monotonic()
    try:
        main()
    except Unmet as unmet:
        print(f"\nFAILED after {time.monotonic() - begun:.0f} s: {unmet}", file=sys.stderr)
        sys.exit(1)
    print(f"\nKept, in {time.monotonic() - begun:.0f} s.")


def set_up_django() -> None:
    """Set Django up in this process, for code that needs settings; it touches no installation."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if "DATA_DIR" not in os.environ:
        os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="flightplan-bench-")
        atexit.register(shutil.rmtree, os.environ["DATA_DIR"], ignore_errors=True)
    django.setup()


@dataclass(frozen=True)
class ProcessUsage:
    """What a process uses, as the kernel counts it."""

    id: int

    @property
    def seconds(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.id}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def megabytes(self) -> float:
        """Return the memory that it holds."""
        return int(Path(f"/proc/{self.id}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


@contextmanager
def installation(**settings: str) -> Iterator[Installation]:
    """Run Flightplan as a user does, with its own data, port and processes, until the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="flightplan-bench-") as folder,
        Installation(Path(folder) / "installation", **settings) as site,
    ):
        yield site


@dataclass(frozen=True)
class Written:
    """An event that was committed: its seq, its type, and the monotonic time right after the commit."""

    seq: int
    type: str
    at: float


class Story:
    """A job whose events another process (`benchmarks.story`) keeps writing until `end` is called.

    `rate`: events a second; `options`: further command line options of that program.
    """

    def __init__(self, site: Installation, *options: str, rate: float) -> None:
        self.rate = rate
        self.written: list[Written] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.story", "--rate", str(rate), *options],
            cwd=ROOT,
            env=site.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.job = self._output.readline().strip()
        demand(self.job, "the writer did not start")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._output:
            seq, kind, at = line.split()
            self.written.append(Written(int(seq), kind, float(at)))

    @property
    def going(self) -> bool:
        """Return whether it still writes."""
        return self._process.poll() is None and not self._input.closed

    def reaches(self, seq: int, within: float = SOON) -> None:
        """Wait until an event of this seq is committed, at most `within` seconds."""
        until(lambda: self.written and self.written[-1].seq >= seq, f"event {seq} is written", within)

    def end(self) -> list[Written]:
        """End the job, and return everything that was written."""
        if self.going:
            self._input.close()
        demand(self._process.wait(SOON) == 0, "the writer failed")
        self._reader.join(SOON)
        return self.written

    def __enter__(self) -> "Story":
        return self

    def __exit__(self, *about: object) -> None:
        self._process.kill()
        self._process.wait()
