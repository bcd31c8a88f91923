"""What is done to a job: launch, cancel, retry, resolve, activate, finish. Each is one transaction."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from jobs import registry
from jobs.acts import answers, spending
from jobs.acts.answers import leave_unknown
from jobs.acts.rounds import ActionRefused, Standing, anew, reopen
from jobs.acts.spending import Changed, MayNotSpend, Offer, may_spend, must_spend
from jobs.engine import events as ev
from jobs.engine.graph import Workflow
from jobs.engine.inputs import Fault, InvalidInput
from jobs.engine.results import JobStatus
from jobs.models import AuditEntry, Job, ToolCall
from jobs.registry import workflow
from jobs.store import feed, projection
from jobs.tasks import run_job

__all__ = ["ActionRefused", "KeyReused", "Launched", "StepNotFound", "cancel", "finish", "launch"]
__all__ += ["Changed", "MayNotSpend", "Offer", "activate", "activation", "may_spend", "must_spend"]
__all__ += ["resolve", "retry"]

Act, State = AuditEntry.Act, ToolCall.State


class KeyReused(Exception):
    """The same idempotency key was sent with another body; nothing was launched."""


class StepNotFound(LookupError):
    """The job has no call of that name."""


@dataclass(frozen=True)
class Launched:
    """A launch: its job, whether this call made it, and what to warn about."""

    job: Job
    created: bool
    warnings: list[Fault] = field(default_factory=list)


def launch(
    workflow_id: str, raw: Mapping[str, Any], owner: Any, *, idempotency_key: str | None = None
) -> Launched:
    """Accept a launch: check the input, store the job with its plan and first event, and tell a worker.

    Raises UnknownWorkflow, InvalidInput (with every fault) and KeyReused; then nothing was made.
    The same key with the same body gives the first job again.
    """
    flow = workflow(workflow_id)
    broken = registry.faults()
    if broken:
        raise InvalidInput(broken)
    digest = _hash([flow.id, raw])
    if idempotency_key:
        earlier = Job.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
        if earlier:
            return _again(earlier, digest, flow, raw)
    request = flow.parse(raw)
    chosen = flow.wanted(request.params)
    job = Job(
        owner=owner,
        workflow=flow.id,
        version=flow.version,
        title=request.title[:200],
        params=request.params,
        plan=[[stage.id, stage.name, list(stage.needs)] for stage in chosen.stages],
        idempotency_key=idempotency_key or None,
        request_hash=digest,
        dry_run=request.dry_run,
    )
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            named = [[stage.id, stage.name] for stage in chosen.stages]
            queued = ev.JobQueued(
                workflow=flow.id,
                version=flow.version,
                title=job.title,
                stages=named,
                dry_run=job.dry_run,
            )
            feed.append(job.pk, [queued])
            if flow.accepted:
                flow.accepted(str(job.pk), owner.pk, request.params)
            _tell_after_commit(job)
    except IntegrityError:
        # two launches with one key at the same moment: the database let one of them through
        earlier = Job.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
        if not idempotency_key or earlier is None:
            raise
        return _again(earlier, digest, flow, raw)
    return Launched(job, True, request.warnings)


def _again(earlier: Job, digest: str, flow: Workflow, raw: Mapping[str, Any]) -> Launched:
    """Give the earlier job with the warnings of its launch, which nobody may have read."""
    if earlier.request_hash != digest:
        raise KeyReused("this Idempotency-Key was used for another launch; use a new key")
    try:
        warnings = flow.parse(raw).warnings
    except InvalidInput:  # what was right then may be refused today, such as a flight that has begun
        warnings = []
    return Launched(earlier, False, warnings)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _tell(job_id: uuid.UUID) -> None:
    """Ring Huey's doorbell. A lost message costs seconds: the worker's sweeper finds the row."""
    run_job(str(job_id))


def cancel(job: Job | uuid.UUID | str, by: Any) -> Job:
    """Stop a job: nothing is sent from here on. Gives the job as it stands then.

    A job that no worker holds ends at once; what its last worker had under way is told as unknown. A running
    one is ended by its worker, which lets calls in flight come to their end. Cancelling a job that is being
    cancelled, or was, changes nothing. Raises ActionRefused when it has ended otherwise.
    """
    with transaction.atomic():
        job = _locked(job)
        if job.status == JobStatus.CANCELLED or (job.cancel_asked_at and not job.ended):
            return job
        if job.ended:
            raise ActionRefused(f"the job has ended ({job.status}); there is nothing left to cancel")
        feed.append(job.pk, [ev.JobCancelling(by=by.get_username())])
        AuditEntry.objects.create(job=job, by=by, act=Act.CANCEL)
        if job.lease_until is None or job.lease_until < timezone.now():
            _end_cancelled(job)
        job.refresh_from_db()
    return job


def _end_cancelled(job: Job) -> None:
    """End a job that no worker holds. A new epoch: a worker that comes back late changes nothing."""
    Job.objects.filter(pk=job.pk).update(epoch=F("epoch") + 1)
    job.refresh_from_db()
    leave_unknown(job, "the worker was lost while this call was in progress; it may have taken effect")
    artifacts = tuple(feed.progress(job.pk).artifacts)
    end = ev.WorkflowComplete(status=JobStatus.CANCELLED, total_stages=len(job.plan), artifacts=artifacts)
    finish(job.pk, job.epoch, end)


def retry(job: Job | uuid.UUID | str, by: Any, *, stage: str = "", step: str = "") -> Job:
    """Have an ended job run once more for one step, for what failed of a stage, or for all that failed.

    What is done is not done again, and what is unknown or was skipped stays so; a skipped step can be named.
    An unknown call that nobody has looked up, since the job was ended under it, is looked up by the round.
    Stages that never ended run too, and those that need one that runs. Raises ActionRefused, and InvalidInput
    for a stage or step that the job does not have.
    """
    with transaction.atomic():
        job = _locked(job)
        standing = Standing.of(job)
        if stage and stage not in standing.stages:
            there = ", ".join(standing.stages)
            raise InvalidInput([Fault("stage", f"this job has no stage {stage}; there are: {there}")])
        row = standing.step(step, stage) if step else None
        if not job.ended:
            raise ActionRefused("the job is still running; what failed can be tried again when it has ended")
        if row is not None:
            stages, rows, what = {row.stage}, [anew(row)], step
        elif stage:
            (stages, rows), what = standing.failed([stage]), standing.stages[stage]
        else:
            (stages, rows), what = standing.failed(list(standing.stages)), "everything that failed"
        reopen(standing, stages, rows, by=by.get_username(), what=what)
        AuditEntry.objects.create(job=job, by=by, act=Act.RETRY, stage=stage, step=step)
        _tell_after_commit(job)
        job.refresh_from_db()
    return job


def resolve(job: Job | uuid.UUID | str, step: str, outcome: str, by: Any, *, remote_id: str = "") -> Job:
    """Settle an unknown call by a person's answer: it exists (as `remote_id`), is absent, or is to skip.

    What is absent is sent again, unless it commits spend: that takes another activation. A job that has
    ended runs once more for the stage and those behind it, but a cancelled one stays so; a running one does
    that when its round ends. Raises StepNotFound, InvalidInput and ActionRefused when the call is not unknown
    (any more).
    """
    remote_id = remote_id.strip()
    if faults := answers.faults(outcome, remote_id):
        raise InvalidInput(faults)
    with transaction.atomic():
        job = _locked(job)
        row = next((call for call in job.calls.all() if call.step == step), None)
        if row is None:
            raise StepNotFound(f"this job has no step {step}")
        if row.state != State.UNKNOWN:
            raise ActionRefused(f"{step} needs no answer: it is {row.state}")
        if faults := answers.misfits(row, outcome, remote_id):
            raise InvalidInput(faults)
        more = answers.settle(row, outcome, remote_id, by.get_username())
        told = ev.JobResolved(by=by.get_username(), step=step, outcome=outcome, remote_id=remote_id)
        feed.append(job.pk, [told, *more])
        AuditEntry.objects.create(
            job=job, by=by, act=Act.RESOLVE, stage=row.stage, step=step, outcome=outcome, remote_id=remote_id
        )
        if job.ended and job.status != JobStatus.CANCELLED:
            what = f"the answer for {step}"
            reopen(Standing.of(job), [row.stage], [], by=by.get_username(), what=what)
            _tell_after_commit(job)
        elif not job.ended and not _still_to_come(job, row.stage) and row.stage not in job.again:
            Job.objects.filter(pk=job.pk).update(again=[*job.again, row.stage])
        job.refresh_from_db()
    return job


def _still_to_come(job: Job, stage: str) -> bool:
    """Tell whether the round that is queued and that nobody has taken yet runs this stage anyway."""
    return job.status == JobStatus.QUEUED and job.lease_until is None and stage not in projection.ends(job.pk)


def activation(job: Job) -> Offer:
    """Give what of a job there is to set live, with the hash that `activate` wants."""
    return spending.offer(job)


def activate(job: Job | uuid.UUID | str, by: Any, digest: str) -> Job:
    """Have the prepared lines of an ended job set live, exactly those with this hash, in a round of its own.

    The same hash again changes nothing while that round is under way, and once all lines are live. Raises
    MayNotSpend, ActionRefused, InvalidInput without a hash, and Changed when it is not that of the lines now.
    """
    with transaction.atomic():
        job = _locked(job)
        if spending.begin(job, by, digest):
            _tell_after_commit(job)
        job.refresh_from_db()
    return job


def finish(job_id: object, epoch: int, event: ev.WorkflowComplete) -> Job:
    """End a job's round at this epoch, and begin the next where an answer that came meanwhile asks for one.

    A cancelled job stays ended. Raises LeaseLost, and then nothing was written.
    """
    with transaction.atomic():
        feed.append(job_id, [event], epoch=epoch)  # first: it takes the row's lock
        job: Job = Job.objects.get(pk=job_id)
        again = job.again
        Job.objects.filter(pk=job.pk).update(again=[])
        if again and job.status != JobStatus.CANCELLED and job.cancel_asked_at is None:
            last = job.audit.filter(act=Act.RESOLVE).select_related("by").last()
            by = last.by.get_username() if last else "Flightplan"
            reopen(Standing.of(job), again, [], by=by, what="what was answered meanwhile")
            _tell_after_commit(job)
        job.refresh_from_db()
    return job


def _locked(job: Job | uuid.UUID | str) -> Job:
    """Give a job's row, locked to the end of the transaction. Raises Job.DoesNotExist."""
    # no key: a worker that is storing a new call holds a share of the key, and waits for the row itself
    rows = Job.objects.select_for_update(no_key=True)
    found: Job = rows.get(pk=job.pk if isinstance(job, Job) else job)
    return found


def _tell_after_commit(job: Job) -> None:
    # robust: the job stands, whether or not its message could be left
    transaction.on_commit(lambda: _tell(job.pk), robust=True)
