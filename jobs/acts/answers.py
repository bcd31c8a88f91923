"""The three resolutions of an unknown call, and what each changes in the call's row."""

from django.utils import timezone

from jobs.acts.rounds import spends
from jobs.engine import events as ev
from jobs.engine.inputs import Fault
from jobs.models import CallAttempt, Job, ToolCall
from jobs.registry import source_of
from jobs.store import feed
from jobs.store.calls import ANSWERED, unsettled

State = ToolCall.State
ABSENT = CallAttempt.ABSENT
OUTCOMES = ("exists", ABSENT, "skip")


def faults(outcome: str, remote_id: str) -> list[Fault]:
    """Return what is wrong with a resolution, by the fields of the API."""
    longest = ToolCall._meta.get_field("remote_id").max_length or 0
    if outcome not in OUTCOMES:
        return [Fault("outcome", f"must be one of {', '.join(OUTCOMES)}")]
    if outcome == "exists" and not (0 < len(remote_id) <= longest and remote_id.isprintable()):
        return [Fault("remoteId", f"must be the id of what exists: 1 to {longest} printable characters")]
    if outcome != "exists" and remote_id:
        return [Fault("remoteId", "is allowed only with the outcome exists")]
    return []


def misfits(row: ToolCall, outcome: str, remote_id: str) -> list[Fault]:
    """Return what is wrong with a resolution of this call in particular.

    A line that is live must be the line of the call, and one thing cannot be the effect of two calls.
    """
    meant = str(row.args.get("id", ""))
    if outcome == "exists" and spends(row) and meant and remote_id != meant:
        return [Fault("remoteId", f"must be {meant}, the line that was to be set live")]
    same = row.job.calls.filter(server=row.server, tool=row.tool, state=State.DONE, remote_id=remote_id)
    if outcome == "exists" and (other := same.exclude(pk=row.pk).first()):
        return [
            Fault("remoteId", f"already belongs to {other.step}: check which of the two calls created it")
        ]
    return []


def resolve(row: ToolCall, outcome: str, remote_id: str, by: str) -> list[ev.Event]:
    """Update a call's row as a person resolved it, and return the further events this causes.

    A call that commits spend is not sent again by a resolution: if it did not take effect, it has failed.
    """
    row.error, row.ended_at = "", timezone.now()
    if outcome == "exists":
        done = row.job.calls.filter(server=row.server, state=State.DONE).exclude(source="").first()
        row.state, row.source = State.DONE, done.source if done else source_of(row.server)
        row.remote_id, row.reply = remote_id, {"data": {"id": remote_id}, "text": ""}
        row.args_hash = ANSWERED  # a person has compared it with the request
    elif outcome == ABSENT:
        row.tries.filter(outcome__in=CallAttempt.IN_DOUBT).update(outcome=ABSENT)
        row.remote_id = row.remote_url = row.source = ""
        row.state, row.ended_at, row.reply = State.WAITING, None, None
        if spends(row):
            row.state, row.ended_at = State.FAILED, timezone.now()
            row.error = f"not done, according to {by}; it is sent only when its line is set live again"
    else:
        row.state, row.error = State.SKIPPED, f"skipped by {by}"
    row.save()
    if row.state != State.FAILED:
        return []
    end = ev.CallComplete(
        **_where(row),
        state=row.state,
        attempt=row.attempts,
        waited=row.waited,
        took=row.took,
        error=row.error,
    )
    return [end]


def leave_unknown(job: Job, reason: str) -> int:
    """Mark every call that was in progress when its job ended as unknown, and return how many there were.

    A call that was to be sent again although its last attempt was in doubt is unknown again. `reason` is for
    people; where a retry looks the call up automatically, that is added to it.
    """
    open_ = ToolCall.objects.filter(job=job, state__in=(State.SENT, State.RETRY, State.WAITING))
    left = [row for row in open_ if row.state == State.SENT or unsettled(row)]
    for row in left:
        lost = row.state == State.SENT and not spends(row)
        why = f"{reason}; a retry looks it up" if lost else reason
        event = ev.CallUnknown(**_where(row), attempt=row.attempts, reason=why)
        feed.append(job.pk, [event], epoch=job.epoch)
        row.state, row.error, row.ended_at = State.UNKNOWN, why[:500], timezone.now()
        row.save(update_fields=["state", "error", "ended_at"])
        row.tries.filter(ended_at=None).update(
            ended_at=row.ended_at, outcome=CallAttempt.LOST, detail=why[:500]
        )
    return len(left)


def _where(row: ToolCall) -> dict[str, str]:
    return {
        "stage": row.stage,
        "step": row.step,
        "server": row.server,
        "tool": row.tool,
        "item": row.item,
    }
