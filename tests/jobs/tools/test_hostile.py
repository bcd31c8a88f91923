"""Hostile servers: each misbehavior has its own error class, affects no other call, leaves no process."""

import asyncio
import os
import resource
import time

import pytest

from jobs.tools.contract import errors
from jobs.tools.gateway import Gateway
from tests.fakes import ledger
from tests.jobs.tools.conftest import task, until
from tests.memory import MemoryJournal

pytestmark = pytest.mark.slow
QUICK = {"asana_v2": {"timeout": 2.0}}  # seconds; enough for every call that is answered
SINGLE = {
    "no-result": errors.BadReply,
    "bad-result": errors.BadReply,
    "half": errors.BadReply,
    "utf8": errors.BadReply,
    "noid": errors.BadReply,
    "huge=20": errors.BadReply,
    "garbage": errors.TimedOut,
    "wrong-id": errors.TimedOut,
    "hang": errors.TimedOut,
    "lost-after": errors.TimedOut,
    "rpc": errors.ServerFault,
    "rpc=-32001": errors.TimedOut,
}
DEADLY = ("die-before", "die-after", "half-die")


async def cause(door: Gateway, one) -> Exception:
    """Return the ambiguous error behind an unknown call."""
    with pytest.raises(errors.Unknown) as unknown:
        await door.call(one, MemoryJournal())
    assert isinstance(unknown.value.__cause__, errors.Ambiguous)
    return unknown.value.__cause__


def group_members(path) -> list[int]:
    """Return every living process in the process groups of the servers in this ledger."""
    groups = {entry["pgid"] for entry in ledger(path, "hello")}
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) in groups and fields[0] != "Z":
            found.append(int(name))
    return found


@pytest.mark.parametrize("fault", SINGLE)
async def test_a_bad_answer_fails_only_its_own_call(gateway, tmp_path, fault):
    quick = QUICK if SINGLE[fault] is errors.TimedOut else {}
    door = gateway(f"asana_create_task:{fault}?bad", lookups=False, **quick)
    bad = asyncio.create_task(cause(door, task("bad")))
    others = await asyncio.gather(*(door.call(task(f"fine {n}"), MemoryJournal()) for n in range(6)))
    assert type(await bad) is SINGLE[fault]
    assert all(reply.remote_id for reply in others)
    [first, *later] = ledger(tmp_path / "asana-v2.jsonl", "hello")
    if SINGLE[fault] is errors.TimedOut:
        assert not alive(first["pid"]), "it might still do what is called unknown"
    else:
        assert not later, "the server lived on"


@pytest.mark.parametrize("fault", DEADLY)
async def test_a_death_makes_calls_in_flight_ambiguous_and_the_next_call_gets_a_new_server(
    gateway, tmp_path, fault
):
    door = gateway(f"asana_create_task:{fault}?bad", "asana_create_task:slow=60?along", lookups=False)
    along = asyncio.create_task(cause(door, task("along")))
    await until(lambda: ledger(tmp_path / "asana-v2.jsonl", "start"))
    assert type(await cause(door, task("bad"))) is errors.ConnectionLost
    assert type(await along) is errors.ConnectionLost
    assert (await door.call(task("next"), MemoryJournal())).remote_id
    assert len(ledger(tmp_path / "asana-v2.jsonl", "hello")) == 2


async def test_an_idle_death_is_noticed_and_costs_the_next_call_nothing(gateway, tmp_path):
    door = gateway()
    await door.call(task(), MemoryJournal())
    os.kill(ledger(tmp_path / "asana-v2.jsonl", "hello")[0]["pid"], 9)
    await until(lambda: len(ledger(tmp_path / "asana-v2.jsonl", "hello")) == 2)
    journal = MemoryJournal()
    await door.call(task(), journal)
    assert [outcome.state for outcome in journal.outcomes()] == ["done"]


async def test_a_completely_frozen_server_is_killed_after_the_deadline_and_replaced(gateway, tmp_path):
    door = gateway("asana_create_task:freeze@1", lookups=False, **QUICK)
    assert type(await cause(door, task())) is errors.TimedOut
    assert not alive(ledger(tmp_path / "asana-v2.jsonl", "hello")[0]["pid"]), "dead before the call has ended"
    assert (await door.call(task(), MemoryJournal())).remote_id


async def test_a_slow_trickling_answer_is_cut_off_at_the_deadline(gateway, tmp_path):
    door = gateway("asana_create_task:drip=1@1", lookups=False, **QUICK)
    async with asyncio.timeout(
        30
    ):  # after a ping that it does not answer either; the whole answer would take minutes
        assert type(await cause(door, task())) is errors.TimedOut
    assert not alive(ledger(tmp_path / "asana-v2.jsonl", "hello")[0]["pid"])
    assert (await door.call(task(), MemoryJournal())).remote_id


async def test_only_the_first_of_two_answers_counts(gateway, tmp_path):
    reply = await gateway("asana_create_task:double").call(task(), MemoryJournal())
    assert reply.remote_id == ledger(tmp_path / "asana-v2.jsonl", "effect")[0]["gid"]


async def test_noise_on_stdout_before_and_after_the_handshake_is_ignored(gateway):
    reply = await gateway("*:banner").call(task(), MemoryJournal())
    assert reply.remote_id


