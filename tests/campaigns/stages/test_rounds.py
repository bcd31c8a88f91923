"""Later rounds: what is missing is made, fallbacks are replaced, and nothing finished is sent again."""

import json

import pytest

from campaigns.documents.lines import line_slug
from campaigns.documents.search import search_plan
from campaigns.workflow import LIFECYCLE
from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import JobStatus, Source, Status
from jobs.tools.contract.errors import ServerUnavailable, ToolFailed, Unknown
from jobs.tools.contract.reply import Reply
from jobs.worker.perform import before as left
from tests.campaigns.stages.stand import Rounds, ToolBox, moment, play

SERVERS = ("google-docs", "asana-v2", "image-gen", "canva", "ttd", "dv360", "amazon-dsp", "google-ads")


@pytest.fixture
def tools() -> Rounds:
    return Rounds()


def down(tools: ToolBox, *servers: str) -> None:
    for server in servers:
        tools.faults.add(server, ServerUnavailable(f"{server} cannot be reached"))


@pytest.mark.parametrize("without", ["", *SERVERS])
async def test_a_job_asks_for_every_step_with_the_same_arguments_in_every_run(aurora, files, without):
    sent = []
    for brief in (aurora, aurora.model_validate(aurora.model_dump(mode="json"))):
        tools = ToolBox()
        down(tools, *filter(None, [without]))
        await play(brief=brief, tools=tools, files=files)
        sent.append({one.step: one.args for one in tools.calls if one.stage != "report"})
    assert sent[0] == sent[1]


@pytest.mark.parametrize("without", ["", "asana-v2", "dv360"])
async def test_a_report_that_is_asked_for_again_is_the_same_document_whenever_that_is(
    aurora, tools, files, without
):
    down(tools, *filter(None, [without]))
    played = await play(brief=aurora, tools=tools, files=files)
    # what a later run knows is what the log holds, as JSON
    log = [ev.event_from(one.type, json.loads(json.dumps(one.payload()))) for one in played.events]
    upto = next(index for index, one in enumerate(log) if getattr(one, "stage", "") == "report")
    plan = [[stage.id, stage.name] for stage in LIFECYCLE.stages]
    queued = ev.JobQueued(workflow=LIFECYCLE.id, version=1, title=aurora.title, stages=plan)
    recorded = [ev.Recorded(seq + 1, moment(seq), event) for seq, event in enumerate([queued, *log[:upto]])]
    before = left(Progress.from_events(recorded), recorded)
    # raises where the arguments of the finished step differ
    again = await play(brief=aurora, tools=tools, files=files, before=before)
    assert again.results["report"].status is Status.COMPLETED


async def test_a_second_run_of_a_finished_job_sends_nothing(light, tools, files):
    await play(brief=light, tools=tools, files=files)
    tools.again()
    played = await play(brief=light, tools=tools, files=files)
    assert tools.steps == [] and played.status == JobStatus.COMPLETED


async def test_a_second_run_in_the_same_round_sends_nothing_that_failed(light, tools, files):
    down(tools, *SERVERS)
    first = await play(brief=light, tools=tools, files=files)
    tools.calls.clear()
    second = await play(brief=light, tools=tools, files=files)
    assert tools.steps == []
    ends = [{id: (r.status, r.artifacts, r.data) for id, r in p.results.items()} for p in (first, second)]
    assert ends[0] == ends[1]


async def test_a_later_round_makes_all_that_was_missed_and_leaves_no_fallback(light, tools, files):
    down(tools, *SERVERS)
    await play(brief=light, tools=tools, files=files)
    tools.again()
    played = await play(brief=light, tools=tools, files=files, round=2)
    assert played.status == JobStatus.COMPLETED
    artifacts = [artifact for result in played.results.values() for artifact in result.artifacts]
    assert Source.FALLBACK not in {artifact.source for artifact in artifacts}
    assert not [artifact.name for artifact in artifacts if "cannot be reached" in artifact.note]
    assert not [step for step in tools.steps if "drawn" in step]


