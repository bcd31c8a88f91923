"""The engine's tools for one job: each step is called once, or its reply comes from the journal."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from jobs.engine.context import Done
from jobs.engine.graph import Workflow
from jobs.engine.outlook import Outlook
from jobs.engine.results import Source, Stopped
from jobs.models import Job
from jobs.tools.contract.calls import Call, Earlier
from jobs.tools.contract.reply import Reply
from jobs.tools.gateway import Gateway
from jobs.worker.journal import JobJournal

LOOK_SECONDS = 0.05


def effect_key(job_id: UUID, step: str) -> str:
    """Return the key of a step's effect: 32 hex digits, the same for every attempt and after every crash.

    It is a hash of the installation, the job and the step's full name, which includes its stage and item.
    """
    parts = "\x00".join((settings.INSTALLATION, str(job_id), step))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def wanted(
    job: Job,
    flow: Workflow,
    gateway: Gateway,
    server: str,
    tool: str,
    args: Mapping[str, Any],
    *,
    stage: str,
    step: str,
    item: str,
) -> Call:
    """Return the call of a job's step, with its effect key. Raises UnknownTool.

    Its place among waiting calls depends on how long past calls took.
    """
    policy = gateway.policy(server, tool)
    size = policy.size(args)
    return Call(
        job=str(job.pk),
        order=job.created_at.timestamp(),
        stage=stage,
        step=step,
        item=item,
        server=server,
        tool=tool,
        args=dict(args),
        key=effect_key(job.pk, step),
        remaining=flow.remaining(stage, server, tool, gateway.durations, size),
        placing=policy.placing,
        size=size,
    )


class JobTools:
    """The engine's tools for one job. Once `stop` is set, nothing new is sent and sent calls finish."""

    def __init__(
        self,
        job: Job,
        flow: Workflow,
        gateway: Gateway,
        journal: JobJournal,
        stop: asyncio.Event,
        outlook: Outlook,
    ) -> None:
        self.job, self.flow, self.gateway, self.journal, self.stop = job, flow, gateway, journal, stop
        self.outlook = outlook

    def source(self, server: str) -> Source:
        """Return the source that a success on this server counts as."""
        return self.gateway.source(server)

    async def done(self, step: str) -> Done | None:
        """Return the recorded result of a step that has succeeded already, otherwise None."""
        return await self.journal.done(step)

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, stage: str, step: str, item: str
    ) -> Reply:
        """Make one call, or return the recorded reply of an earlier run. Raises ToolError and Stopped."""
        call = wanted(
            self.job, self.flow, self.gateway, server, tool, args, stage=stage, step=step, item=item
        )
        self.outlook.asked(step, stage, server, tool, call.size)
        try:
            recorded = await self.journal.recorded(call)
            if isinstance(recorded, Reply):
                return recorded
            return await self._unless_stopped(call, recorded)
        finally:
            self.outlook.call_ended(step)

    async def _unless_stopped(self, call: Call, earlier: Earlier) -> Reply:
        sending = asyncio.create_task(self.gateway.call(call, self.journal, earlier))
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            # an attempt in progress may finish; no further attempt may start, even after a backoff
            while not sending.done() and self.journal.in_flight(call.step):
                await asyncio.wait({sending}, timeout=LOOK_SECONDS)
            if not sending.done():
                sending.cancel()
                await asyncio.wait({sending})
                if sending.cancelled():
                    raise Stopped("the job was stopped before this call was sent")
            return await sending
        finally:
            stopping.cancel()
            sending.cancel()
