"""Hostile servers, each with its own fault, and a workflow that creates three lines on one of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.engine.context import StageContext
from jobs.engine.graph import Stage, Workflow
from jobs.engine.inputs import Request
from jobs.engine.results import StageResult, judge
from jobs.tools.contract.policy import Lookup, Role, ToolPolicy
from tests import fakes

MAKE, FIND = "create_campaign", "find_campaigns"
LINES = ("north", "south", "east")
LONG = 20.0
WELL = "well"


@dataclass(frozen=True)
class Hostile:
    """One server: its faults, the expected states of a job's three calls, and the number of lines made.

    `timeout` is in seconds; `concurrency` is the number of concurrent calls.
    """

    faults: tuple[str, ...]
    states: str = "done done done"
    made: int = 3
    timeout: float = 2.0
    concurrency: int = 3


def first(kind: str, **more: Any) -> Hostile:
    """Return a server where only the very first call has this fault."""
    return Hostile((f"{MAKE}:{kind}@1",), **more)


ONE_FAILED = {"states": "done done failed", "made": 2}
NONE_MADE = {"states": "failed failed failed", "made": 0}
SERVERS: Mapping[str, Hostile] = {
    WELL: Hostile(()),
    "dies-before-the-effect": first("die-before"),
    "dies-after-the-effect": first("die-after"),
    "dies-whenever-asked": Hostile((f"{MAKE}:die-before?north",), **ONE_FAILED, concurrency=1),
    "hangs": first("hang"),
    "hangs-whenever-asked": Hostile((f"{MAKE}:hang?north",), **ONE_FAILED),
    "hangs-and-has-no-look-up": Hostile(
        (f"{MAKE}:hang@1", f"{FIND}:missing"), states="done done unknown", made=2
    ),
    "freezes": first("freeze"),
    "answers-in-a-slow-drip": first("drip=20"),
    # the last call keeps the process alive until the late effect of the first call
    "makes-it-after-the-deadline": Hostile(
        (f"{MAKE}:slow=2.4@1", f"{MAKE}:slow=0.8@2", f"{MAKE}:slow=1.8@3"), concurrency=2
    ),
    "never-answers-what-it-made": first("lost-after"),
    "writes-garbage": first("garbage"),
    "writes-half-a-line": first("half"),
    "dies-in-the-middle-of-a-line": first("half-die"),
    "writes-bad-utf8": first("utf8"),
    "answers-under-a-wrong-id": first("wrong-id"),
    "answers-twice": first("double"),
    "answers-without-a-result": first("no-result"),
    "answers-with-what-is-no-result": first("bad-result"),
    "answers-without-an-id": first("noid"),
    "breaks-its-own-schema": first("schema"),
    "says-is-error": first("iserror", **ONE_FAILED),
    "says-error-at-the-top": first("toperror", **ONE_FAILED),
    "breaks-inside": first("rpc"),
    "has-enough-for-now": first("429"),
    "has-enough-for-a-second": first("429=1"),
    "has-enough-for-a-second-in-data": first("429-top=1"),
    "answers-with-sixty-megabytes": first("huge=60", timeout=LONG),
    "answers-with-three-million-objects": first("dense=3", timeout=LONG),
    "sends-200000-notifications": first("flood=200000", timeout=LONG),
    "floods-stderr": first("stderr=20", timeout=LONG),
    "leaves-a-grandchild": first("orphan"),
    "leaves-a-grandchild-in-its-own-session": first("orphan=session"),
    "leaves-a-grandchild-and-dies": Hostile(
        (f"{MAKE}:orphan=session@1", f"{MAKE}:die-after@2"), concurrency=1
    ),
    "has-lost-its-tool": Hostile((f"{MAKE}:missing",), **NONE_MADE),
    "has-renamed-its-tool": Hostile((f"{MAKE}:renamed=make_campaign",), **NONE_MADE),
    "does-not-start": Hostile(("*:refuse",), **NONE_MADE),
    "ignores-sigterm": Hostile(("*:ignore-term",)),
    "ignores-sigterm-and-hangs": Hostile(("*:ignore-term", f"{MAKE}:hang@1")),
}
_TOOLS = {
    MAKE: ToolPolicy(key_argument="external_id", lookup=Lookup(FIND, {"external_id": "$key"})),
    FIND: ToolPolicy(writes=False),
}
ROLES = {
    name: Role(name, one.concurrency, _TOOLS, timeout=one.timeout, lag=0.3) for name, one in SERVERS.items()
}


async def lines(ctx: StageContext) -> StageResult:
    """Create three lines on the job's server concurrently."""

    async def line(name: str) -> str:
        args = {"name": name, "budget": 10}
        reply = await ctx.call(ctx.brief["server"], MAKE, args, step="line", item=name)
        return reply.remote_id

    outcomes = await ctx.items(LINES, line, name=str)
    made = [outcome.value for outcome in outcomes if outcome.made]
    return StageResult(status=judge(len(made), len(outcomes)), made=len(made), total=len(outcomes))


def parse(raw: Mapping[str, Any]) -> Request:
    """Parse a launch, which names a server."""
    return Request(str(raw["server"]), {"server": raw["server"]})


HOSTILE = Workflow("hostile", "Hostile", (Stage("lines", "Lines", lines),), parse=parse, load=dict)


def ledger(folder: Path, name: str, event: str = "") -> list[dict]:
    """Return the ledger of a server of this folder."""
    return fakes.ledger(folder / f"{name}.ledger", event)


def servers_file(folder: Path) -> Path:
    """Write the servers file; every process started from it has the folder in its command line."""
    entries = {}
    for name, one in SERVERS.items():
        entry = fakes.entry("ttd", folder / f"{name}.ledger", *one.faults)
        entries[name] = entry | {"perMinute": 6000, "env": {"OF_THE_TEST": str(folder)}}
    return fakes.servers_file(folder / "servers.json", entries)


def states(job: Mapping[str, Any]) -> Counter[str]:
    """Count how the calls of a job have ended."""
    return Counter(call["state"] for call in job["calls"])
