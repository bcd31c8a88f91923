"""A dry run of the stages: they do all that they do in earnest, and say of nothing that it exists."""

import json
import re

import pytest
from PIL import Image

from campaigns.documents.search import search_plan
from jobs.engine.results import JobStatus, Source, Status
from jobs.tools.contract.errors import InvalidArguments, ServerUnavailable
from tests.campaigns.stages.stand import DryRunTools, ToolBox, play

MADE_UP = re.compile(r"dry-run:")


@pytest.fixture
def dry_tools() -> DryRunTools:
    return DryRunTools()


async def test_every_stage_completes_and_asks_for_the_same_calls_as_a_launch(light, dry_tools, tools, files):
    dry = await play(brief=light, tools=dry_tools, files=files)
    real = await play(brief=light, tools=tools, files=files)
    assert dry.status is real.status is JobStatus.COMPLETED
    wanted = sorted((one.step, one.tool, sorted(one.args)) for one in tools.calls)
    assert sorted((one.step, one.tool, sorted(one.args)) for one in dry_tools.calls) == wanted
    assert dry.fallbacks() == []


async def test_no_artifact_is_called_live_or_names_anything_outside(light, dry_tools, files):
    played = await play(brief=light, tools=dry_tools, files=files)
    artifacts = [one for result in played.results.values() for one in result.artifacts]
    assert {one.source for one in artifacts} == {Source.SIMULATED, Source.LOCAL}
    assert all((one.url, one.remote_id) == ("", "") for one in artifacts)
    simulated = [one for one in artifacts if one.source is Source.SIMULATED]
    assert all(one.note.startswith("dry run: nothing was sent") for one in simulated)
    here = {one.name for one in artifacts if one.source is Source.LOCAL}
    assert here == {"landing-page.html", "media-plan.csv", "media-plan.xlsx", "project-tasks.md"}


async def test_no_page_of_ours_and_no_data_holds_a_made_up_id(light, dry_tools, files):
    played = await play(brief=light, tools=dry_tools, files=files)
    for file in files.where.iterdir():
        assert not MADE_UP.search(file.read_bytes().decode(errors="replace")), file.name
    for result in played.results.values():
        assert not MADE_UP.search(json.dumps(result.data))


async def test_every_page_about_a_result_says_that_it_is_a_dry_run(light, dry_tools, files):
    played = await play(brief=light, tools=dry_tools, files=files)
    telling = [*files.where.glob("line-*.md"), files.path("search-campaign.md")]
    telling += [files.path("project-tasks.md"), files.path("report.md")]
    assert len(telling) == len(light.media_plan) + 3
    for file in telling:
        assert "**Dry run:** nothing was sent" in file.read_text(), file.name
    lines = played.results["activate"].data["lines"]
    assert {(one["id"], one["status"], one["source"]) for one in lines} == {("", "planned", "simulated")}
    assert (played.results["search"].data["campaign"]["status"]) == "planned"
    assert "PAUSED" not in files.read("search-campaign.md") + files.read("report.md")
    parts = search_plan(light).effects
    assert f"{parts} of {parts} parts would be made" in files.read("search-campaign.md")
    assert "would be created in the project" in files.read("project-tasks.md")


async def test_the_report_says_what_would_be_made_and_what_to_do_next(light, dry_tools, files):
    await play(brief=light, tools=dry_tools, files=files)
    report = files.read("report.md")
    assert "## Artifacts that would be created" in report and "Would be made" in report
    assert "Launch the campaign well before" in report
    for words in ("activate them", "were made", "The launch took", "No line"):
        assert words not in report


async def test_a_creative_is_drawn_here_as_a_preview_and_counts_as_made(light, dry_tools, files):
    played = await play("creative", brief=light, tools=dry_tools, files=files)
    result = played.results["creative"]
    assert (result.status, result.made, result.total) == (Status.COMPLETED, 1, 1)
    [artifact] = result.artifacts
    assert "a preview drawn locally; image-gen generates it in a launch" in artifact.note
    with Image.open(files.path(artifact.file)) as picture:
        assert picture.size == (artifact.width, artifact.height)


async def test_what_would_be_refused_gets_its_fallback_and_fails_as_in_a_launch(aurora, dry_tools, files):
    dry_tools.faults.add("dv360", ServerUnavailable("dv360 cannot be reached"))
    dry_tools.faults.add("asana_create_task", InvalidArguments("asana-v2 asana_create_task: due_on is not"))
    played = await play("activate", "project", brief=aurora, tools=dry_tools, files=files)
    lines = {one["server"]: one for one in played.results["activate"].data["lines"]}
    assert (lines["dv360"]["status"], lines["dv360"]["source"]) == ("not created", "fallback")
    [page] = [one for one in played.results["activate"].artifacts if one.source is Source.FALLBACK]
    text = files.read(page.file)
    assert "**Dry run:** nothing was sent" in text and "dv360 cannot be reached" in text
    assert played.results["project"].status is Status.FAILED
    assert "A launch would create 0 of 13 tasks" in files.read("project-tasks.md")


async def test_a_fallback_that_would_be_uploaded_leaves_nothing_outside(light, dry_tools, files):
    dry_tools.faults.add("generate_image", ServerUnavailable("no GPU"))
    dry_tools.faults.add("create_design", InvalidArguments("title is too long"))
    played = await play("creative", brief=light, tools=dry_tools, files=files)
    [artifact] = played.results["creative"].artifacts
    assert artifact.source is Source.FALLBACK
    assert "still on" not in artifact.note


async def test_a_launch_says_nothing_of_a_dry_run(light, files):
    await play(brief=light, tools=ToolBox(), files=files)
    for file in files.where.glob("*.md"):
        assert "dry run" not in file.read_text().lower(), file.name
