"""The gateway: a call's permit, intent, deadline, outcome and retries, measured at the server."""

import asyncio

import pytest

from jobs.engine.results import Source
from jobs.tools.contract.errors import (
    InvalidArguments,
    RateLimited,
    ServerUnavailable,
    Stopped,
    TimedOut,
    ToolFailed,
    Unknown,
    UnknownTool,
)
from jobs.tools.wire.fence import process_of
from jobs.tools.wire.process import started_at
from jobs.tools.wire.session import CONNECT
from tests.fakes import ledger, peak
from tests.jobs.tools.conftest import call, task, until
from tests.memory import MemoryJournal


def history(journal: MemoryJournal) -> list[str]:
    """Return the journal's entries as words, such as `waiting`, `intent 1`, `retry` and `done`."""
    words = {"waiting": lambda e: "waiting", "intent": lambda e: f"intent {e[2]}"}
    return [words.get(event[0], lambda e: e[3].state)(event) for event in journal.events]


async def test_a_call_returns_a_typed_reply_and_is_journaled_before_and_after(gateway, tmp_path):
    journal = MemoryJournal()
    reply = await gateway().call(task("Launch"), journal)
    assert reply.remote_id == reply.data["gid"]
    assert reply.remote_url.startswith("https://asana.example/")
    assert reply.source is Source.LOCAL
    assert history(journal) == ["intent 1", "done"]
    assert journal.outcomes()[0].reply == reply
    assert journal.outcomes()[0].took > 0


async def test_the_key_is_sent_in_the_meta_and_as_the_last_line_of_the_notes(gateway, tmp_path):
    one = call("asana_create_task", {"project_id": "1", "name": "A", "notes": "Do it."}, key="ab" * 16)
    await gateway().call(one, MemoryJournal())
    [start] = ledger(tmp_path / "asana-v2.jsonl", "start")
    assert start["meta"]["flightplan/idempotency-key"] == "ab" * 16
    assert start["args"]["notes"] == "Do it.\n\nref fp-abababababab"


async def test_the_key_is_sent_in_the_tools_argument_or_name(gateway, tmp_path):
    door = gateway()
    await door.call(call("create_campaign", {"name": "Line", "budget": 5}, key="cd" * 16), MemoryJournal())
    await door.call(call("createFolder", {"name": "Aurora"}, key="ef" * 16), MemoryJournal())
    assert ledger(tmp_path / "ttd.jsonl", "start")[0]["args"]["external_id"] == "cd" * 16
    assert ledger(tmp_path / "google-docs.jsonl", "start")[0]["args"]["name"] == "Aurora (fp-efefefefefef)"


async def test_undeclared_arguments_are_refused_before_the_call_is_sent(gateway, tmp_path):
    door = gateway()
    faults = {
        "headline is not an argument": {"project_id": "1", "name": "A", "headline": "B"},
        "name is required": {"project_id": "1"},
        "name: 5 is not of type 'string'": {"project_id": "1", "name": 5},
    }
    for words, args in faults.items():
        with pytest.raises(InvalidArguments, match=words):
            await door.call(call("asana_create_task", args), MemoryJournal())
    assert ledger(tmp_path / "asana-v2.jsonl", "start") == []


async def test_a_tool_that_the_server_does_not_list_is_unknown_and_not_retried(gateway):
    journal = MemoryJournal()
    with pytest.raises(UnknownTool, match="no_such_tool"):
        await gateway().call(call("no_such_tool"), journal)
    assert history(journal) == ["failed"]


@pytest.mark.parametrize("form", ["429", "429=0.2", "429-words=0.2", "429-top=0.2"])
async def test_a_rate_limit_in_any_form_is_waited_out_and_retried(gateway, tmp_path, form):
    journal = MemoryJournal()
    reply = await gateway(f"asana_create_task:{form}@1", backoff=0.1).call(task(), journal)
    assert reply.remote_id
    assert history(journal) == ["intent 1", "retry", "intent 2", "done"]
    first, second = ledger(tmp_path / "asana-v2.jsonl", "start")
    expected = 0.2 if "=" in form else 0.1
    assert journal.outcomes()[0].delay == pytest.approx(expected)
    assert second["t"] - first["t"] >= expected
    assert len(ledger(tmp_path / "asana-v2.jsonl", "effect")) == 1


async def test_a_call_is_retried_at_most_twice_with_a_doubled_wait(gateway):
    journal = MemoryJournal()
    with pytest.raises(RateLimited):
        await gateway("asana_create_task:429", backoff=0.05).call(task(), journal)
    assert history(journal) == ["intent 1", "retry", "intent 2", "retry", "intent 3", "failed"]
    assert [outcome.delay for outcome in journal.outcomes()] == pytest.approx([0.05, 0.1, 0.0])


