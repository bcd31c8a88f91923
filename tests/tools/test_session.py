"""One session a server: one connection for all callers, quick refusals, new attempts when they are due."""

import asyncio
import time

import pytest

from jobs.tools.config import load_servers
from jobs.tools.errors import ServerUnavailable, UnknownTool
from jobs.tools.session import Session
from tests import fakes
from tests.fakes import ledger
from tests.tools.conftest import ROLES, TASK, until

ASANA = {"asana-v2": ROLES["asana-v2"]}


def session(tmp_path, *faults: str, env: dict | None = None, **options) -> Session:
    """A session with a fake of these faults."""
    entry = fakes.entry("asana-v2", tmp_path / "ledger.jsonl", *faults) | {"env": env or {}}
    specs = load_servers(None, ASANA, {"asana-v2": entry})
    return Session(specs["asana-v2"], log_dir=tmp_path, **options)


async def test_many_callers_share_one_connection_and_its_tools_are_known(tmp_path):
    one = session(tmp_path)
    await asyncio.gather(*(one.tool("asana_create_task") for _ in range(50)))
    results = await asyncio.gather(
        *(one.call("asana_create_task", TASK, meta={}, timeout=10) for _ in range(50))
    )
    assert not any(result.is_error for result in results)
    assert len(ledger(tmp_path / "ledger.jsonl", "hello")) == 1
    assert one.connected
    assert "asana_create_project" in one.tools
    with pytest.raises(UnknownTool):
        await one.tool("asana_delete_everything")
    pid, started = one.identity
    assert pid == ledger(tmp_path / "ledger.jsonl", "hello")[0]["pid"]
    assert started > 0
    await one.aclose()


async def test_all_who_wait_for_a_failing_connect_learn_it_together_and_the_next_at_once(tmp_path):
    one = session(tmp_path, "*:refuse", delay=30.0)
    outcomes = await asyncio.gather(*(one.tool("x") for _ in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ServerUnavailable}
    assert "ended with code 1; see asana-v2.stderr.log" in str(outcomes[0])
    assert b"no token file" in (tmp_path / "asana-v2.stderr.log").read_bytes()
    began = time.monotonic()
    with pytest.raises(ServerUnavailable):
        await one.tool("x")
    assert time.monotonic() - began < 0.1
    assert len(ledger(tmp_path / "ledger.jsonl", "hello")) == 1, "one attempt for all of them"
    await one.aclose()


async def test_a_server_that_never_greets_is_given_up_after_the_connect_timeout(tmp_path):
    one = session(tmp_path, "*:mute", connect_timeout=0.4)
    began = time.monotonic()
    with pytest.raises(ServerUnavailable, match="does not answer the greeting"):
        await one.tool("x")
    assert 0.4 <= time.monotonic() - began < 3
    await one.aclose()


async def test_a_failure_is_forgotten_and_the_next_caller_brings_a_new_attempt(tmp_path):
    one = session(tmp_path, "*:refuse", delay=0.0)
    for _ in range(2):
        with pytest.raises(ServerUnavailable):
            await one.tool("x")
    one.spec = load_servers(None, ASANA, {"asana-v2": fakes.entry("asana-v2", tmp_path / "l2.jsonl")})[
        "asana-v2"
    ]
    assert (await one.tool("asana_create_task")).declares("notes")
    await one.aclose()


async def test_a_closed_session_takes_no_call_and_closing_twice_is_fine(tmp_path):
    one = session(tmp_path)
    await one.tool("asana_create_task")
    await one.aclose()
    await one.aclose()
    with pytest.raises(ServerUnavailable):
        await one.tool("asana_create_task")
    assert not one.connected


async def test_a_session_closed_while_it_connects_ends_at_once_and_leaves_nobody_waiting(tmp_path):
    one = session(tmp_path, "*:mute")
    waiting = asyncio.create_task(one.tool("x"))
    await until(lambda: ledger(tmp_path / "ledger.jsonl", "hello"))
    async with asyncio.timeout(4):
        await one.aclose()
        with pytest.raises(ServerUnavailable):
            await waiting


async def test_no_secret_of_the_entry_shows_in_the_reason_of_a_failure(tmp_path):
    entry = {"command": "/no/such/sk-secret-0123456789", "env": {"TOKEN": "sk-secret-0123456789"}}
    file = fakes.servers_file(tmp_path / "servers.json", {"asana-v2": entry})
    one = Session(load_servers(file, ASANA, {})["asana-v2"])
    with pytest.raises(ServerUnavailable) as unavailable:
        await one.tool("x")
    assert "sk-secret" not in str(unavailable.value)
    await one.aclose()
