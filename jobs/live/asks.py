"""What a job's page offers: resolving unknown calls, retry, cancel, and links to what exists at the services.

All of it is computed from the job's progress and id: no clock, no user, no request.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from jobs.engine.progress import CallView, Progress, StageView
from jobs.engine.results import JobStatus, Source, Status
from jobs.models import Job

_INCOMPLETE = frozenset({Status.FAILED, Status.PARTIAL, Status.SKIPPED})
_RETRYABLE = frozenset({"failed", "skipped"})
_VERBS = frozenset({"create", "generate", "upload", "add", "make", "write"})


@dataclass(frozen=True)
class Asked:
    """An unknown call, and the address of the page that resolves it."""

    call: CallView
    what: str
    href: str


@dataclass(frozen=True)
class Outside:
    """Something that a call created at a service. `href` opens it there; "" if only its id is known."""

    call: CallView
    what: str
    href: str


def web_address(url: str) -> str:
    """Return the address if it is safe to link (http, https or a path of this site), otherwise ""."""
    own = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if own or url.startswith(("https://", "http://")) else ""


def words(server: str, tool: str) -> str:
    """Return a tool's name in plain words: `asana_create_task` of `asana-v2` is "create task"."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", tool)
    found = [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]
    named = set(re.split(r"[^a-z0-9]+", server.lower()))
    while len(found) > 2 and found[0] in named:
        found.pop(0)
    return " ".join(found)


def thing_made(server: str, tool: str) -> str:
    """Return what a tool creates in plain words: "task" for `asana_create_task`."""
    verb, _, rest = words(server, tool).partition(" ")
    return rest if rest and verb in _VERBS else f"{verb} {rest}".strip()


def named(call: CallView) -> str:
    """Return a call in plain words: server, tool and item."""
    what = words(call.server, call.tool)
    return f"{call.server}, {what} “{call.item}”" if call.item else f"{call.server}, {what}"


def cancel_link(job: Job) -> str:
    """Return the address of the page that confirms a cancel."""
    return reverse("job-cancel", args=[job.pk])


def retry_link(job: Job, **what: str) -> str:
    """Return the address of the page that confirms a retry: of a `stage`, a `step`, or all that failed."""
    return reverse("job-retry", args=[job.pk]) + (f"?{urlencode(what)}" if what else "")


def activate_link(job: Job) -> str:
    """Return the address of the page that shows the lines and confirms setting them live."""
    return reverse("job-activate", args=[job.pk])


def step_link(job: Job, step: str) -> str:
    """Return the address of a step's page."""
    return reverse("step", args=[job.pk, step])


def asked(job: Job, calls: Iterable[CallView]) -> list[Asked]:
    """Return the unknown calls, each with the page that resolves it."""
    return [
        Asked(call, words(call.server, call.tool), step_link(job, call.step))
        for call in calls
        if call.state == "unknown"
    ]


def can_retry_call(call: CallView) -> bool:
    """Return whether this single call can be retried once its job has ended."""
    return call.state in _RETRYABLE


def can_retry_stage(stage: StageView, progress: Progress) -> bool:
    """Return whether a stage of an ended job can be retried: part of it failed, or the stage never ended.

    Unknown calls must be resolved first, and skipped calls are only retried one by one. A retry never sets
    lines live.
    """
    if sets_live(stage.id, progress):
        return False
    mine = progress.calls_of(stage.id)
    states = {call.state for call in mine}
    if "failed" in states or cut_off(stage, progress):
        return True
    replaced = any(one.source == Source.FALLBACK for one in stage.artifacts)
    incomplete = stage.status in _INCOMPLETE or replaced or any(call.fallback for call in mine)
    return incomplete and not states & {"unknown", "skipped"}


def sets_live(stage: str, progress: Progress) -> bool:
    """Return whether this is the stage that sets the confirmed lines live."""
    return progress.activating is not None and progress.activating.stage == stage


def cut_off(stage: StageView, progress: Progress) -> bool:
    """Return whether the stage did not finish because the job ended first."""
    cut = stage.status in (Status.SKIPPED, Status.PARTIAL) and not stage.error
    return cut and progress.ended and stage.ended_at in (None, progress.ended_at)


def how_far(stage: StageView, progress: Progress) -> str:
    """Return how far a stage got that was cut off by the end of the job; "" for any other stage."""
    if not cut_off(stage, progress):
        return ""
    cancelled = progress.status is JobStatus.CANCELLED
    why = "the campaign was cancelled" if cancelled else "the campaign had ended"
    return f"Never started: {why}." if stage.started_at is None else f"Stopped before it was done: {why}."


def outside(progress: Progress) -> list[tuple[str, list[Outside]]]:
    """Return what now exists at the services: (server, things) in the order of creation."""
    found: dict[str, list[Outside]] = {}
    for call in progress.calls.values():
        if call.state == "done" and (call.remote_id or call.remote_url):
            thing = Outside(call, thing_made(call.server, call.tool), web_address(call.remote_url))
            found.setdefault(call.server, []).append(thing)
    return list(found.items())
