"""The gateway's journal in the database: each intent before its call is sent, each result after it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.db.models import Q
from django.utils import timezone

from jobs.acts import spending
from jobs.engine import events as ev
from jobs.engine.context import Done
from jobs.engine.results import Stopped
from jobs.models import CallAttempt, Job, ToolCall
from jobs.store import feed, rows
from jobs.store.calls import (
    ANSWERED,
    CallRows,
    Place,
    arguments,
    call_hash,
    denied,
    refused,
    reply_of,
    sent,
    unsettled,
)
from jobs.store.writer import Writer
from jobs.tools.contract.calls import Call, Earlier, Outcome, ServerProcess
from jobs.tools.contract.errors import CircuitOpen, SpendRefused, ToolError, ToolFailed, Unknown
from jobs.tools.contract.reply import Reply

LONGEST_TEXT = 20_000
OTHER_ARGUMENTS = "already sent with different arguments"
State = ToolCall.State


class JobJournal:
    """One job's journal, written at the epoch of the worker that holds its lease.

    An intent is committed before its call is sent, in the transaction that checks the lease, whether the job
    was cancelled and whether it may commit spend; a result commits together with its event. Each call is one
    ToolCall row, each attempt one CallAttempt row. Image bytes are not kept: the stage stores its pictures as
    files. Once `stop` is set no more intents are written; results still are. `may_send` returns whether the
    lease is valid by this machine's clock: a worker that slept past its lease sends nothing.
    """

    def __init__(
        self,
        job: Job,
        writer: Writer,
        stop: asyncio.Event | None = None,
        *,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self.job, self.writer, self.stop = job, writer, stop
        self.may_send = may_send
        self._sent: dict[str, float] = {}
        self._rows = CallRows(job)
        self._tries: dict[tuple[str, int], int] = {}  # rows of attempts whose intent is committed
        self._down: set[str] = set()

    def in_flight(self, step: str) -> bool:
        """Return whether an attempt of this step is, or may be, in progress."""
        return step in self._sent

    def sent_at(self, step: str) -> float | None:
        """Return when the step's attempt in progress was sent, by `time.monotonic`; None if there is none."""
        return self._sent.get(step)

    async def done(self, step: str) -> Done | None:
        """Return a step that has succeeded already, with the arguments that were sent, otherwise None."""
        return None if self._rows.is_new(step) else await self.writer.run(lambda: self._done(step))

    async def begin(self) -> None:
        """Load which steps have rows from earlier runs, so that no query is needed for the others."""
        steps = ToolCall.objects.filter(job=self.job).values_list("step", flat=True)
        self._rows.begin(await self.writer.run(lambda: list(steps.all())))

    async def recorded(self, call: Call) -> Reply | Earlier:
        """Return the reply that an earlier run got for this step, or what that run has left of it.

        Raises ToolFailed if the call failed for good or a person skipped it, and Unknown if its outcome is
        unknown or it was sent with other arguments than now.
        """
        if self._rows.is_new(call.step):
            return Earlier()
        found = await self.writer.run(lambda: self._recorded(call))
        if isinstance(found, ToolError):
            raise found  # raised inside the transaction, it would roll back what was written with it
        if isinstance(found, Earlier) and found.sent is not None:
            self._sent[call.step] = time.monotonic()  # it may be in progress until its outcome is known
        return found

    async def waiting(self, call: Call, in_use: int, limit: int) -> None:
        """Record that the call is waiting for a permit."""
        event = ev.CallWaiting(**ev.call_fields(call), in_use=in_use, limit=limit)
        place = self._rows.place(call.step)
        row = await self.writer.run(lambda: self._wait(call, event, place))
        self._rows.committed(call.step, row)

    async def intent(
        self, call: Call, attempt: int, *, process: ServerProcess | None = None, spends: bool = False
    ) -> None:
        """Commit the intent of an attempt that goes to `process` (None: not a process of ours).

        Raises Stopped if the job was cancelled, its lease is lost or its worker is stopping. Raises
        SpendRefused if the call commits spend (`spends`) and no user who still has permission to spend has
        allowed it in this round for the line it names.
        """
        if self.stop is not None and self.stop.is_set():
            raise Stopped("the job was stopped before this attempt was sent")
        self._sent[call.step] = time.monotonic()
        try:
            place = self._rows.place(call.step)
            intend = self.writer.run(lambda: self._intend(call, place, attempt, process, spends))
            row, self._tries[call.step, attempt] = await intend
            self._rows.committed(call.step, row)
        except BaseException:
            self._sent.pop(call.step, None)
            raise

    async def result(self, call: Call, attempt: int, outcome: Outcome) -> None:
        """Commit the outcome of an attempt, with its event."""
        try:
            place, tried = self._rows.place(call.step), self._tries.get((call.step, attempt))
            row = await self.writer.run(lambda: self._conclude(call, place, tried, attempt, outcome))
            self._rows.committed(call.step, row)
        finally:
            self._sent.pop(call.step, None)

    # -- in the writer's thread, inside a transaction

    def _recorded(self, call: Call) -> Reply | Earlier | ToolError:
        row = ToolCall.objects.filter(job=self.job, step=call.step).first()
        if row is None:
            return Earlier()
        open_ = unsettled(row)
        made = open_ or row.state in (State.DONE, State.SENT)
        if made and row.args_hash not in (ANSWERED, call_hash(call)):
            return self._conflict(call, row)
        match row.state:
            case State.DONE:
                return reply_of(row)
            case State.FAILED | State.SKIPPED:
                return ToolFailed(row.error, reply_of(row) if row.reply else None)
            case State.UNKNOWN:
                return Unknown(row.error)
            case State.SENT:
                return Earlier(row.attempts, sent(row))
        return Earlier(row.attempts, open_, refused(row), denied(row))

    def _conflict(self, call: Call, row: ToolCall) -> Unknown:
        """Record the call as unknown: what exists under its key was made from other arguments."""
        reason = f"{OTHER_ARGUMENTS}; check whether what exists is what you want"
        place = Place(row.pk, new=False)
        self._conclude(call, place, None, row.attempts, Outcome("unknown", reason))
        return Unknown(reason)

    def _done(self, step: str) -> Done | None:
        row = ToolCall.objects.filter(job=self.job, step=step, state=State.DONE).first()
        return Done(row.args, reply_of(row)) if row else None

    def _wait(self, call: Call, event: ev.CallWaiting, place: Place) -> int:
        feed.append(self.job.pk, [event], epoch=self.job.epoch)
        return self._rows.keep(call, place)

    def _intend(
        self, call: Call, place: Place, attempt: int, process: ServerProcess | None, spends: bool
    ) -> tuple[int, int]:
        start = ev.CallStart(**ev.call_fields(call), attempt=attempt)
        # first: it locks the job's row and finds out whether the job was cancelled
        feed.append(self.job.pk, [start], epoch=self.job.epoch, begins=True)
        if spends:
            _check_spend(Job.objects.only("spend_by", "confirmed").get(pk=self.job.pk), call)
        again = place.again
        # a call that was never done may have new arguments
        row = self._rows.keep(call, place, state=State.SENT, attempts=attempt, **arguments(call))
        if again:  # the reply to a commit was lost: keep one intent per attempt
            CallAttempt.objects.filter(call_id=row, number=attempt, epoch=self.job.epoch).delete()
        stored = asdict(process) if process else None
        return row, rows.insert(
            CallAttempt, call_id=row, number=attempt, epoch=self.job.epoch, process=stored
        )

    def _conclude(self, call: Call, place: Place, tried: int | None, attempt: int, outcome: Outcome) -> int:
        events = [*self._circuit_event(call, outcome), _event(call, attempt, outcome)]
        feed.append(self.job.pk, events, epoch=self.job.epoch)
        now, reply = timezone.now(), outcome.reply
        values = {
            "state": State(outcome.state),
            "attempts": attempt,
            "error": outcome.reason[:500],
            "took": outcome.took,
            "ended_at": None if outcome.state == "retry" else now,
        }
        if reply is not None:
            values |= {
                "reply": {"data": reply.data, "text": reply.text[:LONGEST_TEXT]},
                "remote_id": reply.remote_id[:300],
                "remote_url": reply.remote_url[:2000],
                "source": reply.source,
            }
        row = self._rows.keep(call, place, outcome.waited, **values)
        end: dict[str, Any] = {
            "ended_at": now,
            "outcome": State.UNKNOWN if outcome.doubt else outcome.state,
            "detail": outcome.reason[:500],
        }
        if tried is not None:
            rows.update(CallAttempt, tried, **end)
        else:
            # a lost attempt has ended with its job already; its outcome is known only now
            tries = CallAttempt.objects.filter(call_id=row, number=attempt)
            tries.filter(Q(ended_at=None) | Q(outcome=CallAttempt.LOST)).update(**end)
        return row

    def _circuit_event(self, call: Call, outcome: Outcome) -> list[ev.Event]:
        """Return the event that calls to a server are paused, once and not with every refused call."""
        if outcome.state == "done":
            self._down.discard(call.server)
        elif isinstance(outcome.error, CircuitOpen) and call.server not in self._down:
            self._down.add(call.server)
            return [ev.JobServerDown(server=call.server, reason=outcome.error.reason)]
        return []


