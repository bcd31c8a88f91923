"""The lines of a job's log: the text and level of each event."""

from __future__ import annotations

from collections.abc import Callable

from jobs.engine import events as ev
from jobs.engine.results import Status


def _what(event: ev.CallEvent) -> str:
    return f"{event.server} {event.tool}" + (f" ({event.item})" if event.item else "")


def _end(event: ev.StageEnd) -> tuple[str, str]:
    level = "good" if event.status == Status.COMPLETED else "bad"
    why = f": {event.error}" if event.error else ""
    return level, f"{event.stage_name} {event.status}, {event.current}/{event.total}{why}"


def _call_end(event: ev.CallComplete) -> tuple[str, str] | None:
    if event.state == "done":
        return "plain", f"{_what(event)} done in {event.took:.1f} s"
    return "bad", f"{_what(event)} failed: {event.error}"


LINES: dict[type[ev.Event], Callable[..., tuple[str, str] | None]] = {
    ev.JobQueued: lambda e: (
        "plain",
        "Dry run queued: nothing is sent" if e.dry_run else "Launched and queued",
    ),
    ev.JobResumed: lambda e: ("warn", f"Resumed: {e.reason}"),
    ev.JobCancelling: lambda e: ("warn", f"Cancelling, requested by {e.by}"),
    ev.JobRetrying: lambda e: ("warn", f"Retried by {e.by}: {e.what}"),
    ev.JobResolved: lambda e: ("warn", f"{e.step} resolved by {e.by}: {e.outcome}"),
    ev.JobPlanned: lambda e: ("good", f"Dry run: {e.calls} calls, about {span(e.seconds)}; nothing was sent"),
    ev.JobActivating: lambda e: ("warn", f"Going live, requested by {e.by}: {e.what}"),
    ev.JobServerDown: lambda e: ("bad", f"{e.server} is failing; calls to it are paused: {e.reason}"),
    ev.StageStart: lambda e: ("plain", f"{e.stage_name} begins"),
    ev.StageComplete: _end,
    ev.StageError: _end,
    ev.WorkflowComplete: lambda e: ("good" if e.status == "completed" else "bad", f"Campaign {e.status}"),
    ev.CallRetry: lambda e: ("warn", f"{_what(e)}: {e.reason}; next attempt in {e.delay:g} s"),
    ev.CallComplete: _call_end,
    ev.CallUnknown: lambda e: ("warn", f"{_what(e)} unknown: {e.reason}"),
    ev.CallPlanned: lambda e: ("plain", f"{_what(e)} would be sent, about {span(e.seconds)}"),
    ev.CallFallback: lambda e: ("warn", f"{_what(e)}: using a fallback ({e.reason})"),
}


def line_of(event: ev.Event, *, dry_run: bool = False) -> tuple[str, str] | None:
    """Return the level and text of an event's log line; None for waiting and progress, which have none."""
    if dry_run and isinstance(event, ev.WorkflowComplete):
        return "good" if event.status == "completed" else "bad", f"Dry run {event.status}"
    make = LINES.get(type(event))
    return make(event) if make else None


def span(seconds: float) -> str:
    """Return an expected time for display: "31 s", "6 min 50 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes > 1 else f"{seconds:.0f} s"
