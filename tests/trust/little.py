"""A little workflow for the state machine, and its server, which holds each call until it is released.

As a program: `python tests/trust/little.py FOLDER`: the role ttd with its ledger in FOLDER. It notes «held»
and waits for the file of that name; its text says how the call goes: `ok`, `fail`, `crash-before`,
`crash-after`.
"""

import argparse
import os
import sys
import time
import uuid
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import fakes
else:
    from tests import fakes

LAG = 0.02
LEDGER = "ttd.ledger"
LOOK_SECONDS = 0.002


class Holding(fakes.Server):
    """A fake server whose effects wait until they are released."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ledger = str(folder / LEDGER)
        super().__init__(argparse.Namespace(role="ttd", ledger=ledger, latency=0.0, fault=[]))

    def visible(self) -> list[dict]:
        """Return the effects that the index already shows."""
        return [one for one in super().visible() if one["t"] < time.monotonic() - LAG]

    def fault(self, kind: str, value: str, request: dict, tool: str, args: dict, meta: dict) -> dict | None:
        if tool in fakes.FINDS:
            return self.effect(tool, args, meta)
        hold = uuid.uuid4().hex
        self.note("held", hold=hold, tool=tool, meta=meta)
        word = self.folder / hold
        while not word.exists():
            time.sleep(LOOK_SECONDS)
        how = word.read_text()
        if how == "crash-before":
            os._exit(9)
        failed = fakes.said("it did not work", error=True)
        done = failed if how == "fail" else self.effect(tool, args, meta)
        if how == "crash-after":
            os._exit(9)
        self.note("over", hold=hold)
        return done


def workflow():
    """Return the workflow: three concurrent lines, another line after them, and a note about all."""
    from jobs.engine.graph import Hop, Stage, Workflow
    from jobs.engine.results import StageResult, judge
    from tests.jobs import small

    async def last(ctx):
        args = {"name": "last", "budget": 1}
        outcomes = await ctx.items(
            ["last"], lambda item: ctx.call("ttd", "create_campaign", args, step="last", item=item), name=str
        )
        made = sum(outcome.made for outcome in outcomes)
        return StageResult(status=judge(made, 1), made=made, total=1)

    hop = Hop("ttd", "create_campaign", 1)
    stages = (
        Stage("lines", "Lines", small.lines, path=(hop,)),
        Stage("last", "Last", last, needs=("lines",), path=(hop,)),
        Stage("note", "Note", small.note, needs=("lines", "last")),
    )
    return Workflow("little", "Little", stages, parse=small.parse, load=lambda params: params)


def roles():
    """Return the one role, whose effects can be looked up."""
    from jobs.tools.contract.policy import Lookup, Role, ToolPolicy

    tools = {
        "create_campaign": ToolPolicy(
            key_argument="external_id", lookup=Lookup("find_campaigns", {"external_id": "$key"})
        ),
        "find_campaigns": ToolPolicy(writes=False),
    }
    return {"ttd": Role("ttd", concurrency=2, timeout=20, lag=2 * LAG, tools=tools)}


if __name__ == "__main__":
    Holding(Path(sys.argv[1])).stdio()
else:
    LITTLE, ROLES = workflow(), roles()
