"""A faulty tool server: it kills its worker or itself once, at an exact call, and keeps a ledger.

`python tests/trust/server.py ROLE WORLD`. It speaks the whole contract (tests/fakes.py), ignores
keys, so that a second call has a second effect, and hides new effects from look-ups during the index lag.
"""

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without site-packages
from tests.e2e import painter
from tests.trust.kills import LAG, MARK, SERVER_MODES, WORKER_MODES, Kill

META = "flightplan/idempotency-key"
SLOWEST = 0.06  # seconds


class Faulty(painter.Painter):
    """A fake server with an index lag, seeded latencies and one kill."""

    def __init__(self, role: str, world: Path) -> None:
        self.kill, self.mark, self.worker = Kill.read(world), world / MARK, os.getppid()
        path = str(world / f"{role}.ledger")
        super().__init__(argparse.Namespace(role=role, ledger=path, latency=0.0, fault=[]))
        mine = self.kill.role == role and not self.mark.exists()
        if mine and self.kill.mode == "late":
            # an orphan that is not killed keeps running and acts
            self.faults.append(("*", "ignore-term", "", "", 0))
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def visible(self) -> list[dict]:
        """Return the effects that the index already shows."""
        return [one for one in super().visible() if one["t"] < time.monotonic() - LAG]

    def fault(self, kind: str, value: str, request: dict, tool: str, args: dict, meta: dict) -> dict | None:
        key, plan = meta.get(META, ""), self.kill
        time.sleep(random.Random(f"{plan.seed} {key}").uniform(0, SLOWEST))
        # a look-up of the same effect may be sent with its key
        if key and (key, tool) == (plan.key, plan.tool) and self._first():
            return self._apply_kill(request, tool, args, meta)
        return self.effect(tool, args, meta)

    def _first(self) -> bool:
        try:
            os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _apply_kill(self, request: dict, tool: str, args: dict, meta: dict) -> dict | None:
        """Carry out the kill; only the mode `replied` sends an answer."""
        mode = "after" if self.kill.mode == "twice" else self.kill.mode
        if mode in SERVER_MODES:
            return self._suffer(mode, request, tool, args, meta)
        assert mode in WORKER_MODES
        if mode in ("after", "replied"):
            done = self.effect(tool, args, meta)
            if mode == "replied":
                self.send({"id": request["id"], **done})
        self._kill_worker()
        if mode == "before" and self.kill.server_dies_too:
            os._exit(9)
        if mode == "late":
            time.sleep(self.kill.late)
            self.effect(tool, args, meta)
        return None

    def _suffer(self, mode: str, request: dict, tool: str, args: dict, meta: dict) -> dict | None:
        if mode == "crash-before":
            os._exit(9)
        if mode == "timeout-late":
            time.sleep(self.kill.late)
        done = self.effect(tool, args, meta)
        if mode == "crash-after":
            os._exit(9)
        return done

    def _kill_worker(self) -> None:
        if self.worker > 1 and os.getppid() == self.worker:
            os.kill(self.worker, signal.SIGKILL)


if __name__ == "__main__":
    Faulty(sys.argv[1], Path(sys.argv[2])).stdio()
