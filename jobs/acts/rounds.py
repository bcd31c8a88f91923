"""Rounds: what of an ended job runs again, and how the job is queued for it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.engine import events as ev
from jobs.engine.graph import Activation
from jobs.engine.inputs import Fault, InvalidInput
from jobs.engine.results import Status
from jobs.models import CallAttempt, Job, ToolCall
from jobs.registry import UnknownWorkflow, workflow
from jobs.store import feed, projection
from jobs.tools.contract.policy import Role, ToolPolicy

State = ToolCall.State
AGAIN = "a retry does not set lines live: set them live again, which shows them to you first"


class ActionRefused(Exception):
    """The action is not possible in the job's current state; the message is for people."""


@dataclass
class Standing:
    """The state of an ended job, read under its row's lock: each stage's end that counts, and its calls."""

    job: Job
    ends: dict[str, ev.StageEnd]
    calls: list[ToolCall] = field(default_factory=list)

    @classmethod
    def of(cls, job: Job) -> "Standing":
        """Read the state of a job, whose row must be locked."""
        return cls(job, projection.ends(job.pk), list(job.calls.all()))

    @property
    def stages(self) -> dict[str, str]:
        """Return the names of the job's stages by id, in the order of its plan."""
        return {id: name for id, name, *_ in self.job.plan}

    @cached_property
    def spending(self) -> str:
        """Return the id of the stage that sets lines live, or "" if the workflow has none."""
        activation = activation_of(self.job)
        return activation.stage.id if activation else ""

    @property
    def never_ended(self) -> set[str]:
        """Return the stages without an end: every round runs them."""
        return self.stages.keys() - self.ends.keys()

    @property
    def stale(self) -> set[str]:
        """Return the stages that ended with unknown calls, all of which have been resolved since.

        Several stages can share a step; then each of them recorded it.
        """
        if any(call.state == State.UNKNOWN for call in self.calls):
            return set()
        return {stage for stage, end in self.ends.items() if end.data.get("unknown")}

    def rows(self, stages: Collection[str], *states: str) -> list[ToolCall]:
        """Return the calls of these stages that are in one of these states."""
        return [call for call in self.calls if call.stage in stages and call.state in states]

    def worth_retrying(self, stage: str) -> bool:
        """Return whether running this stage again can change anything.

        An unknown call that was looked up waits for a person's resolution, and a skipped call for a person to
        name it. The stage that sets lines live is never retried: that takes another activation.
        """
        if stage == self.spending:
            return False
        end = self.ends.get(stage)
        if end is None or stage in self.stale or self.made_nothing([stage]) or self.lost([stage]):
            return True
        trouble = end.status != Status.COMPLETED or bool(end.data.get("missed"))
        return trouble and not self.rows([stage], State.UNKNOWN, State.SKIPPED, State.FAILED)

    def made_nothing(self, stages: Collection[str]) -> list[ToolCall]:
        """Return the calls of these stages that failed and left nothing behind in the service."""
        return [row for row in self.rows(stages, State.FAILED) if not left_behind(row)]

    def lost(self, stages: Collection[str]) -> list[ToolCall]:
        """Return the unknown calls of these stages that were not looked up before their job ended.

        A later round looks them up. Calls that set lines live are not among them.
        """
        rows = [row for row in self.rows(stages, State.UNKNOWN) if not spends(row)]
        lost = CallAttempt.objects.filter(call__in=rows, outcome=CallAttempt.LOST)
        found = set(lost.values_list("call", flat=True)) if rows else set()
        return [row for row in rows if row.pk in found]

    def step(self, step: str, stage: str = "") -> ToolCall:
        """Return the call of this step. Raises InvalidInput if the job or the stage does not have it."""
        row = next((call for call in self.calls if call.step == step), None)
        if row is None:
            raise InvalidInput([Fault("step", f"this job has no step {step}")])
        if stage and row.stage != stage:
            raise InvalidInput([Fault("step", f"{step} is a step of {row.stage}, not of {stage}")])
        return row

    def failed(self, stages: Collection[str]) -> tuple[set[str], list[ToolCall]]:
        """Return which of these stages to run again, and their failed calls. Raises ActionRefused if none."""
        chosen = {stage for stage in stages if self.worth_retrying(stage)}
        if chosen:
            return chosen, self.made_nothing(chosen)
        if self.spending in stages and self._not_all_live():
            raise ActionRefused(AGAIN)
        where = f" in {self.stages[next(iter(stages))]}" if len(stages) == 1 else ""
        if unknown := len(self.rows(stages, State.UNKNOWN)):
            these, them = ("a call is", "it") if unknown == 1 else (f"{unknown} calls are", "them")
            raise ActionRefused(f"nothing failed{where}, but {these} unknown: resolve {them} first")
        if self.rows(stages, State.SKIPPED):
            raise ActionRefused(f"nothing failed{where}; to retry a skipped step, name it")
        if left := self.rows(stages, State.FAILED):
            raise ActionRefused(_twice(left[0]))
        raise ActionRefused(f"nothing failed{where}")

    def _not_all_live(self) -> bool:
        end = self.ends.get(self.spending)
        return end is None or end.status != Status.COMPLETED


