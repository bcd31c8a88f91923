"""Liveness and readiness checks, for monitoring."""

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from jobs.api.errors import Problem
from jobs.models import FRESH, WorkerBeat


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Return 200 if this process responds. Checks nothing else."""
    return HttpResponse("ok\n", "text/plain")


@login_not_required
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Return 200 if the database responds and a worker is running, otherwise 503 with the reason."""
    try:
        beat = WorkerBeat.objects.order_by("-seen_at").first()
    except (DatabaseError, InterfaceError) as error:
        return _not_ready(f"the database does not respond: {type(error).__name__}")
    if beat is None:
        return _not_ready("no worker has started yet")
    silent = timezone.now() - beat.seen_at
    if silent > FRESH:
        return _not_ready(f"the last worker heartbeat was {silent.total_seconds():.0f} s ago")
    return JsonResponse({"status": "ready"})


def _not_ready(reason: str) -> HttpResponse:
    return Problem(503, reason, kind="not-ready").response()
