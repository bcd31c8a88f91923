"""A call of a dry run: checked with a real server over a pipe, answered locally, and never sent."""

import asyncio
from dataclasses import replace

import pytest

from jobs.engine.results import Source
from jobs.tools.contract.errors import InvalidArguments, ServerUnavailable, UnknownTool
from jobs.tools.contract.policy import ToolPolicy
from jobs.tools.contract.tool import Tool
from jobs.tools.dry_run import made_up, steps_in
from tests import fakes
from tests.jobs.tools.conftest import ROLES, call, task


def asked(tmp_path) -> list[dict]:
    """Return the tool calls that arrived at any server."""
    return [one for role in ROLES for one in fakes.ledger(tmp_path / f"{role}.jsonl", "start")]


async def test_a_dry_run_checks_and_answers_a_call_without_calling_the_tool(gateway, tmp_path):
    door = gateway()
    done = await door.dry_run(task("Launch", step="project.task.launch"))
    assert done.reply.dry_run and done.reply.source is Source.SIMULATED
    assert done.reply.remote_id == done.reply.data["gid"] == "dry-run:project.task.launch"
    assert done.reply.remote_url == ""
    assert fakes.ledger(tmp_path / "asana-v2.jsonl", "hello")
    assert asked(tmp_path) == []


async def test_a_dry_run_returns_the_arguments_with_key_and_marker(gateway, tmp_path):
    door = gateway()
    line = await door.dry_run(call("create_campaign", {"name": "Line", "budget": 5}, key="cd" * 16))
    folder = await door.dry_run(call("createFolder", {"name": "Aurora"}, key="ef" * 16))
    job = await door.dry_run(task(key="ab" * 16))
    assert line.arguments["external_id"] == "cd" * 16
    assert folder.arguments["name"] == "Aurora (fp-efefefefefef)"
    assert job.arguments["notes"].splitlines()[-1] == "ref fp-abababababab"
    assert asked(tmp_path) == []


async def test_read_only_tools_are_not_called_either(gateway, tmp_path):
    assert (await gateway().dry_run(call("asana_list_workspaces"))).reply.dry_run
    assert asked(tmp_path) == []


async def test_a_call_that_the_servers_schema_refuses_fails_by_argument(gateway, tmp_path):
    door = gateway()
    faults = {
        "headline is not an argument": {"project_id": "1", "name": "A", "headline": "B"},
        "name is required": {"project_id": "1"},
        "name: 5 is not of type 'string'": {"project_id": "1", "name": 5},
    }
    for words, args in faults.items():
        with pytest.raises(InvalidArguments, match=words):
            await door.dry_run(call("asana_create_task", args))
    assert asked(tmp_path) == []


async def test_a_tool_that_the_server_does_not_list_fails(gateway):
    with pytest.raises(UnknownTool, match="asana_create_task"):
        await gateway("asana_create_task:missing").dry_run(task())
    with pytest.raises(UnknownTool, match="no role"):
        await gateway().dry_run(replace(task(), tool="asana_delete_everything"))


async def test_a_server_that_cannot_be_started_fails_with_the_reason(gateway):
    with pytest.raises(ServerUnavailable, match="its process ended"):
        await gateway("*:refuse").dry_run(task())


async def test_the_limit_and_rate_come_from_the_server_or_the_tool(gateway):
    door = gateway(asana_v2={"perMinute": 90}, ttd={"perMinute": {"find_campaigns": 7}})
    some = [
        await door.dry_run(task()),
        await door.dry_run(call("find_campaigns", {"external_id": "1"})),
        await door.dry_run(call("create_campaign", {"name": "L", "budget": 1})),
    ]
    assert [(one.limit, one.per_minute) for one in some] == [(5, 90), (4, 7), (4, 0)]
    assert door.limits()["asana-v2"].per_minute == 90


async def test_a_dry_run_takes_no_permit(gateway):
    door = gateway(asana_v2={"concurrency": 1})
    async with door._servers["asana-v2"].permits.hold(), asyncio.timeout(10):
        assert (await door.dry_run(task())).limit == 1


async def test_a_ping_detects_a_silent_server(gateway, tmp_path, monkeypatch):
    door = gateway("asana_list_workspaces:freeze", asana_v2={"timeout": 30})
    await door.dry_run(task())
    # from here on each dry run sends a ping with a short deadline; the first one sent none
    monkeypatch.setattr("jobs.tools.wire.connection.HEARD", 0.0)
    monkeypatch.setattr("jobs.tools.wire.connection.PING", 0.2)
    connection = await door._servers["asana-v2"].session.connection()
    frozen = asyncio.create_task(connection.call("asana_list_workspaces", {}, {}, 30))
    while not fakes.ledger(tmp_path / "asana-v2.jsonl", "start"):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    with pytest.raises(ServerUnavailable, match="no answer to a ping"):
        await door.dry_run(task())
    frozen.cancel()


def test_sample_data_of_the_policy_gets_the_placeholder_id():
    policy = ToolPolicy(id_keys=("gid",), dry_run_data={"data": [{"gid": "$id", "name": "some"}], "n": 1})
    reply = made_up("project.workspaces", policy)
    id = "dry-run:project.workspaces"
    assert reply.data == {"gid": id, "data": [{"gid": id, "name": "some"}], "n": 1}


def test_the_steps_that_a_call_takes_ids_from_are_read_from_its_arguments():
    args = {"a": "dry-run:x.y", "b": [{"c": "dry-run:z"}, "a dry-run:q"], "d": 5}
    assert sorted(steps_in(args)) == ["x.y", "z"]


def test_a_placeholder_id_may_break_the_schema_of_the_real_id():
    arguments = {"id": {"type": "string", "maxLength": 5}, "n": {"type": "integer"}}
    tool = Tool("s", "t", {"type": "object", "properties": arguments})
    with pytest.raises(InvalidArguments, match="id: 'dry-run:x' is too long"):
        tool.check({"id": "dry-run:x"})
    tool.check({"id": "dry-run:x"}, made_up=["id"])
    with pytest.raises(InvalidArguments, match="n: 'x'"):
        tool.check({"id": "dry-run:x", "n": "x"}, made_up=["id"])
