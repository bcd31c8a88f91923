"""The pieces of a job's page, each rendered from its own partial: the same for first page, poll and socket.

A piece's html is a fold over the job's events and nothing else: no clock, no user, no request. So a piece
that has not changed renders to the same text, and whoever replaces it by its id needs no merging.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from django.template.loader import get_template
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from jobs.models import Job
from jobs.workflow.progress import CallView, LogLine, Progress, StageView
from jobs.workflow.results import Artifact, JobStatus, Source, Status

#: What each source means, for those who ask.
SOURCES: Mapping[str, str] = {
    Source.LIVE: "made on a configured outside server",
    Source.LOCAL: "made on a server that comes with Flightplan",
    Source.SIMULATED: "pretended by a server that comes with Flightplan: no money moves",
    Source.FALLBACK: "a stand-in, because the service failed",
}
READABLE = (".md", ".markdown")


@dataclass(frozen=True)
class HeaderContext:
    """`templates/jobs/_header.html`. `made` of `total` stages have ended; `seconds` is None until
    the job has. `unknown` counts the calls of which nobody can say whether they took effect.
    """

    title: str
    status: JobStatus
    over: bool
    made: int
    total: int
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    cancelling: bool
    unknown: int
    error: str


@dataclass(frozen=True)
class Wait:
    """Calls of one stage that wait for a server's permit, `in_use` of `limit` being taken."""

    server: str
    calls: int
    in_use: int
    limit: int


@dataclass(frozen=True)
class StageContext:
    """`templates/jobs/_stage.html`: one row. `retries`, `unknown` and `stand_ins` are calls of this stage."""

    stage: StageView
    waits: list[Wait]
    retries: list[CallView]
    unknown: list[CallView]
    stand_ins: int


@dataclass(frozen=True)
class Thing:
    """An artifact as the page shows it: `href` opens it, `copy` is our own file ("" where there is none)."""

    artifact: Artifact
    href: str
    copy: str
    outside: bool
    meaning: str

    @property
    def is_picture(self) -> bool:
        """Tell whether it can be shown as a picture at its own size."""
        return bool(self.artifact.kind == "image" and self.artifact.width and self.copy)


@dataclass(frozen=True)
class SummaryContext:
    """`templates/jobs/_summary.html`: all artifacts, those of each stage under its name; pictures apart."""

    groups: list[tuple[str, list[Thing]]]
    pictures: list[Thing]
    stand_ins: int
    over: bool
    bundle: str


@dataclass(frozen=True)
class CallRow:
    """A call with its bar: `wait` and `work` are percentages of the time of the stage's slowest call."""

    call: CallView
    wait: float
    work: float
    href: str


@dataclass(frozen=True)
class CallsContext:
    """`templates/jobs/_calls.html`: how many calls there are, and how many of them are done."""

    total: int
    done: int


@dataclass(frozen=True)
class StageCallsContext:
    """`templates/jobs/_stage_calls.html`: one stage's calls, a piece of its own.

    `first` is true for the stage whose calls are open when the page is.
    """

    id: str
    name: str
    rows: list[CallRow]
    first: bool


@dataclass(frozen=True)
class LogContext:
    """`templates/jobs/_log.html`: the log's tail, newest line first."""

    lines: list[LogLine]


PARTIALS: Mapping[str, type] = {
    "jobs/_header.html": HeaderContext,
    "jobs/_stage.html": StageContext,
    "jobs/_summary.html": SummaryContext,
    "jobs/_calls.html": CallsContext,
    "jobs/_stage_calls.html": StageCallsContext,
    "jobs/_log.html": LogContext,
}


def pieces(job: Job, progress: Progress) -> dict[str, str]:
    """Give every piece of a job's page as id -> html, in the page's order. Reads no database."""
    parts = {"job-header": _render("jobs/_header.html", header(job, progress))}
    for stage in progress.stages:
        parts[f"stage-{stage.id}"] = _render("jobs/_stage.html", stage_row(stage, progress))
    parts["job-summary"] = _render("jobs/_summary.html", summary(job, progress))
    parts["job-calls"] = _render("jobs/_calls.html", calls(progress))
    for context in stage_calls(progress):
        parts[f"calls-{context.id}"] = _render("jobs/_stage_calls.html", context)
    return parts | {"job-log": _render("jobs/_log.html", LogContext(progress.log[::-1]))}