def _check_spend(job: Job, call: Call) -> None:
    """Raise SpendRefused unless a user who still has permission to spend has allowed this call."""
    if job.spend_by is None:
        raise SpendRefused("no one has allowed this job to commit spend")
    if not spending.allows(job, call.server, call.args):
        raise SpendRefused("no one has allowed this line to go live")
    if not spending.may_spend(job.spend_by):
        name = job.spend_by.get_username()
        raise SpendRefused(f"{name}, who allowed it, no longer has permission to spend")


def _event(call: Call, attempt: int, outcome: Outcome) -> ev.Event:
    if outcome.state == "retry":
        return ev.CallRetry(
            **ev.call_fields(call), attempt=attempt, delay=outcome.delay, reason=outcome.reason
        )
    if outcome.state == "unknown":
        return ev.CallUnknown(**ev.call_fields(call), attempt=attempt, reason=outcome.reason)
    reply = outcome.reply
    return ev.CallComplete(
        **ev.call_fields(call),
        state=outcome.state,
        attempt=attempt,
        waited=round(outcome.waited, 3),
        took=round(outcome.took, 3),
        remote_id=reply.remote_id if reply else "",
        remote_url=reply.remote_url if reply else "",
        source=str(reply.source) if reply and outcome.state == "done" else "",
        error=outcome.reason if outcome.state == "failed" else "",
    )
