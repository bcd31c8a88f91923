"""The pieces of a job's page, each rendered from its own partial, for the first page, polls and the socket.

A piece's html depends only on the job's events: no clock, no user, no request. So an unchanged piece renders
to the same text, and the client can replace it by its id.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from django.template.loader import get_template
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from jobs.acts import spending
from jobs.engine.progress import CallView, Progress, StageView
from jobs.engine.results import Artifact, JobStatus, Source, Status
from jobs.live import asks
from jobs.live.asks import web_address
from jobs.live.piece_contexts import (
    CallRow,
    CallsContext,
    HeaderContext,
    LogContext,
    StageCallsContext,
    StageRowContext,
    SummaryContext,
    Thing,
    Wait,
)
from jobs.live.plans import plan_view
from jobs.models import Job

#: The explanation of each source.
SOURCES: Mapping[str, str] = {
    Source.LIVE: "created on a configured external server",
    Source.LOCAL: "created on a server that comes with Flightplan",
    Source.SIMULATED: "simulated by a server that comes with Flightplan: no money moves",
    Source.FALLBACK: "a fallback, because the service failed",
}
DRY_RUN = "only planned: a launch would create it; nothing exists yet"
READABLE = (".md", ".markdown")
PARTIALS: Mapping[str, type] = {
    "jobs/_header.html": HeaderContext,
    "jobs/_stage.html": StageRowContext,
    "jobs/_summary.html": SummaryContext,
    "jobs/_calls.html": CallsContext,
    "jobs/_stage_calls.html": StageCallsContext,
    "jobs/_log.html": LogContext,
}


def pieces(job: Job, progress: Progress) -> dict[str, str]:
    """Return every piece of a job's page as {id: html}, in the page's order, without database access."""
    parts: dict[str, str] = {"job-header": _render("jobs/_header.html", header(job, progress))}
    for stage in progress.stages:
        parts[f"stage-{stage.id}"] = _render("jobs/_stage.html", stage_row(job, stage, progress))
    parts["job-summary"] = _render("jobs/_summary.html", summary(job, progress))
    parts["job-calls"] = _render("jobs/_calls.html", calls(progress))
    for context in stage_calls(job, progress):
        parts[f"calls-{context.id}"] = _render("jobs/_stage_calls.html", context)
    return parts | {"job-log": _render("jobs/_log.html", LogContext(progress.log[::-1]))}


def fragment(changed: Mapping[str, str]) -> str:
    """Return the body of a socket message or a poll: each piece replaces the element with its id.

    The swap is a morph, so that opened details stay open and the focus stays where it is.
    """
    return "".join(
        f'<hx-partial hx-target="#{id}" hx-swap="outerMorph">{html}</hx-partial>\n'
        for id, html in changed.items()
    )


@cache
def version() -> str:
    """Return a hash of the code that renders the pieces, so that a new release invalidates entity tags."""
    origins = (get_template(name).origin for name in PARTIALS)  # type: ignore[attr-defined]  # not in the stubs
    files = (Path(__file__), *(Path(one.name) for one in origins))
    texts = (file.read_bytes() for file in files)
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:8]


def header(job: Job, progress: Progress) -> HeaderContext:
    """Return the context of the page's header."""
    seconds = None
    if progress.ended_at and (begin := progress.started_at or progress.queued_at):
        seconds = (progress.ended_at - begin).total_seconds()
    retryable = any(asks.can_retry_stage(stage, progress) for stage in progress.stages)
    lines = spending.shown(job, progress)
    return HeaderContext(
        title=progress.title or job.title,
        status=progress.status,
        over=progress.ended,
        made=sum(stage.ended for stage in progress.stages),
        total=len(progress.stages),
        queued_at=progress.queued_at,
        started_at=progress.started_at,
        ended_at=progress.ended_at,
        expected_end=progress.expected_end,
        seconds=seconds,
        round=progress.round,
        cancelling=progress.cancelling and not progress.ended,
        unknown=asks.asked(job, progress.calls.values()),
        down=progress.down,
        error=progress.error,
        cancel="" if progress.ended or progress.cancelling else asks.cancel_link(job),
        again=asks.retry_link(job) if progress.ended and retryable else "",
        activate=asks.activate_link(job) if lines else "",
        lines=lines,
        activating=progress.activating,
        activating_at=progress.activating_at,
        dry_run=progress.dry_run,
        plan=plan_view(progress),
    )


