"""The worker's event loop: how it finds, claims and runs jobs, and how it shuts down."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.engine.results import Stopped
from jobs.models import Job
from jobs.registry import tool_servers
from jobs.store.writer import Writer
from jobs.tools.contract.config import BrokenServersFile
from jobs.tools.gateway import Gateway
from jobs.webhooks import sender as deliver
from jobs.worker import durations, leases, quarantine
from jobs.worker.heart import HEED_SECONDS, REMEMBER_SECONDS, Heart, Running, beat_seconds
from jobs.worker.leases import Lease
from jobs.worker.outlooks import EMIT_SECONDS, Outlooks
from jobs.worker.perform import perform_safely

log = logging.getLogger(__name__)
SWEEP_SECONDS = 1.0
LOST_MESSAGE_SECONDS = 3.0
GRACE_SECONDS = 20.0
END_SECONDS = GRACE_SECONDS + 10  # for the servers to end and the last write to be committed


class Runtime:
    """Runs all jobs of this worker process on one loop in one thread.

    Huey's threads block in `run`; the loop does the work. At most one worker runs a job: the one that holds
    its lease. The sweep finds jobs that have not ended and have no valid lease, and runs them here.
    `on_crash` is called, in the loop's thread, if the loop ends without having been asked to.
    `only`: no other worker can be alive, so that all other workers' leases are those of dead workers.
    """

    def __init__(self, on_crash: Callable[[], None] = lambda: None, *, only: bool = False) -> None:
        self._on_crash, self._only = on_crash, only
        self.name = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.running: dict[uuid.UUID, Running] = {}
        self._taking: set[uuid.UUID] = set()
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
        """Run a job here unless another worker holds it; return when it has ended or was released."""
        if self.stopping:
            return  # the row does not change: the next worker's sweep finds it
        if taking := self._submit(self._take(uuid.UUID(job_id))):
            with contextlib.suppress(CancelledError):  # of the future: the loop has ended meanwhile
                taking.result()

    def begin_shutdown(self) -> None:
        """Let calls in flight finish within the grace time and release every job."""
        self.stopping = True
        self._submit(self._drain())

    def stop(self) -> None:
        """End the loop; jobs that are still here are released."""
        self.begin_shutdown()
        self._thread.join(END_SECONDS)

    @property
    def failed(self) -> bool:
        """Return whether the loop has crashed."""
        return self._failure is not None

    def _submit(self, work: Coroutine[Any, Any, Any]) -> Future[Any] | None:
        """Schedule work on the loop; return None if the loop has ended, in which case the work is dropped."""
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
        self._company = quarantine.Company()
        self.heart = Heart(self.name, self.writer, self.running, lambda: self.gateway)
        self.outlooks = Outlooks(self.writer, lambda: self.gateway)
        self.post = deliver.Post(self.writer)
        await self._bury_all_others()
        keepers = [
            asyncio.create_task(self._every(beat_seconds(), self.heart.beat)),
            asyncio.create_task(self._every(HEED_SECONDS, self.heart.heed)),
            asyncio.create_task(self._every(REMEMBER_SECONDS, self.heart.remember)),
            asyncio.create_task(self._every(EMIT_SECONDS, self.outlooks.emit)),
            asyncio.create_task(self._every(SWEEP_SECONDS, self._sweep)),
            asyncio.create_task(self._every(deliver.LOOK_SECONDS, self.post.look)),
            asyncio.create_task(self._every(deliver.WATCH_SECONDS, self.post.watch)),
        ]
        self._ready.set()
        try:
            await self._drained.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await self.post.aclose()
            if self.gateway:
                await self.gateway.aclose()
                await self._safely(self.heart.remember)
            await self.heart.say_goodbye()
            await asyncio.to_thread(self.writer.close)

    async def _bury_all_others(self) -> None:
        """Kill leftover processes of dead workers and release their jobs, if no other worker can be alive."""
        if self._only:
            try:
                await self.heart.bury(all_others=True)
                await self.writer.run(leases.end_leases_of_the_dead)
            except Exception:  # the leases expire anyway
                log.exception("could not clean up after dead workers")

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await self._safely(work)
            await asyncio.sleep(seconds)

    @staticmethod
    async def _safely(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception:
            log.exception("%s failed", work.__name__)

    async def _open_gateway(self) -> Gateway | None:
        """Return the gateway, opening it if needed; None while the tool servers file is broken.

        Never opens two: they would be two sets of servers, each with its own permits.
        """
        async with self._opening:
            if self.gateway is None and not self.stopping:
                try:
                    servers = await asyncio.to_thread(tool_servers)
                except BrokenServersFile as broken:
                    log.error("no job can start: %s", broken)
                    return None
                roles = import_string(settings.TOOL_ROLES)
                gateway = Gateway(
                    servers, roles, backoff=settings.RETRY_BACKOFF, log_dir=settings.DATA_DIR / "logs"
                )
                gateway.start()
                self.gateway = gateway
                await self._safely(self._load_durations)
            return self.gateway

    async def _load_durations(self) -> None:
        """Load how long past calls took into the gateway; without them the declared times apply."""
        if (gateway := self.gateway) is None:
            return
        names = list(gateway.status())
        known = await self.writer.run(lambda: durations.stored(gateway.source, names))
        for kind, recent in known.items():
            gateway.durations.put(kind, recent)

    async def _take(self, job_id: uuid.UUID) -> None:
        """Claim a job and run it; return at once if it cannot be claimed or is being claimed here already."""
        if job_id in self._taking:
            return
        self._taking.add(job_id)
        try:
            async with self._places:
                alone = await self.writer.run(lambda: _alone(job_id))
                async with self._company.join(alone=alone):
                    await self._claim_and_run(job_id)
        finally:
            self._taking.discard(job_id)

    async def _claim_and_run(self, job_id: uuid.UUID) -> None:
        gateway = await self._open_gateway()
        if gateway is None or self.stopping:
            return
        asked = leases.now()  # before the write, so that our view of the lease ends before the row's
        job = await self.writer.run(lambda: leases.claim(job_id, self.name))
        if job is None:
            return
        if self.stopping:  # the shutdown began during the claim: the drain has not seen this job
            await self.writer.run(lambda: leases.hand_over(job.pk, job.epoch))
            return
        stop, lease = asyncio.Event(), Lease(job.pk, job.epoch, asked)
        work = perform_safely(
            job, gateway=gateway, writer=self.writer, stop=stop, lease=lease, outlooks=self.outlooks
        )
        task = asyncio.create_task(work, name=f"job-{job_id}")
        self.running[job_id] = Running(job, lease, stop, task)
        try:
            await asyncio.wait({task})
        finally:
            del self.running[job_id]
        if not task.cancelled() and task.exception() and not isinstance(task.exception(), Stopped):
            log.error("job %s was released", job_id, exc_info=task.exception())

    async def _sweep(self) -> None:
        """Take jobs whose message was lost or whose worker is dead, oldest first, while there is room."""
        if not self._only:
            await self.heart.bury()
        if await self._open_gateway() is None:
            return
        room = settings.JOBS_AT_ONCE - len(self._taking)
        if self.stopping or room <= 0:
            return
        for id in await self.writer.run(lambda: leases.unclaimed(LOST_MESSAGE_SECONDS, room)):
            if id not in self._taking:
                task = asyncio.create_task(self._take(id))
                self._swept.add(task)
                task.add_done_callback(self._swept.discard)

    async def _drain(self) -> None:
        """Stop every job: nothing new is sent and sent calls may finish. Then cancel the rest."""
        if self._draining:
            return
        self._draining = True
        for one in self.running.values():
            one.stop.set()
        tasks = [one.task for one in self.running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)
        self._drained.set()


def _alone(job_id: uuid.UUID) -> bool:
    """Return whether a job must start alone; asked before it is claimed, so that it waits without a lease."""
    row = Job.objects.filter(leases.claimable(), pk=job_id).values_list("crashes", "leased_by").first()
    return row is not None and quarantine.runs_alone(*row)
