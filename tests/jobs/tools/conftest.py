"""Roles as in the contract, and a gateway to real server processes for every test."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from jobs.engine.results import Source
from jobs.tools.contract.calls import Call
from jobs.tools.contract.config import load_servers
from jobs.tools.contract.policy import Lookup, Role, ToolPolicy
from jobs.tools.gateway import Gateway
from tests import fakes

READ = ToolPolicy(writes=False)
FIND_CAMPAIGNS = Lookup("find_campaigns", {"external_id": "$key"})
FIND_TASKS = Lookup(
    "asana_get_tasks_for_project", {"project_id": "$project_id"}, match="marker", fields=("notes",)
)
ROLES = {
    "google-docs": Role(
        "google-docs",
        3,
        {
            "createFolder": ToolPolicy(name_argument="name"),
            "createDocument": ToolPolicy(error_may_name_effect=True),
            "createSpreadsheet": ToolPolicy(),
            "writeSpreadsheet": ToolPolicy(plain_text=True, idempotent=True),
            "listFolderContents": READ,
            "searchDriveFiles": READ,
        },
        per_minute=60,
    ),
    "asana-v2": Role(
        "asana-v2",
        5,
        {
            "asana_list_workspaces": READ,
            "asana_create_project": ToolPolicy(note_argument="notes"),
            "asana_create_task": ToolPolicy(note_argument="notes", lookup=FIND_TASKS),
            "asana_get_tasks_for_project": READ,
            "no_such_tool": READ,
        },
        per_minute=150,
        lag=0.05,
    ),
    "image-gen": Role(
        "image-gen",
        2,
        {"generate_image": ToolPolicy(image=True, key_argument="reference"), "find_images": READ},
    ),
    "ttd": Role(
        "ttd",
        4,
        {
            "create_campaign": ToolPolicy(money=True, key_argument="external_id", lookup=FIND_CAMPAIGNS),
            "find_campaigns": READ,
        },
        bundled_source=Source.SIMULATED,
    ),
}
# the same roles without look-ups
BLIND = {
    name: replace(role, tools={tool: replace(policy, lookup=None) for tool, policy in role.tools.items()})
    for name, role in ROLES.items()
}
TASK = {"project_id": "1", "name": "Kick-off"}
NUMBERS = itertools.count(1)


def call(tool: str, args: dict | None = None, **changes) -> Call:
    """Return a call of a tool on the role that has it."""
    number = next(NUMBERS)
    server = next(name for name, role in ROLES.items() if tool in role.tools)
    facts = {
        "job": "job",
        "order": 1.0,
        "stage": "stage",
        "step": f"step-{number}",
        "key": f"{number:012x}" + "0" * 20,
    }
    return Call(server=server, tool=tool, args=args or {}, **{**facts, **changes})


def task(name: str = "Kick-off", **changes) -> Call:
    """Return a call that creates a task."""
    return call("asana_create_task", {"project_id": "1", "name": name}, **changes)


async def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition outside this process, at most `seconds`."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - the ledger of another process has no event to wait for
            await asyncio.sleep(0.01)


Open = Callable[..., Gateway]


@pytest.fixture
async def gateway(tmp_path) -> AsyncIterator[Open]:
    """Return a factory: `gateway("tool:fault", ..., role={fields})` opens a gateway to faulty fakes.

    Without `lookups` no effect can be found again, and ambiguous calls end as unknown.

    Each role's ledger is `tmp_path/<role>.jsonl`. Everything is closed when the test ends, within seconds.
    """
    opened: list[Gateway] = []

    def build(
        *faults: str, backoff: float = 0.0, latency: float = 0.0, lookups: bool = True, **own
    ) -> Gateway:
        entries, parts = {}, ROLES if lookups else BLIND
        for role in ROLES:
            faulty = [fault for fault in faults if fault.split(":")[0] in {*fakes.CONTRACT[role], "*"}]
            entries[role] = fakes.entry(role, tmp_path / f"{role}.jsonl", *faulty, latency=latency)
            entries[role] |= {"timeout": 5, **own.get(role.replace("-", "_"), {})}
        specs = load_servers(None, parts, entries)
        made = Gateway(specs, parts, backoff=backoff, log_dir=tmp_path / "logs")
        opened.append(made)
        return made

    yield build
    async with asyncio.timeout(20):
        for one in opened:
            await one.aclose()
