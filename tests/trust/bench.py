"""Workers that can be killed inside one process: they share an event loop, each with its own gateway."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.models import Job
from jobs.registry import tool_servers
from jobs.store.writer import Writer
from jobs.tools.gateway import Gateway
from jobs.worker import leases, perform
from tests import fakes
from tests.trust import little

SOON = 20.0


class Dead(asyncio.CancelledError):
    """The worker that requested a write is dead."""


class Mortal:
    """The writer of one worker, which writes nothing after the worker's death."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.dead = writer, False

    async def run(self, work):
        """Write as long as the worker lives."""
        if self.dead:
            raise Dead
        writing = asyncio.ensure_future(self.writer.run(lambda: self._alive(work)))
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(writing)

    def _alive(self, work):
        if self.dead:
            raise RuntimeError("the worker is dead")
        return work()


class Bench:
    """Shared by all histories: the loop in its thread, the writer, and the folder of the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.writer = Writer()
        entry = {"command": sys.executable, "args": ["-S", "-E", little.__file__, str(folder)], "timeout": 20}
        self.servers = fakes.servers_file(folder / "servers.json", {"ttd": entry | {"perMinute": 6000}})
        self.spare: Gateway | None = None
        self._pids: set[int] = set()

    def do(self, work):
        """Run a coroutine on the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SOON)

    def gateway(self) -> Gateway:
        """Return a gateway with its own server process; reuse the spare one if there is one."""
        gateway, self.spare = self.spare, None
        if gateway is None:
            gateway = self.do(self._open())
        return gateway

    async def _open(self) -> Gateway:
        gateway = Gateway(tool_servers(), import_string(settings.TOOL_ROLES), backoff=0.01)
        gateway.start()
        return gateway

    def entries(self, event: str = "") -> list[dict]:
        """Return the ledger of this history's servers."""
        return fakes.ledger(self.folder / little.LEDGER, event)

    def processes(self) -> set[int]:
        """Return the server processes that can still act, of any history."""
        self._pids |= {one["pid"] for one in self.entries("hello")}
        self._pids = {pid for pid in self._pids if alive(pid)}
        return self._pids

    def forget(self) -> None:
        """Begin a new history on a clean ledger."""
        self.processes()
        for file in self.folder.glob("*"):
            if file != self.servers:
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """End everything."""
        if self.spare:
            self.do(self.spare.aclose())
        self.writer.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(SOON)


class Worker:
    """One worker with one job; once killed it writes nothing more, while its server lives on."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench, self.name = bench, name
        self.gateway, self.writer = bench.gateway(), Mortal(bench.writer)
        self.task: asyncio.Task | None = None
        self.stop = bench.do(_event())

    def take(self, job: Job) -> bool:
        """Claim a job and start it; return whether the claim succeeded."""
        claimed = self.bench.do(self.bench.writer.run(lambda: leases.claim(job.pk, self.name)))
        if claimed is not None:
            self.task = self.bench.do(self._begin(claimed))
        return claimed is not None

    async def _begin(self, job: Job) -> asyncio.Task:
        lease = leases.Lease(job.pk, job.epoch, leases.now())
        work = perform.perform_safely(
            job, gateway=self.gateway, writer=self.writer, stop=self.stop, lease=lease
        )
        return asyncio.create_task(work)

    @property
    def busy(self) -> bool:
        """Return whether it still runs its job."""
        return self.task is not None and not self.task.done()

    def ask_to_stop(self) -> None:
        """Ask the job to stop, as the runtime does on a cancel or a shutdown."""
        self.bench.loop.call_soon_threadsafe(self.stop.set)

    def kill(self) -> None:
        """Kill the worker."""
        self.writer.dead = True
        self.bench.do(self._abandon())

    async def _abandon(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=SOON)
            if not self.task.cancelled():
                self.task.exception()  # retrieve the exception, so that it is not logged

    def retire(self) -> None:
        """Keep the gateway for the next worker; call this only if its server holds no call."""
        if self.bench.spare is None:
            self.bench.spare = self.gateway
        else:
            self.bench.do(self.gateway.aclose())


async def _event() -> asyncio.Event:
    return asyncio.Event()


def kill_process(pid: int) -> None:
    """Kill a server process, as happens when it notices the death of its worker."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Return whether a process can still act."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def until(holds, within: float = SOON):
    """Wait until the condition returns something true, and return it; None on a timeout."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.002)
    return None
