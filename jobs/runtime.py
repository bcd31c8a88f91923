"""The worker's one loop: its jobs, their leases, its heartbeat, its sweep and its shutdown."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import asdict, is_dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from jobs import actions
from jobs.models import Job, WorkerBeat
from jobs.perform import perform_safely
from jobs.servers import tool_servers
from jobs.tools.config import BrokenServersFile
from jobs.tools.gateway import Gateway
from jobs.workflow.results import Stopped
from jobs.writer import Writer

log = logging.getLogger(__name__)
BEAT_SECONDS = 2.0
SWEEP_SECONDS = 1.0
LOST_MESSAGE_SECONDS = 3.0
GRACE_SECONDS = 20.0


class Runtime:
    """Hosts every job of this worker process on one loop in one thread.

    Huey's threads block in `run`; the loop does the work. A job is run by at most one worker, the one that
    holds its lease; a job that has no live lease and has not ended is found by the sweep and run here.
    `on_crash` is called, in the loop's thread, when the loop has ended though nobody asked it to.
    """

    def __init__(self, on_crash: Callable[[], None] = lambda: None) -> None:
        self._on_crash = on_crash
        self.name = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.started_at = timezone.now()
        self.running: dict[uuid.UUID, tuple[Job, asyncio.Task[None], asyncio.Event]] = {}
        self.stopping = self._draining = False
        self._swept: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="runtime", daemon=True)

    # -- from other threads

    def start(self) -> None:
        """Start the loop and wait until it can take jobs."""
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def run(self, job_id: str) -> None:
        """Run a job here if nobody has it; come back when it has ended or was given back."""
        if self.stopping:
            return  # the row stays as it is: the next worker's sweep finds it
        if taking := self._submit(self._take(uuid.UUID(job_id))):
            with contextlib.suppress(CancelledError):  # of the future: the loop has ended under it
                taking.result()

    def begin_shutdown(self) -> None:
        """Let calls in flight finish within the grace time and give every job back."""
        self.stopping = True
        self._submit(self._drain())

    def stop(self) -> None:
        """End the loop; jobs that are still here are given back as they stand."""
        self.begin_shutdown()
        self._thread.join(GRACE_SECONDS + 10)

    @property
    def failed(self) -> bool:
        """Tell whether the loop ended by itself."""
        return self._failure is not None

    def _submit(self, work: Coroutine[Any, Any, Any]) -> Future[Any] | None:
        """Hand work to the loop; None when the loop has ended, and the work with it."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            return None

    # -- the loop

    def _main(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._serve())
        except BaseException as error:
            self._failure = error
            log.exception("the worker's loop ended")
        finally:
            crashed = self._ready.is_set() and not self.stopping
            self.stopping = True
            self._ready.set()
        if crashed:
            self._on_crash()

    async def _serve(self) -> None:
        self._drained = asyncio.Event()
        self._places = asyncio.Semaphore(settings.JOBS_AT_ONCE)
        self.writer = Writer()
        self.gateway: Gateway | None = None
        self._opening = asyncio.Lock()
        keepers = [
            asyncio.create_task(self._every(BEAT_SECONDS, self._beat)),
            asyncio.create_task(self._every(SWEEP_SECONDS, self._sweep)),
        ]
        self._ready.set()
        try:
            await self._drained.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            if self.gateway:
                await self.gateway.aclose()
            await self.writer.run(lambda: WorkerBeat.objects.filter(pk=self.name).delete())
            await asyncio.to_thread(self.writer.close)

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("%s failed; it is tried again", work.__name__)
            await asyncio.sleep(seconds)

    async def _open_gateway(self) -> Gateway | None:
        """Give the gateway; it opens as soon as the tool servers file can be read.

        One at a time: two gateways would be two sets of servers, each with permits of its own.
        """
        async with self._opening:
            if self.gateway is None and not self.stopping:
                try:
                    servers = await asyncio.to_thread(tool_servers)
                except BrokenServersFile as broken:
                    log.error("no job can start: %s", broken)
                    return None
                roles = import_string(settings.TOOL_ROLES)
                self.gateway = Gateway(
                    servers, roles, backoff=settings.RETRY_BACKOFF, log_dir=settings.DATA_DIR / "logs"
                )
                self.gateway.start()
            return self.gateway

    async def _take(self, job_id: uuid.UUID) -> None:
        """Claim a job and run it; come back at once when it is not to be had."""
        async with self._places:
            gateway = await self._open_gateway()
            if gateway is None or self.stopping or job_id in self.running:
                return
            job = await self.writer.run(lambda: actions.claim(job_id, self.name))
            if job is None:
                return
            if self.stopping:  # asked while the claim was on its way: the drain has not seen this job
                await self.writer.run(lambda: actions.hand_over(job.pk, job.epoch))
                return
            stop = asyncio.Event()
            work = perform_safely(job, gateway=gateway, writer=self.writer, stop=stop)
            task = asyncio.create_task(work, name=f"job-{job_id}")
            self.running[job_id] = (job, task, stop)
            try:
                await asyncio.wait({task})
            finally:
                del self.running[job_id]
            if not task.cancelled() and task.exception() and not isinstance(task.exception(), Stopped):
                log.error("job %s was given back", job_id, exc_info=task.exception())

    async def _beat(self) -> None:
        """Renew the leases of what runs here, drop what was lost, and say that this worker is alive."""
        leases = {id: job.epoch for id, (job, _, _) in self.running.items()}
        servers = _as_json(self.gateway.status()) if self.gateway else {}
        lost = await self.writer.run(lambda: self._tell_alive(leases, servers))
        for id in lost & set(self.running):
            task = self.running[id][1]
            if not task.done():  # else it has just ended, and its lease with it
                log.warning("the lease of job %s is lost", id)
                task.cancel()

    def _tell_alive(self, leases: dict[uuid.UUID, int], servers: dict[str, Any]) -> set[uuid.UUID]:
        values = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": self.started_at}
        values |= {"seen_at": timezone.now(), "servers": servers}
        WorkerBeat.objects.update_or_create(worker=self.name, defaults=values)
        return actions.renew(leases)

    async def _sweep(self) -> None:
        """Take jobs whose message was lost or whose worker is gone, oldest first, while there is room."""
        if await self._open_gateway() is None:
            return
        room = settings.JOBS_AT_ONCE - len(self.running)
        if self.stopping or room <= 0:
            return
        for id in await self.writer.run(lambda: actions.left_lying(LOST_MESSAGE_SECONDS, room)):
            if id not in self.running:
                task = asyncio.create_task(self._take(id))
                self._swept.add(task)
                task.add_done_callback(self._swept.discard)

    async def _drain(self) -> None:
        """Stop every job: nothing new is sent, what is sent may end; then cancel what is left."""
        if self._draining:
            return
        self._draining = True
        for _, _, stop in self.running.values():
            stop.set()
        tasks = [task for _, task, _ in self.running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        self._drained.set()


def _as_json(status: Any) -> dict[str, Any]:
    return {name: asdict(one) if is_dataclass(one) else one for name, one in status.items()}
