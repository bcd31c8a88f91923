"""Servers that are at fault only while the file `sick` lies in their folder; one fault more: `kill-worker`.

Words in that file are the tools that are ill; without words all of those with a fault are.
As a program: what painter.py takes.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]
    import fakes
    import painter
else:
    from tests import fakes
    from tests.e2e import painter
    from tests.e2e.outside import World
    from tests.trust import judge

SICK = "sick"


class Deadly(painter.Painter):
    """A server that falls ill and gets well, and that may kill its worker."""

    def _fault_of(self, tool: str, args: dict, number: int) -> tuple[str, str]:
        sick = Path(self.ledger).parent / SICK
        ill = sick.read_text().split() if sick.exists() else ["none"]
        if ill and tool not in ill:
            return "", ""
        return super()._fault_of(tool, args, number)

    def fault(self, kind: str, value: str, request: dict, tool: str, args: dict, meta: dict) -> dict | None:
        if kind == "kill-worker":
            self.note("kill", tool=tool, meta=meta)
            os.kill(os.getppid(), signal.SIGKILL)
            return None
        return super().fault(kind, value, request, tool, args, meta)


def deadly_world(folder: Path, faults: dict[str, list[str]], *, pace: float = 0.0, **more: dict) -> "World":
    """Give a world of such servers, ill from the start. `more`: fields of an entry by role."""
    world = World(folder, faults=faults, more=more, latency=dict.fromkeys(fakes.CONTRACT, pace))
    world.file.write_text(world.file.read_text().replace(painter.__file__, __file__))
    (folder / SICK).touch()
    return world


def made_twice(world: "World") -> dict:
    """Give what was made more than once under one key, where that is more than once."""
    made = Counter(
        (one.role, one.tool, one.key) for one in judge.effects(world.folder) if not judge.repeatable(one)
    )
    return {what: times for what, times in made.items() if times > 1}


if __name__ == "__main__":
    fakes.Server = Deadly
    fakes.main()