def activation_of(job: Job) -> Activation | None:
    """Return how a job's prepared lines are set live, or None if its workflow prepares none."""
    try:
        return workflow(job.workflow).activation
    except UnknownWorkflow:
        return None


def retryable(row: ToolCall) -> ToolCall:
    """Return the call if it may be sent again. Raises ActionRefused otherwise."""
    if spends(row):
        raise ActionRefused(AGAIN)
    if row.state == State.UNKNOWN:
        raise ActionRefused(f"it is unknown whether {row.step} took effect: resolve it first")
    if row.state not in (State.FAILED, State.SKIPPED, State.WAITING, State.RETRY):
        raise ActionRefused(f"{row.step} did not fail: it is {row.state}")
    if left_behind(row):
        raise ActionRefused(_twice(row))
    return row


def left_behind(row: ToolCall) -> bool:
    """Return whether a call that did not succeed left something behind, such as an empty document."""
    policy = _policy(row)
    # the errors of other tools may name things that do not exist
    return bool(row.remote_id and (row.state != State.FAILED or (policy and policy.error_may_name_effect)))


def spends(row: ToolCall) -> bool:
    """Return whether a call commits spend."""
    policy = _policy(row)
    return policy is not None and policy.money


def _policy(row: ToolCall) -> ToolPolicy | None:
    roles: Mapping[str, Role] = import_string(settings.TOOL_ROLES)
    role = roles.get(row.server)
    return role.tools.get(row.tool) if role else None


def _twice(row: ToolCall) -> str:
    return (
        f"{row.step} created something at the service ({row.remote_id}); "
        "retrying would create a duplicate. Complete or remove it there"
    )


def reopen(
    standing: Standing, stages: Iterable[str], rows: Iterable[ToolCall], *, by: str, what: str
) -> None:
    """Queue an ended job for a round of these stages, all dependent, never ended and stale stages.

    `rows` are the calls to send again. Lost calls are looked up, and sent again only if they do not exist.
    Call it inside the transaction that holds the job row's lock.
    """
    job, rows = standing.job, list(rows)
    again = _with_followers(job, {*stages, *standing.never_ended, *standing.stale})
    rows += [row for row in standing.lost(again) if row not in rows]
    if job.dry_run:
        # a dry run shows one plan, without the calls that its stages no longer ask for
        rows += [row for row in standing.rows(again, State.PLANNED) if row not in rows]
    forget(rows)
    round_ = ev.JobRetrying(
        by=by,
        round=job.round + 1,
        stages=[stage for stage in standing.stages if stage in again],
        steps=[row.step for row in rows],
        what=what,
    )
    feed.append(job.pk, [round_])


def forget(rows: Iterable[ToolCall]) -> None:
    """Reset calls to waiting; their attempts stay on record."""
    forgotten = {"state": State.WAITING, "error": "", "ended_at": None, "reply": None}
    ToolCall.objects.filter(pk__in=[row.pk for row in rows]).update(
        **forgotten, remote_id="", remote_url="", source=""
    )


def _with_followers(job: Job, stages: set[str]) -> set[str]:
    """Return these stages and every stage of the job that depends on them, directly or not."""
    try:
        flow = workflow(job.workflow).by_plan(job.plan)
    except UnknownWorkflow:
        raise ActionRefused(f"the workflow {job.workflow} is no longer installed") from None
    while more := {stage.id for stage in flow.stages if stages & set(stage.needs)} - stages:
        stages = stages | more
    return stages
