"""The event log: the only writer and the only reader of a job's events."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import Stopped
from jobs.models import Job, WorkflowEvent
from jobs.store import doorbell, outbox, projection, rows

PAGE = 1000
ADVANCE = "UPDATE jobs_job SET last_seq = last_seq + %s WHERE id = %s"
UNLESS_CANCELLED = " AND cancel_asked_at IS NULL"
# events that change more than the log: only for these the job's row is read
MORE_THAN_LOG = (*projection.PROJECTED, *outbox.NOTIFIED)


class LeaseLost(Stopped):
    """Another worker owns the job now; nothing was written."""


class Cancelled(Stopped):
    """The job is being cancelled, so nothing new may start; nothing was written."""


def append(
    job_id: UUID, events: Sequence[ev.Event], *, epoch: int | None = None, begins: bool = False
) -> list[ev.Recorded]:
    """Add events to a job's log and return them as recorded.

    In the same transaction, project them onto the job's row and artifacts and write the notifications for
    webhooks. The events are numbered on from the job's last seq, under the row's lock. The doorbell is rung
    after the commit.

    Raises LeaseLost if `epoch` is given and the row carries another one, and Cancelled if `begins` (the
    events start something) and the job is being cancelled. Nothing is written then.
    """
    with transaction.atomic():
        first, now = _advance(job_id, len(events), epoch, begins), timezone.now()
        recorded = [ev.Recorded(first + i, now, event) for i, event in enumerate(events)]
        for one in recorded:
            event = one.event
            rows.insert(
                WorkflowEvent, job_id=job_id, seq=one.seq, type=event.type, payload=event.payload(), at=now
            )
        if any(isinstance(event, MORE_THAN_LOG) for event in events):
            job = Job.objects.get(pk=job_id)
            for one in recorded:
                projection.project(job, one.event, now)
                outbox.notify(job, one)
        transaction.on_commit(lambda: doorbell.ring(job_id))
    return recorded


def _advance(id: UUID, count: int, epoch: int | None, begins: bool) -> int:
    """Add `count` to a job's last seq, under its row's lock, and return the first of the new numbers.

    In plain SQL: building this statement in the ORM would be most of the cost of an event.
    """
    own = Job._meta.pk.get_db_prep_value(id, connection)
    sql, values = ADVANCE, [count, own]
    if epoch is not None:
        sql, values = f"{sql} AND epoch = %s", [*values, epoch]
    if begins:
        sql += UNLESS_CANCELLED
    with connection.cursor() as cursor:
        cursor.execute(sql + " RETURNING last_seq", values)
        if moved := cursor.fetchone():
            return int(moved[0]) - count + 1
    if begins and Job.objects.filter(pk=id, cancel_asked_at__isnull=False).exists():
        raise Cancelled("the job was cancelled")
    raise LeaseLost(f"job {id} is not owned at epoch {epoch}")


def after(job_id: UUID, seq: int = 0, limit: int = PAGE) -> list[ev.Recorded]:
    """Return up to `limit` events of a job that come after `seq`, in order."""
    rows = WorkflowEvent.objects.filter(job_id=job_id, seq__gt=seq).order_by("seq")[:limit]
    return [ev.Recorded(row.seq, row.at, ev.event_from(row.type, row.payload)) for row in rows]


def whole(job_id: UUID) -> Iterable[ev.Recorded]:
    """Yield all events of a job in order, reading them page by page."""
    seq = 0
    while page := after(job_id, seq):
        yield from page
        seq = page[-1].seq


def progress(job_id: UUID) -> Progress:
    """Return the job's current progress, folded from all its events."""
    return Progress.from_events(whole(job_id))


def heads(job_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return the last seq of each of these jobs, in one query."""
    return dict(Job.objects.filter(pk__in=list(job_ids)).values_list("pk", "last_seq"))
