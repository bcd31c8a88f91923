"""Simulate the tool servers: the whole contract at the real services' estimated pace, scaled.

`python benchmarks/simulated.py ROLE FOLDER --scale S [--jitter J] [--seed N] [--each SECONDS]`. One thread
and a heap of calls by their due time, so that a server costs the machine little. Every call is written to the
role's log with its beginning and its end by the machine's monotonic clock.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import random
import select
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":  # a program without site-packages, so that it starts at once
    sys.path.insert(0, str(HERE.parent))

from tests import fakes  # noqa: E402 - found by the path above
from tests.e2e.painter import png  # noqa: E402

META = "flightplan/idempotency-key"
#: Estimated seconds of a call of the real services: a brief 30 in two calls, a plan 30 in two, a task 20, the
#: rest of a creative (upload and design) 45, a line 1, a search campaign some 150 at two calls at once.
SECONDS = {
    "createFolder": 5.0,
    "createDocument": 25.0,
    "createSpreadsheet": 15.0,
    "writeSpreadsheet": 15.0,
    "asana_list_workspaces": 1.0,
    "asana_create_project": 20.0,
    "asana_create_task": 20.0,
    "upload_asset": 20.0,
    "create_design": 25.0,
    "create_campaign": 1.0,
    "set_campaign_status": 1.0,
    "google_ads_create_campaign": 25.0,
    "google_ads_create_ad_group": 15.0,
    "google_ads_create_keyword": 8.0,
    "google_ads_create_responsive_search_ad": 15.0,
}
#: An image takes 90 to 120 seconds, the larger the longer; these are the reference campaign's sizes.
IMAGE = {(300, 250): 95.0, (160, 600): 100.0, (728, 90): 105.0, (1920, 1080): 120.0}
OTHER = 1.0


@dataclass(frozen=True)
class Pace:
    """How long calls take: the estimates times `scale`, or `each` seconds for all of them.

    With `jitter` (0 to 1) a call takes up to that share more or less, depending on the effect's key.
    """

    scale: float = 1.0
    jitter: float = 0.0
    seed: int = 0
    each: float | None = None

    def seconds(self, tool: str, args: fakes.Json, key: str) -> float:
        """Return the seconds of a call."""
        chance = random.Random(f"{self.seed} {tool} {key}")
        if self.each is not None:
            return self.each * (1 + chance.uniform(-self.jitter, self.jitter))
        plain = SECONDS.get(tool, OTHER)
        if tool == "generate_image":
            plain = IMAGE.get((args.get("width", 0), args.get("height", 0)), 105.0)
        return plain * (1 + chance.uniform(-self.jitter, self.jitter)) * self.scale


class Simulated(fakes.Server):
    """A server of one role whose calls take their time side by side, without a limit."""

    def __init__(self, role: str, folder: Path, pace: Pace) -> None:
        quiet = argparse.Namespace(role=role, ledger=os.devnull, latency=0.0, fault=[])
        super().__init__(quiet)
        self.pace = pace
        self.log = open(log_file(folder, role), "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - never closed
        self.due: list[tuple[float, int, fakes.Json, float]] = []
        self.pictures: dict[tuple[int, int], bytes] = {}
        self.seconds = 0.0  # that the call being answered took

    def stdio(self) -> None:
        """Serve until standard input ends."""
        rest = b""
        while True:
            wait = max(0.0, self.due[0][0] - time.monotonic()) if self.due else None
            if select.select([0], [], [], wait)[0]:
                data = os.read(0, 1 << 20)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self.take(json.loads(line))
            while self.due and self.due[0][0] <= time.monotonic():
                self.finish(*heapq.heappop(self.due)[2:])

    def take(self, request: fakes.Json) -> None:
        """Answer a request at once, or add a tool's call to the heap."""
        if "id" not in request:
            return
        if request["method"] != "tools/call":
            self.send({"id": request["id"], **(self.answer(request) or {})})
            return
        began, params = time.monotonic(), request["params"]
        key = params.get("_meta", {}).get(META, "")
        seconds = self.pace.seconds(params["name"], params.get("arguments") or {}, key)
        heapq.heappush(self.due, (began + seconds, id(request), request, began))

    def finish(self, request: fakes.Json, began: float) -> None:
        """Make the effect of a call, answer it, and log it."""
        params = request["params"]
        tool, args, meta = params["name"], params.get("arguments") or {}, params.get("_meta") or {}
        self.seconds = time.monotonic() - began
        self.send({"id": request["id"], **self.effect(tool, args, meta)})
        line = {"tool": tool, "key": meta.get(META, ""), "began": began, "ended": time.monotonic()}
        self.log.write(json.dumps(line) + "\n")

    def note(self, event: str, **facts: object) -> None:
        """Record nothing: nothing reads these servers' ledgers."""

    def thing(self, tool: str, args: fakes.Json) -> fakes.Json:
        made = super().thing(tool, args) | {"seconds": self.seconds}
        if tool == "generate_image":
            Path(made["path"]).write_bytes(self.picture(args["width"], args["height"]))
        return made

    def picture(self, width: int, height: int) -> bytes:
        """Return a picture. Each size is painted once: at a small scale that takes longer than the call."""
        if (width, height) not in self.pictures:
            self.pictures[width, height] = png(width, height)
        return self.pictures[width, height]


@dataclass(frozen=True)
class Served:
    """One call as its server saw it; times by the machine's monotonic clock, in seconds."""

    role: str
    tool: str
    key: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """Return how long the server took."""
        return self.ended - self.began


def log_file(folder: Path, role: str) -> Path:
    """Return the file of a role's calls."""
    return folder / f"{role}.calls"


def served(folder: Path, since: float = 0.0) -> list[Served]:
    """Return the calls of all roles that began at `since` or later."""
    found = []
    for role in fakes.CONTRACT:
        file = log_file(folder, role)
        lines = file.read_text().split("\n")[:-1] if file.exists() else []  # the last may be half a line
        found += [Served(role, **json.loads(line)) for line in lines]
    return [one for one in found if one.began >= since]


def peak(calls: Iterable[Served]) -> int:
    """Return the most of these calls that were handled at once."""
    # an end at the same moment as a beginning comes first
    steps = sorted([step for one in calls for step in ((one.began, 1), (one.ended, -1))])
    return max(itertools.accumulate(step for _, step in steps), default=0)


def servers_file(
    folder: Path,
    pace: Pace,
    limits: dict[str, int] | None = None,
    roles: Iterable[str] = tuple(fakes.CONTRACT),
) -> Path:
    """Write a tool servers file of these servers, without a rate limit, and return its path.

    `limits`: calls at once by role, where they differ from the reference configuration.
    """
    flags = ["--scale", str(pace.scale), "--jitter", str(pace.jitter), "--seed", str(pace.seed)]
    flags += [] if pace.each is None else ["--each", str(pace.each)]
    entries: dict[str, fakes.Json] = {}
    for role in roles:
        args = ["-S", "-E", str(HERE / "simulated.py"), role, str(folder), *flags]
        more = {"concurrency": limits[role]} if limits and role in limits else {}
        entries[role] = {"command": sys.executable, "args": args, "perMinute": 1_000_000, **more}
    return fakes.servers_file(folder / "servers.json", entries)


def main() -> None:
    """Run as a server."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=fakes.CONTRACT)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=float)
    options = parser.parse_args()
    pace = Pace(options.scale, options.jitter, options.seed, options.each)
    Simulated(options.role, options.folder, pace).stdio()


if __name__ == "__main__":
    main()
