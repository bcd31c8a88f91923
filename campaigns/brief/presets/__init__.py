"""Sample briefs with dates relative to today, so that they can always be launched."""

import json
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


class UnknownPreset(LookupError):
    """There is no preset of that name."""


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of the presets in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def load_preset(name: str, today: date) -> dict[str, Any]:
    """Return the raw brief of a preset as of `today`. Raises UnknownPreset."""
    if name not in preset_names():
        raise UnknownPreset(f"there is no preset {name[:60]!r}; the presets are {', '.join(preset_names())}")
    raw = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return {field: _resolved(value, today) for field, value in raw.items()}


def _resolved(value: Any, today: date) -> Any:
    """Replace `{"in_days": 42}` by a date and `{"year_in_days": 42}` by that date's year."""
    if isinstance(value, dict) and value.keys() == {"in_days"}:
        return (today + timedelta(days=value["in_days"])).isoformat()
    if isinstance(value, dict) and value.keys() == {"year_in_days"}:
        return (today + timedelta(days=value["year_in_days"])).year
    return value
