"""Faults to inject into a run: the modes by name, and the file from which servers read the fault."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

LAG = 0.3  # seconds in which a new effect is invisible to look-ups
ROLE_LAG = 0.4  # the index lag that the worker assumes
SHORT_TIMEOUT = 1.5  # seconds per call, on the server whose answer is lost
PLAN, MARK = "kill.json", "hurt"

#: Mode -> its name in the table. The first four kill the worker at one call of one server.
WORKER_MODES = {
    "before": "worker killed before the effect",
    "after": "worker killed after the effect, before its reply",
    "late": "worker killed, its orphaned server acts later",
    "replied": "worker killed with the reply in its pipe",
}
SERVER_MODES = {
    "crash-before": "server dies before the effect",
    "crash-after": "server dies after the effect",
    "timeout-late": "the call times out, its effect comes later",
}
COMMIT_MODES = {
    "commit-before": "worker killed right before a commit",
    "commit-after": "worker killed right after a commit",
}
TWICE = {"twice": "killed after the effect, and once more at a commit of the next worker"}
MODES = WORKER_MODES | SERVER_MODES | COMMIT_MODES | TWICE
LATE = (1.0, 2.5, 4.0)  # seconds until an orphan acts, by seed
LATER = (1.0, 0.2, 0.6)  # seconds from a call's deadline to its effect, by seed


@dataclass(frozen=True)
class Kill:
    """One fault of one run.

    `key`: the effect key of the call, "" for none. `commit`: the number of the commit, from 1; 0 for none.
    `seed` varies latencies, how late an orphan acts, and whether the server dies with its worker.
    """

    mode: str = ""
    seed: int = 0
    role: str = ""
    key: str = ""
    tool: str = ""
    what: str = ""
    commit: int = 0

    @property
    def late(self) -> float:
        """Return how many seconds after the fault a late effect is made."""
        if self.mode == "timeout-late":
            return SHORT_TIMEOUT + LATER[self.seed % len(LATER)]
        return LATE[self.seed % len(LATE)]

    @property
    def server_dies_too(self) -> bool:
        """Return whether the server ends with its worker, before the effect."""
        return self.seed % 2 == 1

    def write(self, world: Path) -> None:
        """Write the kill to the folder of this world's servers."""
        (world / PLAN).write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, world: Path) -> "Kill":
        """Return the kill of a world."""
        return cls(**json.loads((world / PLAN).read_text()))

    def __str__(self) -> str:
        where = (
            f"commit {self.commit}"
            if self.mode in COMMIT_MODES
            else f"{self.role} {self.tool} {self.what}".strip()
        )
        more = f", commit {self.commit}" if self.mode in TWICE else ""
        return f"{self.mode or 'clean'} · {where}{more} · seed {self.seed}"
