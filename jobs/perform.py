"""One job's run in a worker: where engine, gateway, journal, feed and files meet."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import OperationalError

from jobs import actions, feed
from jobs.files import JobFiles
from jobs.journal import JobJournal, leave_unknown
from jobs.models import Job
from jobs.tools.gateway import Call, Gateway, Reply
from jobs.workflow import events as ev
from jobs.workflow.context import JobInfo
from jobs.workflow.graph import Workflow
from jobs.workflow.progress import Progress
from jobs.workflow.results import Source, StageResult, Status, Stopped, Timing, judge_job
from jobs.workflow.runner import Before, Runner
from jobs.workflows import workflow
from jobs.writer import Writer

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.05


def effect_key(job_id: object, step: str) -> str:
    """Give the key of a step's effect: 32 hex digits, the same for every attempt and after every crash.

    A hash of installation, job and the step's full name, which holds its stage, step and item.
    """
    parts = "\x00".join((settings.INSTALLATION, str(job_id), step))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


class JobTools:
    """The engine's door to the gateway for one job. `stop` set: nothing new is sent, what is sent ends."""

    def __init__(
        self, job: Job, flow: Workflow, gateway: Gateway, journal: JobJournal, stop: asyncio.Event
    ) -> None:
        self.job, self.flow, self.gateway, self.journal, self.stop = job, flow, gateway, journal, stop

    def source(self, server: str) -> Source:
        """Give what a success on this server is called."""
        return self.gateway.source(server)

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, stage: str, step: str, item: str
    ) -> Reply:
        """Make one call, or give the recorded reply of an earlier run. Raises ToolError and Stopped."""
        call = Call(
            job=str(self.job.pk),
            order=self.job.created_at.timestamp(),
            stage=stage,
            step=step,
            item=item,
            server=server,
            tool=tool,
            args=dict(args),
            key=effect_key(self.job.pk, step),
            remaining=self.flow.remaining(stage, server, tool),
        )
        recorded = await self.journal.recorded(call, repeatable=self.gateway.repeatable(call))
        if recorded is not None:
            return recorded
        return await self._unless_stopped(call)

    async def _unless_stopped(self, call: Call) -> Reply:
        sending = asyncio.create_task(self.gateway.call(call, self.journal))
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            # an attempt that is under way may end; one that is still to come, after a back-off too, may not
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


def before(progress: Progress, recorded: list[ev.Recorded]) -> Before:
    """Give what an earlier run of this job has left in its log."""
    results = {
        one.event.stage: StageResult(
            status=Status(one.event.status),
            made=one.event.current,
            total=one.event.total,
            artifacts=one.event.artifacts,
            data=one.event.data,
            error=one.event.error,
        )
        for one in recorded
        if isinstance(one.event, ev.StageEnd)
    }
    started = frozenset(stage.id for stage in progress.stages if stage.started_at)
    made = {stage.id: stage.current for stage in progress.stages}
    timings = {
        stage.id: Timing(stage.started_at, stage.seconds or 0.0)
        for stage in progress.stages
        if stage.ended and stage.started_at
    }
    return Before(results, started, made, timings)


async def perform(job: Job, *, gateway: Gateway, writer: Writer, stop: asyncio.Event) -> None:
    """Run a job that this worker holds the lease of, to its end or until it is stopped.

    Raises Stopped when the job was stopped by its worker; the caller decides what becomes of it.
    """

    async def emit(event: ev.Event) -> None:
        await writer.run(lambda: feed.append(job.pk, [event], epoch=job.epoch))

    flow = workflow(job.workflow)
    flow = flow.select(tuple(id for id, _ in job.plan))
    recorded = await writer.run(lambda: list(feed.whole(job.pk)))
    if job.epoch > 1:
        await emit(ev.JobResumed(epoch=job.epoch, reason="its last worker gave it back or was lost"))
    brief = flow.load(job.params)
    runner = Runner(
        flow,
        job=JobInfo(str(job.pk), job.title, job.created_at.date()),
        brief=brief,
        tools=JobTools(job, flow, gateway, JobJournal(job, writer, stop), stop),
        files=JobFiles(job.folder),
        emit=emit,
        before=before(Progress.from_events(recorded), recorded),
    )
    await runner.run()


async def perform_safely(job: Job, *, gateway: Gateway, writer: Writer, stop: asyncio.Event) -> None:
    """Run a job so that it always ends or is given back: what breaks it is told in its log."""
    try:
        await perform(job, gateway=gateway, writer=writer, stop=stop)
    except (Stopped, asyncio.CancelledError):
        await writer.run(lambda: actions.hand_over(job.pk, job.epoch))
        raise
    except OperationalError:
        raise  # the database is away, not the job broken: its lease runs out, and it is taken up again
    except Exception as error:
        log.exception("job %s broke", job.pk)
        reason = f"internal error ({type(error).__name__}); the worker's log has the details"
        await writer.run(lambda: _end_broken(job, reason))


def _end_broken(job: Job, reason: str) -> None:
    """End a job that broke by what its stages had become; runs in the writer's thread."""
    leave_unknown(job, "the job broke while this call was under way; it may have taken effect")
    progress = feed.progress(job.pk)
    judged = judge_job({stage.id: stage.status for stage in progress.stages}, unknown=True)
    end = ev.WorkflowComplete(
        status=judged, total_stages=len(job.plan), error=reason, artifacts=tuple(progress.artifacts)
    )
    feed.append(job.pk, [end], epoch=job.epoch)
