"""The result of a dry run for its page and the API: how many calls, to which servers, and how long."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from jobs.engine.progress import Progress
from jobs.live import asks


@dataclass(frozen=True)
class AtServer:
    """The calls a launch would make to one server; `tools` are pairs such as ("create task", 13)."""

    server: str
    calls: int
    tools: list[tuple[str, int]]


@dataclass(frozen=True)
class PlanView:
    """A dry run's plan for the page.

    `seconds` is the expected time, `bound` the shortest possible time, and `failed` the number of calls that
    would currently fail.
    """

    calls: int
    seconds: float
    bound: float
    servers: list[AtServer]
    failed: int


def plan_view(progress: Progress) -> PlanView | None:
    """Return the plan of a dry run that has ended, None for any other job."""
    plan = progress.planned
    if plan is None:
        return None
    planned = [call for call in progress.calls.values() if call.state == "planned"]
    failed = sum(call.state == "failed" for call in progress.calls.values())
    servers = []
    for server, calls in plan.servers.items():
        tools = Counter(asks.words(server, call.tool) for call in planned if call.server == server)
        servers.append(AtServer(server, calls, tools.most_common()))
    return PlanView(plan.calls, plan.seconds, plan.bound, servers, failed)


def plan_out(progress: Progress) -> dict[str, Any] | None:
    """Return the plan as the API has it, None if there is none."""
    return progress.planned.payload() if progress.planned is not None else None
