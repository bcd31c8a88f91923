"""Servers that fail only while the file `sick` is in their folder, with the extra fault `kill-worker`.

The words in that file name the tools that fail; if it is empty, all tools with a fault do.
As a program it takes the same arguments as painter.py.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

if __name__ == "__main__":  # runs without site-packages
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests import fakes
from tests.e2e import painter

if __name__ != "__main__":  # a server does not need these, and they need site-packages
    from tests.e2e.outside import World
    from tests.trust import judge

SICK = "sick"


class Deadly(painter.Painter):
    """A server whose failures can be switched on and off, and that can kill its worker."""

    def _fault_of(self, tool: str, args: fakes.Json, number: int) -> tuple[str, str]:
        sick = Path(self.ledger).parent / SICK
        ill = sick.read_text().split() if sick.exists() else ["none"]
        if ill and tool not in ill:
            return "", ""
        return super()._fault_of(tool, args, number)

    def fault(
        self, kind: str, value: str, request: fakes.Json, tool: str, args: fakes.Json, meta: fakes.Json
    ) -> fakes.Json | None:
        if kind == "kill-worker":
            self.note("kill", tool=tool, meta=meta)
            os.kill(os.getppid(), signal.SIGKILL)
            return None
        return super().fault(kind, value, request, tool, args, meta)


def deadly_world(
    folder: Path, faults: dict[str, list[str]], *, pace: float = 0.0, **more: fakes.Json
) -> "World":
    """Return a world of such servers, failing from the start. `more`: fields of an entry by role."""
    world = World(folder, faults=faults, more=more, latency=dict.fromkeys(fakes.CONTRACT, pace))
    world.file.write_text(world.file.read_text().replace(painter.__file__, __file__))
    (folder / SICK).touch()
    return world


def made_twice(world: "World") -> dict[tuple[str, str, str], int]:
    """Return the number of times of each duplicate effect, by role, tool and key."""
    made = Counter(
        (one.role, one.tool, one.key) for one in judge.effects(world.folder) if not judge.repeatable(one)
    )
    return {what: times for what, times in made.items() if times > 1}


if __name__ == "__main__":
    fakes.main(Deadly)
