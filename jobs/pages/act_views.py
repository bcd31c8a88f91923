"""The pages of actions on a job: cancel it, retry it, and resolve an unknown call.

A GET shows what would happen, with a form. The POST acts through `actions` and redirects to the job.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from jobs.acts import actions, rounds
from jobs.acts.checking import how_to_check
from jobs.engine import events as ev
from jobs.engine.inputs import InvalidInput
from jobs.engine.results import JobStatus
from jobs.live import asks
from jobs.live.asks import Outside
from jobs.models import AuditEntry, CallAttempt, Job, ToolCall
from jobs.store import feed
from jobs.store.calls import would_send
from jobs.tools.contract.policy import marker

LONG = 160
LONGEST_ID = 300
OUTCOMES = ("exists", "absent", "skip")

page = require_http_methods(["GET", "HEAD", "POST"])


@dataclass(frozen=True)
class CancelPage:
    """`templates/jobs/cancel.html`: what exists so far, by server. `refused`: why there is no form."""

    job: Job
    existing: list[tuple[str, list[Outside]]]
    in_progress: int
    refused: str = ""


@dataclass(frozen=True)
class RetriedStage:
    """A stage that would run again, and the calls it repeats.

    `own` is false if nothing of the stage itself failed and it only depends on another retried stage.
    """

    name: str
    calls: list[str]
    own: bool


@dataclass(frozen=True)
class RetryPage:
    """`templates/jobs/retry.html`: what would be retried. `refused`: why there is no form.

    `calls` are repeated; `kept` are finished and are not; `lost` were in progress when the campaign ended
    and are looked up; `unknown` must be resolved first.
    """

    job: Job
    what: str
    stage: str
    step: str
    stages: list[RetriedStage] = field(default_factory=list)
    calls: int = 0
    lost: int = 0
    kept: int = 0
    unknown: int = 0
    refused: str = ""


@dataclass(frozen=True)
class Argument:
    """One argument of a call as readable text. A `long` text is collapsed."""

    name: str
    text: str
    long: bool


@dataclass(frozen=True)
class StepPage:
    """`templates/jobs/step.html`: everything known about one call, with the form while it is unknown."""

    job: Job
    call: ToolCall
    stage: str
    what: str
    mark: str
    href: str
    arguments: list[Argument]
    tries: list[CallAttempt]
    acts: list[AuditEntry]
    checks: list[str]
    again: str
    spends: bool
    outcome: str = ""
    remote_id: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""


@never_cache
@page
def cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Ask for confirmation and cancel. Returns 409 with the reason if it is refused."""
    job, user = _job(request, job_id), user_of(request)
    if request.method != "POST":
        return render(request, "jobs/cancel.html", vars(_cancel_page(job)))
    try:
        actions.cancel(job, by=user)
    except actions.ActionRefused as refusal:
        context = vars(replace(_cancel_page(job), refused=str(refusal)))
        return render(request, "jobs/cancel.html", context, status=409)
    messages.success(request, "Nothing new will be sent. What exists at the services is listed below.")
    return redirect("job", job.pk)


def _cancel_page(job: Job) -> CancelPage:
    progress = feed.progress(job.pk)
    in_progress = sum(call.state == "sent" for call in progress.calls.values())
    refused = "This campaign has already ended." if progress.ended else ""
    return CancelPage(job, asks.outside(progress), in_progress, refused)


