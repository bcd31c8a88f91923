"""The HTTP transport against real local servers: statuses, Retry-After, caps, secrets and lost sessions."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator

import pytest

from jobs.engine.results import Source
from jobs.tools.contract import errors
from jobs.tools.contract.config import load_servers
from jobs.tools.contract.wording import retry_after
from jobs.tools.gateway import Gateway
from jobs.tools.wire.connection import Connection
from tests import fakes
from tests.fakes import ledger
from tests.jobs.tools.conftest import BLIND, ROLES, task, until
from tests.memory import MemoryJournal

ASANA = {"asana-v2": BLIND["asana-v2"]}  # ambiguous calls stay ambiguous
SEEING = {"asana-v2": ROLES["asana-v2"]}
TOKEN = "sk-very-secret-0123456789"


class Site:
    """A fake server on a port, and gateways to it."""

    def __init__(self, path, *faults: str) -> None:
        self.path, self.faults = path, faults
        self.process: subprocess.Popen | None = None
        self.port = 0
        self.doors: list[Gateway] = []

    def start(self) -> None:
        entry = fakes.entry("asana-v2", self.path, *self.faults)
        command = [entry["command"], *entry["args"], "--http", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def door(self, tmp_path, backoff: float = 0.0, roles=ASANA, **fields) -> Gateway:
        own = {
            "url": f"http://127.0.0.1:{self.port}/mcp?key={TOKEN}",
            "bearerToken": TOKEN,
            "timeout": 5,
            **fields,
        }
        path = fakes.servers_file(tmp_path / "servers.json", {"asana-v2": own})
        made = Gateway(load_servers(path, roles, {}), roles, backoff=backoff)
        self.doors.append(made)
        return made


@pytest.fixture
async def site(tmp_path) -> AsyncIterator:
    """Return a factory: `site(FAULT...)` starts a fake server."""
    opened: list[Site] = []

    def build(*faults: str) -> Site:
        one = Site(tmp_path / "asana-v2.jsonl", *faults)
        one.start()
        opened.append(one)
        return one

    yield build
    for one in opened:
        await asyncio.gather(*(door.aclose() for door in one.doors))
        one.stop()


async def ambiguous(door: Gateway, one) -> errors.Ambiguous:
    """Return the ambiguous error behind an unknown call."""
    with pytest.raises(errors.Unknown) as unknown:
        await door.call(one, MemoryJournal())
    assert isinstance(unknown.value.__cause__, errors.Ambiguous)
    return unknown.value.__cause__


async def test_a_call_over_http_carries_token_and_key_and_is_live(site, tmp_path):
    reply = await site().door(tmp_path).call(task(), MemoryJournal())
    assert reply.remote_id
    assert reply.source is Source.LIVE
    asked = ledger(tmp_path / "asana-v2.jsonl", "http")
    assert {entry["headers"]["Authorization"] for entry in asked} == {f"Bearer {TOKEN}"}
    assert ledger(tmp_path / "asana-v2.jsonl", "start")[0]["meta"]["flightplan/idempotency-key"]


@pytest.mark.parametrize(("fault", "delay"), [("http=429,0.2", 0.2), ("http=429", 0.1)])
async def test_status_429_is_retried_after_its_header_or_the_back_off(site, tmp_path, fault, delay):
    journal = MemoryJournal()
    await site(f"asana_create_task:{fault}@1").door(tmp_path, backoff=0.1).call(task(), journal)
    assert [outcome.state for outcome in journal.outcomes()] == ["retry", "done"]
    assert journal.outcomes()[0].delay == pytest.approx(delay)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_5xx_is_ambiguous_and_affects_no_other_call(site, tmp_path, status):
    door = site(f"asana_create_task:http={status}?bad").door(tmp_path)
    bad = asyncio.create_task(ambiguous(door, task("bad")))
    others = await asyncio.gather(*(door.call(task(f"{n}"), MemoryJournal()) for n in range(5)))
    assert all(reply.remote_id for reply in others)
    assert type(await bad) is errors.ServerFault


@pytest.mark.parametrize("status", [400, 401, 403, 422])
async def test_a_4xx_is_definitely_not_done_and_exposes_no_secret(site, tmp_path, status):
    journal = MemoryJournal()
    with pytest.raises(errors.ToolFailed, match=f"HTTP {status}") as failed:
        await site(f"asana_create_task:http={status}").door(tmp_path).call(task(), journal)
    assert TOKEN not in str(failed.value)
    assert [outcome.state for outcome in journal.outcomes()] == ["failed"]


async def test_a_dropped_connection_is_ambiguous_only_for_its_own_call(site, tmp_path):
    door = site("asana_create_task:drop?bad", "asana_create_task:slow=0.5?along").door(tmp_path)
    along = asyncio.create_task(door.call(task("along"), MemoryJournal()))
    assert type(await ambiguous(door, task("bad"))) is errors.ConnectionLost
    assert (await along).remote_id


@pytest.mark.parametrize("fault", ["big=20", "dense=3"])
async def test_an_answer_above_the_cap_is_ambiguous_and_the_session_stays_open(site, tmp_path, fault):
    door = site(f"asana_create_task:{fault}?bad").door(tmp_path)
    error = await ambiguous(door, task("bad"))
    assert type(error) is errors.BadReply
    assert "too large" in error.message
    assert (await door.call(task(), MemoryJournal())).remote_id


async def test_a_hung_call_ends_at_its_deadline_and_delays_no_other_call(site, tmp_path):
    door = site("asana_create_task:hang?stuck").door(tmp_path, timeout=2.0)
    stuck = asyncio.create_task(ambiguous(door, task("stuck")))
    for number in range(5):
        await door.call(task(f"{number}"), MemoryJournal())
    assert type(await stuck) is errors.TimedOut
    assert (await door.call(task(), MemoryJournal())).remote_id


async def test_a_server_that_does_not_run_is_unavailable_and_nothing_was_sent(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        one = Site(tmp_path / "l.jsonl")
        one.port = free.getsockname()[1]
    journal = MemoryJournal()
    door = one.door(tmp_path)
    with pytest.raises(errors.ServerUnavailable) as unavailable:
        await door.call(task(), journal)
    assert TOKEN not in str(unavailable.value)
    assert len(journal.outcomes()) == 3
    await door.aclose()


async def test_a_call_to_a_server_that_has_gone_is_not_sent_and_the_server_is_found_again(site, tmp_path):
    one = site()
    door = one.door(tmp_path)
    await door.call(task(), MemoryJournal())
    one.stop()
    with pytest.raises(errors.ServerUnavailable):
        await door.call(task(), MemoryJournal())
    one.start()
    assert (await door.call(task(), MemoryJournal())).remote_id


async def test_the_official_server_works_over_streamable_http(tmp_path):
    uvicorn = pytest.importorskip("uvicorn")
    from mcp.server import MCPServer

    server = MCPServer("asana")

    @server.tool(name="asana_create_task")
    def create_task(project_id: str, name: str, notes: str = "") -> dict:
        return {"gid": "7001", "name": name, "notes": notes}

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    web = uvicorn.Server(config)
    serving = asyncio.create_task(web.serve([listener]))
    one = Site(tmp_path / "l.jsonl")
    one.port = listener.getsockname()[1]
    door = one.door(tmp_path)
    try:
        replies = await asyncio.gather(*(door.call(task(f"{n}"), MemoryJournal()) for n in range(20)))
        assert {reply.remote_id for reply in replies} == {"7001"}
        assert replies[0].data["notes"].startswith("ref fp-")
    finally:
        await door.aclose()
        web.should_exit = True
        await serving


async def test_closing_a_connection_with_calls_in_flight_raises_no_other_error(site, tmp_path):
    one = site("asana_create_task:hang")
    spec = load_servers(
        fakes.servers_file(tmp_path / "s.json", {"asana-v2": {"url": f"http://127.0.0.1:{one.port}/"}}),
        ASANA,
        {},
    )
    connection = Connection(spec["asana-v2"], log_dir=None)
    ready = asyncio.get_running_loop().create_future()
    living = asyncio.create_task(connection.live(ready, 5.0))
    await ready
    hung = asyncio.create_task(
        connection.call("asana_create_task", {"project_id": "1", "name": "a"}, {}, 5.0)
    )
    await until(lambda: ledger(tmp_path / "asana-v2.jsonl", "start"))
    connection.close()
    await living
    with pytest.raises(errors.ConnectionLost):
        await hung


def test_retry_after_is_read_as_seconds_and_as_a_date():
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after": "0.5"}) == 0.5
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


async def test_a_refused_connection_is_not_reported_as_an_answer(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {"url": f"http://127.0.0.1:{port}/mcp?key={TOKEN}", "timeout": 5}
    path = fakes.servers_file(tmp_path / "servers.json", {"asana-v2": own})
    door = Gateway(load_servers(path, ASANA, {}), ASANA, backoff=0.0)
    with pytest.raises(errors.ServerUnavailable, match="cannot be reached") as unavailable:
        await door.call(task(), MemoryJournal())
    assert TOKEN not in str(unavailable.value)
    await door.aclose()


async def test_over_http_a_call_without_effect_is_sent_again_once_the_server_answered(site, tmp_path):
    door, journal = site("asana_create_task:http=500@1").door(tmp_path, roles=SEEING), MemoryJournal()
    assert (await door.call(task(), journal)).remote_id
    assert [outcome.state for outcome in journal.outcomes()] == ["retry", "done"]
    assert len(ledger(tmp_path / "asana-v2.jsonl", "effect")) == 1


async def test_over_http_a_dropped_call_counts_as_absent_only_after_its_deadline(site, tmp_path):
    door = site("asana_create_task:drop@1").door(tmp_path, roles=SEEING, timeout=1.5)
    assert (await door.call(task(), MemoryJournal())).remote_id
    first, second = ledger(tmp_path / "asana-v2.jsonl", "start", "asana_create_task")
    assert second["t"] - first["t"] >= 1.5


async def test_over_http_an_effect_after_the_deadline_is_found(site, tmp_path):
    door = site("asana_create_task:slow=1.0").door(tmp_path, roles=SEEING, timeout=0.5)
    reply = await door.call(task(), MemoryJournal())
    [made] = ledger(tmp_path / "asana-v2.jsonl", "effect")
    assert reply.remote_id == made["gid"]


async def test_over_http_a_call_that_exceeded_its_deadline_never_counts_as_absent(site, tmp_path):
    door = site("asana_create_task:hang").door(tmp_path, roles=SEEING, timeout=0.3)
    with pytest.raises(errors.Unknown):
        await door.call(task(), MemoryJournal())
    assert len(ledger(tmp_path / "asana-v2.jsonl", "start", "asana_create_task")) == 1


async def test_a_dry_run_over_http_detects_that_a_connected_server_has_gone(site, tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.tools.wire.connection.HEARD", 0.0)
    one = site()
    door = one.door(tmp_path)
    assert (await door.dry_run(task())).reply.dry_run
    one.stop()
    with pytest.raises(errors.ServerUnavailable, match="asana-v2"):
        await door.dry_run(task())
    one.start()
    assert (await door.dry_run(task())).reply.dry_run
    assert ledger(tmp_path / "asana-v2.jsonl", "start") == []
