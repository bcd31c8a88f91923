"""One session per server: one connection for all callers, quick refusals, and reconnects."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from jobs.tools.contract.config import load_servers
from jobs.tools.contract.errors import ServerUnavailable, TimedOut, UnknownTool
from jobs.tools.wire import deadline
from jobs.tools.wire.connection import Connection
from jobs.tools.wire.fence import process_of
from jobs.tools.wire.process import started_at, stat
from jobs.tools.wire.session import CONNECT, Session
from tests import fakes
from tests.fakes import ledger
from tests.jobs.tools.conftest import ROLES, TASK, until

ASANA = {"asana-v2": ROLES["asana-v2"]}
AGES = 60.0  # seconds; longer than anything here takes on a busy machine


def session(tmp_path, *faults: str, env: dict | None = None, **options) -> Session:
    """Return a session with a fake server that has these faults."""
    entry = fakes.entry("asana-v2", tmp_path / "ledger.jsonl", *faults) | {"env": env or {}}
    specs = load_servers(None, ASANA, {"asana-v2": entry})
    return Session(specs["asana-v2"], log_dir=tmp_path, **options)


@pytest.fixture
def site(tmp_path):
    """Return a tool servers file for a fake server at a URL."""
    entry = fakes.entry("asana-v2", tmp_path / "ledger.jsonl")
    command = [entry["command"], *entry["args"], "--http", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        own = {"url": f"http://127.0.0.1:{int(server.stdout.readline())}/mcp", "bearerToken": "token"}
        yield fakes.servers_file(tmp_path / "servers.json", {"asana-v2": own})
        server.kill()


def alive(pid: int) -> bool:
    seen = stat(pid)
    return seen is not None and not seen.dead


def called(connection: Connection, name: str, timeout: float = 20.0) -> asyncio.Task:
    """Start a call that creates a task."""
    arguments = {"project_id": "1", "name": name}
    return asyncio.create_task(connection.call("asana_create_task", arguments, {}, timeout))


def sleep_past(timeout: float) -> float:
    """Block the loop until deadlines of `timeout` seconds have passed; return the time."""
    time.sleep(timeout + deadline.LATE + 0.2)
    return time.monotonic()


async def test_many_callers_share_one_connection_with_known_tools(tmp_path):
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
    assert one.identity.pid == ledger(tmp_path / "ledger.jsonl", "hello")[0]["pid"]
    assert one.identity.start > 0
    await one.aclose()


async def test_all_waiting_callers_fail_together_and_the_next_caller_fails_immediately(tmp_path):
    one = session(tmp_path, "*:refuse", delay=30.0)
    outcomes = await asyncio.gather(*(one.tool("x") for _ in range(20)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ServerUnavailable}
    assert "ended with code 1; see asana-v2.stderr.log" in str(outcomes[0])
    assert b"no token file" in (tmp_path / "asana-v2.stderr.log").read_bytes()
    with pytest.raises(ServerUnavailable):
        await one.tool("x")
    assert len(ledger(tmp_path / "ledger.jsonl", "hello")) == 1, "one attempt for all of them"
    await one.aclose()


async def test_a_server_that_never_initializes_is_given_up_after_the_connect_timeout(tmp_path):
    one = session(tmp_path, "*:mute", connect_timeout=0.4)
    began = time.monotonic()
    with pytest.raises(ServerUnavailable, match="does not answer the initialize request"):
        await one.tool("x")
    assert 0.4 <= time.monotonic() - began < CONNECT
    await one.aclose()


async def test_a_failure_expires_and_the_next_caller_connects_again(tmp_path):
    one = session(tmp_path, "*:refuse", delay=0.0)
    for _ in range(2):
        with pytest.raises(ServerUnavailable):
            await one.tool("x")
    one.spec = load_servers(None, ASANA, {"asana-v2": fakes.entry("asana-v2", tmp_path / "l2.jsonl")})[
        "asana-v2"
    ]
    assert (await one.tool("asana_create_task")).declares("notes")
    await one.aclose()


async def test_a_closed_session_accepts_no_call_and_can_be_closed_twice(tmp_path):
    one = session(tmp_path)
    await one.tool("asana_create_task")
    await one.aclose()
    await one.aclose()
    with pytest.raises(ServerUnavailable):
        await one.tool("asana_create_task")
    assert not one.connected


async def test_a_session_closed_while_connecting_ends_immediately_and_wakes_all_callers(tmp_path):
    one = session(tmp_path, "*:mute")
    waiting = asyncio.create_task(one.tool("x"))
    await until(lambda: ledger(tmp_path / "ledger.jsonl", "hello"))
    async with asyncio.timeout(CONNECT - 1):
        await one.aclose()
        with pytest.raises(ServerUnavailable):
            await waiting


async def test_no_secret_of_the_entry_appears_in_a_failure(tmp_path):
    entry = {"command": "/no/such/sk-secret-0123456789", "env": {"TOKEN": "sk-secret-0123456789"}}
    file = fakes.servers_file(tmp_path / "servers.json", {"asana-v2": entry})
    one = Session(load_servers(file, ASANA, {})["asana-v2"])
    with pytest.raises(ServerUnavailable) as unavailable:
        await one.tool("x")
    assert "sk-secret" not in str(unavailable.value)
    await one.aclose()


async def test_an_attempt_uses_one_connection_and_knows_its_process(tmp_path):
    one = session(tmp_path)
    connection = await one.connection()
    assert connection is await one.connection()
    assert connection.tool("asana_create_task").declares("notes")
    with pytest.raises(UnknownTool, match="asana-v2 has no tool asana_delete_everything"):
        connection.tool("asana_delete_everything")
    pid = ledger(tmp_path / "ledger.jsonl", "hello")[0]["pid"]
    assert connection.identity == one.identity == process_of(pid, started_at(pid))
    await one.aclose()


async def test_nothing_is_sent_on_a_connection_lost_before_the_call(tmp_path):
    one = session(tmp_path)
    connection = await one.connection()
    os.kill(connection.identity.pid, signal.SIGKILL)
    await until(lambda: connection.lost)
    with pytest.raises(ServerUnavailable):
        await called(connection, "late")
    assert await one.connection() is not connection
    await one.aclose()
    assert ledger(tmp_path / "ledger.jsonl", "start") == []


async def test_a_retiring_connection_finishes_its_calls_beside_its_successor_and_is_killed(tmp_path):
    one = session(tmp_path, "asana_create_task:slow=3?along")
    old = await one.connection()
    along = called(old, "along")
    await until(lambda: ledger(tmp_path / "ledger.jsonl", "start"))
    retiring = asyncio.gather(*(old.retire() for _ in range(5)))
    await asyncio.sleep(0)
    with pytest.raises(ServerUnavailable):
        await called(old, "refused")
    new = await one.connection()
    assert new.identity.pid != old.identity.pid
    assert not (await called(new, "beside")).is_error
    assert not along.done()
    assert alive(old.identity.pid)
    assert not (await along).is_error
    assert await retiring == [True] * 5
    assert not alive(old.identity.pid)
    assert await one.connection() is new
    names = [effect["name"] for effect in ledger(tmp_path / "ledger.jsonl", "effect")]
    assert names == ["beside", "along"]
    await one.aclose()


async def test_a_call_that_was_not_done_when_its_server_retired_is_never_done(tmp_path):
    one = session(tmp_path, "asana_create_task:slow=10")
    connection = await one.connection()
    with pytest.raises(TimedOut):
        await called(connection, "late", timeout=0.2)
    assert alive(connection.identity.pid), "it answered the ping"
    assert await connection.retire()
    assert not alive(connection.identity.pid)
    assert await connection.retire(), "dead already"
    assert ledger(tmp_path / "ledger.jsonl", "effect") == []
    await one.aclose()


async def test_a_closed_connection_is_certainly_dead(tmp_path):
    one = session(tmp_path)
    connection = await one.connection()
    await one.aclose()
    assert await connection.retire()
    assert not one.connected


async def test_a_server_over_http_cannot_be_killed_and_stays_connected(tmp_path, site):
    one = Session(load_servers(site, ASANA, {})["asana-v2"])
    connection = await one.connection()
    assert connection.identity is None
    assert one.identity is None
    assert not await connection.retire()
    assert await one.connection() is connection
    assert not (await called(connection, "after")).is_error
    await one.aclose()


async def test_a_connection_without_a_process_can_be_retired(tmp_path):
    assert await Connection(session(tmp_path).spec, log_dir=None).retire()


async def test_a_process_without_a_known_start_time_is_killed_too(tmp_path):
    one = session(tmp_path)
    connection = await one.connection()
    pid, connection.identity = connection.identity.pid, None
    assert await connection.retire()
    assert not alive(pid)
    await one.aclose()


async def test_closing_kills_retiring_servers_and_ends_their_calls_within_seconds(tmp_path):
    one = session(tmp_path, "asana_create_task:hang", "*:ignore-term")
    pids, calls, retiring = [], [], []
    for number in range(3):
        connection = await one.connection()
        pids.append(connection.identity.pid)
        calls.append(called(connection, f"call {number}", timeout=60))
        await until(lambda: len(ledger(tmp_path / "ledger.jsonl", "start")) == len(calls))
        retiring.append(asyncio.create_task(connection.retire()))
        await asyncio.sleep(0)
    assert all(map(alive, pids))
    async with asyncio.timeout(30):  # half the deadline of the calls
        await one.aclose()
        assert await asyncio.gather(*retiring) == [True] * 3
        assert len(await asyncio.gather(*calls, return_exceptions=True)) == 3
    assert not any(map(alive, pids))


def test_no_retiring_server_is_left_behind_when_the_loop_is_torn_down(tmp_path):
    pids = []

    async def main() -> None:
        one = session(tmp_path, "asana_create_task:hang")
        connection = await one.connection()
        pids.append(connection.identity.pid)
        held = [called(connection, "hangs", timeout=60)]
        await until(lambda: ledger(tmp_path / "ledger.jsonl", "start"))
        held.append(asyncio.create_task(connection.retire()))
        await asyncio.sleep(0)
        pids.append((await one.connection()).identity.pid)

    asyncio.run(main())
    assert len(set(pids)) == 2
    assert not any(map(alive, pids))


async def test_an_internal_error_fails_one_connection_attempt_and_not_the_session(tmp_path, monkeypatch):
    def broken(*_: object) -> str:
        raise ZeroDivisionError

    one = session(tmp_path, "*:refuse", delay=0.0)
    with monkeypatch.context() as patch:
        patch.setattr("jobs.tools.wire.session.reason", broken)
        for _ in range(2):
            with pytest.raises(ServerUnavailable, match="internal error \\(ZeroDivisionError\\)"):
                await one.connection()
    one.spec = session(tmp_path).spec
    assert (await one.connection()).tool("asana_create_task")
    await one.aclose()


LISTENER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    with open(sys.argv[1], "a") as file:
        file.write(line)
    results = {"ping": {}, "tools/list": {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}}
    if message["method"] == "initialize":
        version = message["params"]["protocolVersion"]
        hello = {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "l", "version": "1"}}
        results["initialize"] = hello
    if message["method"] in results:
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
        print(json.dumps(answer), flush=True)
"""