async def test_the_report_of_a_later_round_is_a_document_of_its_own(aurora, tools, files):
    first = await play(brief=aurora, tools=tools, files=files)
    tools.again()
    second = await play(brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["report.document.round-2"]
    assert second.artifact("report.md").title == f"{first.artifact('report.md').title}, round 2"
    assert second.artifact("report.md").url != first.artifact("report.md").url
    text = files.read("report.md")
    assert text.startswith(f"# {aurora.title}: launch report, round 2\n") and "The launch took" not in text
    tools.again()
    await play(brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == []
    await play(brief=aurora, tools=tools, files=files, round=3)
    assert tools.steps == ["report.document.round-3"]


async def test_a_long_name_takes_from_no_document_what_tells_it_apart_in_its_folder(aurora, tools, files):
    long = aurora.model_copy(update={"product": "p" * 120, "brand": "b" * 120})
    await play("brief", "plan", "report", brief=long, tools=tools, files=files)
    await play("report", brief=long, tools=tools, files=files, round=2)
    titles = [sent.args["title"] for sent in tools.of("createDocument") + tools.of("createSpreadsheet")]
    assert len(set(titles)) == 4 and all(len(title) <= 200 for title in titles)


async def test_a_fallback_for_a_later_report_is_emitted_under_its_own_step(aurora, tools, files):
    tools.faults.add("createDocument", ToolFailed("the quota is used up"), "round-2")
    played = await play("report", brief=aurora, tools=tools, files=files, round=2)
    assert played.fallbacks() == [("report.document.round-2", "the quota is used up")]
    assert played.artifact("report.md").source is Source.FALLBACK


async def test_a_brief_that_failed_is_written_and_replaces_our_own(aurora, tools, files):
    tools.faults.add("createDocument", ToolFailed("the quota is used up"))
    await play("brief", brief=aurora, tools=tools, files=files)
    tools.again()
    played = await play("brief", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["brief.document"]
    assert (played.artifact("brief.md").source, played.artifact("brief.md").note) == (Source.LOCAL, "")


async def test_cells_that_failed_are_written_into_the_existing_sheet(aurora, tools, files):
    tools.faults.add("writeSpreadsheet", ToolFailed("the range is protected"))
    await play("plan", brief=aurora, tools=tools, files=files)
    tools.again()
    played = await play("plan", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["plan.cells"]
    assert tools.calls[0].args["spreadsheetId"] == "plan.sheet-id"
    assert (played.results["plan"].status, played.artifact("media-plan").note) == (Status.COMPLETED, "")
    assert played.artifact("media-plan.xlsx").source is Source.LOCAL


async def test_a_file_made_without_the_folder_stays_where_it_is_and_says_so(aurora, tools, files):
    tools.faults.add("createFolder", ToolFailed("no permission for folders"))
    await play("brief", "plan", brief=aurora, tools=tools, files=files)
    tools.again()
    played = await play("brief", "plan", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["brief.folder"]
    for name in ("brief.md", "media-plan"):
        assert played.artifact(name).note == "not in the campaign's folder, which was created later"


async def test_only_the_missing_tasks_are_sent_to_the_existing_project(aurora, tools, files):
    tools.faults.add("asana_create_task", ToolFailed("no room"), ".launch")
    tools.faults.add("asana_create_task", Unknown("nobody knows"), ".kick-off")
    await play("project", brief=aurora, tools=tools, files=files)
    tools.again()
    played = await play("project", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["project.task.launch"]
    assert tools.calls[0].args["project_id"] == "project.project-id"
    result = played.results["project"]
    assert (result.made, result.data["unknown"]) == (result.total - 1, ["Kick-off"])
    assert files.read("project-tasks.md").count("listed here only") == 1


async def test_a_server_that_listed_no_workspace_is_asked_again_in_a_later_round(aurora, tools, files):
    tools.answers["asana_list_workspaces"] = lambda sent: Reply(data={"data": []})
    await play("project", brief=aurora, tools=tools, files=files)
    tools.again()
    await play("project", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == ["project.workspaces.round-2"]
    tools.answers.clear()
    tools.again()
    await play("project", brief=aurora, tools=tools, files=files, round=3)
    assert {"project.workspaces.round-3", "project.project"} <= set(tools.steps)
    tools.again()
    played = await play("project", brief=aurora, tools=tools, files=files, round=4)
    assert tools.steps == [] and played.results["project"].status is Status.COMPLETED


async def test_a_picture_that_comes_later_gets_an_upload_and_a_design_of_its_own(aurora, tools, files):
    tools.faults.add("generate_image", ToolFailed("the model is busy"), ".leaderboard")
    first = await play("creative", brief=aurora, tools=tools, files=files)
    drawn = [sent for sent in tools.calls if "-drawn" in sent.step]
    assert sorted(sent.step for sent in drawn) == [
        "creative.design-drawn.leaderboard",
        "creative.upload-drawn.leaderboard",
    ]
    for sent in drawn:
        name = sent.args.get("name") or sent.args["title"]
        assert name.endswith(" (drawn fallback)")
        assert len(name) <= (50 if sent.tool == "upload_asset" else 200)
    tools.again()
    second = await play("creative", brief=aurora, tools=tools, files=files, round=2)
    assert tools.steps == [
        "creative.design.leaderboard",
        "creative.image.leaderboard",
        "creative.upload.leaderboard",
    ]
    (design,) = tools.of("create_design")
    assert design.args["asset_id"] == "creative.upload.leaderboard-id" and "drawn" not in design.args["title"]
    fallback, real = (played.results["creative"].artifacts[1] for played in (first, second))
    assert (real.name, real.source) == (fallback.name, Source.LOCAL)
    assert real.url == "https://canva.example/creative.design.leaderboard-id/view"
    edit = "https://canva.example/creative.design-drawn.leaderboard-id/edit"
    assert real.note == f"a drawn fallback is still on canva: {edit}"
    assert "missed" not in second.results["creative"].data
    tools.again()
    third = await play("creative", brief=aurora, tools=tools, files=files, round=3)
    assert tools.steps == [] and third.results["creative"] == second.results["creative"]


async def test_a_drawn_picture_without_its_design_names_what_stays_outside(aurora, tools, files):
    tools.faults.add("generate_image", ToolFailed("the model is busy"), ".leaderboard")
    tools.faults.add("create_design", ToolFailed("too many designs"), ".leaderboard")
    first = await play("creative", brief=aurora, tools=tools, files=files)
    left = "a drawn fallback is still on canva: creative.upload-drawn.leaderboard-id"
    note = f"drawn locally: the model is busy; no design: too many designs; {left}"
    assert first.results["creative"].artifacts[1].note == note
    tools.again()
    second = await play("creative", brief=aurora, tools=tools, files=files, round=2)
    assert second.results["creative"].artifacts[1].note == left
    assert not [step for step in tools.steps if "drawn" in step]


async def test_only_the_line_that_failed_is_created_and_the_simulated_one_is_gone(aurora, tools, files):
    down(tools, "dv360")
    await play("activate", brief=aurora, tools=tools, files=files)
    tools.again()
    played = await play("activate", brief=aurora, tools=tools, files=files, round=2)
    (line,) = [line for line in aurora.media_plan if line.dsp == "DV360"]
    assert tools.steps == [f"activate.line.{line_slug(line)}"]
    assert {record["source"] for record in played.results["activate"].data["lines"]} == {"simulated"}
    assert "Simulated line" not in files.read(f"line-{line_slug(line)}.md")


async def test_a_skipped_search_campaign_is_built_whole_later(aurora, tools, files):
    tools.faults.add("google_ads_create_campaign", ToolFailed("the account is suspended"))
    await play("search", brief=aurora, tools=tools, files=files)
    tools.again()
    played = await play("search", brief=aurora, tools=tools, files=files, round=2)
    assert len(tools.calls) == search_plan(aurora).effects
    assert played.artifact("search-campaign.md").source is Source.SIMULATED
    assert "could not be created" not in files.read("search-campaign.md")
