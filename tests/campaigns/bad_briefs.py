"""Briefs that cannot be launched, each with the field and the words that its message must contain."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.campaigns.briefs import raw_brief

BEGIN = datetime.now(UTC).date() + timedelta(days=30)
DATES = {"flight_start": str(BEGIN), "flight_end": str(BEGIN + timedelta(days=20))}
LINE = {"channel": "Display", "dsp": "TTD", "budget": 60000, "sizes": ["300x250"]}


def brief(**changes: Any) -> dict[str, Any]:
    """Return a brief that would be launched, with changes."""
    return raw_brief(**(DATES | changes))


#: By what is wrong: the brief, the field, the words.
BAD: dict[str, tuple[Any, str, str]] = {
    "missing": (brief(brand=None), "brand", "required|missing|needed"),
    "over-long": (brief(product="x" * 5000), "product", r"\d+ characters|too long"),
    "wrong type": (brief(budget="a lot"), "budget", "number|amount|decimal"),
    "wrong type inside": (brief(media_plan=[LINE | {"budget": [1]}]), "media_plan.0.budget", "number|amount"),
    "dates reversed": (brief(flight_end=str(BEGIN - timedelta(days=1))), "flight_end", "before|after|later"),
    "no date": (brief(flight_start="soon"), "flight_start", "date"),
    "budget that does not sum": (brief(budget=70000), "budget|media_plan", "sum|add up|total"),
    "no lines": (brief(media_plan=[]), "media_plan", "empty"),
    "unknown time zone": (brief(timezone="Mars/Olympus"), "timezone", "zone"),
    "address without https": (brief(landing_url="http://tessel.example"), "landing_url", "https"),
    "unknown key": (brief(color="red"), "color", "not a field"),
}