async def test_a_server_is_notified_that_a_call_was_cancelled(tmp_path):
    heard = tmp_path / "heard"
    entry = {"command": sys.executable, "args": ["-c", LISTENER, str(heard)]}
    one = Session(load_servers(None, ASANA, {"asana-v2": entry})["asana-v2"])
    connection = await one.connection()
    with pytest.raises(TimedOut):
        await connection.call("x", {}, {}, 0.1)
    messages = [json.loads(line) for line in heard.read_text().splitlines()]
    [call] = [message for message in messages if message["method"] == "tools/call"]
    [notice] = [message for message in messages if message["method"] == "notifications/cancelled"]
    assert notice["params"]["requestId"] == call["id"]
    assert not connection.lost
    await one.aclose()


async def test_answers_that_arrived_while_the_process_slept_past_the_deadline_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(deadline, "GRACE", AGES)
    one = session(tmp_path, "asana_create_task:slow=0.4")
    connection = await one.connection()
    calls = [called(connection, f"call {number}", timeout=2.0) for number in range(5)]
    await until(lambda: len(ledger(tmp_path / "ledger.jsonl", "start")) == 5)
    assert not any(call.done() for call in calls)
    sleep_past(2.0)
    async with asyncio.timeout(AGES / 2):
        assert not any(result.is_error for result in await asyncio.gather(*calls))
    assert alive(connection.identity.pid)
    assert not connection.lost
    await one.aclose()


