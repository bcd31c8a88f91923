"""The tools of a dry run: every call is checked and recorded and gets a made-up reply; none is sent."""

import asyncio
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from jobs.engine import events as ev
from jobs.engine.context import Done
from jobs.engine.estimate import PlannedCall, estimate, expected
from jobs.engine.graph import Workflow
from jobs.engine.results import Source, Stopped
from jobs.models import Job, ToolCall
from jobs.store import feed
from jobs.store.calls import added, call_hash
from jobs.store.writer import Writer
from jobs.tools.contract.calls import Call
from jobs.tools.contract.errors import ToolError, ToolFailed
from jobs.tools.contract.reply import Reply
from jobs.tools.dry_run import DryRunCall, made_up, steps_in
from jobs.tools.gateway import Gateway
from jobs.worker.job_tools import wanted

State = ToolCall.State


class DryRun:
    """The engine's tools for one dry run, as JobTools is for a launch. `stop` ends the checks.

    A call that would be sent is stored as `planned`, one that could not be as `failed` with the reason. Row
    and event are committed together, at the epoch of the worker that holds the job. A later worker returns
    what is stored already.
    """

    def __init__(
        self, job: Job, flow: Workflow, gateway: Gateway, writer: Writer, stop: asyncio.Event
    ) -> None:
        self.job, self.flow, self.gateway, self.writer, self.stop = job, flow, gateway, writer, stop

    def source(self, server: str) -> Source:
        """Return SIMULATED for every server: nothing is made there."""
        return Source.SIMULATED

    async def done(self, step: str) -> Done | None:
        """Return a step that is planned already, with the arguments it was asked for with, otherwise None."""
        return await self.writer.run(lambda: self._done(step))

    async def call(
        self, server: str, tool: str, args: Mapping[str, Any], *, stage: str, step: str, item: str
    ) -> Reply:
        """Dry-run one call and return its made-up reply. Raises ToolError and Stopped."""
        call = wanted(
            self.job, self.flow, self.gateway, server, tool, args, stage=stage, step=step, item=item
        )
        found = await self.writer.run(lambda: self._recorded(call))
        if isinstance(found, ToolError):
            raise found
        if found is not None:
            return found
        outcome = await self._unless_stopped(call)
        await self.writer.run(lambda: self._conclude(call, outcome))
        if isinstance(outcome, ToolError):
            raise outcome
        return outcome.reply

    async def _unless_stopped(self, call: Call) -> DryRunCall | ToolError:
        """Return how the dry run of the call ended. Raises Stopped at once: no call has to finish first."""
        checking = asyncio.create_task(self.gateway.dry_run(call))
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({checking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self.stop.is_set():
                raise Stopped("the dry run was stopped before this call was checked")
            return checking.result()
        except ToolError as error:
            return error
        finally:
            stopping.cancel()
            checking.cancel()
            # collects the result of the check, which no one reads once the job is stopped
            await asyncio.gather(checking, stopping, return_exceptions=True)

    def _expected(self, call: Call) -> float:
        learned = self.gateway.durations
        return expected(self.flow, call.stage, call.server, call.tool, learned, call.size)

    # -- in the writer's thread, inside a transaction

    def _done(self, step: str) -> Done | None:
        row = ToolCall.objects.filter(job=self.job, step=step, state=State.PLANNED).first()
        return Done(row.args, self._reply(row)) if row else None

    def _reply(self, row: ToolCall) -> Reply:
        return made_up(row.step, self.gateway.policy(row.server, row.tool))

    def _recorded(self, call: Call) -> Reply | ToolError | None:
        """Return an earlier worker's result for this step, or None if it is still to be checked."""
        row = ToolCall.objects.filter(job=self.job, step=call.step).first()
        if row is None or row.args_hash != call_hash(call):
            return None
        if row.state == State.PLANNED:
            return self._reply(row)
        return ToolFailed(row.error) if row.state == State.FAILED else None

    def _conclude(self, call: Call, outcome: DryRunCall | ToolError) -> None:
        where = ev.call_fields(call)
        planned = isinstance(outcome, DryRunCall)
        event: ev.Event
        if isinstance(outcome, DryRunCall):
            seconds = self._expected(call)
            event = ev.CallPlanned(
                **where, seconds=seconds, limit=outcome.limit, per_minute=outcome.per_minute
            )
        else:
            event = ev.CallComplete(
                **where, state="failed", attempt=0, waited=0.0, took=0.0, error=outcome.message
            )
        feed.append(self.job.pk, [event], epoch=self.job.epoch)  # first: it takes the job row's lock
        if Job.objects.only("cancel_asked_at").get(pk=self.job.pk).cancel_asked_at is not None:
            raise Stopped("the dry run was cancelled")
        values = {
            **where,
            "item": call.item[:200],
            "key": call.key,
            "args": dict(call.args),
            "args_hash": call_hash(call),
            "state": State.PLANNED if planned else State.FAILED,
            "error": "" if isinstance(outcome, DryRunCall) else outcome.message[:500],
            "reply": {"added": added(call, outcome)} if isinstance(outcome, DryRunCall) else None,
            "ended_at": timezone.now(),
        }
        ToolCall.objects.update_or_create(job=self.job, step=call.step, defaults=values)


def plan(job: Job, flow: Workflow, gateway: Gateway) -> ev.JobPlanned:
    """Return the result of a dry run, from its planned calls; in the writer's thread, at the job's end."""
    rows = list(ToolCall.objects.filter(job=job, state=State.PLANNED).order_by("ended_at", "id"))
    calls = [
        PlannedCall(
            **ev.call_fields(row),
            seconds=expected(flow, row.stage, row.server, row.tool, gateway.durations, size),
            after=tuple(steps_in(row.args)),
            size=size,
        )
        for row in rows
        for size in (gateway.policy(row.server, row.tool).size(row.args),)
    ]
    place = {stage.id: index for index, stage in enumerate(flow.stages)}
    servers: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: (place[row.stage], row.server)):
        servers[row.server] = servers.get(row.server, 0) + 1
    found = estimate(flow, calls, gateway.limits(), gateway.durations)
    return ev.JobPlanned(
        calls=len(calls), seconds=round(found.seconds, 1), bound=round(found.bound, 1), servers=servers
    )
