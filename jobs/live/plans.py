"""What a dry run has come to, as its page and the API tell it: how many calls, where, and how long."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from jobs.engine.progress import Progress
from jobs.live import asks


@dataclass(frozen=True)
class AtServer:
    """What a launch would call at one server: "create task" with 13, and so on."""

    server: str
    calls: int
    tools: list[tuple[str, int]]


@dataclass(frozen=True)
class PlanView:
    """A dry run's plan for people. `seconds` are expected, `bound` is what no order of the calls could beat;
    `failed` counts the calls that could not be made as things stand."""

    calls: int
    seconds: float
    bound: float
    servers: list[AtServer]
    failed: int


def plan_view(progress: Progress) -> PlanView | None:
    """Give the plan of a dry run that has come to its end, None for any other job."""
    told = progress.planned
    if told is None:
        return None
    planned = [call for call in progress.calls.values() if call.state == "planned"]
    failed = sum(call.state == "failed" for call in progress.calls.values())
    servers = []
    for server, calls in told.servers.items():
        tools = Counter(asks.words(server, call.tool) for call in planned if call.server == server)
        servers.append(AtServer(server, calls, tools.most_common()))
    return PlanView(told.calls, told.seconds, told.bound, servers, failed)


def plan_out(progress: Progress) -> dict[str, Any] | None:
    """Give the plan as the API tells it, None where there is none."""
    told = progress.planned
    return told.payload() if told is not None else None
