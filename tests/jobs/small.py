"""A small workflow for tests of the worker: its stages talk to one scriptable outside server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.engine.context import StageContext
from jobs.engine.graph import Hop, Stage, Workflow
from jobs.engine.inputs import Fault, InvalidInput, Request
from jobs.engine.results import Artifact, StageResult, judge
from jobs.tools.contract.policy import Role, ToolPolicy

LINES = ("north", "south", "east")


async def lines(ctx: StageContext) -> StageResult:
    """Create three lines concurrently."""

    async def line(name: str) -> str:
        args = {"name": name, "budget": 10}
        reply = await ctx.call("ttd", "create_campaign", args, step="line", item=name)
        return reply.remote_id

    outcomes = await ctx.items(LINES, line, name=str)
    made = [outcome.value for outcome in outcomes if outcome.made]
    return StageResult(
        status=judge(len(made), len(outcomes)), made=len(made), total=len(outcomes), data={"ids": made}
    )


async def note(ctx: StageContext) -> StageResult:
    """Write a file with the ids of the lines."""
    ctx.files.write("note.md", ", ".join(ctx.results["lines"].data["ids"]))
    artifact = Artifact(name="note.md", title="Note", kind="report", source="local", file="note.md")
    return StageResult(status=judge(1, 1), made=1, total=1, artifacts=(artifact,))


async def broken(ctx: StageContext) -> StageResult:
    """Raise an unexpected error."""
    raise KeyError("secret detail")


def parse(raw: Mapping[str, Any]) -> Request:
    """Accept any title that is not empty."""
    if not raw.get("title"):
        raise InvalidInput([Fault("title", "must be given")])
    params = {"title": raw["title"], "broken": bool(raw.get("broken"))}
    return Request(str(raw["title"]), params, dry_run=bool(raw.get("dryRun")))


SMALL = Workflow(
    "small",
    "Small",
    (
        Stage("lines", "Lines", lines, path=(Hop("ttd", "create_campaign", 1, lambda brief: len(LINES)),)),
        Stage("broken", "Broken", broken, wanted=lambda params: params["broken"]),
        Stage("note", "Note", note, needs=("lines",)),
    ),
    parse=parse,
    load=lambda params: params,
)
ROLES = {
    "ttd": Role(
        "ttd",
        concurrency=2,
        timeout=5,
        tools={
            "create_campaign": ToolPolicy(key_argument="external_id"),
            "find_campaigns": ToolPolicy(writes=False),
        },
    )
}


def no_bundled(local_dir: Path, latency: str, url: str) -> dict[str, Any]:
    """Return no bundled servers."""
    return {}
