"""Setting prepared lines live: what can be set live, a hash that pins it, and the round that does it."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from jobs.acts.rounds import ActionRefused, activation_of, forget
from jobs.engine import events as ev
from jobs.engine.context import JobInfo
from jobs.engine.graph import Activation, Stage
from jobs.engine.inputs import Fault, InvalidInput
from jobs.engine.progress import Progress
from jobs.engine.results import SpendLine
from jobs.models import AuditEntry, CallAttempt, Job, ToolCall
from jobs.store import feed, projection

RIGHT = "jobs.spend"


class MayNotSpend(Exception):
    """The user does not have permission to spend; nothing was done."""


class Changed(ActionRefused):
    """What can be set live has changed since it was shown; nothing was done."""


@dataclass(frozen=True)
class Total:
    """The sum of all lines in one currency (ISO 4217), as a decimal number."""

    currency: str
    amount: str

    def __str__(self) -> str:
        return f"{self.currency} {Decimal(self.amount):,.2f}"


@dataclass(frozen=True)
class Offer:
    """What of a job can be set live at present.

    `live` holds the items of the lines that are live already, `doubtful` of those that may be. `stays` are
    sentences about what stays paused anyway. `refusal` is why nothing can be set live now, "" if it can.
    """

    job: str
    lines: tuple[SpendLine, ...]
    live: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    stays: tuple[str, ...] = ()
    refusal: str = ""

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of the job's id and everything that is shown of every line, or "" without lines.

        It does not depend on which lines are live already.
        """
        return digest(self.job, self.lines) if self.lines else ""

    @cached_property
    def totals(self) -> tuple[Total, ...]:
        """Return the sum of all lines for each currency."""
        return totals(self.lines)

    @property
    def todo(self) -> tuple[SpendLine, ...]:
        """Return the lines that are not live yet."""
        return tuple(line for line in self.lines if line.item not in self.live)

    @property
    def reason(self) -> str:
        """Return why there is nothing to set live now, or "" if there is."""
        if self.refusal or self.todo:
            return self.refusal
        return f"{counted(len(self.lines))} {'is' if len(self.lines) == 1 else 'are'} already live"

    @property
    def what(self) -> str:
        """Return in words what is confirmed, such as "5 lines, USD 100,000.00"."""
        return ", ".join([counted(len(self.lines)), *map(str, self.totals)])


