"""The role `asana-v2`: projects with their tasks, shown as a board; a failure is a top-level `error` key."""

from __future__ import annotations

import re
from html import escape

from campaigns.servers.local.arguments import DATE, as_date, choice, text, whole
from campaigns.servers.local.pages import facts, link, markdown, page, table
from campaigns.servers.local.server import Call, Returned, Tool
from campaigns.servers.local.wire import JSON
from campaigns.servers.local.world import Record, Refused, World

ERROR_KEY = True

#: The only workspace.
WORKSPACE = {"gid": "1200000000000001", "name": "Local workspace", "resource_type": "workspace"}


def list_workspaces(call: Call) -> Returned:
    """Return the only workspace."""
    return {"data": [WORKSPACE]}


def create_project(call: Call) -> Returned:
    """Create a project with a board for its tasks."""
    _workspace(call["workspace"])
    extra = ("team", "color", "privacy_setting", "default_view")
    body = {"notes": call.get("notes"), **{name: call.get(name) for name in extra}}
    made = call.world.add(Record(_gid(call), "project", _name(call), WORKSPACE["gid"], body=body))
    _show_board(call.world, made.id)
    return _made(call.world, made)


def create_task(call: Call) -> Returned:
    """Create a task of a project; its page and the board link to each other."""
    project = _project(call.world, call["project_id"])
    due = call.get("due_on")
    if due:
        as_date("due_on", due)
    body = {"notes": call.get("notes"), "due_on": due, "assignee": call.get("assignee")}
    made = call.world.add(Record(_gid(call), "task", _name(call), project.id, body=body))
    shown = facts([("Due", due), ("Assignee", body["assignee"])]) + markdown(body["notes"])
    back = f"<p>{link(f'../{project.id}/index.html', project.name)}</p>"
    call.world.write(made.id, "index.html", page(made.name, "Task", back + shown))
    _show_board(call.world, project.id)
    return _made(call.world, made)


def search_projects(call: Call) -> Returned:
    """Return projects whose name contains the pattern, as text or regular expression, ignoring case."""
    _workspace(call["workspace"])
    pattern = call["name_pattern"]
    try:
        matches = re.compile(pattern, re.IGNORECASE).search
    except re.error:
        # A pattern that is no valid expression, such as an open bracket, is searched for literally.
        matches = re.compile(re.escape(pattern), re.IGNORECASE).search
    found = [
        r for r in call.world.of_kind("project") if pattern.casefold() in r.name.casefold() or matches(r.name)
    ]
    return {"data": [_listed(call.world, record) for record in found]}


def tasks_of_project(call: Call) -> Returned:
    """Return a page of a project's tasks, oldest first; `opt_fields` selects their fields."""
    project = _project(call.world, call["project_id"])
    start, limit = call.get("offset") or "0", int(call.get("limit", 100))
    if not start.isdecimal():
        raise Refused("offset: Your pagination token is invalid")
    records = call.world.children(project.id)
    shown = [_listed(call.world, record) for record in records[int(start) : int(start) + limit]]
    if wanted := {name.strip() for name in call.get("opt_fields").split(",") if name.strip()}:
        shown = [{k: v for k, v in task.items() if k in wanted | {"gid"}} for task in shown]
    more = int(start) + limit < len(records)
    return {"data": shown, "next_page": {"offset": str(int(start) + limit)} if more else None}


def _gid(call: Call) -> str:
    return f"12{int(call.ident, 16) % 10**14:014d}"


def _name(call: Call) -> str:
    name: str = call["name"]
    if not name.strip():
        raise Refused("name: Missing input")
    return name


def _workspace(gid: str) -> None:
    if gid != WORKSPACE["gid"]:
        raise Refused(f"workspace: Not a recognized ID: {gid[:80]}")


def _project(world: World, gid: str) -> Record:
    if project := world.get(gid, "project"):
        return project
    raise Refused(f"project: Not a recognized ID: {gid[:80]}")


def _made(world: World, record: Record) -> JSON:
    return {"gid": record.id, "name": record.name, "permalink_url": world.link(record.id)}


def _listed(world: World, record: Record) -> JSON:
    due = {"due_on": record.body["due_on"] or None} if record.kind == "task" else {}
    link_to_it = {"permalink_url": world.link(record.id)}
    return {"gid": record.id, "name": record.name, "notes": record.body["notes"], **due, **link_to_it}


def _show_board(world: World, gid: str) -> None:
    project = _project(world, gid)
    tasks = sorted(world.children(gid), key=lambda task: task.body["due_on"] or "9999")
    rows = [
        [
            task.body["due_on"],
            link(f"../{task.id}/index.html", task.name),
            escape(task.body["assignee"]),
        ]
        for task in tasks
    ]
    board = table(("Due", "Task", "Assignee"), rows) if rows else "<p>No tasks yet.</p>"
    count = f"Project · {len(tasks)} {'task' if len(tasks) == 1 else 'tasks'}"
    world.write(gid, "index.html", page(project.name, count, board + markdown(project.body["notes"])))


def tools(role: str) -> list[Tool]:
    """Return the tools of the role."""
    project = {
        "workspace": text("Gid of the workspace"),
        "name": text(),
        "team": text(),
        "notes": text(),
        "color": text(),
        "privacy_setting": choice("public_to_workspace", "private_to_team", "private"),
        "default_view": choice("list", "board", "calendar", "timeline"),
    }
    task = {"project_id": text(), "name": text(), "notes": text(), "due_on": DATE, "assignee": text()}
    paging = {"opt_fields": text("Names, separated by commas"), "limit": whole(1, 100), "offset": text()}
    return [
        Tool("asana_list_workspaces", "Lists the workspaces.", {}, list_workspaces, reads=True),
        Tool("asana_create_project", "Creates a project.", project, create_project, ("workspace", "name")),
        Tool("asana_create_task", "Creates a task in a project.", task, create_task, ("project_id", "name")),
        Tool(
            "asana_search_projects",
            "Finds projects by name.",
            {"workspace": text(), "name_pattern": text("Words or a regular expression")},
            search_projects,
            ("workspace", "name_pattern"),
            reads=True,
        ),
        Tool(
            "asana_get_tasks_for_project",
            "Lists the tasks of a project.",
            {"project_id": text(), **paging},
            tasks_of_project,
            ("project_id",),
            reads=True,
        ),
    ]
