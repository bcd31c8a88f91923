"""Simulated tool servers: the whole contract at the real services' estimated pace, scaled.

`python benchmarks/simulated.py ROLE FOLDER --scale S [--jitter J] [--seed N] [--each SECONDS]`. One thread
and a heap of what is due: a server that costs the machine little. Every call stands in the role's log with
its beginning and its end by the machine's own clock.
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
    sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "e2e")]
    import fakes
else:
    from tests import fakes

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
    """How long calls take: the estimates times `scale`; with `jitter` (0 to 1) up to that share more or less,
    by the effect's key. `each`: the same seconds for all of them instead."""

    scale: float = 1.0
    jitter: float = 0.0
    seed: int = 0
    each: float | None = None

    def seconds(self, tool: str, args: dict, key: str) -> float:
        """Give the seconds of a call."""
        chance = random.Random(f"{self.seed} {tool} {key}")
        if self.each is not None:
            return self.each * (1 + chance.uniform(-self.jitter, self.jitter))
        size = (args.get("width"), args.get("height"))
        plain = IMAGE.get(size, 105.0) if tool == "generate_image" else SECONDS.get(tool, OTHER)
        return plain * (1 + chance.uniform(-self.jitter, self.jitter)) * self.scale


class Simulated(fakes.Server):
    """A server of one role whose calls take their time side by side, as many as are asked for."""

    def __init__(self, role: str, folder: Path, pace: Pace) -> None:
        quiet = argparse.Namespace(role=role, ledger=os.devnull, latency=0.0, fault=[])
        super().__init__(quiet)
        self.pace = pace
        self.log = open(log_file(folder, role), "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - for good
        self.due: list[tuple[float, int, dict, float]] = []
        self.pictures: dict[tuple[int, int], bytes] = {}
        self.seconds = 0.0  # of the call that is being answered

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

    def take(self, request: dict) -> None:
        """Answer at once, or put a tool's call among what is due."""
        if "id" not in request:
            return
        if request["method"] != "tools/call":
            self.send({"id": request["id"], **(self.answer(request) or {})})
            return
        began, params = time.monotonic(), request["params"]
        key = params.get("_meta", {}).get(META, "")
        seconds = self.pace.seconds(params["name"], params.get("arguments") or {}, key)
        heapq.heappush(self.due, (began + seconds, id(request), request, began))

    def finish(self, request: dict, began: float) -> None:
        """Make the effect of a call, answer, and write it down."""
        params = request["params"]
        tool, args, meta = params["name"], params.get("arguments") or {}, params.get("_meta") or {}
        self.seconds = time.monotonic() - began
        self.send({"id": request["id"], **self.effect(tool, args, meta)})
        line = {"tool": tool, "key": meta.get(META, ""), "began": began, "ended": time.monotonic()}
        self.log.write(json.dumps(line) + "\n")

    def note(self, event: str, **facts: object) -> None:
        """Keep nothing: these servers are not asked what they have made."""

    def thing(self, tool: str, args: dict) -> dict:
        made = super().thing(tool, args) | {"seconds": self.seconds}
        if tool == "generate_image":
            Path(made["path"]).write_bytes(self.picture(args["width"], args["height"]))
        return made

    def picture(self, width: int, height: int) -> bytes:
        """Give a picture, painted once a size: that takes longer than the call, at a small scale."""
        from painter import png

        if (width, height) not in self.pictures:
            self.pictures[width, height] = png(width, height)
        return self.pictures[width, height]


@dataclass(frozen=True)
class Served:
    """One call as its server saw it; moments by the machine's monotonic clock."""

    role: str
    tool: str
    key: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """Give how long it took there."""
        return self.ended - self.began


def log_file(folder: Path, role: str) -> Path:
    """Give the file of what a role was called for."""
    return folder / f"{role}.calls"


def served(folder: Path, since: float = 0.0) -> list[Served]:
    """Give all calls of all roles that began after a moment."""
    found = []
    for role in fakes.CONTRACT:
        file = log_file(folder, role)
        lines = file.read_text().split("\n")[:-1] if file.exists() else []  # the last may be half a line
        found += [Served(role, **json.loads(line)) for line in lines]
    return [one for one in found if one.began >= since]


def peak(calls: Iterable[Served]) -> int:
    """Give the most of these calls that were in hand at once."""
    # an end at the same moment as a beginning comes first
    steps = sorted([step for one in calls for step in ((one.began, 1), (one.ended, -1))])
    return max(itertools.accumulate(step for _, step in steps), default=0)


def servers_file(
    folder: Path,
    pace: Pace,
    limits: dict[str, int] | None = None,
    roles: Iterable[str] = tuple(fakes.CONTRACT),
) -> Path:
    """Write a tool servers file whose servers are these, and give its path; no rate a minute slows them.

    `limits`: calls at once by role, where they are not the reference configuration's.
    """
    flags = ["--scale", str(pace.scale), "--jitter", str(pace.jitter), "--seed", str(pace.seed)]
    flags += [] if pace.each is None else ["--each", str(pace.each)]
    entries: dict[str, dict] = {}
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
