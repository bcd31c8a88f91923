"""Brief and plan: what is sent, what is kept, and the fallbacks when the document server fails."""

import csv
import io
from zipfile import ZipFile

import pytest

from jobs.engine.results import JobStatus, Source, Status, Stopped
from jobs.engine.runner import Before
from jobs.tools.contract.errors import ServerUnavailable, ToolFailed, Unknown
from jobs.tools.contract.reply import Reply
from tests.campaigns.stages.stand import DONE, play

DOWN = ServerUnavailable("google-docs cannot be reached")


async def test_the_brief_becomes_a_document_in_the_folder_of_its_job(brief, tools, files):
    played = await play("brief", brief=brief, tools=tools, files=files)
    result = played.results["brief"]
    assert (result.status, result.made, result.total, result.error) == (Status.COMPLETED, 1, 1, "")
    (folder,), (document,) = tools.of("createFolder"), tools.of("createDocument")
    assert folder.args == {"name": f"{brief.title} campaign"}
    assert document.args["parentFolderId"] == "brief.folder-id"
    assert document.args["contentFormat"] == "markdown"
    assert document.args["initialContent"] == files.read("brief.md")
    artifact = played.artifact("brief.md")
    assert artifact.source is Source.LOCAL and artifact.file == "brief.md"
    assert artifact.url == "https://google-docs.example/brief.document-id"
    assert played.progress("brief") == [(0, 1), (1, 1)]


async def test_a_success_is_called_what_its_server_is_called(aurora, tools, files):
    tools.live = ("google-docs",)
    played = await play("brief", "plan", brief=aurora, tools=tools, files=files)
    assert played.artifact("brief.md").source is Source.LIVE
    assert played.artifact("media-plan").source is Source.LIVE
    assert played.artifact("media-plan.csv").source is Source.LOCAL


async def test_the_folder_is_made_once_for_brief_plan_and_report(brief, tools, files):
    await play("brief", "plan", "report", brief=brief, tools=tools, files=files)
    assert [sent.step for sent in tools.of("createFolder")] == ["brief.folder"]
    into = [
        sent.args["parentFolderId"] for sent in tools.of("createDocument") + tools.of("createSpreadsheet")
    ]
    assert into == ["brief.folder-id"] * 3


async def test_the_folder_has_the_same_step_when_the_plan_alone_is_made_again(aurora, tools, files):
    await play("plan", brief=aurora, tools=tools, files=files)
    (folder,) = tools.of("createFolder")
    assert (folder.step, folder.stage) == ("brief.folder", "brief")


async def test_without_a_folder_the_documents_are_made_all_the_same_and_say_so(aurora, tools, files):
    tools.faults.add("createFolder", ToolFailed("no permission for folders"))
    played = await play("brief", "plan", brief=aurora, tools=tools, files=files)
    assert played.status == JobStatus.COMPLETED
    for sent in tools.of("createDocument") + tools.of("createSpreadsheet"):
        assert "parentFolderId" not in sent.args
    for name in ("brief.md", "media-plan"):
        assert "no permission for folders" in played.artifact(name).note
        assert played.artifact(name).source is Source.LOCAL


async def test_a_folder_that_may_exist_keeps_the_job_from_being_completed(aurora, tools, files):
    tools.faults.add("createFolder", Unknown("nobody knows whether the folder exists"))
    played = await play("brief", brief=aurora, tools=tools, files=files)
    assert played.results["brief"].status is Status.COMPLETED
    assert played.results["brief"].data["unknown"] == ["the folder of the documents"]
    assert played.status == JobStatus.PARTIAL


async def test_the_local_brief_is_the_fallback_when_the_server_is_down(brief, tools, files):
    tools.faults.add("google-docs", DOWN)
    played = await play("brief", brief=brief, tools=tools, files=files)
    result = played.results["brief"]
    assert (result.status, result.made, result.total) == (Status.FAILED, 0, 1)
    assert "cannot be reached" in result.error
    artifact = played.artifact("brief.md")
    assert (artifact.source, artifact.url, artifact.file) == (Source.FALLBACK, "", "brief.md")
    assert brief.brand in files.read("brief.md")
    assert played.fallbacks() == [("brief.document", str(DOWN))]