@never_cache
@page
def retry(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Ask for confirmation and retry a `stage`, a `step`, or everything that failed.

    Returns 409 with the reason if it is refused.
    """
    job, user = _job(request, job_id), user_of(request)
    given = request.POST if request.method == "POST" else request.GET
    step = given.get("step", "")
    stage = "" if step else given.get("stage", "")
    if (stage and stage not in _names(job)) or (step and not job.calls.filter(step=step).exists()):
        raise Http404("this campaign has no such stage or step")
    if request.method != "POST":
        return render(request, "jobs/retry.html", vars(_retry_page(job, user, stage, step)))
    try:
        actions.retry(job, by=user, stage=stage, step=step)
    except actions.ActionRefused as refusal:
        shown = RetryPage(job, _target(job, stage, step), stage, step, refused=str(refusal))
        return render(request, "jobs/retry.html", vars(shown), status=409)
    messages.success(request, "Retrying. Finished work is not repeated.")
    return redirect("job", job.pk)


def _retry_page(job: Job, by: User, stage: str, step: str) -> RetryPage:
    plain = RetryPage(job, _target(job, stage, step), stage, step)
    try:
        event = _preview(job, by, stage, step)
    except actions.ActionRefused as refusal:
        return replace(plain, refused=str(refusal))
    progress = feed.progress(job.pk)
    states = [call.state for call in progress.calls.values()]
    lost = sum(call.state == "unknown" for step, call in progress.calls.items() if step in event.steps)
    stages = []
    for row in progress.stages:
        if row.id in event.stages:
            mine = [call for call in progress.calls_of(row.id) if call.step in event.steps]
            names = [asks.named(call) for call in mine]
            stages.append(RetriedStage(row.name, names, bool(names) or asks.can_retry_stage(row, progress)))
    return replace(
        plain,
        stages=stages,
        calls=len(event.steps) - lost,
        lost=lost,
        kept=states.count("done"),
        unknown=states.count("unknown") - lost,
    )


def _preview(job: Job, by: User, stage: str, step: str) -> ev.JobRetrying:
    """Return the event that a retry would emit: do it, read the event and roll back."""
    with transaction.atomic():
        actions.retry(Job.objects.get(pk=job.pk), by=by, stage=stage, step=step)
        events = [one.event for one in feed.after(job.pk, job.last_seq)]
        transaction.set_rollback(True)
    return next(event for event in events if isinstance(event, ev.JobRetrying))


def _target(job: Job, stage: str, step: str) -> str:
    if step:
        call = job.calls.get(step=step)
        return f"{asks.words(call.server, call.tool)} “{call.item or call.step}”"
    return _names(job)[stage] if stage else "everything that failed"


def _names(job: Job) -> dict[str, str]:
    return {row[0]: row[1] for row in job.plan}


@never_cache
@page
def step(request: HttpRequest, job_id: uuid.UUID, step: str) -> HttpResponse:
    """Show a call; a POST resolves an unknown call. Returns 422 for an incomplete form, 409 if refused."""
    job = _job(request, job_id)
    call = get_object_or_404(ToolCall, job=job, step=step)
    shown = _step_page(job, call)
    if request.method != "POST":
        return render(request, "jobs/step.html", vars(shown))
    outcome = request.POST.get("outcome", "")
    remote_id = request.POST.get("remoteId", "").replace("\0", "").strip()
    shown = replace(shown, outcome=outcome, remote_id=remote_id, errors=_errors(outcome, remote_id))
    if shown.errors:
        return render(request, "jobs/step.html", vars(shown), status=422)
    given = remote_id if outcome == "exists" else ""  # an id typed before another choice does not count
    try:
        actions.resolve(job, call.step, outcome, by=user_of(request), remote_id=given)
    except InvalidInput as invalid:
        shown = replace(shown, errors={fault.field: fault.message for fault in invalid.faults})
        return render(request, "jobs/step.html", vars(shown), status=422)
    except actions.ActionRefused as refusal:
        call.refresh_from_db()
        shown = replace(_step_page(job, call), refused=str(refusal))
        return render(request, "jobs/step.html", vars(shown), status=409)
    messages.success(request, _said(job, outcome, shown, call.item))
    return redirect("job", job.pk)


def _errors(outcome: str, remote_id: str) -> dict[str, str]:
    if outcome not in OUTCOMES:
        return {"outcome": "Choose one of the three options."}
    if outcome == "exists" and not remote_id:
        return {"remoteId": "Enter its id at the service."}
    if outcome == "exists" and len(remote_id) > LONGEST_ID:
        return {"remoteId": f"Enter at most {LONGEST_ID} characters."}
    return {}


def _said(job: Job, outcome: str, shown: StepPage, item: str) -> str:
    name = f"{shown.what} “{item}”" if item else shown.what
    later = " when the campaign is retried" if job.status == JobStatus.CANCELLED else ""
    resent = (
        "will only be sent when its line is set live again" if shown.spends else f"will be sent again{later}"
    )
    ends = {
        "exists": "exists. It counts as done and will not be sent again",
        "absent": f"does not exist. It {resent}",
        "skip": "is skipped. The campaign continues without it",
    }
    return f"Resolved: {name} {ends[outcome]}."


def _step_page(job: Job, call: ToolCall) -> StepPage:
    spends = rounds.spends(call)
    may = job.ended and not spends and call.state in (ToolCall.State.FAILED, ToolCall.State.SKIPPED)
    return StepPage(
        job=job,
        call=call,
        stage=_names(job).get(call.stage, call.stage),
        what=asks.words(call.server, call.tool),
        mark=marker(call.key),
        href=asks.web_address(call.remote_url),
        arguments=[_argument(name, value) for name, value in would_send(call).items()],
        tries=list(call.tries.all()),
        acts=list(AuditEntry.objects.filter(job=job, step=call.step).select_related("by")),
        checks=how_to_check(call) if call.state == ToolCall.State.UNKNOWN else [],
        again=asks.retry_link(job, step=call.step) if may else "",
        spends=spends,
    )


def _argument(name: str, value: Any) -> Argument:
    if isinstance(value, list) and not any(isinstance(one, list | dict) for one in value):
        value = ", ".join(str(one) for one in value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    long = len(text) > LONG or "\n" in text
    if long and not isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return Argument(name, text, long)


def _job(request: HttpRequest, job_id: uuid.UUID) -> Job:
    return get_object_or_404(Job.objects.visible_to(user_of(request)), pk=job_id)


def user_of(request: HttpRequest) -> User:
    """Return the signed-in user, whom LoginRequiredMiddleware guarantees."""
    return cast(User, request.user)
