"""Unresolved calls: steps that need them wait, the others continue, and a resolution is picked up."""

import pytest

from campaigns.documents.lines import line_slug
from campaigns.documents.search import search_plan
from campaigns.documents.tasks import task_list
from jobs.engine.results import JobStatus, Source, Status
from jobs.tools.contract.errors import ToolFailed, Unknown
from tests.campaigns.stages.stand import Rounds, play

LOST = Unknown("the answer was lost")


@pytest.fixture
def tools() -> Rounds:
    return Rounds()


async def test_a_folder_that_turns_out_to_exist_takes_what_is_made_later(aurora, tools, files):
    tools.faults.add("createFolder", LOST)
    tools.faults.add("createDocument", ToolFailed("busy"))
    await play("brief", brief=aurora, tools=tools, files=files)
    tools.resolve("brief.folder", remote_id="f-7")
    tools.again()
    played = await play("brief", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["brief.document"]
    assert tools.calls[0].args["parentFolderId"] == "f-7"
    assert "unknown" not in played.results["brief"].data


async def test_an_unknown_document_keeps_the_job_from_being_completed(aurora, tools, files):
    tools.faults.add("createDocument", LOST)
    played = await play("brief", brief=aurora, tools=tools, files=files)
    assert played.results["brief"].data["unknown"] == [f"{aurora.title}: campaign brief"]
    tools.resolve("brief.document", remote_id="d-1")
    tools.again()
    played = await play("brief", brief=aurora, tools=tools, files=files, round=2)
    artifact = played.artifact("brief.md")
    assert (tools.steps, artifact.remote_id, artifact.source) == ([], "d-1", Source.LOCAL)
    assert played.status == JobStatus.COMPLETED


async def test_a_sheet_with_an_unknown_outcome_gets_no_cells(aurora, tools, files):
    tools.faults.add("createSpreadsheet", LOST)
    played = await play("plan", brief=aurora, tools=tools, files=files)
    assert not tools.of("writeSpreadsheet")
    assert played.results["plan"].data["unknown"] == [f"{aurora.title}: media plan"]
    tools.resolve("plan.sheet", remote_id="s-1")
    tools.again()
    await play("plan", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["plan.cells"] and tools.calls[0].args["spreadsheetId"] == "s-1"


async def test_a_project_that_turns_out_to_exist_gets_its_tasks(aurora, tools, files):
    tools.faults.add("asana_create_project", LOST)
    first = await play("project", brief=aurora, tools=tools, files=files)
    assert first.results["project"].data["unknown"] == [f"{aurora.title} campaign"]
    assert not tools.of("asana_create_task")
    tools.resolve("project.project", remote_id="p-9")
    tools.again()
    played = await play("project", brief=aurora, tools=tools, files=files, round=2)
    assert {sent.args["project_id"] for sent in tools.calls} == {"p-9"}
    assert len(tools.calls) == len(task_list(aurora))
    assert played.results["project"].status is Status.COMPLETED
    assert played.artifact("project").remote_id == "p-9"


@pytest.mark.parametrize("error", [ToolFailed("no room"), LOST])
async def test_no_design_is_made_from_an_upload_that_did_not_succeed(aurora, tools, files, error):
    tools.faults.add("upload_asset", error)
    tools.faults.add("generate_image", ToolFailed("the model is busy"), ".leaderboard")
    played = await play("creative", brief=aurora, tools=tools, files=files)
    assert tools.of("upload_asset") and not tools.of("create_design")
    names = [size.name for size in aurora.creative_sizes] if isinstance(error, Unknown) else []
    assert sorted(played.results["creative"].data.get("unknown", [])) == sorted(names)


async def test_an_upload_that_turns_out_to_exist_gets_its_design(aurora, tools, files):
    tools.faults.add("upload_asset", LOST, ".leaderboard")
    await play("creative", brief=aurora, tools=tools, files=files)
    tools.resolve("creative.upload.leaderboard", remote_id="a-4")
    tools.again()
    played = await play("creative", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["creative.design.leaderboard"] and tools.calls[0].args["asset_id"] == "a-4"
    assert played.status == JobStatus.COMPLETED


async def test_nothing_is_sent_below_a_campaign_with_an_unknown_outcome(aurora, tools, files):
    tools.faults.add("google_ads_create_campaign", LOST)
    await play("search", brief=aurora, tools=tools, files=files)
    assert tools.steps == ["search.campaign"]
    text = files.read("search-campaign.md")
    assert "it is unknown whether the campaign exists" in text and "could not be created" not in text


async def test_an_ad_group_with_an_unknown_outcome_waits_with_its_content(aurora, tools, files):
    plan = search_plan(aurora)
    lost = plan.ad_groups[1]
    tools.faults.add("google_ads_create_ad_group", LOST, lost.slug)
    first = await play("search", brief=aurora, tools=tools, files=files)
    assert first.results["search"].data["unknown"] == [f"ad group {lost.name}"]
    parts = len(lost.keywords) + len(lost.ads)
    assert first.results["search"].made == plan.effects - 1 - parts
    tools.resolve(f"search.ad-group.{lost.slug}", remote_id="g-3")
    tools.again()
    second = await play("search", brief=aurora, tools=tools, files=files, round=2)
    assert {sent.args["ad_group_id"] for sent in tools.calls} == {"g-3"} and len(tools.calls) == parts
    assert second.results["search"].made == plan.effects


async def test_what_does_not_exist_is_made_in_the_next_round(aurora, tools, files):
    tools.faults.add("amazon-dsp", LOST)
    await play("activate", brief=aurora, tools=tools, files=files)
    (step,) = [sent.step for sent in tools.calls if sent.server == "amazon-dsp"]
    tools.resolve(step)
    tools.again()
    played = await play("activate", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == [step] and played.status == JobStatus.COMPLETED


async def test_a_line_and_a_campaign_that_a_person_skipped_are_unknown_no_more(aurora, tools, files):
    tools.faults.add("amazon-dsp", LOST)
    tools.faults.add("google_ads_create_campaign", LOST)
    await play(brief=aurora, tools=tools, files=files)
    (line,) = [line for line in aurora.media_plan if line.dsp == "Amazon DSP"]
    for step in (f"activate.line.{line_slug(line)}", "search.campaign"):
        tools.resolve(step, skipped_by="ann")
    tools.again()
    played = await play(brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["report.document.round-2"]
    record = played.results["activate"].data["lines"][-1]
    assert (record["status"], record["source"]) == ("skipped", "fallback")
    page, search = files.read(f"line-{line_slug(line)}.md"), files.read("search-campaign.md")
    assert "the real one was skipped by ann" in page and "unknown" not in page
    assert "The campaign was skipped by ann" in search and "unknown" not in search
    assert played.results["search"].error == "skipped by ann"
    report = files.read("report.md").replace("\\", "")
    assert f"Left out by a user: Activate on DSPs: {line.label}" in report
    assert "Failed:" not in report and "Unknown, to be checked" not in report


async def test_a_picture_and_a_task_that_were_skipped_say_who_skipped_them(aurora, tools, files):
    tools.faults.add("generate_image", LOST, ".leaderboard")
    tools.faults.add("asana_create_task", LOST, ".launch")
    await play("creative", "project", brief=aurora, tools=tools, files=files)
    tools.resolve("creative.image.leaderboard", skipped_by="ann")
    tools.resolve("project.task.launch", skipped_by="ann")
    tools.again()
    played = await play("creative", "project", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == []
    assert played.results["creative"].artifacts[1].note == "drawn locally: skipped by ann"
    assert played.artifact("project-tasks.md").note == "Launch: skipped by ann"
    assert not any("unknown" in result.data for result in played.results.values())