async def test_the_permit_is_not_held_while_a_call_waits_for_its_retry(gateway, tmp_path):
    door = gateway("asana_create_task:429=0.5?first@1", asana_v2={"concurrency": 1})
    first = asyncio.create_task(door.call(task("first"), MemoryJournal()))
    await until(lambda: ledger(tmp_path / "asana-v2.jsonl", "end"))
    await door.call(task("second"), MemoryJournal())
    assert not first.done()
    await first
    names = [e["args"]["name"] for e in ledger(tmp_path / "asana-v2.jsonl", "start")]
    assert names == ["first", "second", "first"]


@pytest.mark.parametrize("fault", ["iserror", "toperror"])
async def test_a_failure_reported_by_the_tool_is_not_retried(gateway, fault):
    journal = MemoryJournal()
    with pytest.raises(ToolFailed, match="it did not work"):
        await gateway(f"asana_create_task:{fault}").call(task(), journal)
    assert history(journal) == ["intent 1", "failed"]


async def test_a_half_created_document_is_named_and_never_created_twice(gateway, tmp_path):
    journal = MemoryJournal()
    with pytest.raises(ToolFailed) as failed:
        await gateway("createDocument:partial").call(call("createDocument", {"title": "Brief"}), journal)
    [made] = ledger(tmp_path / "google-docs.jsonl", "effect")
    assert failed.value.reply.remote_id == made["id"]
    assert journal.outcomes()[0].reply.remote_url == made["url"]


async def test_an_ambiguous_write_without_a_look_up_is_unknown_and_sent_once(gateway, tmp_path):
    journal = MemoryJournal()
    with pytest.raises(Unknown, match="it is unknown whether"):
        await gateway("asana_create_task:die-after", lookups=False).call(task(), journal)
    assert history(journal) == ["intent 1", "unknown"]
    assert len(ledger(tmp_path / "asana-v2.jsonl", "start")) == 1


async def test_an_ambiguous_read_is_sent_again(gateway):
    journal = MemoryJournal()
    door = gateway("asana_list_workspaces:rpc@1")
    reply = await door.call(call("asana_list_workspaces"), journal)
    assert reply.data == {"items": [{"gid": "1200", "name": "Marketing"}]}
    assert history(journal) == ["intent 1", "retry", "intent 2", "done"]


async def test_an_ambiguous_repeatable_write_is_sent_again(gateway):
    journal = MemoryJournal()
    cells = {"spreadsheetId": "1", "range": "A1", "values": [["a"]]}
    reply = await gateway("writeSpreadsheet:rpc@1").call(call("writeSpreadsheet", cells), journal)
    assert reply.text == "Successfully wrote to the range"
    assert history(journal) == ["intent 1", "retry", "intent 2", "done"]


async def test_a_repeatable_write_without_a_clear_answer_is_unknown_not_failed(gateway):
    journal = MemoryJournal()
    cells = {"spreadsheetId": "1", "range": "A1", "values": [["a"]]}
    with pytest.raises(Unknown, match="it is unknown whether"):
        await gateway("writeSpreadsheet:rpc").call(call("writeSpreadsheet", cells), journal)
    assert history(journal)[-1] == "unknown"
    assert len(journal.outcomes()) == 3


async def test_an_intent_names_the_server_process_of_its_attempt(gateway, tmp_path):
    journal = MemoryJournal()
    await gateway().call(task(), journal)
    [hello] = ledger(tmp_path / "asana-v2.jsonl", "hello")
    assert journal.processes[0].pid == hello["pid"]
    assert journal.processes[0] == process_of(hello["pid"], started_at(hello["pid"]))


async def test_nothing_is_sent_if_the_lease_expires_after_the_intent(gateway, tmp_path):
    journal = MemoryJournal()
    journal.lease_good = False
    with pytest.raises(Stopped, match="lease"):
        await gateway().call(task(), journal)
    assert history(journal) == ["intent 1"]
    assert ledger(tmp_path / "asana-v2.jsonl", "start") == []


async def test_a_stopped_job_sends_nothing_and_releases_its_permit(gateway, tmp_path):
    journal = MemoryJournal()
    journal.stop_before = Stopped("cancelled")
    door = gateway()
    with pytest.raises(Stopped):
        await door.call(task(), journal)
    assert journal.events == []
    assert door.status()["asana-v2"].in_use == 0
    assert ledger(tmp_path / "asana-v2.jsonl", "start") == []


