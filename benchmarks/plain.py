"""A workflow that measures the engine alone: calls like a campaign's, without documents and pictures.

The settings of its installation: `DJANGO_SETTINGS_MODULE=benchmarks.plain_settings`.
"""

import time
from collections.abc import Mapping
from typing import Any

from jobs.engine.context import StageContext
from jobs.engine.graph import Hop, Stage, Workflow
from jobs.engine.inputs import Fault, InvalidInput, Request
from jobs.engine.results import StageResult, judge

#: The tool of all calls of a chain.
LINE = "create_campaign"


async def calls(ctx: StageContext) -> StageResult:
    """Make the job's chains of calls, all chains side by side, the calls of each in order.

    Writes costs.txt: for each call the monotonic time of its request, and its cost without its server's own
    time, in seconds.
    """
    costs: list[str] = []

    async def chain(place: int) -> None:
        server = ctx.brief["chains"][place]
        for number in range(ctx.brief["calls"]):
            args = {"name": f"Line {place}.{number}", "budget": 10}
            began = time.monotonic()
            reply = await ctx.call(server, LINE, args, step="line", item=f"{place}-{number}")
            costs.append(f"{began:.6f} {time.monotonic() - began - reply.data['seconds']:.6f}")

    places = range(len(ctx.brief["chains"]))
    outcomes = await ctx.items(places, chain, name=str)
    made = sum(outcome.made for outcome in outcomes)
    ctx.files.write("costs.txt", "\n".join(costs))
    return StageResult(status=judge(made, len(outcomes)), made=made, total=len(outcomes))


def parse(raw: Mapping[str, Any]) -> Request:
    """Return the request for `chains` (a server for each) of `calls` calls. Raises InvalidInput."""
    chains, count = raw.get("chains"), raw.get("calls")
    if not isinstance(chains, list) or not isinstance(count, int):
        raise InvalidInput([Fault("chains", "a list of servers, with the number of calls in each")])
    return Request("Plain", {"chains": chains, "calls": count})


PLAIN = Workflow(
    "plain",
    "Plain calls",
    (
        Stage(
            "calls",
            "Calls",
            calls,
            path=tuple(Hop(server, LINE, 1) for server in ("ttd", "dv360", "amazon-dsp")),
        ),
    ),
    parse=parse,
    load=lambda params: params,
)
