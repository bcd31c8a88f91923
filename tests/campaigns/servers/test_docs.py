"""Google Docs of the local world: folders, documents and sheets that are there to be opened."""

import csv
import io

import pytest
from openpyxl import load_workbook

from campaigns.servers.local import docs, sheets
from campaigns.servers.local.world import Refused
from tests.campaigns.servers.play import playing, said


async def test_a_document_is_kept_as_markdown_and_as_a_page_without_live_html(tmp_path):
    text = (
        "# Chapter\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<script>alert(1)</script> [x](javascript:alert(1))"
    )
    async with playing("google-docs", tmp_path) as player:
        made = await player.do("createDocument", title="Brief & <plan>", initialContent=text)
    assert made == {
        "id": made["id"],
        "name": "Brief & <plan>",
        "url": f"/local/google-docs/{made['id']}/index.html",
    }
    folder = tmp_path / "google-docs" / made["id"]
    assert (folder / "document.md").read_text() == text
    page = (folder / "index.html").read_text()
    assert "<h1>Chapter</h1>" in page and "<td>1</td>" in page and "Brief &amp; &lt;plan&gt;" in page
    assert "<script" not in page and 'href="javascript' not in page


async def test_raw_content_is_shown_literally(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        made = await player.do("createDocument", title="T", initialContent="# <b>", contentFormat="raw")
    assert "<pre># &lt;b&gt;</pre>" in (tmp_path / "google-docs" / made["id"] / "index.html").read_text()


async def test_content_that_is_too_long_fails_but_names_the_document_that_exists(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        content = "x" * (docs.MAX_CONTENT + 1)
        failed = await player.raw("createDocument", "k", title="Long", initialContent=content)
        listed = (await player.do("listFolderContents", folderId="root"))["files"]
        again = await player.raw("createDocument", "k", title="Long", initialContent=content)
    assert failed.is_error and again.is_error and said(again) == said(failed)
    assert [file["name"] for file in listed] == ["Long"]
    assert f"id: {listed[0]['id']} url: {listed[0]['url']}" in said(failed)


async def test_a_folder_holds_what_is_made_in_it_and_both_look_ups_find_it(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        folder = await player.do("createFolder", name="Launch (fp-0123456789ab)")
        document = await player.do("createDocument", title="Brief", parentFolderId=folder["id"])
        sheet = await player.do("createSpreadsheet", title="Plan", parentFolderId=folder["id"])
        inside = (await player.do("listFolderContents", folderId=folder["id"]))["files"]
        found = (await player.do("searchDriveFiles", query="fp-0123456789ab", searchIn="name"))["files"]
        sheets_only = await player.do(
            "searchDriveFiles", query="", mimeType="application/vnd.google-apps.spreadsheet", maxResults=5
        )
        assert "Folder not found" in await player.refusal("createDocument", title="T", parentFolderId="nope")
        assert "Folder not found" in await player.refusal("listFolderContents", folderId="nope")
    assert [file["id"] for file in inside] == [document["id"], sheet["id"]]
    assert [file["url"] for file in found] == [folder["url"]]
    assert [file["id"] for file in sheets_only["files"]] == [sheet["id"]]
    page = (tmp_path / "google-docs" / folder["id"] / "index.html").read_text()
    assert f'href="../{document["id"]}/index.html"' in page


async def test_a_sheet_takes_cells_and_keeps_them_as_page_csv_and_workbook(tmp_path):
    rows = [["Channel", "Budget"], ["Display", 1500.5], ["=HYPERLINK(1)", None]]
    async with playing("google-docs", tmp_path) as player:
        made = await player.do("createSpreadsheet", title="Plan", initialData=[["Channel", "x"]])
        answer = await player.raw(
            "writeSpreadsheet",
            spreadsheetId=made["id"],
            range="Sheet1!A1:B3",
            values=rows,
            valueInputOption="USER_ENTERED",
        )
    assert not answer.is_error and said(answer) == "Wrote 6 cells (3 rows) to range Sheet1!A1:B3"
    folder = tmp_path / "google-docs" / made["id"]
    wanted = [["Channel", "Budget"], ["Display", "1500.5"], ["'=HYPERLINK(1)", ""]]
    assert list(csv.reader(io.StringIO((folder / "sheet.csv").read_text()))) == wanted
    cells = [[cell.value for cell in row] for row in load_workbook(folder / "sheet.xlsx").active]
    assert cells == [["Channel", "Budget"], ["Display", 1500.5], ["'=HYPERLINK(1)", None]]
    assert '<td class="n">1,500.5</td>' in (folder / "index.html").read_text()


async def test_cells_survive_a_restart(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        made = await player.do("createSpreadsheet", title="Plan", initialData=[["a", "b"]])
    async with playing("google-docs", tmp_path) as player:
        await player.raw("writeSpreadsheet", spreadsheetId=made["id"], range="B2", values=[["c"]])
        unknown = await player.refusal("writeSpreadsheet", spreadsheetId="x", range="A1", values=[])
    assert "Spreadsheet not found" in unknown
    assert (tmp_path / "google-docs" / made["id"] / "sheet.csv").read_text() == "a,b\n,c\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A1", (0, 0, None, None)),
        ("Sheet1!B2:D4", (1, 1, 3, 3)),
        ("'Sheet1'!$C$1", (0, 2, None, None)),
        ("Sheet1", (0, 0, None, None)),
        ("A:AA", (0, 0, None, 26)),
    ],
)
def test_a1_ranges_are_understood(text, wanted):
    assert sheets.area(text) == sheets.Area(*wanted)


@pytest.mark.parametrize("text", ["", "Other!A1", "A0", "B2:A1", "A1:", "1x", "Sheet1!", "!A1"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(Refused, match="Unable to parse range"):
        sheets.area(text)


def test_values_beyond_their_range_or_the_sheet_are_refused():
    with pytest.raises(Refused, match="do not fit"):
        sheets.put([], sheets.area("A1:A1"), [["a", "b"]])
    with pytest.raises(Refused, match="at most"):
        sheets.put([], sheets.area("A9999999"), [["a"]])
    assert sheets.put([["a", "b"]], sheets.area("A1"), [[None, "c"]]) == [["a", "c"]]
