"""The pages of jobs: the list, a job's live page and its poll, and the state of the tool servers."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_not_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from jobs.acts import spending
from jobs.engine.results import JobStatus
from jobs.live.painted import painted, tag
from jobs.live.pieces import fragment
from jobs.models import Job, WorkerBeat
from jobs.pages.act_views import user_of
from jobs.store import keyset

PAGE = 30
ORDER = keyset.MOMENTS
FRESH = timedelta(seconds=15)
LONGEST_QUERY = 200


@dataclass(frozen=True)
class JobListPage:
    """`templates/jobs/list.html`. `older` is the address of the next page, "" on the last page.

    `shown`: the list is filtered or searched. `first`: this is the newest page. `refresh`: the address of the
    list, which reloads more often while one of its jobs has not ended (`moving`). `cut_short`: the number of
    jobs that were searched if the search stopped before the page was full, otherwise 0.
    """

    jobs: list[Job]
    statuses: list[str]
    status: str
    q: str
    shown: bool
    first: bool
    older: str
    cut_short: int
    refresh: str
    moving: bool


@dataclass(frozen=True)
class JobPage:
    """`templates/jobs/job.html`: the pieces, and the `tag` that a poll would return.

    `over` is true once the job has ended. `later` is the id of the stage that an activation would add, for
    which the page keeps a place, or "".
    """

    job: Job
    header: str
    stages: list[str]
    summary: str
    calls: str
    stage_calls: list[str]
    log: str
    title: str
    over: bool
    later: str
    tag: str


@dataclass(frozen=True)
class ServerView:
    """A tool server as its worker last reported it: `in_use` of `limit` permits taken, `waiting` calls.

    `held_back` is the reason why its calls are paused, "" if they are not.
    """

    name: str
    connected: bool
    tools: list[str]
    in_use: int
    limit: int
    waiting: int
    source: str
    error: str
    held_back: str


@dataclass(frozen=True)
class WorkerView:
    """A worker and its servers. `fresh`: its last heartbeat is at most a few seconds old."""

    name: str
    seen_at: datetime
    fresh: bool
    servers: list[ServerView]


@dataclass(frozen=True)
class ConnectionsPage:
    """`templates/jobs/connections.html`: the running workers, or the one that reported last."""

    workers: list[WorkerView]


@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """Show a page of the user's jobs, newest first, selected by `status`, `q` and `after` (a job's id)."""
    status = request.GET.get("status", "")
    status = status if status in set(JobStatus) else ""
    q = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_QUERY]
    seen = Job.objects.visible_to(user_of(request))
    after = _job_of(seen, request.GET.get("after", ""))
    if status:
        seen = seen.filter(status=status)
    rows = (seen.filter(title__icontains=q) if q else seen).defer("params", "confirmed")
    place = ORDER.key(after) if after else None
    # no index finds part of a title, so a page searches a limited number of jobs
    found = keyset.page(rows, ORDER, PAGE, older=place, among=seen if q else None)
    page = JobListPage(
        jobs=found.rows,
        statuses=[one.value for one in JobStatus],
        status=status,
        q=q,
        shown=bool(status or q),
        first=after is None,
        older=_address(request, status=status, q=q, after=str(found.older[-1])) if found.older else "",
        cut_short=keyset.LOOKED_THROUGH if found.cut_short else 0,
        refresh=request.get_full_path(),
        moving=any(not job.ended for job in found.rows),
    )
    return render(request, "jobs/list.html", vars(page))


def _job_of(rows: QuerySet[Job], text: str) -> Job | None:
    try:
        return rows.filter(pk=uuid.UUID(text)).first() if text else None
    except ValueError:
        return None


def _address(request: HttpRequest, **query: str) -> str:
    return f"{request.path}?{urlencode({key: value for key, value in query.items() if value})}"


@require_safe
def job_page(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Show one job live, with the same pieces that the poll and the socket send."""
    job = get_object_or_404(Job.objects.visible_to(user_of(request)), pk=job_id)
    now = painted(job)
    parts = now.parts
    page = JobPage(
        job=job,
        header=parts["job-header"],
        stages=[html for id, html in parts.items() if id.startswith("stage-")],
        summary=parts["job-summary"],
        calls=parts["job-calls"],
        stage_calls=[html for id, html in parts.items() if id.startswith("calls-")],
        log=parts["job-log"],
        title=now.title,
        over=now.over,
        tag=now.tag,
        later=_later(job, parts),
    )
    response = render(request, "jobs/job.html", vars(page) | {"status": now.status})
    patch_cache_control(response, no_cache=True)
    return response


def _later(job: Job, parts: Mapping[str, str]) -> str:
    stage = spending.stage_of(job)
    return "" if f"stage-{stage}" in parts else stage


@login_not_required
@require_safe
def job_progress(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Return all pieces to a poll, or 304 if nothing has changed, or 401 if signed out."""
    if not request.user.is_authenticated:
        return HttpResponse("Please sign in again.", status=401, content_type="text/plain")
    job = get_object_or_404(Job.objects.visible_to(request.user), pk=job_id)
    if tag(job.last_seq) in parse_etags(request.headers.get("If-None-Match", "")):
        response: HttpResponse = HttpResponseNotModified()
        response["ETag"] = tag(job.last_seq)
    else:
        now = painted(job)
        response = HttpResponse(fragment(now.parts))
        response["ETag"] = now.tag
    patch_cache_control(response, no_cache=True, private=True)
    return response


@require_safe
def connections(request: HttpRequest) -> HttpResponse:
    """Show the tool servers as the workers last reported them."""
    limit = timezone.now() - FRESH
    beats = WorkerBeat.objects.order_by("-seen_at")[:10]
    workers = [
        WorkerView(beat.worker, beat.seen_at, beat.seen_at >= limit, server_views(beat.servers))
        for beat in beats
    ]
    fresh = [worker for worker in workers if worker.fresh]
    return render(request, "jobs/connections.html", vars(ConnectionsPage(fresh or workers[:1])))


def server_views(servers: object) -> list[ServerView]:
    """Return the servers in a worker's heartbeat, sorted by name. Missing values become empty or 0."""
    if not isinstance(servers, Mapping):
        return []
    return [_server(name, row) for name, row in sorted(servers.items()) if isinstance(row, Mapping)]


def _server(name: str, row: Mapping[str, Any]) -> ServerView:
    tools = row.get("tools") or []
    names = sorted(str(tool) for tool in tools) if isinstance(tools, list | tuple | Mapping) else []
    return ServerView(
        name=name,
        connected=bool(row.get("connected")),
        tools=names,
        in_use=int(row.get("inUse") or row.get("in_use") or 0),
        limit=int(row.get("limit") or 0),
        waiting=int(row.get("waiting") or 0),
        source=str(row.get("source") or ""),
        error=str(row.get("last_error") or ""),
        held_back=str(row.get("held_back") or ""),
    )
