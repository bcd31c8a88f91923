"""What a worker does over and over: says that it lives, keeps its leases, heeds cancels, buries the dead."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from datetime import timedelta
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
    """Give the seconds between two beats: a lease is renewed three times before it could run out."""
    return min(BEAT_SECONDS, settings.LEASE_SECONDS / 3)


@dataclass
class Running:
    """A job that runs here: its lease, its task, and the event that stops it."""

    job: Job
    lease: Lease
    stop: asyncio.Event
    task: asyncio.Task[None]


class Heart:
    """Beats for one worker. `running` is the worker's own table, `gateway` gives its gateway once it is."""

    def __init__(
        self,
        name: str,
        writer: Writer,
        running: Mapping[uuid.UUID, Running],
        gateway: Callable[[], Gateway | None],
    ) -> None:
        self.name, self.writer, self.running, self.gateway = name, writer, running, gateway
        self.started_at = timezone.now()
        self._told: list[Any] = []

    async def beat(self) -> None:
        """Renew the leases of what runs here, drop what was lost, and say that this worker is alive."""
        held = {id: one.job.epoch for id, one in self.running.items()}
        servers = self._servers()
        asked = leases.now()  # before the write: the row's lease runs out later than what we believe
        lost = await self.writer.run(lambda: self._tell_alive(held, servers))
        self._told = _processes(servers)
        for id, epoch in held.items():
            one = self.running.get(id)
            if one is None or one.job.epoch != epoch:
                continue
            if id not in lost:
                one.lease.extend(asked)
            elif not one.task.done():  # else it has just ended, and its lease with it
                log.warning("the lease of job %s is lost", id)
                one.task.cancel()

    async def remember(self) -> None:
        """Store what calls took since the last time, and know what other workers' took."""
        gateway = self.gateway()
        if gateway is not None and (fresh := gateway.durations.take_fresh()):
            known = await self.writer.run(lambda: durations.add(fresh, gateway.source))
            for kind, recent in known.items():
                gateway.durations.put(kind, recent)

    async def heed(self) -> None:
        """Stop the jobs that somebody asked to cancel, and tell of new server processes at once.

        A job that was cancelled before it was taken is not stopped: what its last worker had under way is
        settled first, and nothing new is sent, because no intent is written for it.
        """
        open_ = {id for id, one in self.running.items() if not (one.stop.is_set() or one.job.cancel_asked_at)}
        if open_:
            for id in await self.writer.run(lambda: leases.cancelled(open_)):
                if one := self.running.get(id):
                    one.stop.set()
        if _processes(self._servers()) != self._told:
            await self.beat()

    async def bury(self, *, all_others: bool = False) -> None:
        """End the server processes of workers that are dead, and forget those workers.

        Dead is who has not been heard of for the length of a lease; with `all_others` everybody else.
        """
        for beat in await self.writer.run(lambda: self._dead(all_others)):
            old = timezone.now() - beat.seen_at > timedelta(seconds=FORGOTTEN_SECONDS)
            # what cannot be ended from here, another worker may still reach
            if await _all_ended(beat) or all_others or old:
                await self.writer.run(lambda beat=beat: _forget(beat))

    async def say_goodbye(self) -> None:
        """Take back the word that this worker is alive."""
        await self.writer.run(lambda: WorkerBeat.objects.filter(pk=self.name).delete())

    def _servers(self) -> dict[str, Any]:
        gateway = self.gateway()
        return _as_json(gateway.status()) if gateway else {}

    def _tell_alive(self, held: dict[uuid.UUID, int], servers: dict[str, Any]) -> set[uuid.UUID]:
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
            # only its own machine can end a process; a machine that never comes back is forgotten in the end
            rows = here | rows.filter(seen_at__lt=now - timedelta(seconds=FORGOTTEN_SECONDS))
        return list(rows)


def _forget(beat: WorkerBeat) -> None:
    WorkerBeat.objects.filter(pk=beat.pk, seen_at=beat.seen_at).delete()


def _processes(servers: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one["process"] for one in servers.values() if one.get("process")]


async def _all_ended(beat: WorkerBeat) -> bool:
    """End the server processes of a dead worker; True when it is certain that none is left."""
    processes = [one for stored in _processes(beat.servers) if (one := fence.from_json(stored))]
    return all([await fence.fence(process) for process in processes])


def _as_json(status: Any) -> dict[str, Any]:
    return {name: asdict(one) if is_dataclass(one) else one for name, one in status.items()}
