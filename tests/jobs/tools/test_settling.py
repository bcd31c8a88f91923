"""The gateway with uncertain effects: fenced and looked up at real servers, counted in their ledgers."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobs.tools.circuit import THRESHOLD
from jobs.tools.contract.calls import Earlier, Sent
from jobs.tools.contract.errors import CircuitOpen, Stopped, ToolError, ToolFailed, Unknown
from jobs.tools.contract.policy import ToolPolicy
from jobs.tools.contract.reply import Reply
from jobs.tools.wire.fence import process_of
from jobs.tools.wire.process import started_at
from tests.fakes import ledger
from tests.jobs.tools.conftest import FIND_CAMPAIGNS, call, task, until
from tests.jobs.tools.test_gateway import history
from tests.memory import MemoryJournal

pytestmark = pytest.mark.slow
LINE = {"name": "Line", "budget": 5}


def effects(tmp_path, role="asana-v2") -> list[dict]:
    return ledger(tmp_path / f"{role}.jsonl", "effect")


async def test_an_effect_that_was_made_before_its_server_died_is_adopted(gateway, tmp_path):
    journal = MemoryJournal()
    reply = await gateway("asana_create_task:die-after@1").call(task(), journal)
    [made] = effects(tmp_path)
    assert reply.remote_id == made["gid"]
    assert history(journal) == ["intent 1", "done"]
    assert "a look-up found its effect" in journal.outcomes()[0].reason


async def test_an_effect_not_made_before_its_server_died_is_made_once(gateway, tmp_path):
    journal = MemoryJournal()
    await gateway("asana_create_task:die-before@1").call(task(), journal)
    assert history(journal) == ["intent 1", "retry", "intent 2", "done"]
    assert "a look-up found no effect" in journal.outcomes()[0].reason
    assert len(effects(tmp_path)) == 1


@pytest.mark.parametrize("fault", ["lost-after", "slow=1.0"])
async def test_a_late_effect_is_found_and_never_made_twice(gateway, tmp_path, fault):
    journal = MemoryJournal()
    reply = await gateway(f"asana_create_task:{fault}@1", asana_v2={"timeout": 0.5}).call(task(), journal)
    assert reply.remote_id
    await asyncio.sleep(1.0)  # by now the late effect would have been made
    assert len(effects(tmp_path)) == 1


@pytest.mark.parametrize(("role", "tool"), [("asana-v2", "asana_create_task"), ("ttd", "create_campaign")])
async def test_an_effect_made_despite_an_internal_error_is_made_once(gateway, tmp_path, role, tool):
    one = task() if role == "asana-v2" else call(tool, LINE)
    reply = await gateway(f"{tool}:error-first=1.0@1").call(one, MemoryJournal())
    await asyncio.sleep(1.2)  # by now its first process would have made it
    assert reply.remote_id
    assert len(effects(tmp_path, role)) == 1


async def test_a_call_that_times_out_does_not_affect_other_calls_on_its_server(gateway, tmp_path):
    door = gateway(
        "asana_create_task:hang?stuck@1", "asana_create_task:slow=2.0?along", asana_v2={"timeout": 3}
    )
    stuck, along = MemoryJournal(), MemoryJournal()
    first = asyncio.create_task(door.call(task("stuck"), stuck))
    await until(lambda: ledger(tmp_path / "asana-v2.jsonl", "start"))
    await asyncio.sleep(1.5)  # so that the other call is in flight when this one times out
    await asyncio.gather(first, door.call(task("along"), along), door.call(task("other"), MemoryJournal()))
    assert history(along)[-2:] == ["intent 1", "done"]
    assert history(stuck) == ["intent 1", "retry", "intent 2", "done"]
    assert len(effects(tmp_path)) == 3


async def test_an_open_attempt_of_a_lost_worker_is_adopted_if_it_took_effect(gateway, tmp_path):
    door, one, journal = gateway(), task(), MemoryJournal()
    made = await door.call(one, MemoryJournal())
    reply = await door.call(one, journal, Earlier(1, sent(None)))
    assert reply.remote_id == made.remote_id
    assert history(journal) == ["done"]
    assert len(effects(tmp_path)) == 1


async def test_an_open_attempt_of_a_lost_worker_is_sent_again_if_it_took_no_effect(gateway, tmp_path):
    door, one, journal = gateway(), task(), MemoryJournal()
    [hello] = await started(door, tmp_path)
    process = process_of(hello["pid"], started_at(hello["pid"]))
    await door.call(one, journal, Earlier(1, sent(process)))
    assert history(journal) == ["retry", "intent 2", "done"]
    assert len(effects(tmp_path)) == 1


async def test_the_server_of_a_lost_worker_is_killed_before_anything_is_sent_again(gateway, tmp_path):
    theirs, ours = gateway("asana_create_task:slow=1.5@1"), gateway()
    one, journal = task(), MemoryJournal()
    lost = asyncio.create_task(theirs.call(one, MemoryJournal()))
    [start] = await until_started(tmp_path)
    process = process_of(start["pid"], started_at(start["pid"]))
    lost.cancel()  # like a worker that died: its server is still running and would make the effect late
    reply = await ours.call(one, journal, Earlier(1, sent(process)))
    await asyncio.sleep(1.5)
    [made] = effects(tmp_path)
    assert (made["gid"], made["pid"] != start["pid"]) == (reply.remote_id, True)


async def test_an_effect_made_despite_a_reported_failure_is_found_before_a_retry(gateway, tmp_path):
    door, one, journal = gateway(), task(), MemoryJournal()
    made = await door.call(one, MemoryJournal())  # although the answer reported a failure
    reply = await door.call(one, journal, Earlier(1, refused=True))
    assert reply.remote_id == made.remote_id
    assert history(journal) == ["done"]
    assert len(effects(tmp_path)) == 1


@pytest.mark.parametrize("look_up", ["none", "asana_get_tasks_for_project:iserror"])
async def test_a_reported_failure_that_no_look_up_contradicts_is_retried(gateway, tmp_path, look_up):
    journal = MemoryJournal()
    assert (await gateway(look_up).call(task(), journal, Earlier(1, refused=True))).remote_id
    assert history(journal) == ["intent 2", "done"]


async def test_a_call_resolved_as_absent_too_early_is_not_also_made_by_its_old_server(gateway, tmp_path):
    theirs, ours = gateway("asana_create_task:slow=1.2@1"), gateway()
    one, journal = task(), MemoryJournal()
    lost = asyncio.create_task(theirs.call(one, MemoryJournal()))
    [start] = await until_started(tmp_path)
    process = process_of(start["pid"], started_at(start["pid"]))
    lost.cancel()  # like a worker that was stopped by a cancel: its server is still working
    reply = await ours.call(one, journal, Earlier(1, denied=sent(process)))
    await asyncio.sleep(1.5)
    assert [made["gid"] for made in effects(tmp_path)] == [reply.remote_id]


async def test_an_effect_resolved_as_absent_that_exists_is_adopted(gateway, tmp_path):
    door, one, journal = gateway(), task(), MemoryJournal()
    made = await door.call(one, MemoryJournal())
    reply = await door.call(one, journal, Earlier(1, denied=sent(None)))
    assert (reply.remote_id, history(journal), len(effects(tmp_path))) == (made.remote_id, ["done"], 1)


@pytest.mark.parametrize("look_up", ["none", "asana_get_tasks_for_project:iserror"])
async def test_a_call_resolved_as_absent_that_no_look_up_finds_is_sent_again(gateway, tmp_path, look_up):
    journal = MemoryJournal()
    assert (await gateway(look_up).call(task(), journal, Earlier(1, denied=sent(None)))).remote_id
    assert history(journal) == ["intent 2", "done"]


async def test_a_lost_repeatable_call_is_sent_again_without_a_look_up(gateway, tmp_path):
    cells = {"spreadsheetId": "1", "range": "A1", "values": [["a"]]}
    journal = MemoryJournal()
    await gateway().call(call("writeSpreadsheet", cells), journal, Earlier(1, sent(None)))
    assert history(journal) == ["retry", "intent 2", "done"]


@pytest.mark.parametrize("second", ["iserror=already there", "429"])
async def test_an_uncertain_repeatable_call_does_not_fail_when_a_later_attempt_fails(
    gateway, tmp_path, second
):
    cells = {"spreadsheetId": "1", "range": "A1", "values": [["a"]]}
    later = [f"writeSpreadsheet:{second}@{number}" for number in (2, 3)]
    journal = MemoryJournal()
    with pytest.raises(Unknown, match="an earlier attempt may have taken effect"):
        await gateway("writeSpreadsheet:half@1", *later).call(call("writeSpreadsheet", cells), journal)
    assert history(journal)[-1] == "unknown"
    assert all(outcome.doubt for outcome in journal.outcomes()[:-1])


async def test_a_lost_call_without_a_look_up_is_unknown_and_never_sent_again(gateway, tmp_path):
    journal = MemoryJournal()
    with pytest.raises(Unknown, match="may have taken effect"):
        await gateway().call(call("createFolder", {"name": "A"}), journal, Earlier(1, sent(None)))
    assert history(journal) == ["unknown"]
    assert ledger(tmp_path / "google-docs.jsonl", "start") == []


async def test_an_uncertain_spending_call_is_looked_up_by_its_key(gateway, tmp_path):
    journal = MemoryJournal()
    reply = await gateway("create_campaign:half-die@1").call(call("create_campaign", LINE), journal)
    assert reply.remote_id == effects(tmp_path, "ttd")[0]["id"]
    assert len(effects(tmp_path, "ttd")) == 1


async def test_calls_to_a_failing_server_are_paused_and_to_others_are_not(gateway, tmp_path):
    door = gateway("asana_create_task:rpc", lookups=False)
    results = await asyncio.gather(
        *(door.call(task(f"{n}"), MemoryJournal()) for n in range(30)), return_exceptions=True
    )
    assert {type(one) for one in results} == {Unknown, CircuitOpen}
    assert len(ledger(tmp_path / "asana-v2.jsonl", "start")) < 12
    assert "are paused" in str(next(one for one in results if isinstance(one, CircuitOpen)))
    assert door.status()["asana-v2"].held_back
    assert (await door.call(call("create_campaign", LINE), MemoryJournal())).remote_id


@pytest.mark.parametrize(("fault", "ends"), [("slow=0.3", {Reply: 5}), ("rpc", {Unknown: 1, CircuitOpen: 4})])
async def test_calls_concurrent_with_a_probe_wait_for_its_result(gateway, tmp_path, fault, ends):
    door = gateway(f"asana_create_task:{fault}", lookups=False)
    circuit = door._servers["asana-v2"].circuit
    for incident in range(THRESHOLD):
        circuit.strike(incident, "down")
    circuit.until = 0.0
    results = await asyncio.gather(
        *(door.call(task(f"{n}"), MemoryJournal()) for n in range(5)), return_exceptions=True
    )
    assert Counter(type(one) for one in results) == ends
    probe, *_ = ledger(tmp_path / "asana-v2.jsonl", "end")
    assert sum(one["t"] < probe["t"] for one in ledger(tmp_path / "asana-v2.jsonl", "start")) == 1


async def test_a_stopped_call_from_before_the_circuit_opened_does_not_release_the_probe(gateway):
    server = gateway()._servers["asana-v2"]
    for incident in range(THRESHOLD - 1):
        server.circuit.strike(incident, "down")
    with pytest.raises(Stopped):
        async with server.connected(task()):
            server.circuit.strike("last", "down")
            server.circuit.until = 0.0
            assert server.circuit.allow(), "the probe"
            raise Stopped("the job was stopped")
    assert not server.circuit.allow(), "the probe is still in flight"


@pytest.mark.parametrize("says", ["iserror=503 Service Unavailable", "429"])
async def test_calls_to_a_server_that_reports_an_outage_are_paused(gateway, tmp_path, says):
    door = gateway(f"asana_create_task:{says}")
    for n in range(10):
        with pytest.raises(ToolError):
            await door.call(task(f"{n}"), MemoryJournal())
    assert door.status()["asana-v2"].held_back
    assert len(ledger(tmp_path / "asana-v2.jsonl", "start")) <= 15


async def test_a_server_that_recovers_within_a_calls_retries_has_not_failed(gateway, tmp_path):
    door = gateway(*(f"asana_create_task:429@{n}" for n in range(1, 11)), backoff=0.1)
    await asyncio.gather(*(door.call(task(f"{n}"), MemoryJournal()) for n in range(5)))
    assert not door.status()["asana-v2"].held_back
    assert len(effects(tmp_path)) == 5


async def test_a_refusal_by_a_tool_does_not_count_as_a_failing_server(gateway, tmp_path):
    door = gateway("asana_create_task:iserror?bad")
    for n in range(8):
        with pytest.raises(ToolFailed):
            await door.call(task(f"bad {n}"), MemoryJournal())
    assert not door.status()["asana-v2"].held_back


async def test_a_call_sent_without_its_key_never_counts_as_absent_after_a_look_up(
    gateway, tmp_path, monkeypatch
):
    policy = ToolPolicy(key_argument="reference", lookup=FIND_CAMPAIGNS)  # the server takes no reference
    door = gateway("create_campaign:die-after@1")
    monkeypatch.setitem(door._servers["ttd"].role.tools, "create_campaign", policy)
    with pytest.raises(Unknown):
        await door.call(call("create_campaign", LINE), MemoryJournal())
    assert len(effects(tmp_path, "ttd")) == 1


async def test_a_lost_call_is_not_sent_again_if_the_server_says_it_is_not_idempotent(gateway, tmp_path):
    cells = {"spreadsheetId": "1", "range": "A1", "values": [["a"]]}
    door = gateway()
    tools = (await door._servers["google-docs"].session.connection()).tools
    tools["writeSpreadsheet"] = replace(tools["writeSpreadsheet"], may_repeat_hint=False)
    with pytest.raises(Unknown):
        await door.call(call("writeSpreadsheet", cells), MemoryJournal(), Earlier(1, sent(None)))
    assert effects(tmp_path, "google-docs") == []


async def test_a_call_handed_back_is_resolved_with_the_connection_that_sent_it(gateway, tmp_path):
    door, one = gateway("asana_create_task:slow=1.5@1", "asana_create_task:slow=1?along"), task()
    given_back = asyncio.create_task(door.call(one, MemoryJournal()))
    [start] = await until_started(tmp_path)
    process = process_of(start["pid"], started_at(start["pid"]))
    along = asyncio.create_task(door.call(task("along"), MemoryJournal()))
    await until(lambda: len(ledger(tmp_path / "asana-v2.jsonl", "start")) == 2)
    given_back.cancel()
    session = door._servers["asana-v2"].session
    old = await session.connection()
    journal = MemoryJournal()
    again = asyncio.create_task(door.call(one, journal, Earlier(1, sent(process))))
    retiring = asyncio.create_task(old.retire())  # as another uncertain call does at the same time
    assert (await again).remote_id
    assert await retiring
    assert (await along).remote_id, "other calls on that server finish"
    assert session.held(process) is None
    await asyncio.sleep(1.0)  # by now the call that was handed back would have taken effect
    assert len(effects(tmp_path)) == 2


def sent(process) -> Sent:
    """Return an attempt whose deadline has passed."""
    return Sent(datetime.now(UTC) - timedelta(seconds=60), process, {})


async def started(door, tmp_path) -> list[dict]:
    door.start()
    await until(lambda: door.status()["asana-v2"].connected)
    return ledger(tmp_path / "asana-v2.jsonl", "hello")


async def until_started(tmp_path) -> list[dict]:
    await until(lambda: ledger(tmp_path / "asana-v2.jsonl", "start"))
    return ledger(tmp_path / "asana-v2.jsonl", "start")
