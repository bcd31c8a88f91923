"""How a moment is written for clients."""

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """Give a moment as ISO 8601 in UTC, with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
