"""What a job's page asks and offers: answers to unknown calls, trying again, cancelling, what exists outside.

All of it follows from the fold and the job's id: no clock, no user, no request.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from jobs.engine.progress import CallView, Progress, StageView
from jobs.engine.results import JobStatus, Source, Status
from jobs.models import Job

_MISSED = frozenset({Status.FAILED, Status.PARTIAL, Status.SKIPPED})
_AGAIN = frozenset({"failed", "skipped"})
_VERBS = frozenset({"create", "generate", "upload", "add", "make", "write"})


@dataclass(frozen=True)
class Asked:
    """An unknown call, and the address of the page where somebody answers for it."""

    call: CallView
    what: str
    href: str


@dataclass(frozen=True)
class Outside:
    """Something that a call has made at a service: `href` opens it there, "" where only its id is known."""

    call: CallView
    what: str
    href: str


def web_address(url: str) -> str:
    """Give an address that a person may be sent to, else "": http, https, or a path of our own."""
    own = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if own or url.startswith(("https://", "http://")) else ""


def words(server: str, tool: str) -> str:
    """Give a tool's name in people's words: `asana_create_task` of `asana-v2` is "create task"."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", tool)
    found = [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]
    named = set(re.split(r"[^a-z0-9]+", server.lower()))
    while len(found) > 2 and found[0] in named:
        found.pop(0)
    return " ".join(found)


def thing_made(server: str, tool: str) -> str:
    """Give what a tool makes, in people's words: "task" for `asana_create_task`."""
    verb, _, rest = words(server, tool).partition(" ")
    return rest if rest and verb in _VERBS else f"{verb} {rest}".strip()


def named(call: CallView) -> str:
    """Give a call in people's words, with what it is for."""
    what = words(call.server, call.tool)
    return f"{call.server}, {what} “{call.item}”" if call.item else f"{call.server}, {what}"


def cancel_link(job: Job) -> str:
    """Give the address of the page that asks before it cancels."""
    return reverse("job-cancel", args=[job.pk])


def retry_link(job: Job, **what: str) -> str:
    """Give the address of the page that asks before trying a `stage`, a `step`, or all that failed again."""
    return reverse("job-retry", args=[job.pk]) + (f"?{urlencode(what)}" if what else "")


def activate_link(job: Job) -> str:
    """Give the address of the page that shows the lines before it sets them live."""
    return reverse("job-activate", args=[job.pk])


def step_link(job: Job, step: str) -> str:
    """Give the address of one step's page."""
    return reverse("step", args=[job.pk, step])


def asked(job: Job, calls: Iterable[CallView]) -> list[Asked]:
    """Give those of the calls that are unknown, each with the page for its answer."""
    return [
        Asked(call, words(call.server, call.tool), step_link(job, call.step))
        for call in calls
        if call.state == "unknown"
    ]


def may_again(call: CallView) -> bool:
    """Tell whether this one call can be tried again, once its job has ended."""
    return call.state in _AGAIN


def mendable(stage: StageView, progress: Progress) -> bool:
    """Tell whether an ended job's stage can be tried again: something of it failed, or it never ended.

    What is unknown waits for an answer first, and what was skipped for somebody who names that call. Lines
    are not set live by trying again.
    """
    if sets_live(stage.id, progress):
        return False
    mine = progress.calls_of(stage.id)
    states = {call.state for call in mine}
    if "failed" in states or cut_off(stage, progress):
        return True
    stood_in = any(one.source == Source.FALLBACK for one in stage.artifacts)
    trouble = stage.status in _MISSED or stood_in or any(call.fallback for call in mine)
    return trouble and not states & {"unknown", "skipped"}


def sets_live(stage: str, progress: Progress) -> bool:
    """Tell whether this is the stage by which somebody had lines set live."""
    return progress.activating is not None and progress.activating.stage == stage


def cut_off(stage: StageView, progress: Progress) -> bool:
    """Tell whether a stage did not come to an end of its own: the job ended before."""
    cut = stage.status in (Status.SKIPPED, Status.PARTIAL) and not stage.error
    return cut and progress.ended and stage.ended_at in (None, progress.ended_at)


def how_far(stage: StageView, progress: Progress) -> str:
    """Say of a stage that the job's end cut off how far it came, "" for any other."""
    if not cut_off(stage, progress):
        return ""
    cancelled = progress.status is JobStatus.CANCELLED
    why = "the campaign was cancelled" if cancelled else "the campaign had ended"
    return f"Never began: {why}." if stage.started_at is None else f"Stopped on its way: {why}."


def outside(progress: Progress) -> list[tuple[str, list[Outside]]]:
    """Give what now exists at the services, under each server's name, in the order in which it was made."""
    found: dict[str, list[Outside]] = {}
    for call in progress.calls.values():
        if call.state == "done" and (call.remote_id or call.remote_url):
            thing = Outside(call, thing_made(call.server, call.tool), web_address(call.remote_url))
            found.setdefault(call.server, []).append(thing)
    return list(found.items())