def digest(job: str, lines: Iterable[SpendLine]) -> str:
    """Return the SHA-256 (hex) of a job's id and its lines, in any order."""
    text = json.dumps([job, *sorted(astuple(line) for line in lines)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def totals(lines: Iterable[SpendLine]) -> tuple[Total, ...]:
    """Return the sum for each currency, in the order of their codes."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, Decimal(0)) + Decimal(line.budget)
    return tuple(Total(currency, f"{sums[currency]:f}") for currency in sorted(sums))


def counted(lines: int) -> str:
    """Return a number of lines in words."""
    return f"{lines} line{'' if lines == 1 else 's'}"


def may_spend(user: User) -> bool:
    """Return whether a user has permission to spend."""
    return bool(user.has_perm(RIGHT))


def must_spend(user: User) -> None:
    """Raise MayNotSpend for a user without permission to spend."""
    if not may_spend(user):
        raise MayNotSpend(
            f"{user.get_username()} doesn't have permission to spend; an administrator can grant it ({RIGHT})"
        )


def offer(job: Job) -> Offer:
    """Return what of a job can be set live."""
    activation = activation_of(job)
    if activation is None:
        return Offer(str(job.pk), (), refusal="this workflow does not prepare lines to set live")
    ends = projection.ends(job.pk)
    data = {id: end.data for id, end in ends.items()}
    lines = tuple(activation.lines(job.params, data))
    live, doubtful = _live(job, activation, lines), _doubtful(job, activation, lines)
    stays = tuple(activation.stays(job.params, data))
    return Offer(str(job.pk), lines, live, doubtful - live, stays, _refusal(job, activation, lines, ends))


def shown(job: Job, progress: Progress) -> int:
    """Return how many lines the page of an ended job offers to set live, from its progress alone."""
    activation = activation_of(job)
    if activation is None or not progress.ended or progress.dry_run:
        return 0
    data = {stage.id: stage.data for stage in progress.stages}
    done = data.get(activation.stage.id, {}).get("live", ())
    lines = [line.item for line in activation.lines(job.params, data)]
    return len(lines) if set(lines) - set(done) else 0


def stage_of(job: Job) -> str:
    """Return the id of the stage that sets a job's lines live, or "" if there is none."""
    activation = activation_of(job)
    return activation.stage.id if activation else ""


def begin(job: Job, by: User, given: str) -> bool:
    """Queue a job for the round that sets its lines live, and return whether that was done.

    False if the same was asked for before: that round is in progress, or all lines are live already. Call it
    inside the transaction that holds the job row's lock. Raises MayNotSpend, ActionRefused, InvalidInput
    without a hash, and Changed if the hash is not that of what can be set live now.
    """
    must_spend(by)
    activation, found, last = activation_of(job), offer(job), job.confirmed or {}
    if not job.ended and job.spend_by_id and given and given == last.get("digest"):
        return False
    if activation is None or found.refusal:
        raise ActionRefused(found.refusal)
    if not given:
        raise InvalidInput([Fault("hash", "is required: send the hash that was shown with the lines")])
    if given != found.digest:
        raise Changed("the lines have changed since they were shown: review them again")
    if not found.todo:
        return False
    _begin(job, by, found, activation.stage)
    return True


def _begin(job: Job, by: User, found: Offer, stage: Stage) -> None:
    items = {line.item for line in found.todo}
    rows = [row for row in job.calls.filter(stage=stage.id) if row.item in items]
    forget(rows)
    plan = job.plan
    if all(id != stage.id for id, *_ in plan):
        plan = [*plan, [stage.id, stage.name, [need for need in stage.needs if need in _ids(job)]]]
    lines, now = [asdict(line) for line in found.lines], timezone.now()
    who = by.get_username()
    activating = ev.JobActivating(
        by=who,
        round=job.round + 1,
        stage=stage.id,
        stage_name=stage.name,
        digest=found.digest,
        what=found.what,
        steps=[row.step for row in rows],
    )
    feed.append(job.pk, [activating])
    confirmed = {"digest": found.digest, "by": who, "at": ev.iso(now), "lines": lines}
    # after the event, which has withdrawn the permission of every earlier round
    Job.objects.filter(pk=job.pk).update(spend_by=by, confirmed=confirmed, plan=plan)
    AuditEntry.objects.create(
        job=job,
        at=now,
        by=by,
        act=AuditEntry.Act.ACTIVATE,
        stage=stage.id,
        digest=found.digest,
        details={"lines": lines, "sums": {one.currency: one.amount for one in found.totals}},
    )


def confirmed(job: Job) -> tuple[SpendLine, ...]:
    """Return the lines that were last allowed to go live, exactly as they were shown."""
    return tuple(SpendLine(**line) for line in (job.confirmed or {}).get("lines", ()))


def informed(job: Job) -> JobInfo:
    """Return a job as its stages see it, with what was allowed to go live, by whom and when."""
    last = job.confirmed or {}
    return JobInfo(
        str(job.pk),
        job.title,
        job.created_at.date(),
        # each round of a dry run checks what the first round of a launch would do
        1 if job.dry_run else job.round,
        job.dry_run,
        confirmed(job),
        last.get("by", ""),
        datetime.fromisoformat(last["at"]) if last else None,
    )


def allows(job: Job, server: str, args: Mapping[str, Any]) -> bool:
    """Return whether a user has allowed this call to commit spend in the present round of a job.

    The call must name a line that was confirmed.
    """
    named = [line for line in confirmed(job) if line.server == server and line.remote_id in args.values()]
    return job.spend_by_id is not None and bool(named)


def _ids(job: Job) -> list[str]:
    return [id for id, *_ in job.plan]


def _live(job: Job, activation: Activation, lines: Iterable[SpendLine]) -> frozenset[str]:
    """Return the items whose status call is done and whose reply does not contradict it."""
    rows = job.calls.filter(stage=activation.stage.id, state=ToolCall.State.DONE)
    set_ = {
        (row.server, row.args.get("id"))
        for row in rows
        if activation.live((row.reply or {}).get("data") or {})
    }
    return _items(lines, set_)


def _doubtful(job: Job, activation: Activation, lines: Iterable[SpendLine]) -> frozenset[str]:
    """Return the items whose status call may have taken effect, even if it was skipped since."""
    open_ = Q(state=ToolCall.State.UNKNOWN) | Q(tries__outcome__in=CallAttempt.IN_DOUBT)
    rows = job.calls.filter(open_, stage=activation.stage.id).exclude(state=ToolCall.State.DONE)
    return _items(lines, {(row.server, row.args.get("id")) for row in rows})


def _items(lines: Iterable[SpendLine], named: Collection[tuple[str, Any]]) -> frozenset[str]:
    return frozenset(line.item for line in lines if (line.server, line.remote_id) in named)


def _refusal(
    job: Job, activation: Activation, lines: tuple[SpendLine, ...], ends: Mapping[str, ev.StageEnd]
) -> str:
    if job.dry_run:
        return "this was a dry run: it created no lines to set live"
    if not job.ended:
        again = "its lines are being set live now" if job.spend_by_id else "the campaign is still running"
        return f"{again}; you can set lines live when it has ended"
    if not lines:
        return "this campaign has no prepared lines to set live"
    # the round would run these stages too, but only the lines were confirmed
    open_ = [name for id, name, *_ in job.plan if id not in ends and id != activation.stage.id]
    if open_:
        return f"{', '.join(open_)} did not finish: retry that first, then set the lines live"
    return ""
