"""A worker's periodic duties: beat, renew leases, stop cancelled jobs, clean up after dead workers."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone

from jobs.models import Job, WorkerBeat
from jobs.store.writer import Writer
from jobs.tools.gateway import Gateway
from jobs.tools.wire import fence
from jobs.worker import durations, leases
from jobs.worker.leases import Lease

log = logging.getLogger(__name__)
BEAT_SECONDS = 2.0
REMEMBER_SECONDS = 10.0
HEED_SECONDS = 0.5
FORGOTTEN_SECONDS = 3600.0


def beat_seconds() -> float:
    """Return the seconds between two beats, short enough to renew a lease three times before it expires."""
    return min(BEAT_SECONDS, settings.LEASE_SECONDS / 3)


@dataclass
class Running:
    """A job that this worker is running, with its lease, its task and the event that stops it."""

    job: Job
    lease: Lease
    stop: asyncio.Event
    task: asyncio.Task[None]


class Heart:
    """The periodic duties of one worker.

    `running` is the worker's own table of jobs; `gateway` returns its gateway, or None until it is open.
    """

    def __init__(
        self,
        name: str,
        writer: Writer,
        running: Mapping[uuid.UUID, Running],
        gateway: Callable[[], Gateway | None],
    ) -> None:
        self.name, self.writer, self.running, self.gateway = name, writer, running, gateway
        self.started_at = timezone.now()
        self._reported: list[Any] = []

    async def beat(self) -> None:
        """Record that this worker is alive, renew its leases and cancel the jobs whose lease is lost."""
        held = {id: one.job.epoch for id, one in self.running.items()}
        servers = self._servers()
        asked = leases.now()  # before the write, so that our view of the lease ends before the row's
        lost = await self.writer.run(lambda: self._record_beat(held, servers))
        self._reported = _processes(servers)
        for id, epoch in held.items():
            one = self.running.get(id)
            if one is None or one.job.epoch != epoch:
                continue
            if id not in lost:
                one.lease.extend(asked)
            elif not one.task.done():  # otherwise it has just ended, and so has its lease
                log.warning("the lease of job %s is lost", id)
                one.task.cancel()

    async def remember(self) -> None:
        """Store how long recent calls took and load what other workers have stored."""
        gateway = self.gateway()
        if gateway is not None and (fresh := gateway.durations.take_fresh()):
            known = await self.writer.run(lambda: durations.add(fresh, gateway.source))
            for kind, recent in known.items():
                gateway.durations.put(kind, recent)

    async def heed(self) -> None:
        """Stop the jobs that are being cancelled, and beat at once when server processes have changed.

        A job that was cancelled before it was claimed is not stopped: the calls that its last worker left in
        progress are settled first. Nothing new is sent, because no intent can be written.
        """
        open_ = {id for id, one in self.running.items() if not (one.stop.is_set() or one.job.cancel_asked_at)}
        if open_:
            for id in await self.writer.run(lambda: leases.cancelled(open_)):
                if one := self.running.get(id):
                    one.stop.set()
        if _processes(self._servers()) != self._reported:
            await self.beat()

    async def bury(self, *, all_others: bool = False) -> None:
        """Kill leftover server processes of dead workers and delete those workers' beats.

        A worker is dead if its last beat is older than a lease; with `all_others`, every other worker is.
        """
        for beat in await self.writer.run(lambda: self._dead(all_others)):
            old = timezone.now() - beat.seen_at > timedelta(seconds=FORGOTTEN_SECONDS)
            # a process that cannot be killed from here may be within reach of another worker
            if await _kill_servers(beat) or all_others or old:
                await self.writer.run(partial(_forget, beat))

    async def say_goodbye(self) -> None:
        """Delete this worker's beat."""
        await self.writer.run(lambda: WorkerBeat.objects.filter(pk=self.name).delete())

    def _servers(self) -> dict[str, Any]:
        gateway = self.gateway()
        return _as_json(gateway.status()) if gateway else {}

    def _record_beat(self, held: dict[uuid.UUID, int], servers: dict[str, Any]) -> set[uuid.UUID]:
        values = {"host": socket.gethostname(), "pid": os.getpid(), "started_at": self.started_at}
        values |= {"seen_at": timezone.now(), "servers": servers}
        WorkerBeat.objects.update_or_create(worker=self.name, defaults=values)
        return leases.renew(held)

    def _dead(self, all_others: bool) -> list[WorkerBeat]:
        rows = WorkerBeat.objects.exclude(pk=self.name)
        if not all_others:
            now = timezone.now()
            rows = rows.filter(seen_at__lt=now - timedelta(seconds=settings.LEASE_SECONDS))
            here = rows.filter(host=socket.gethostname())
            # only its own machine can kill a process; a machine that never returns is forgotten eventually
            rows = here | rows.filter(seen_at__lt=now - timedelta(seconds=FORGOTTEN_SECONDS))
        return list(rows)


def _forget(beat: WorkerBeat) -> None:
    WorkerBeat.objects.filter(pk=beat.pk, seen_at=beat.seen_at).delete()


def _processes(servers: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one["process"] for one in servers.values() if one.get("process")]


async def _kill_servers(beat: WorkerBeat) -> bool:
    """Kill the server processes of a dead worker and return whether it is certain that none is left."""
    processes = [one for stored in _processes(beat.servers) if (one := fence.from_json(stored))]
    return all([await fence.fence(process) for process in processes])


def _as_json(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(server) for name, server in status.items()}