async def test_a_server_that_cannot_be_started_fails_fast_with_its_reason(gateway):
    journal = MemoryJournal()
    async with asyncio.timeout(CONNECT):
        with pytest.raises(ServerUnavailable, match="no/such/program not found"):
            await gateway(asana_v2={"command": "no/such/program"}).call(task(), journal)
    assert history(journal)[-1] == "failed"
    assert len(journal.outcomes()) == 3


async def test_the_deadline_of_an_attempt_is_total_and_ends_as_unknown_for_a_write(gateway):
    door = gateway("asana_create_task:hang?stuck", lookups=False, asana_v2={"timeout": 2.0})
    journal = MemoryJournal()
    stuck = asyncio.create_task(door.call(task("stuck"), journal))
    others = await asyncio.gather(*(door.call(task(f"fine {n}"), MemoryJournal()) for n in range(8)))
    assert all(reply.remote_id for reply in others)
    with pytest.raises(Unknown) as unknown:
        await stuck
    assert isinstance(unknown.value.__cause__, TimedOut)


async def test_limits_hold_at_the_server_for_any_number_of_jobs(gateway, tmp_path):
    door = gateway(latency=0.05)
    jobs = [task(f"{n}", order=n % 7, job=str(n % 7)) for n in range(60)]
    images = [call("generate_image", {"prompt": "p", "width": 1, "height": 1}) for _ in range(10)]
    journal = MemoryJournal()
    await asyncio.gather(*(door.call(one, journal) for one in [*jobs, *images]))
    assert peak(tmp_path / "asana-v2.jsonl") == 5
    assert peak(tmp_path / "image-gen.jsonl") == 2
    waits = [event for event in journal.events if event[0] == "waiting"]
    assert {event[3] for event in waits} == {5, 2}
    assert len(waits) == 60 - 5 + 10 - 2


async def test_older_jobs_and_longer_paths_reach_the_server_first(gateway, tmp_path):
    door = gateway(latency=0.02, asana_v2={"concurrency": 1})
    wanted = [("young", 2, 90), ("old, short", 1, 5), ("old, long", 1, 50)]
    first = asyncio.create_task(door.call(task("first"), MemoryJournal()))
    await asyncio.sleep(0)
    rest = [door.call(task(n, order=o, remaining=r), MemoryJournal()) for n, o, r in wanted]
    await asyncio.gather(first, *rest)
    names = [e["args"]["name"] for e in ledger(tmp_path / "asana-v2.jsonl", "start")]
    assert names == ["first", "old, long", "old, short", "young"]


async def test_all_servers_connect_concurrently_and_the_status_shows_it(gateway):
    door = gateway()
    assert not door.status()["ttd"].connected
    door.start()
    await until(lambda: all(server.connected for server in door.status().values()))
    status = door.status()["asana-v2"]
    assert status.limit == 5
    assert "asana_create_task" in status.tools
    assert (status.in_use, status.waiting, status.last_error) == (0, 0, "")
    assert door.status()["ttd"].source is Source.SIMULATED


async def test_a_spreadsheet_write_succeeds_with_plain_text_and_an_image_without_an_id(gateway):
    door = gateway("generate_image:image@2")
    cells = {"spreadsheetId": "1", "range": "A1", "values": [["a"]]}
    reply = await door.call(call("writeSpreadsheet", cells), MemoryJournal())
    assert reply.text == "Successfully wrote to the range"
    image = {"prompt": "p", "width": 3, "height": 2}
    assert (await door.call(call("generate_image", image), MemoryJournal())).data["path"]
    picture = await door.call(call("generate_image", image), MemoryJournal())
    assert (picture.images[0].data, picture.images[0].mime) == (b"image", "image/png")


async def test_durations_of_successful_calls_are_learned_by_server_tool_and_size(gateway):
    door = gateway("asana_create_task:iserror?Broken", latency=0.05)
    for number in range(3):
        await door.call(task(f"Task {number}", size="large"), MemoryJournal())
    for _ in range(3):
        with pytest.raises(ToolFailed):
            await door.call(task("Broken", size="small"), MemoryJournal())
    assert door.durations("asana-v2", "asana_create_task", "large") == pytest.approx(0.05, abs=0.05)
    assert set(door.durations.take_fresh()) == {("asana-v2", "asana_create_task", "large")}


async def test_no_duration_is_learned_from_an_effect_found_by_a_look_up(gateway):
    door = gateway("asana_create_task:die-after@1")
    await door.call(task("Kick-off"), MemoryJournal())
    assert door.durations.take_fresh() == {}