async def test_a_structured_answer_that_breaks_the_tools_own_schema_is_ambiguous(gateway):
    error = await cause(gateway("asana_create_task:schema", lookups=False), task())
    assert type(error) is errors.BadReply
    assert "id: 'not a number' is not of type 'integer'" in error.message


async def test_a_flood_of_notifications_does_not_starve_other_calls(gateway):
    door = gateway("asana_create_task:flood=80000?flood")
    flood = asyncio.create_task(door.call(task("flood"), MemoryJournal()))
    longest = 0.0  # CPU seconds, which do not depend on how busy the machine is
    while not flood.done():
        before = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - before)
    assert (await flood).remote_id
    assert longest < 0.5


@pytest.mark.slow
async def test_an_answer_of_sixty_megabytes_costs_neither_memory_nor_the_connection(gateway, tmp_path):
    door = gateway("asana_create_task:huge=60?huge", lookups=False, asana_v2={"timeout": 20})
    await door.call(task(), MemoryJournal())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert type(await cause(door, task("huge"))) is errors.BadReply
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60_000, f"{grown} kB more than before"
    assert (await door.call(task(), MemoryJournal())).remote_id
    assert len(ledger(tmp_path / "asana-v2.jsonl", "hello")) == 1


async def test_stderr_is_written_to_a_log_that_keeps_the_newest_megabyte(gateway, tmp_path):
    door = gateway("asana_create_task:stderr=3")
    await door.call(task(), MemoryJournal())
    log = tmp_path / "logs" / "asana-v2.stderr.log"
    await until(lambda: b"000002999 " in log.read_bytes())
    assert log.stat().st_size <= 1_000_000
    assert b"000000000 " not in log.read_bytes()
    assert (tmp_path / "logs" / "ttd.stderr.log").exists() is False


async def test_a_server_gets_exactly_the_environment_of_its_entry(gateway, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "of the app")
    monkeypatch.setenv("LANG", "C.UTF-8")
    door = gateway(asana_v2={"env": {"ASANA_TOKEN": "t", "PATH": os.environ["PATH"]}})
    await door.call(task(), MemoryJournal())
    seen = ledger(tmp_path / "asana-v2.jsonl", "hello")[0]["env"]
    expected = {name for name in ("PATH", "HOME", "USER", "LANG") if name in os.environ} | {"ASANA_TOKEN"}
    assert set(seen) - {"LC_CTYPE"} == expected


@pytest.mark.parametrize(
    "fault", ["*:none", "*:ignore-term", "asana_create_task:orphan", "asana_create_task:hang"]
)
async def test_no_process_is_left_behind_after_closing(gateway, tmp_path, fault):
    door = gateway(fault, lookups=False, asana_v2={"timeout": 0.3})
    await asyncio.gather(door.call(task(), MemoryJournal()), return_exceptions=True)
    await until(lambda: group_members(tmp_path / "asana-v2.jsonl"))  # after a timeout it is a new one
    async with asyncio.timeout(30):
        await door.aclose()
    assert group_members(tmp_path / "asana-v2.jsonl") == []


async def test_a_grandchild_in_its_own_session_is_killed_too(gateway, tmp_path):
    door = gateway("asana_create_task:orphan=session")
    await door.call(task(), MemoryJournal())
    [orphan] = ledger(tmp_path / "asana-v2.jsonl", "orphan")
    assert alive(orphan["child"])
    await door.aclose()
    await until(lambda: not alive(orphan["child"]))


async def test_a_grandchild_in_its_own_session_is_killed_even_if_its_parent_died_first(gateway, tmp_path):
    door = gateway("asana_create_task:orphan=session@1", "asana_create_task:die-after@2")
    await door.call(task(), MemoryJournal())
    await door.call(task(), MemoryJournal())
    [orphan] = ledger(tmp_path / "asana-v2.jsonl", "orphan")
    await until(lambda: not alive(orphan["child"]))


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_no_process_is_left_behind_when_closing_is_cancelled(gateway, tmp_path):
    door = gateway("*:ignore-term")
    await door.call(task(), MemoryJournal())
    closing = asyncio.create_task(door.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    await until(lambda: not group_members(tmp_path / "asana-v2.jsonl"))


def test_no_process_is_left_behind_when_the_loop_is_torn_down(tmp_path):
    from jobs.tools.contract.config import load_servers
    from tests import fakes
    from tests.jobs.tools.conftest import ROLES

    path = tmp_path / "asana-v2.jsonl"

    async def main() -> None:
        roles = {"asana-v2": ROLES["asana-v2"]}
        entries = {"asana-v2": fakes.entry("asana-v2", path, "*:ignore-term")}
        door = Gateway(load_servers(None, roles, entries), roles)
        await door.call(task(), MemoryJournal())
        assert group_members(path)

    asyncio.run(main())
    assert group_members(path) == []


async def test_a_cancelled_call_releases_its_permit_and_affects_no_other(gateway, tmp_path):
    door = gateway("asana_create_task:hang?stuck", asana_v2={"concurrency": 1})
    stuck = asyncio.create_task(door.call(task("stuck"), MemoryJournal()))
    await until(lambda: ledger(tmp_path / "asana-v2.jsonl", "start"))
    waiting = asyncio.create_task(door.call(task("next"), MemoryJournal()))
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck
    assert (await waiting).remote_id
    assert door.status()["asana-v2"].in_use == 0
