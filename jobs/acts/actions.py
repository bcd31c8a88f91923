"""The actions on a job: launch, cancel, retry, resolve, activate, finish. Each is one transaction."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from jobs import registry
from jobs.acts import answers, spending
from jobs.acts.answers import leave_unknown
from jobs.acts.rounds import ActionRefused, Standing, reopen, retryable
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
    """The result of a launch: its job, whether this call created it, and any warnings."""

    job: Job
    created: bool
    warnings: list[Fault] = field(default_factory=list)


def launch(
    workflow_id: str, raw: Mapping[str, Any], owner: User, *, idempotency_key: str | None = None
) -> Launched:
    """Launch a workflow: check the input, store the job with its plan and first event, and notify a worker.

    Raises UnknownWorkflow, InvalidInput (with every fault) and KeyReused; then nothing was created.
    The same key with the same body returns the first job again.
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
            _notify_after_commit(job)
    except IntegrityError:
        # two launches with one key at the same moment: the database let one of them through
        earlier = Job.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
        if not idempotency_key or earlier is None:
            raise
        return _again(earlier, digest, flow, raw)
    return Launched(job, True, request.warnings)


def _again(earlier: Job, digest: str, flow: Workflow, raw: Mapping[str, Any]) -> Launched:
    """Return the earlier job with the warnings of its launch, which the client may not have received."""
    if earlier.request_hash != digest:
        raise KeyReused("this Idempotency-Key was used for another launch; use a new key")
    try:
        warnings = flow.parse(raw).warnings
    except InvalidInput:  # input that was valid then may be refused today, such as a flight that has begun
        warnings = []
    return Launched(earlier, False, warnings)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _notify_worker(job_id: uuid.UUID) -> None:
    """Send a worker the job's message. A lost message costs seconds: the worker's sweep finds the row."""
    run_job(str(job_id))


def cancel(job: Job | uuid.UUID | str, by: User) -> Job:
    """Cancel a job, so that nothing more is sent, and return it as it is then.

    A job that no worker holds ends at once; calls that its last worker left in progress become unknown. A
    running job is ended by its worker, which lets calls in flight finish. Cancelling a job that is being
    cancelled, or was, changes nothing. Raises ActionRefused if it has ended otherwise.
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
    """End a job that no worker holds. Its epoch moves on, so that a late worker changes nothing."""
    Job.objects.filter(pk=job.pk).update(epoch=F("epoch") + 1)
    job.refresh_from_db()
    leave_unknown(job, "the worker was lost while this call was in progress; it may have taken effect")
    artifacts = tuple(feed.progress(job.pk).artifacts)
    end = ev.WorkflowComplete(status=JobStatus.CANCELLED, total_stages=len(job.plan), artifacts=artifacts)
    finish(job.pk, job.epoch, end)


def retry(job: Job | uuid.UUID | str, by: User, *, stage: str = "", step: str = "") -> Job:
    """Retry one step, what failed of one stage, or everything that failed, in a new round of an ended job.

    Finished work is not repeated. Unknown and skipped calls stay so, but a skipped step can be named. The
    round looks up an unknown call that was not looked up before the job ended. It also runs stages that never
    ended, and those that depend on a stage that runs. Raises ActionRefused, and InvalidInput for a stage or
    step that the job does not have.
    """
    with transaction.atomic():
        job = _locked(job)
        standing = Standing.of(job)
        if stage and stage not in standing.stages:
            there = ", ".join(standing.stages)
            raise InvalidInput([Fault("stage", f"this job has no stage {stage}; its stages are: {there}")])
        row = standing.step(step, stage) if step else None
        if not job.ended:
            raise ActionRefused("the job is still running; you can retry what failed when it has ended")
        if row is not None:
            stages, rows, what = {row.stage}, [retryable(row)], step
        elif stage:
            (stages, rows), what = standing.failed([stage]), standing.stages[stage]
        else:
            (stages, rows), what = standing.failed(list(standing.stages)), "everything that failed"
        reopen(standing, stages, rows, by=by.get_username(), what=what)
        AuditEntry.objects.create(job=job, by=by, act=Act.RETRY, stage=stage, step=step)
        _notify_after_commit(job)
        job.refresh_from_db()
    return job


def resolve(job: Job | uuid.UUID | str, step: str, outcome: str, by: User, *, remote_id: str = "") -> Job:
    """Resolve an unknown call by a person's word: it exists (as `remote_id`), is absent, or is to be skipped.

    An absent call is sent again, unless it commits spend: that takes another activation. A job that has ended
    gets another round for the stage and those behind it, except a cancelled one; a running job gets it when
    its round ends. Raises StepNotFound, InvalidInput, and ActionRefused if the call is not, or no longer,
    unknown.
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
            raise ActionRefused(f"{step} needs no resolution: it is {row.state}")
        if faults := answers.misfits(row, outcome, remote_id):
            raise InvalidInput(faults)
        more = answers.resolve(row, outcome, remote_id, by.get_username())
        resolved = ev.JobResolved(by=by.get_username(), step=step, outcome=outcome, remote_id=remote_id)
        feed.append(job.pk, [resolved, *more])
        AuditEntry.objects.create(
            job=job, by=by, act=Act.RESOLVE, stage=row.stage, step=step, outcome=outcome, remote_id=remote_id
        )
        if job.ended and job.status != JobStatus.CANCELLED:
            what = f"the resolution of {step}"
            reopen(Standing.of(job), [row.stage], [], by=by.get_username(), what=what)
            _notify_after_commit(job)
        elif not job.ended and not _still_to_come(job, row.stage) and row.stage not in job.again:
            Job.objects.filter(pk=job.pk).update(again=[*job.again, row.stage])
        job.refresh_from_db()
    return job


