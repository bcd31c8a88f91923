"""Template filters for times, always in UTC, and durations."""

from datetime import UTC, datetime

from django import template

from jobs.engine import events as ev
from jobs.models import Job

register = template.Library()


@register.filter
def iso(moment: datetime | None) -> str:
    """Return a time in ISO 8601, or "" for None."""
    return ev.iso(moment) if moment else ""


@register.filter
def clock(moment: datetime | None) -> str:
    """Return the time of day in UTC with seconds, or "" for None."""
    return moment.astimezone(UTC).strftime("%H:%M:%S") if moment else ""


@register.filter
def moment(value: datetime | None) -> str:
    """Return date and time in UTC with the zone, or "" for None."""
    return value.astimezone(UTC).strftime("%d %b %Y, %H:%M:%S UTC").lstrip("0") if value else ""


@register.filter
def duration(seconds: float | None) -> str:
    """Return seconds as readable text: "0.4 s", "48 s", "3 min 5 s", "1 h 12 min"."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@register.filter
def took(job: Job) -> str:
    """Return how long a job took, or "" if it has not ended."""
    begin = job.started_at or job.created_at
    return duration((job.ended_at - begin).total_seconds()) if job.ended_at else ""
