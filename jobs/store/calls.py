"""The rows of one job's calls: which of them are there by what is committed, and how they are written."""

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
ANSWERED = ""  # the args_hash of a call for which a person has answered: it fits whatever is wanted


@dataclass
class Place:
    """What was known of a call's row when its write was asked for: its id, or that it is `new`, as there is
    none yet. Where neither is known the write looks for itself; so does one that is done `again`, because
    the database may have committed it and only the answer was lost."""

    row: int | None
    new: bool
    again: bool = field(default=False, compare=False)


class CallRows:
    """Knows a job's rows from what was committed, never from what may be rolled back.

    Nobody else adds one while the job's lease is ours, so that a step without a row need not be looked for.
    Asked in the loop, written in the writer's thread.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._there: set[str] | None = None  # steps that may have a row; None while nobody has looked
        self._known: dict[str, int] = {}

    def begin(self, steps: Iterable[str]) -> None:
        """Know the steps of which earlier runs have left rows, all of them."""
        self._there = set(steps)

    def is_new(self, step: str) -> bool:
        """Tell whether a step surely has no row yet."""
        return self._there is not None and step not in self._there

    def place(self, step: str) -> Place:
        """Give what is known of a step's row, for a write that makes it where there is none."""
        new = self.is_new(step)
        if new and self._there is not None:
            self._there.add(step)  # it may be there from now on, whether or not anybody hears of its commit
        return Place(self._known.get(step), new)

    def committed(self, step: str, row: int) -> None:
        """Know a step's row: the transaction that wrote it is committed."""
        self._known[step] = row

    def keep(self, call: Call, place: Place, waited: float = 0.0, **values: Any) -> int:
        """Give a call's row these values and so many seconds more of waiting; it is made where there is none.
        Gives its id. In the writer's thread."""
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
    """Give the SHA-256 of what a call asks for, the same for every order and place of its arguments."""
    what = {name: value for name, value in call.args.items() if name not in call.placing}
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def arguments(call: Call) -> dict[str, Any]:
    """Give what a row holds of a call's arguments."""
    return {"args": dict(call.args), "args_hash": call_hash(call)}


def _asked(call: Call) -> dict[str, Any]:
    return {**call_fields(call), "item": call.item[:200], "key": call.key, **arguments(call)}


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


def sent(row: ToolCall) -> Sent:
    attempt = row.tries.filter(ended_at=None).order_by("id").last()
    at = attempt.sent_at if attempt else row.created_at
    return Sent(at, from_json(attempt.process) if attempt else None, row.args)


def unsettled(row: ToolCall) -> Sent | None:
    """Give the last attempt of a call that is to be made anew though nobody knows what became of it: its job
    ended under it, or a person skipped it and has it tried again, which is not the word that it is absent."""
    if row.state not in (State.WAITING, State.RETRY):
        return None
    last = row.tries.order_by("id").last()
    if last is None or last.outcome not in CallAttempt.IN_DOUBT:
        return None
    return Sent(last.sent_at, from_json(last.process), row.args, "what became of this call was never settled")


def refused(row: ToolCall) -> bool:
    """Tell whether the last attempt of a call that is to be made anew failed by its tool's own word."""
    last = row.tries.order_by("id").last()
    return last is not None and last.outcome == State.FAILED


def denied(row: ToolCall) -> Sent | None:
    """Give the last attempt of a call that is to be made anew because a person has called it absent."""
    last = row.tries.order_by("id").last()
    if last is None or last.outcome != CallAttempt.ABSENT:
        return None
    return Sent(last.sent_at, from_json(last.process), row.args, "a person called it absent")


def added(call: Call, checked: DryRunCall) -> dict[str, Any]:
    """Give the arguments that would be sent otherwise than the stage asked: with key or marker in them."""
    return {
        name: value
        for name, value in checked.arguments.items()
        if name not in call.args or call.args[name] != value
    }


def would_send(row: ToolCall) -> dict[str, Any]:
    """Give the arguments of a planned call exactly as they would be sent; of any other as they were asked."""
    planned = row.state == State.PLANNED and row.reply
    return {**row.args, **(row.reply["added"] if planned else {})}


def planned_arguments(job: Job) -> dict[str, dict[str, Any]]:
    """Give what each planned call of a job would send, by step; nothing for a job that is no dry run."""
    if not job.dry_run:
        return {}
    rows = ToolCall.objects.filter(job=job, state=ToolCall.State.PLANNED)
    return {row.step: would_send(row) for row in rows.only("step", "args", "reply")}
