"""External tool servers for a whole installation: a servers file, and the ledger of each role."""

from collections.abc import Mapping
from pathlib import Path

from tests import fakes
from tests.e2e import painter

ROLES = tuple(fakes.CONTRACT)
META = "flightplan/idempotency-key"
DSPS = ("ttd", "dv360", "amazon-dsp")
#: Tools that change something, by role.
EFFECTS = {
    role: [
        tool
        for tool in tools
        if "create" in tool or tool in ("writeSpreadsheet", "generate_image", "upload_asset")
    ]
    for role, tools in fakes.CONTRACT.items()
}


class World:
    """Eight external servers that share a folder. `more`: fields of an entry by role, as in the file."""

    def __init__(
        self,
        folder: Path,
        *,
        faults: Mapping[str, list[str]] | None = None,
        more: Mapping[str, dict] | None = None,
        latency: Mapping[str, float] | None = None,
    ) -> None:
        self.folder = folder
        entries = {}
        for role in ROLES:
            wrong, pace = (faults or {}).get(role, []), (latency or {}).get(role, 0.0)
            entry = fakes.entry(role, self.ledger(role), *wrong, latency=pace)
            entry["args"][entry["args"].index(fakes.__file__)] = painter.__file__
            # rates have their own test; elsewhere they would only slow the tests down
            entries[role] = entry | {"perMinute": 6000} | (more or {}).get(role, {})
        self.file = fakes.servers_file(folder / "servers.json", entries)

    def ledger(self, role: str) -> Path:
        """Return the ledger file of a server."""
        return self.folder / f"{role}.ledger"

    def entries(self, role: str, event: str = "", tool: str = "") -> list[dict]:
        """Return the entries of a server's ledger."""
        return fakes.ledger(self.ledger(role), event, tool)

    def peak(self, role: str, tool: str = "") -> int:
        """Return the most calls that a server handled at once."""
        return fakes.peak(self.ledger(role), tool)
