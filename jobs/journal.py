"""The gateway's journal over the ORM: each intent before its call is sent, each result after it."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from jobs import feed
from jobs.models import CallAttempt, Job, ToolCall
from jobs.tools.calls import Call, Outcome
from jobs.tools.errors import ToolError, ToolFailed, Unknown
from jobs.tools.reply import Reply
from jobs.workflow import events as ev
from jobs.workflow.results import Source, Stopped
from jobs.writer import Writer

LONGEST_TEXT = 20_000
State = ToolCall.State


class JobJournal:
    """One job's journal, written at the epoch of the worker that holds its lease.

    An intent is committed before its call is sent, in the transaction that checks the lease and whether the
    job was cancelled; a result commits together with its event. Each call is one ToolCall row, each sending
    one CallAttempt row. Image bytes are not kept: the stage stores its pictures as files. Once `stop` is set
    no intent is written any more; results still are.
    """

    def __init__(self, job: Job, writer: Writer, stop: asyncio.Event | None = None) -> None:
        self.job, self.writer, self.stop = job, writer, stop
        self._sent: set[str] = set()

    def in_flight(self, step: str) -> bool:
        """Tell whether an attempt of this step is, or may be, on its way."""
        return step in self._sent

    async def recorded(self, call: Call, *, repeatable: bool = False) -> Reply | None:
        """Give the reply that an earlier run got for this step; None when it is still to be done.

        Raises ToolFailed where it failed for good, and Unknown where nobody knows what became of it.
        """
        found = await self.writer.run(lambda: self._recorded(call, repeatable))
        if isinstance(found, ToolError):
            raise found  # out here: raised inside, it would undo what was written with it
        return found

    async def waiting(self, call: Call, in_use: int, limit: int) -> None:
        """Tell that the call waits for a permit."""
        event = ev.CallWaiting(**_where(call), in_use=in_use, limit=limit)
        await self._write(lambda: (self._row(call), feed.append(self.job.pk, [event], epoch=self.job.epoch)))

    async def intent(self, call: Call, attempt: int) -> None:
        """Commit the intent of an attempt.

        Raises Stopped when the job was cancelled or its lease is lost, and when its worker is to stop.
        """
        if self.stop is not None and self.stop.is_set():
            raise Stopped("the job was stopped before this attempt was sent")
        self._sent.add(call.step)
        try:
            await self._write(lambda: self._intend(call, attempt))
        except BaseException:
            self._sent.discard(call.step)
            raise

    async def result(self, call: Call, attempt: int, outcome: Outcome) -> None:
        """Commit how an attempt ended, with its event."""
        try:
            await self._write(lambda: self._conclude(call, attempt, outcome))
        finally:
            self._sent.discard(call.step)

    async def _write(self, work: Callable[[], Any]) -> None:
        await self.writer.run(work)

    # -- in the writer's thread, inside a transaction

    def _recorded(self, call: Call, repeatable: bool) -> Reply | ToolError | None:
        row = ToolCall.objects.filter(job=self.job, step=call.step).first()
        if row is None or row.state in (State.WAITING, State.RETRY):
            return None
        if row.state == State.DONE:
            return reply_of(row)
        if row.state == State.FAILED:
            return ToolFailed(row.error)
        if row.state == State.SENT:
            if repeatable:
                return None
            # its worker died between intent and result: whether it took effect is not ours to guess
            reason = "the worker was lost while this call was under way; it may have taken effect"
            self._conclude(call, row.attempts, Outcome("unknown", reason))
            return Unknown(reason)
        return Unknown(row.error)

    def _row(self, call: Call) -> ToolCall:
        row, _ = ToolCall.objects.get_or_create(
            job=self.job,
            step=call.step,
            defaults={
                "stage": call.stage,
                "item": call.item[:200],
                "server": call.server,
                "tool": call.tool,
                "key": call.key,
                "args": dict(call.args),
                "args_hash": args_hash(call.args),
            },
        )
        return row

    def _intend(self, call: Call, attempt: int) -> None:
        start = ev.CallStart(**_where(call), attempt=attempt)
        feed.append(self.job.pk, [start], epoch=self.job.epoch)  # first: it takes the job row's lock
        if Job.objects.filter(pk=self.job.pk, cancel_asked_at__isnull=False).exists():
            raise Stopped("the job was cancelled")
        row = self._row(call)
        row.state, row.attempts = State.SENT, attempt
        row.save(update_fields=["state", "attempts"])
        CallAttempt.objects.create(call=row, number=attempt, epoch=self.job.epoch)

    def _conclude(self, call: Call, attempt: int, outcome: Outcome) -> None:
        feed.append(self.job.pk, [_event(call, attempt, outcome)], epoch=self.job.epoch)
        row = self._row(call)
        now, reply = timezone.now(), outcome.reply
        row.state, row.attempts, row.error = State(outcome.state), attempt, outcome.reason[:500]
        row.waited, row.took = row.waited + outcome.waited, outcome.took
        row.ended_at = None if row.state == State.RETRY else now
        if reply is not None:
            row.reply = {"data": reply.data, "text": reply.text[:LONGEST_TEXT]}
            row.remote_id, row.remote_url = reply.remote_id[:300], reply.remote_url[:2000]
            row.source = reply.source
        row.save()
        row.tries.filter(number=attempt, epoch=self.job.epoch, ended_at=None).update(
            ended_at=now, outcome=outcome.state, detail=outcome.reason[:500]
        )


def leave_unknown(job: Job, reason: str) -> None:
    """Tell of every call that was under way when its job broke that nobody knows what became of it."""
    for row in ToolCall.objects.filter(job=job, state=State.SENT):
        where = {name: getattr(row, name) for name in ("stage", "step", "server", "tool", "item")}
        feed.append(job.pk, [ev.CallUnknown(**where, attempt=row.attempts, reason=reason)], epoch=job.epoch)
        row.state, row.error, row.ended_at = State.UNKNOWN, reason[:500], timezone.now()
        row.save(update_fields=["state", "error", "ended_at"])
        row.tries.filter(ended_at=None).update(
            ended_at=row.ended_at, outcome=State.UNKNOWN, detail=reason[:500]
        )


def reply_of(row: ToolCall) -> Reply:
    """Build the reply of a finished call back from its row."""
    kept = row.reply or {}
    return Reply(
        data=kept.get("data", {}),
        text=kept.get("text", ""),
        remote_id=row.remote_id,
        remote_url=row.remote_url,
        source=Source(row.source or Source.LIVE),
    )


def args_hash(args: Any) -> str:
    """Give the SHA-256 of a call's arguments, the same for every order of their names."""
    text = json.dumps(dict(args), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _where(call: Call) -> dict[str, str]:
    return {
        "stage": call.stage,
        "step": call.step,
        "server": call.server,
        "tool": call.tool,
        "item": call.item,
    }


def _event(call: Call, attempt: int, outcome: Outcome) -> ev.Event:
    if outcome.state == "retry":
        return ev.CallRetry(**_where(call), attempt=attempt, delay=outcome.delay, reason=outcome.reason)
    if outcome.state == "unknown":
        return ev.CallUnknown(**_where(call), attempt=attempt, reason=outcome.reason)
    reply = outcome.reply
    return ev.CallComplete(
        **_where(call),
        state=outcome.state,
        attempt=attempt,
        waited=round(outcome.waited, 3),
        took=round(outcome.took, 3),
        remote_id=reply.remote_id if reply else "",
        remote_url=reply.remote_url if reply else "",
        source=str(reply.source) if reply and outcome.state == "done" else "",
        error=outcome.reason if outcome.state == "failed" else "",
    )
