"""The outbox: what webhooks are told of and when. A row is written with the event that it tells of."""

import uuid
from collections import Counter
from datetime import datetime, timedelta
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


def tell(job: Job, one: ev.Recorded) -> None:
    """Write what webhooks are told of an event of a job; call it in the transaction that records the event.

    Only ends and unknown calls are told of. An address that wants both `ended` and `partial` is told once.
    """
    if isinstance(one.event, ev.WorkflowComplete):
        partial = one.event.status == JobStatus.PARTIAL
        kinds = (Kind.PARTIAL, Kind.ENDED) if partial else (Kind.ENDED,)
        _write(job, kinds, f"ended:{one.seq}", one.at, lambda: _end(job, one.event))
    elif isinstance(one.event, ev.CallUnknown):
        about = f"unknown:{one.event.step}:{one.seq}"
        _write(job, (Kind.UNKNOWN,), about, one.at, lambda: _unknown(one.event))


def tell_of_the_stuck(now: datetime) -> int:
    """Write what webhooks are told of jobs that have had no news for STUCK_SECONDS, and give how many rows
    that were: one for each address, job and last event. The time that is left is no news: it is reckoned.
    """
    if not _hooks(Kind.STUCK):
        return 0
    news = WorkflowEvent.objects.filter(job=OuterRef("pk")).exclude(type=ev.JobExpected.type).order_by("-seq")
    last = {"heard": Subquery(news.values("at")[:1]), "heard_seq": Subquery(news.values("seq")[:1])}
    since = now - timedelta(seconds=settings.STUCK_SECONDS)
    silent = Job.objects.open().annotate(**last).filter(heard__lt=since)
    return sum(_write(job, (Kind.STUCK,), f"stuck:{job.heard_seq}", now, _stuck(job)) for job in silent)


def write_test(webhook: Webhook) -> Delivery:
    """Write a delivery that tells an address of nothing but itself."""
    id, now = uuid.uuid4(), timezone.now()
    payload = {"type": "test", "id": str(id), "timestamp": iso(now)}
    return Delivery.objects.create(
        id=id, webhook=webhook, kind="test", about=f"test:{id}", payload=payload, created_at=now
    )


def _hooks(*kinds: Kind) -> list[tuple[Webhook, Kind]]:
    """Give the active addresses that want one of these kinds, each with the first of them that it wants."""
    found = []
    for hook in Webhook.objects.filter(active=True):
        if wanted := [kind for kind in kinds if kind in hook.kinds]:
            found.append((hook, wanted[0]))
    return found


def _write(job: Job, kinds: tuple[Kind, ...], about: str, at: datetime, more: Any) -> int:
    """Write a row for each address that wants one of these kinds and has none about it; give how many."""
    hooks = _hooks(*kinds)
    if not hooks:
        return 0
    told = set(Delivery.objects.filter(job=job, about=about).values_list("webhook_id", flat=True))
    job.refresh_from_db(fields=["status", "round"])  # as the events before this one have left it
    news = more()
    rows = []
    for hook, kind in hooks:
        if hook.pk in told:
            continue
        id = uuid.uuid4()
        payload = {"type": f"job.{kind}", "id": str(id), "timestamp": iso(at), **_about(job), **news}
        rows.append(Delivery(id=id, webhook=hook, job=job, kind=kind, about=about, payload=payload))
    # another worker may write of the same silence at the same time
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


def _stuck(job: Any) -> Any:
    return lambda: {"lastEventId": job.heard_seq, "lastEventAt": iso(job.heard)}
