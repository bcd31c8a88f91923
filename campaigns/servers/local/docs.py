"""The role `google-docs`: folders, documents and sheets as files that open anywhere."""

from __future__ import annotations

from html import escape

from campaigns.servers.local import sheets
from campaigns.servers.local.arguments import ROWS, choice, text, whole
from campaigns.servers.local.pages import grid, link, markdown, page, table
from campaigns.servers.local.server import Call, Returned, Tool
from campaigns.servers.local.wire import JSON
from campaigns.servers.local.world import Record, Refused, ToolText, World

#: The limit of the real service for one document, in characters.
MAX_CONTENT = 1_000_000

_TYPES = {
    kind: f"application/vnd.google-apps.{name}"
    for kind, name in (("folder", "folder"), ("doc", "document"), ("sheet", "spreadsheet"))
}
_WORDS = {"folder": "Folder", "doc": "Document", "sheet": "Sheet"}
_INSIDE = text("Id of the folder to create it in")


def create_folder(call: Call) -> Returned:
    """Create a folder with a page that lists its content."""
    made = _add(call, "folder", call["name"])
    _show_folder(call.world, made.id)
    return _entry(call.world, made)


def create_document(call: Call) -> Returned:
    """Create a document; as in the real service, content that is too long fails but leaves a document."""
    content = call.get("initialContent")
    raw = call.get("contentFormat") == "raw"
    too_long = len(content) > MAX_CONTENT
    made = _add(call, "doc", call["title"], content="" if too_long else content)
    body = f"<pre>{escape(content)}</pre>" if raw else markdown("" if too_long else content)
    call.world.write(made.id, "index.html", page(made.name, "Document", "" if too_long else body))
    call.world.write(made.id, "document.md", made.body["content"])
    entry = _entry(call.world, made)
    if too_long:
        reason = f"The content has more than {MAX_CONTENT} characters."
        return ToolText(
            f"Document created without its content. {reason} id: {entry['id']} url: {entry['url']}",
            failed=True,
        )
    return entry


def create_spreadsheet(call: Call) -> Returned:
    """Create a sheet, with its first rows if given."""
    rows = sheets.put([], sheets.Area(0, 0, None, None), call.get("initialData", []))
    made = _add(call, "sheet", call["title"], rows=rows)
    _show_sheet(call.world, made.id, made.name, rows)
    return _entry(call.world, made)


def write_spreadsheet(call: Call) -> Returned:
    """Write cells of a sheet; the reply is plain text."""
    sheet = call.world.get(call["spreadsheetId"], "sheet")
    if sheet is None:
        raise Refused(f"Spreadsheet not found: {call['spreadsheetId'][:80]}")
    rows = sheets.put(sheet.body["rows"], sheets.area(call["range"]), call["values"])
    call.world.change(sheet.id, {**sheet.body, "rows": rows})
    _show_sheet(call.world, sheet.id, sheet.name, rows)
    cells = sum(len(line) for line in call["values"])
    return f"Wrote {cells} cells ({len(call['values'])} rows) to range {call['range']}"


def list_folder(call: Call) -> Returned:
    """Return the content of a folder."""
    if call["folderId"] != "root":
        _folder(call.world, call["folderId"])
    inside = "" if call["folderId"] == "root" else call["folderId"]
    found = [record for record in call.world.of_kind(*_TYPES) if record.parent == inside]
    return {"files": [_listed(call.world, record) for record in found]}


def search(call: Call) -> Returned:
    """Return what contains the words of a query in its name, content or both, newest first."""
    query, where = call["query"].casefold(), call.get("searchIn", "both")
    found = []
    for record in reversed(call.world.of_kind(*_TYPES)):
        wanted = [
            call.get("mimeType") in ("", _TYPES[record.kind]),
            call.get("folderId") in ("", record.parent),
        ]
        texts = {"name": record.name, "content": record.body.get("content", "")}
        hit = any(query in texts[part].casefold() for part in texts if where in (part, "both"))
        if all(wanted) and hit:
            found.append(_listed(call.world, record))
    return {"files": found[: int(call.get("maxResults", 20))]}


def _add(call: Call, kind: str, name: str, **body: object) -> Record:
    if not name.strip():
        raise Refused("A name must not be blank")
    parent = call.get("parentFolderId")
    parent = "" if parent == "root" else parent
    if parent:
        _folder(call.world, parent)
    made = call.world.add(Record(f"{kind}-{call.ident}", kind, name, parent, body=dict(body)))
    if parent:
        _show_folder(call.world, parent)
    return made


def _folder(world: World, ident: str) -> Record:
    if folder := world.get(ident, "folder"):
        return folder
    raise Refused(f"Folder not found: {ident[:80]}")


def _entry(world: World, record: Record) -> JSON:
    return {"id": record.id, "name": record.name, "url": world.link(record.id)}


def _listed(world: World, record: Record) -> JSON:
    return {**_entry(world, record), "mimeType": _TYPES[record.kind]}


def _show_folder(world: World, ident: str) -> None:
    folder = _folder(world, ident)
    rows = [
        [link(f"../{r.id}/index.html", r.name), _WORDS[r.kind], r.made_at[:10]] for r in world.children(ident)
    ]
    body = table(("Name", "Kind", "Created"), rows) if rows else "<p>Nothing in it yet.</p>"
    world.write(ident, "index.html", page(folder.name, "Folder", body))


def _show_sheet(world: World, ident: str, name: str, rows: sheets.Rows) -> None:
    files = f"<p>{link('sheet.xlsx', 'XLSX')} · {link('sheet.csv', 'CSV')}</p>"
    world.write(ident, "index.html", page(name, "Sheet", grid(rows) + files))
    world.write(ident, "sheet.csv", sheets.as_csv(rows))
    world.write(ident, "sheet.xlsx", sheets.as_xlsx(name, rows))


def tools(role: str) -> list[Tool]:
    """Return the tools of the role."""
    content = {"initialContent": text(), "contentFormat": choice("markdown", "raw")}
    title = {"title": text(), "parentFolderId": _INSIDE}
    written = {"spreadsheetId": text(), "range": text("A1 notation"), "values": ROWS}
    options = {"valueInputOption": choice("RAW", "USER_ENTERED")}
    asked = {"searchIn": choice("name", "content", "both"), "mimeType": text(), "folderId": text()}
    return [
        Tool(
            "createFolder",
            "Creates a folder.",
            {"name": text(), "parentFolderId": _INSIDE},
            create_folder,
            ("name",),
        ),
        Tool("createDocument", "Creates a document.", {**title, **content}, create_document, ("title",)),
        Tool(
            "createSpreadsheet",
            "Creates a sheet.",
            {**title, "initialData": ROWS},
            create_spreadsheet,
            ("title",),
        ),
        Tool(
            "writeSpreadsheet",
            "Writes values into a range of a sheet; formulas are kept as text.",
            written | options,
            write_spreadsheet,
            ("spreadsheetId", "range", "values"),
            replaces=True,
        ),
        Tool(
            "listFolderContents",
            "Lists what is in a folder.",
            {"folderId": text("Id of the folder, or root")},
            list_folder,
            ("folderId",),
            reads=True,
        ),
        Tool(
            "searchDriveFiles",
            "Finds files by words in their name or content.",
            {"query": text(), **asked, "maxResults": whole(1, 100)},
            search,
            ("query",),
            reads=True,
        ),
    ]