async def test_a_server_without_an_answer_while_the_process_slept_times_out_after_the_grace(tmp_path):
    heard = tmp_path / "heard"
    entry = {"command": sys.executable, "args": ["-c", LISTENER, str(heard)]}
    one = Session(load_servers(None, ASANA, {"asana-v2": entry})["asana-v2"])
    connection = await one.connection()
    waiting = asyncio.create_task(connection.call("x", {}, {}, 2.0))
    await until(lambda: "tools/call" in heard.read_text())
    woke = sleep_past(2.0)
    with pytest.raises(TimedOut):
        await waiting
    assert time.monotonic() - woke >= deadline.GRACE
    assert heard.read_text().count("notifications/cancelled") == 1
    assert not connection.lost
    await one.aclose()


async def test_a_call_is_cancelled_immediately_even_during_its_grace(tmp_path, monkeypatch):
    monkeypatch.setattr(deadline, "GRACE", AGES)
    one = session(tmp_path, "asana_create_task:hang")
    connection = await one.connection()
    waiting = called(connection, "hangs", timeout=2.0)
    await until(lambda: ledger(tmp_path / "ledger.jsonl", "start"))
    sleep_past(2.0)
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(AGES / 2):
            await waiting
    await one.aclose()


async def test_a_deadline_is_exact_while_the_process_is_awake(tmp_path, monkeypatch):
    monkeypatch.setattr(deadline, "GRACE", AGES)
    monkeypatch.setattr(deadline, "LATE", AGES)  # a busy machine may delay this process
    one = session(tmp_path, "asana_create_task:hang")
    connection = await one.connection()
    began = time.monotonic()
    with pytest.raises(TimedOut):
        await called(connection, "hangs", timeout=0.3)
    assert 0.3 <= time.monotonic() - began < AGES / 2
    await one.aclose()