def fragment(changed: Mapping[str, str]) -> str:
    """Give what a socket message or a poll's answer holds: each piece replaces the element of its id.

    A morph, so that what a person has opened stays open and the focus stays where it is.
    """
    return "".join(
        f'<hx-partial hx-target="#{id}" hx-swap="outerMorph">{html}</hx-partial>\n'
        for id, html in changed.items()
    )


@cache
def version() -> str:
    """Give a mark of what renders the pieces: a page of an older release is not told that nothing changed."""
    files = (Path(__file__), *(Path(get_template(name).origin.name) for name in PARTIALS))
    texts = (file.read_bytes() for file in files)
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:8]


def header(job: Job, progress: Progress) -> HeaderContext:
    """Give the context of the page's head."""
    seconds = None
    if progress.ended_at and (begin := progress.started_at or progress.queued_at):
        seconds = (progress.ended_at - begin).total_seconds()
    return HeaderContext(
        title=progress.title or job.title,
        status=progress.status,
        over=progress.ended,
        made=sum(stage.ended for stage in progress.stages),
        total=len(progress.stages),
        queued_at=progress.queued_at,
        started_at=progress.started_at,
        ended_at=progress.ended_at,
        seconds=seconds,
        cancelling=progress.cancelling and not progress.ended,
        unknown=sum(call.state == "unknown" for call in progress.calls.values()),
        error=progress.error,
    )


def stage_row(stage: StageView, progress: Progress) -> StageContext:
    """Give the context of one stage's row."""
    mine = progress.calls_of(stage.id)
    running = stage.status is Status.RUNNING
    return StageContext(
        stage=stage,
        waits=_waits(mine) if running else [],
        retries=[call for call in mine if call.state == "retry"] if running else [],
        unknown=[call for call in mine if call.state == "unknown"],
        stand_ins=sum(artifact.source == Source.FALLBACK for artifact in stage.artifacts),
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
    """Give the context of the artifacts' summary."""
    groups = [
        (stage.name, [thing(job, artifact) for artifact in stage.artifacts])
        for stage in progress.stages
        if stage.artifacts
    ]
    everything = [one for _, things in groups for one in things]
    return SummaryContext(
        groups=groups,
        pictures=[one for one in everything if one.is_picture],
        stand_ins=sum(one.artifact.source == Source.FALLBACK for one in everything),
        over=progress.ended,
        bundle=reverse("bundle", args=[job.pk]) if progress.ended and any(t.copy for t in everything) else "",
    )


def thing(job: Job, artifact: Artifact) -> Thing:
    """Give an artifact with its links; an address that is no web address gives none."""
    copy = reverse("artifact", args=[job.pk, artifact.name]) if artifact.file else ""
    readable = artifact.name.endswith(READABLE) and artifact.file
    own = reverse("document", args=[job.pk, artifact.name]) if readable else copy
    outside = web_address(artifact.url)
    meaning = SOURCES.get(artifact.source, "")
    return Thing(artifact, outside or own, copy, outside.startswith("http"), meaning)


def web_address(url: str) -> str:
    """Give an address that a person may be sent to, else "": http, https, or a path of our own."""
    own = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if own or url.startswith(("https://", "http://")) else ""


def calls(progress: Progress) -> CallsContext:
    """Give the context of the heading above the calls."""
    states = [call.state for call in progress.calls.values()]
    return CallsContext(len(states), states.count("done"))


def stage_calls(progress: Progress) -> list[StageCallsContext]:
    """Give the context of each stage's calls; a bar compares the calls of one stage."""
    contexts = []
    for stage in progress.stages:
        mine = progress.calls_of(stage.id)
        longest = max((call.waited + call.took for call in mine), default=0.0) or 1.0
        rows = [_row(call, longest) for call in mine]
        contexts.append(StageCallsContext(stage.id, stage.name, rows, stage.index == 0))
    return contexts


def _row(call: CallView, longest: float) -> CallRow:
    wait, work = (round(100 * seconds / longest, 1) for seconds in (call.waited, call.took))
    return CallRow(call, wait, work, web_address(call.remote_url))


def _render(name: str, context: Any) -> SafeString:
    values = {field.name: getattr(context, field.name) for field in fields(context)}
    return mark_safe(get_template(name).render(values).strip())  # noqa: S308 a template's own output
