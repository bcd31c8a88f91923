"""The rows of one job's calls: which exist, as far as is committed, and how they are written."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from jobs.engine.events import call_fields
from jobs.engine.results import Source
from jobs.models import CallAttempt, Job, ToolCall
from jobs.store import rows
from jobs.tools.contract.calls import Call, Sent
from jobs.tools.contract.reply import Reply
from jobs.tools.dry_run import DryRunCall
from jobs.tools.wire.fence import from_json

State = ToolCall.State
ANSWERED = ""  # the args_hash of a call that a person resolved: it matches any arguments


@dataclass
class Place:
    """What was known of a call's row when its write was requested: its id, or that it is `new`.

    If neither is known, the write looks the row up. So does one that is done `again`: the database may have
    committed it and only the reply was lost.
    """

    row: int | None
    new: bool
    again: bool = field(default=False, compare=False)


class CallRows:
    """Keeps track of a job's call rows by what was committed, never by what may be rolled back.

    No one else adds rows while we hold the job's lease, so no query is needed for a step without a row.
    Asked in the loop, written in the writer's thread.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._there: set[str] | None = None  # steps that may have a row; None until they are loaded
        self._known: dict[str, int] = {}

    def begin(self, steps: Iterable[str]) -> None:
        """Set the steps that have rows from earlier runs; there must be no others."""
        self._there = set(steps)

    def is_new(self, step: str) -> bool:
        """Return whether a step certainly has no row yet."""
        return self._there is not None and step not in self._there

    def place(self, step: str) -> Place:
        """Return what is known of a step's row, for a write that creates it if needed."""
        new = self.is_new(step)
        if new and self._there is not None:
            self._there.add(step)  # it may exist from now on, even if the reply to its commit is lost
        return Place(self._known.get(step), new)

    def committed(self, step: str, row: int) -> None:
        """Note the id of a step's row, whose transaction is committed."""
        self._known[step] = row

    def keep(self, call: Call, place: Place, waited: float = 0.0, **values: Any) -> int:
        """Update a call's row with these values, add to its seconds of waiting, and return its id.

        The row is created if there is none. In the writer's thread.
        """
        surely_new, place.again = place.new and not place.again, True
        row = self._find(call.step) if place.row is None and not surely_new else place.row
        if row is None:
            return rows.insert(ToolCall, job_id=self._job.pk, waited=waited, **(_asked(call) | values))
        if values:
            rows.update(ToolCall, row, {"waited": waited}, **values)
        return row

    def _find(self, step: str) -> int | None:
        return ToolCall.objects.filter(job=self._job, step=step).values_list("pk", flat=True).first()


def call_hash(call: Call) -> str:
    """Return the SHA-256 of a call's arguments, in any order and without placing arguments."""
    what = {name: value for name, value in call.args.items() if name not in call.placing}
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def arguments(call: Call) -> dict[str, Any]:
    """Return the fields that a row holds of a call's arguments."""
    return {"args": dict(call.args), "args_hash": call_hash(call)}


def _asked(call: Call) -> dict[str, Any]:
    return {**call_fields(call), "item": call.item[:200], "key": call.key, **arguments(call)}


def reply_of(row: ToolCall) -> Reply:
    """Return the reply of a finished call, rebuilt from its row."""
    kept = row.reply or {}
    return Reply(
        data=kept.get("data", {}),
        text=kept.get("text", ""),
        remote_id=row.remote_id,
        remote_url=row.remote_url,
        source=Source(row.source or Source.LIVE),
    )


def sent(row: ToolCall) -> Sent:
    """Return the attempt of a call that is in progress."""
    attempt = row.tries.filter(ended_at=None).order_by("id").last()
    at = attempt.sent_at if attempt else row.created_at
    return Sent(at, from_json(attempt.process) if attempt else None, row.args)


def unsettled(row: ToolCall) -> Sent | None:
    """Return the last attempt of a call that is to be sent again although its outcome is unknown, else None.

    Its job ended during it, or a person skipped it and then retried it without saying that it is absent.
    """
    if row.state not in (State.WAITING, State.RETRY):
        return None
    last = row.tries.order_by("id").last()
    if last is None or last.outcome not in CallAttempt.IN_DOUBT:
        return None
    return Sent(last.sent_at, from_json(last.process), row.args, "the outcome of this call was never settled")


def refused(row: ToolCall) -> bool:
    """Return whether the tool itself reported the last attempt of this call as failed."""
    last = row.tries.order_by("id").last()
    return last is not None and last.outcome == State.FAILED


def denied(row: ToolCall) -> Sent | None:
    """Return the last attempt of a call that is sent again because a person said it is absent, else None."""
    last = row.tries.order_by("id").last()
    if last is None or last.outcome != CallAttempt.ABSENT:
        return None
    return Sent(last.sent_at, from_json(last.process), row.args, "a person said it is absent")


def added(call: Call, checked: DryRunCall) -> dict[str, Any]:
    """Return the arguments that would be sent differently from what the stage asked: with a key or marker."""
    return {
        name: value
        for name, value in checked.arguments.items()
        if name not in call.args or call.args[name] != value
    }


def would_send(row: ToolCall) -> dict[str, Any]:
    """Return the arguments of a planned call exactly as it would send them, otherwise as asked."""
    added = row.reply["added"] if row.state == State.PLANNED and row.reply else {}
    return {**row.args, **added}


def planned_arguments(job: Job) -> dict[str, dict[str, Any]]:
    """Return what each planned call of a job would send, by step; empty unless the job is a dry run."""
    if not job.dry_run:
        return {}
    rows = ToolCall.objects.filter(job=job, state=ToolCall.State.PLANNED)
    return {row.step: would_send(row) for row in rows.only("step", "args", "reply")}
