"""Lines on the DSPs: created paused, simulated where that fails, and said so."""

import pytest

from campaigns.documents.lines import DSP_SERVERS, line_slug
from jobs.engine.results import JobStatus, Source, Status, Stopped
from jobs.tools.contract.errors import ServerUnavailable, ToolFailed, Unknown
from jobs.tools.contract.reply import Reply
from tests.campaigns.stages.stand import play


async def test_every_line_is_created_paused_on_its_own_dsp(brief, tools, files):
    played = await play("activate", brief=brief, tools=tools, files=files)
    result, plan = played.results["activate"], brief.media_plan
    assert (result.status, result.made, result.total) == (Status.COMPLETED, len(plan), len(plan))
    sent = {one.item: one for one in tools.of("create_campaign")}
    for line, artifact, record in zip(plan, result.artifacts, result.data["lines"], strict=True):
        call = sent[line_slug(line)]
        assert call.server == DSP_SERVERS[line.dsp]
        assert call.args["status"] == "PAUSED" and call.args["budget"] == line.budget
        assert (artifact.name, artifact.kind) == (f"line-{line_slug(line)}.md", "line")
        assert artifact.source is Source.SIMULATED and artifact.remote_id == f"{call.step}-id"
        assert f"{call.step}-id" in files.read(artifact.file).replace("\\", "")
        assert record["id"] == artifact.remote_id and record["status"] == "PAUSED"
        assert (record["server"], record["source"]) == (call.server, "simulated")
        assert (record["budget"], record["currency"]) == (line.budget, brief.currency)


async def test_a_line_of_a_dsp_that_is_down_is_simulated_and_says_so(aurora, tools, files):
    tools.faults.add("dv360", ServerUnavailable("dv360 cannot be reached"))
    played = await play("activate", brief=aurora, tools=tools, files=files)
    result = played.results["activate"]
    assert (result.status, result.made, result.total) == (Status.COMPLETED, 4, 5)
    (line,) = [line for line in aurora.media_plan if line.dsp == "DV360"]
    artifact = played.artifact(f"line-{line_slug(line)}.md")
    assert (artifact.source, artifact.remote_id) == (Source.FALLBACK, "")
    text = files.read(artifact.file)
    assert "Simulated line" in text and "dv360 cannot be reached" in text and "not created" in text
    record = next(one for one in result.data["lines"] if one["server"] == "dv360")
    assert (record["id"], record["status"], record["source"]) == ("", "not created", "fallback")
    assert played.fallbacks() == [(f"activate.line.{line_slug(line)}", "dv360 cannot be reached")]


async def test_with_every_dsp_down_all_lines_are_simulated_and_the_stage_has_failed(brief, tools, files):
    for server in DSP_SERVERS.values():
        tools.faults.add(server, ToolFailed("no advertiser"))
    played = await play("activate", brief=brief, tools=tools, files=files)
    result = played.results["activate"]
    assert (result.status, result.made) == (Status.FAILED, 0)
    assert {artifact.source for artifact in result.artifacts} == {Source.FALLBACK}
    assert len(result.artifacts) == len(result.data["lines"]) == len(brief.media_plan)


async def test_a_line_with_an_unknown_outcome_says_that_it_may_exist(aurora, tools, files):
    tools.faults.add("amazon-dsp", Unknown("the answer was lost"))
    played = await play("activate", brief=aurora, tools=tools, files=files)
    result = played.results["activate"]
    record = result.data["lines"][-1]
    assert (record["status"], record["server"]) == ("unknown", "amazon-dsp")
    assert "exists on Amazon DSP: the answer was lost" in files.read(f"line-{record['slug']}.md")
    assert result.data["unknown"] == [record["name"]]
    assert (result.status, played.status) == (Status.COMPLETED, JobStatus.PARTIAL)


async def test_the_status_shown_is_what_the_server_says(aurora, tools, files):
    tools.answers["create_campaign"] = lambda sent: Reply(
        {"id": "c1", "status": "draft"}, "", (), "c1", "https://dsp.example/c1", Source.LIVE
    )
    played = await play("activate", brief=aurora, tools=tools, files=files)
    assert {one["status"] for one in played.results["activate"].data["lines"]} == {"DRAFT"}
    assert {one.note for one in played.results["activate"].artifacts} == {"created draft"}


async def test_a_line_of_a_dsp_without_a_server_is_simulated(aurora, tools, files):
    line = aurora.media_plan[0].model_copy(update={"dsp": "Elsewhere"})
    brief = aurora.model_copy(update={"media_plan": (line, *aurora.media_plan[1:])})
    played = await play("activate", brief=brief, tools=tools, files=files)
    assert played.results["activate"].made == 4
    assert "no tool server is configured for Elsewhere" in played.results["activate"].artifacts[0].note


async def test_a_stop_simulates_nothing(aurora, tools, files):
    tools.faults.add("create_campaign", Stopped("cancelled"))
    with pytest.raises(Stopped):
        await play("activate", brief=aurora, tools=tools, files=files)
    assert not list(files.where.iterdir())