def _still_to_come(job: Job, stage: str) -> bool:
    """Return whether a round that is queued and not claimed yet runs this stage anyway."""
    return job.status == JobStatus.QUEUED and job.lease_until is None and stage not in projection.ends(job.pk)


def activation(job: Job) -> Offer:
    """Return what of a job can be set live, with the hash that `activate` needs."""
    return spending.offer(job)


def activate(job: Job | uuid.UUID | str, by: User, digest: str) -> Job:
    """Set the prepared lines of an ended job live, exactly those with this hash, in a separate round.

    The same hash again changes nothing while that round is in progress or once all lines are live. Raises
    MayNotSpend, ActionRefused, InvalidInput without a hash, and Changed if the lines have changed since.
    """
    with transaction.atomic():
        job = _locked(job)
        if spending.begin(job, by, digest):
            _notify_after_commit(job)
        job.refresh_from_db()
    return job


def finish(job_id: uuid.UUID, epoch: int, event: ev.WorkflowComplete) -> Job:
    """End a job's round at this epoch, and queue another if a resolution made meanwhile needs one.

    A cancelled job stays ended. Raises LeaseLost; then nothing was written.
    """
    with transaction.atomic():
        feed.append(job_id, [event], epoch=epoch)  # first: it locks the row
        job: Job = Job.objects.get(pk=job_id)
        again = job.again
        Job.objects.filter(pk=job.pk).update(again=[])
        if again and job.status != JobStatus.CANCELLED and job.cancel_asked_at is None:
            last = job.audit.filter(act=Act.RESOLVE).select_related("by").last()
            by = last.by.get_username() if last else "Flightplan"
            reopen(Standing.of(job), again, [], by=by, what="calls resolved in the meantime")
            _notify_after_commit(job)
        job.refresh_from_db()
    return job


def _locked(job: Job | uuid.UUID | str) -> Job:
    """Return a job's row, locked until the end of the transaction. Raises Job.DoesNotExist."""
    # no_key: a worker that stores a new call holds a share lock on the key and waits for the row itself
    rows = Job.objects.select_for_update(no_key=True)
    found: Job = rows.get(pk=job.pk if isinstance(job, Job) else job)
    return found


def _notify_after_commit(job: Job) -> None:
    # robust: the job is stored even if its message cannot be sent
    transaction.on_commit(lambda: _notify_worker(job.pk), robust=True)
