"""The duration of a local call: none, or a pace that a viewer can follow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

#: Seconds of each call at the pace `realistic`: about a fifth of the services' own times, so that the
#: reference campaign takes about a minute within the servers' limits.
SECONDS = {
    "createFolder": 2.0,
    "createDocument": 4.5,
    "createSpreadsheet": 3.5,
    "writeSpreadsheet": 2.0,
    "asana_list_workspaces": 0.4,
    "asana_create_project": 3.5,
    "asana_create_task": 3.5,
    "generate_image": 16.0,
    "upload_asset": 3.5,
    "create_design": 5.0,
    "create_campaign": 2.0,
    "set_campaign_status": 1.0,
    "google_ads_create_campaign": 3.0,
    "google_ads_create_ad_group": 2.0,
    "google_ads_create_keyword": 0.6,
    "google_ads_create_responsive_search_ad": 2.5,
}

#: Seconds of a look-up that is not in the table.
LOOK_UP_SECONDS = 0.3

#: The share of a call's time before its effect; the rest is between the effect and the answer.
_BEFORE = 0.8


@dataclass(frozen=True)
class Pace:
    """A factor for the table: 0 is at once, 1 is `realistic`."""

    scale: float = 0.0

    @classmethod
    def named(cls, name: str) -> Pace:
        """Return the pace for a value of `LOCAL_LATENCY`. Raises ValueError for a bad value."""
        if name in ("", "realistic"):
            return cls(1.0 if name else 0.0)
        try:
            scale = float(name)
        except ValueError:
            scale = -1.0
        if not 0 <= scale <= 100:
            raise ValueError(f"LOCAL_LATENCY must be realistic or a number from 0 to 100, not {name!r}")
        return cls(scale)

    def of(self, tool: str, key: str) -> tuple[float, float]:
        """Return the seconds before and after the effect; up to 15 % more or less, depending on the key."""
        digest = hashlib.sha256(f"{tool} {key}".encode()).digest()
        seconds = SECONDS.get(tool, LOOK_UP_SECONDS) * self.scale * (0.85 + 0.3 * digest[0] / 255)
        return seconds * _BEFORE, seconds * (1 - _BEFORE)
