"""Sample briefs that hold no calendar: their dates are days from today, so they can always be launched."""

import json
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


class UnknownPreset(LookupError):
    """No preset has that name."""


@cache
def preset_names() -> tuple[str, ...]:
    """The names of the presets, in order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def load_preset(name: str, today: date) -> dict[str, Any]:
    """The raw brief of a preset as of today; raises `UnknownPreset`."""
    if name not in preset_names():
        raise UnknownPreset(f"there is no preset {name[:60]!r}; there are {', '.join(preset_names())}")
    raw = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return {field: _resolved(value, today) for field, value in raw.items()}


def _resolved(value: Any, today: date) -> Any:
    """`{"in_days": 42}` becomes a date, `{"year_in_days": 42}` that date's year."""
    if isinstance(value, dict) and value.keys() == {"in_days"}:
        return (today + timedelta(days=value["in_days"])).isoformat()
    if isinstance(value, dict) and value.keys() == {"year_in_days"}:
        return (today + timedelta(days=value["year_in_days"])).year
    return value
