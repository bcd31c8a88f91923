"""When a server asks to be asked again."""

import email.utils
import time


def retry_after(value: str) -> float | None:
    """The seconds that a Retry-After header names, as a number or as a date; None when it names none."""
    try:
        return max(0.0, float(value)) if value.strip().replace(".", "", 1).isdigit() else _until(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _until(date: str) -> float:
    return max(0.0, email.utils.parsedate_to_datetime(date).timestamp() - time.time())