async def test_a_document_left_empty_on_the_server_is_reported_with_its_url(aurora, tools, files):
    url = "https://docs.example/empty"
    empty = Reply({"id": "d9", "url": url}, "", (), "d9", url, Source.LIVE)
    tools.faults.add("createDocument", ToolFailed("the content could not be written", empty))
    played = await play("brief", brief=aurora, tools=tools, files=files)
    artifact = played.artifact("brief.md")
    assert played.results["brief"].status is Status.FAILED
    assert artifact.source is Source.FALLBACK and artifact.url == "" and artifact.remote_id == "d9"
    assert url in artifact.note and "without its content" in artifact.note


async def test_an_address_that_no_reader_may_be_sent_to_is_dropped(aurora, tools, files):
    tools.answers["createDocument"] = lambda sent: Reply({}, "", (), "d1", "javascript:alert(1)", Source.LIVE)
    played = await play("brief", brief=aurora, tools=tools, files=files)
    assert played.artifact("brief.md").url == "" and played.artifact("brief.md").remote_id == "d1"


async def test_the_plan_becomes_a_sheet_with_its_cells(brief, tools, files):
    played = await play("plan", brief=brief, tools=tools, files=files)
    result = played.results["plan"]
    assert (result.status, result.made, result.total) == (Status.COMPLETED, 2, 2)
    (cells,) = tools.of("writeSpreadsheet")
    rows = len(brief.media_plan) + 2
    assert cells.args["range"] == f"A1:H{rows}" and len(cells.args["values"]) == rows
    assert cells.args["spreadsheetId"] == "plan.sheet-id" and cells.args["valueInputOption"] == "RAW"
    assert cells.args["values"][-1][3] == int(brief.budget)
    assert played.artifact("media-plan").url == "https://google-docs.example/plan.sheet-id"
    assert len(list(csv.reader(io.StringIO(files.read("media-plan.csv"))))) == rows
    assert "xl/workbook.xml" in ZipFile(files.path("media-plan.xlsx")).namelist()
    assert played.progress("plan") == [(0, 2), (1, 2), (2, 2)]


async def test_a_sheet_without_its_cells_is_half_a_plan(aurora, tools, files):
    tools.faults.add("writeSpreadsheet", ToolFailed("the range is protected"))
    played = await play("plan", brief=aurora, tools=tools, files=files)
    result = played.results["plan"]
    assert (result.status, result.made, result.total) == (Status.PARTIAL, 1, 2)
    assert "the range is protected" in result.error
    assert played.artifact("media-plan").url and "without its cells" in played.artifact("media-plan").note
    assert played.artifact("media-plan.xlsx").source is Source.FALLBACK
    assert [step for step, _ in played.fallbacks()] == ["plan.cells"]


async def test_our_own_files_fallback_for_a_sheet_that_could_not_be_made(brief, tools, files):
    tools.faults.add("createSpreadsheet", ToolFailed("the quota of sheets is used up"))
    played = await play("plan", brief=brief, tools=tools, files=files)
    result = played.results["plan"]
    assert (result.status, result.made, result.total) == (Status.FAILED, 0, 2)
    assert {(a.name, a.source) for a in result.artifacts} == {
        ("media-plan.xlsx", Source.FALLBACK),
        ("media-plan.csv", Source.FALLBACK),
    }
    assert files.path("media-plan.xlsx").stat().st_size > 1000
    assert not tools.of("writeSpreadsheet")


async def test_a_stop_leaves_no_fallback(aurora, tools, files):
    tools.faults.add("google-docs", Stopped("cancelled"))
    with pytest.raises(Stopped):
        await play("brief", "plan", brief=aurora, tools=tools, files=files)


async def test_a_later_run_makes_only_what_is_missing(aurora, tools, files):
    ended = dict.fromkeys(("brief", "project", "landing", "creative", "activate", "search", "report"), DONE)
    await play(brief=aurora, tools=tools, files=files, before=Before(ended))
    assert {sent.tool for sent in tools.calls} == {"createFolder", "createSpreadsheet", "writeSpreadsheet"}