def stage_row(job: Job, stage: StageView, progress: Progress) -> StageRowContext:
    """Return the context of one stage's row."""
    mine = progress.calls_of(stage.id)
    running = stage.status is Status.RUNNING
    again = progress.ended and asks.can_retry_stage(stage, progress)
    return StageRowContext(
        stage=stage,
        waits=_waits(mine) if running else [],
        retries=[call for call in mine if call.state == "retry"] if running else [],
        unknown=asks.asked(job, mine),
        fallbacks=sum(artifact.source == Source.FALLBACK for artifact in stage.artifacts),
        cut_off=asks.how_far(stage, progress),
        again=asks.retry_link(job, stage=stage.id) if again else "",
    )


def _waits(of_stage: list[CallView]) -> list[Wait]:
    waiting: dict[str, list[CallView]] = {}
    for call in of_stage:
        if call.state == "waiting" and call.limit:
            waiting.setdefault(call.server, []).append(call)
    return [
        Wait(server, len(some), max(call.in_use for call in some), some[-1].limit)
        for server, some in waiting.items()
    ]


def summary(job: Job, progress: Progress) -> SummaryContext:
    """Return the context of the artifacts' summary."""
    groups = [
        (stage.name, [thing(job, artifact) for artifact in progress.artifacts_of(stage)])
        for stage in progress.stages
        if progress.artifacts_of(stage)
    ]
    everything = [one for _, things in groups for one in things]
    cancelled = progress.cancelling or progress.status is JobStatus.CANCELLED
    incomplete = cancelled or (progress.ended and progress.status is not JobStatus.COMPLETED)
    outside = asks.outside(progress) if incomplete else []
    return SummaryContext(
        groups=groups,
        pictures=[one for one in everything if one.is_picture],
        fallbacks=sum(one.artifact.source == Source.FALLBACK for one in everything),
        over=progress.ended,
        bundle=reverse("bundle", args=[job.pk]) if progress.ended and any(t.copy for t in everything) else "",
        outside=outside,
        existing=sum(len(things) for _, things in outside),
        cancelled=cancelled,
        dry_run=progress.dry_run,
    )


def thing(job: Job, artifact: Artifact) -> Thing:
    """Return an artifact with its links. An address that is not safe to link is left out."""
    copy = reverse("artifact", args=[job.pk, artifact.name]) if artifact.file else ""
    readable = artifact.name.endswith(READABLE) and artifact.file
    own = reverse("document", args=[job.pk, artifact.name]) if readable else copy
    outside = web_address(artifact.url)
    meaning = SOURCES.get(artifact.source, "")
    if job.dry_run and artifact.source == Source.SIMULATED:
        meaning = DRY_RUN
    return Thing(artifact, outside or own, copy, outside.startswith("http"), meaning)


def calls(progress: Progress) -> CallsContext:
    """Return the context of the heading above the calls."""
    states = [call.state for call in progress.calls.values()]
    counted = "planned" if progress.dry_run else "done"
    return CallsContext(len(states), states.count(counted), progress.dry_run)


def stage_calls(job: Job, progress: Progress) -> list[StageCallsContext]:
    """Return the context of each stage's calls. The bars compare the calls within one stage."""
    contexts = []
    for stage in progress.stages:
        mine = progress.calls_of(stage.id)
        longest = max((call.waited + _work(call) for call in mine), default=0.0) or 1.0
        can_retry = progress.ended and not asks.sets_live(stage.id, progress)
        rows = [_row(job, call, longest, can_retry) for call in mine]
        contexts.append(StageCallsContext(stage.id, stage.name, rows, stage.index == 0, progress.dry_run))
    return contexts


def _row(job: Job, call: CallView, longest: float, can_retry: bool) -> CallRow:
    wait, work = (round(100 * seconds / longest, 1) for seconds in (call.waited, _work(call)))
    again = asks.retry_link(job, step=call.step) if can_retry and asks.can_retry_call(call) else ""
    return CallRow(call, wait, work, web_address(call.remote_url), asks.step_link(job, call.step), again)


def _work(call: CallView) -> float:
    """Return the seconds that a call took, or is expected to take if it is only planned."""
    return call.expected if call.state == "planned" else call.took


def _render(name: str, context: Any) -> SafeString:
    values = {field.name: getattr(context, field.name) for field in fields(context)}
    return mark_safe(get_template(name).render(values).strip())  # noqa: S308 a template's own output
