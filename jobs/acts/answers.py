"""The three answers for an unknown call, and what each changes in the call's row."""

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
    """Give what is wrong with an answer, by the fields of the API."""
    longest = ToolCall._meta.get_field("remote_id").max_length or 0
    if outcome not in OUTCOMES:
        return [Fault("outcome", f"must be one of {', '.join(OUTCOMES)}")]
    if outcome == "exists" and not (0 < len(remote_id) <= longest and remote_id.isprintable()):
        return [
            Fault("remoteId", f"must be the id under which it exists: 1 to {longest} printable characters")
        ]
    if outcome != "exists" and remote_id:
        return [Fault("remoteId", "goes with exists only")]
    return []


def misfits(row: ToolCall, outcome: str, remote_id: str) -> list[Fault]:
    """Give what is wrong with an answer for this very call: a line that is live is the one that was meant,
    and one thing is not two."""
    meant = str(row.args.get("id", ""))
    if outcome == "exists" and spends(row) and meant and remote_id != meant:
        return [Fault("remoteId", f"must be {meant}, the line that was to be set live")]
    same = row.job.calls.filter(server=row.server, tool=row.tool, state=State.DONE, remote_id=remote_id)
    if outcome == "exists" and (other := same.exclude(pk=row.pk).first()):
        return [Fault("remoteId", f"is that of {other.step} already: look which of the two it is")]
    return []


def settle(row: ToolCall, outcome: str, remote_id: str, by: str) -> list[ev.Event]:
    """Let a call's row stand as a person says it does, and give what is to be told of it besides.

    A call that commits spend is not sent again by an answer: where it did not take effect it has failed.
    """
    row.error, row.ended_at = "", timezone.now()
    if outcome == "exists":
        done = row.job.calls.filter(server=row.server, state=State.DONE).exclude(source="").first()
        row.state, row.source = State.DONE, done.source if done else source_of(row.server)
        row.remote_id, row.reply = remote_id, {"data": {"id": remote_id}, "text": ""}
        row.args_hash = ANSWERED  # a person has compared it with what is wanted
    elif outcome == ABSENT:
        row.tries.filter(outcome__in=CallAttempt.IN_DOUBT).update(outcome=ABSENT)
        row.remote_id = row.remote_url = row.source = ""
        row.state, row.ended_at, row.reply = State.WAITING, None, None
        if spends(row):
            row.state, row.ended_at = State.FAILED, timezone.now()
            row.error = f"not done, says {by}; it is sent only when its line is set live again"
    else:
        row.state, row.error = State.SKIPPED, f"skipped by {by}"
    row.save()
    if row.state != State.FAILED:
        return []
    where = {name: getattr(row, name) for name in ("stage", "step", "server", "tool", "item")}
    told = {"state": row.state, "attempt": row.attempts, "error": row.error}
    return [ev.CallComplete(**where, **told, waited=row.waited, took=row.took)]


def leave_unknown(job: Job, reason: str) -> int:
    """Tell of every call that was under way when its job ended that nobody knows what became of it, and give
    how many there were. One that was to be made anew in spite of a doubt is in doubt again. `reason` is for
    people, who are also told where a later round finds out by itself."""
    open_ = ToolCall.objects.filter(job=job, state__in=(State.SENT, State.RETRY, State.WAITING))
    left = [row for row in open_ if row.state == State.SENT or unsettled(row)]
    for row in left:
        lost = row.state == State.SENT and not spends(row)
        why = f"{reason}; trying again looks it up" if lost else reason
        where = {name: getattr(row, name) for name in ("stage", "step", "server", "tool", "item")}
        feed.append(job.pk, [ev.CallUnknown(**where, attempt=row.attempts, reason=why)], epoch=job.epoch)
        row.state, row.error, row.ended_at = State.UNKNOWN, why[:500], timezone.now()
        row.save(update_fields=["state", "error", "ended_at"])
        row.tries.filter(ended_at=None).update(
            ended_at=row.ended_at, outcome=CallAttempt.LOST, detail=why[:500]
        )
    return len(left)
