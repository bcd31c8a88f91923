"""The outbox: notifications for webhooks, each written in the transaction of the event it is about."""

import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.urls import reverse
from django.utils import timezone

from jobs.engine import events as ev
from jobs.engine.events import iso
from jobs.engine.results import JobStatus, Source
from jobs.models import Delivery, Job, ToolCall, Webhook, WorkflowEvent

Kind = Webhook.Kind
NOTIFIED = (ev.WorkflowComplete, ev.CallUnknown)  # the events for which `notify` does something


def notify(job: Job, one: ev.Recorded) -> None:
    """Notify webhooks of an event of a job. Call it in the transaction that records the event.

    Only ends and unknown calls count. A webhook for both `ended` and `partial` is notified once.
    """
    event = one.event
    if isinstance(event, ev.WorkflowComplete):
        incomplete = event.status == JobStatus.PARTIAL
        kinds = (Kind.PARTIAL, Kind.ENDED) if incomplete else (Kind.ENDED,)
        _write(job, kinds, f"ended:{one.seq}", one.at, lambda: _end(job, event))
    elif isinstance(event, ev.CallUnknown):
        about = f"unknown:{event.step}:{one.seq}"
        _write(job, (Kind.UNKNOWN,), about, one.at, lambda: _unknown(event))


def notify_of_stuck(now: datetime) -> int:
    """Notify webhooks of jobs without an event for STUCK_SECONDS and return the number of rows written.

    There is one row for each webhook, job and last event. An estimate of the time left does not count as an
    event.
    """
    if not _hooks(Kind.STUCK):
        return 0
    news = WorkflowEvent.objects.filter(job=OuterRef("pk")).exclude(type=ev.JobExpected.type).order_by("-seq")
    since = now - timedelta(seconds=settings.STUCK_SECONDS)
    silent = Job.objects.open().annotate(
        heard=Subquery(news.values("at")[:1]), heard_seq=Subquery(news.values("seq")[:1])
    )
    written = 0
    for job in silent.filter(heard__lt=since):
        # the stubs do not know the annotations of a custom queryset
        seq, at = job.heard_seq, job.heard  # type: ignore[attr-defined]
        written += _write(job, (Kind.STUCK,), f"stuck:{seq}", now, partial(_stuck, seq, at))
    return written


def write_test(webhook: Webhook) -> Delivery:
    """Write a test delivery, which is not about any job."""
    id, now = uuid.uuid4(), timezone.now()
    payload = {"type": "test", "id": str(id), "timestamp": iso(now)}
    return Delivery.objects.create(
        id=id, webhook=webhook, kind="test", about=f"test:{id}", payload=payload, created_at=now
    )


def _hooks(*kinds: Kind) -> list[tuple[Webhook, Kind]]:
    """Return the active webhooks for any of these kinds, each with the first kind that it is for."""
    found = []
    for hook in Webhook.objects.filter(active=True):
        if wanted := [kind for kind in kinds if kind in hook.kinds]:
            found.append((hook, wanted[0]))
    return found


def _write(
    job: Job, kinds: tuple[Kind, ...], about: str, at: datetime, news: Callable[[], dict[str, Any]]
) -> int:
    """Write a row for each webhook for one of these kinds that has none yet; return how many."""
    hooks = _hooks(*kinds)
    if not hooks:
        return 0
    notified = set(Delivery.objects.filter(job=job, about=about).values_list("webhook_id", flat=True))
    job.refresh_from_db(fields=["status", "round"])  # as the earlier events of this append have left it
    more = news()
    rows = []
    for hook, kind in hooks:
        if hook.pk in notified:
            continue
        id = uuid.uuid4()
        payload = {"type": f"job.{kind}", "id": str(id), "timestamp": iso(at), **_about(job), **more}
        rows.append(Delivery(id=id, webhook=hook, job=job, kind=kind, about=about, payload=payload))
    # another worker may write about the same stuck job at the same time
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _about(job: Job) -> dict[str, Any]:
    return {
        "jobId": str(job.pk),
        "title": job.title,
        "status": str(job.status),
        "round": job.round,
        "dryRun": job.dry_run,
        "pageUrl": urljoin(settings.PUBLIC_URL, reverse("job", args=[job.pk])),
        "jobUrl": urljoin(settings.PUBLIC_URL, reverse("api:job", args=[job.pk])),
    }


def _end(job: Job, end: ev.WorkflowComplete) -> dict[str, Any]:
    made = Counter(str(artifact.source) for artifact in end.artifacts)
    unknown = ToolCall.objects.filter(job=job, state=ToolCall.State.UNKNOWN).count()
    return {
        "status": str(end.status),
        "artifacts": {str(source): made[source] for source in Source},
        "unknownCalls": unknown,
    }


def _unknown(call: ev.CallUnknown) -> dict[str, Any]:
    return {"step": call.step, "server": call.server, "tool": call.tool, "reason": call.reason}


def _stuck(seq: int, at: datetime) -> dict[str, Any]:
    return {"lastEventId": seq, "lastEventAt": iso(at)}
