"""One job's run in a worker: it connects engine, gateway, journal, feed and files."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime

from django.utils import timezone

from jobs.acts import actions, spending
from jobs.acts.answers import leave_unknown
from jobs.engine import events as ev
from jobs.engine.context import Tools
from jobs.engine.outlook import Outlook
from jobs.engine.progress import Progress
from jobs.engine.results import JobStatus, StageResult, Status, Stopped, Timing, judge_job
from jobs.engine.runner import Before, Runner
from jobs.models import ENDED, Job
from jobs.registry import workflow
from jobs.store import feed
from jobs.store.files import JobFiles
from jobs.store.writer import PASSING, Writer
from jobs.tools.gateway import Gateway
from jobs.worker import leases
from jobs.worker.dry_run import DryRun, plan
from jobs.worker.job_tools import JobTools
from jobs.worker.journal import JobJournal
from jobs.worker.leases import Lease
from jobs.worker.outlooks import Outlooks

log = logging.getLogger(__name__)


def before(progress: Progress, recorded: list[ev.Recorded]) -> Before:
    """Return what earlier runs of this job have left in its log.

    Of a stage that a later round runs again only the number of items made counts, so that it never falls.
    """
    ends = ev.stage_ends(one.event for one in recorded)
    results = {
        id: StageResult(
            status=Status(end.status),
            made=end.current,
            total=end.total,
            artifacts=end.artifacts,
            data=end.data,
            error=end.error,
        )
        for id, end in ends.items()
    }
    # a stage that counts as skipped only because a round ended starts again
    started = {
        stage.id: stage.started_at
        for stage in progress.stages
        if stage.started_at and (stage.id in ends or not stage.ended)
    }
    made = {stage.id: stage.current for stage in progress.stages}
    timings = {
        stage.id: Timing(stage.started_at, stage.seconds or 0.0)
        for stage in progress.stages
        if stage.id in ends and stage.started_at
    }
    unknown = frozenset(call.step for call in progress.calls.values() if call.state == "unknown")
    return Before(results, started, made, timings, unknown)


async def perform(
    job: Job,
    *,
    gateway: Gateway,
    writer: Writer,
    stop: asyncio.Event,
    lease: Lease,
    outlooks: Outlooks | None = None,
) -> None:
    """Run a job whose lease this worker holds, until it ends or is stopped.

    `outlooks` records meanwhile how long it will take.

    Raises Stopped if the worker stopped the job; the caller then releases or ends it.
    """

    async def emit(event: ev.Event) -> datetime:
        if isinstance(event, ev.StageEnd):
            outlook.stage_ended(event.stage)
        if isinstance(event, ev.WorkflowComplete):
            return await writer.run(lambda: _end_round(job, event, planned if job.dry_run else None))
        return await writer.run(lambda: _record(job, event))

    flow = workflow(job.workflow).by_plan(job.plan)
    journal = JobJournal(job, writer, stop, may_send=lease.good)

    def planned() -> ev.JobPlanned:
        return plan(job, flow, gateway)

    recorded = await writer.run(lambda: list(feed.whole(job.pk)))
    await journal.begin()
    progress = Progress.from_events(recorded)
    if progress.status is JobStatus.RUNNING:
        await emit(ev.JobResumed(epoch=job.epoch, reason="its last worker released it or was lost"))
    brief = flow.load(job.params)
    outlook = Outlook(flow, brief, order=job.created_at.timestamp(), sent_at=journal.sent_at)
    tools: Tools = (
        DryRun(job, flow, gateway, writer, stop)
        if job.dry_run
        else JobTools(job, flow, gateway, journal, stop, outlook)
    )
    earlier = before(progress, recorded)
    for stage in earlier.results:
        outlook.stage_ended(stage)
    runner = Runner(
        flow,
        job=spending.informed(job),
        brief=brief,
        tools=tools,
        files=JobFiles(job.folder),
        emit=emit,
        before=earlier,
    )
    with outlooks.watching(job, outlook) if outlooks and not job.dry_run else nullcontext():
        await runner.run()


def _record(job: Job, event: ev.Event) -> datetime:
    """Add an event to the log at the worker's epoch and return its time; in the writer's thread."""
    return feed.append(job.pk, [event], epoch=job.epoch)[-1].at


def _end_round(
    job: Job, end: ev.WorkflowComplete, planned: Callable[[], ev.JobPlanned] | None = None
) -> datetime:
    """End the job's round as its runner asks and return the time; in the writer's thread.

    `planned` returns the result of a dry run, which is recorded before its end.
    """
    if planned is not None:
        feed.append(job.pk, [planned()], epoch=job.epoch)
    # no call should be open here; one that is becomes unknown, and then the job is not completed
    left = leave_unknown(job, "the job ended while this call was in progress; it may have taken effect")
    if left and end.status == JobStatus.COMPLETED:
        end = replace(end, status=JobStatus.PARTIAL)
    actions.finish(job.pk, job.epoch, end)
    return timezone.now()


async def perform_safely(
    job: Job,
    *,
    gateway: Gateway,
    writer: Writer,
    stop: asyncio.Event,
    lease: Lease,
    outlooks: Outlooks | None = None,
) -> None:
    """Run a job so that it always ends or is released; what broke it is recorded in its log."""
    try:
        await perform(job, gateway=gateway, writer=writer, stop=stop, lease=lease, outlooks=outlooks)
    except (Stopped, asyncio.CancelledError):
        if await writer.run(lambda: _ended_as_cancelled(job)):
            return
        await writer.run(lambda: leases.hand_over(job.pk, job.epoch))
        raise
    except PASSING:
        raise  # the database is unavailable, the job is not broken: its lease expires, and it resumes
    except Exception as error:
        log.exception("job %s broke", job.pk)
        reason = f"internal error ({type(error).__name__}); the worker's log has the details"
        await writer.run(lambda: _end_broken(job, reason))


def _ended_as_cancelled(job: Job) -> bool:
    """End a job that is being cancelled, if this worker still holds it; in the writer's thread."""
    held = Job.objects.filter(pk=job.pk, epoch=job.epoch, leased_by=job.leased_by)
    if not held.filter(cancel_asked_at__isnull=False).exclude(status__in=ENDED).exists():
        return False
    leave_unknown(job, "the job was cancelled while this call was in progress; it may have taken effect")
    actions.finish(job.pk, job.epoch, _end(job, JobStatus.CANCELLED))
    return True


def _end_broken(job: Job, reason: str) -> None:
    """End a job that broke, judged by the state of its stages; in the writer's thread."""
    leave_unknown(job, "the job broke while this call was in progress; it may have taken effect")
    stages = feed.progress(job.pk).stages
    judged = judge_job({stage.id: stage.status for stage in stages}, unknown=True)
    actions.finish(job.pk, job.epoch, _end(job, judged, reason))


def _end(job: Job, status: JobStatus, reason: str = "") -> ev.WorkflowComplete:
    artifacts = tuple(feed.progress(job.pk).artifacts)
    return ev.WorkflowComplete(status=status, total_stages=len(job.plan), error=reason, artifacts=artifacts)
