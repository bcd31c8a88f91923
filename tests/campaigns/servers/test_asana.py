"""Asana of the local world: a project is a board of its tasks."""

import asyncio

from campaigns.servers.local.asana import WORKSPACE
from tests.campaigns.servers.play import playing


async def _project(player, **more):
    workspace = (await player.do("asana_list_workspaces"))["data"][0]["gid"]
    return await player.do("asana_create_project", workspace=workspace, name="Aurora launch", **more)


async def test_a_project_shows_its_tasks_by_due_date_and_links_to_them(tmp_path):
    async with playing("asana-v2", tmp_path) as player:
        project = await _project(player, notes="ref fp-0123456789ab", default_view="board")
        late, early = await asyncio.gather(
            player.do("asana_create_task", project_id=project["gid"], name="Launch", due_on="2031-06-02"),
            player.do("asana_create_task", project_id=project["gid"], name="Kick-off", due_on="2031-05-01"),
        )
    assert project == {
        "gid": project["gid"],
        "name": "Aurora launch",
        "permalink_url": f"/local/asana-v2/{project['gid']}/index.html",
    }
    board = (tmp_path / "asana-v2" / project["gid"] / "index.html").read_text()
    assert board.index("2031-05-01") < board.index(early["gid"]) < board.index("2031-06-02")
    assert f'href="../{late["gid"]}/index.html"' in board and "2 tasks" in board
    assert "Kick-off" in (tmp_path / "asana-v2" / early["gid"] / "index.html").read_text()


async def test_look_ups_find_projects_and_tasks_with_their_notes_page_by_page(tmp_path):
    async with playing("asana-v2", tmp_path) as player:
        project = await _project(player, notes="ref fp-0123456789ab")
        for number in range(3):
            await player.do(
                "asana_create_task",
                project_id=project["gid"],
                name=f"Task {number}",
                notes=f"ref fp-{number}",
            )
        search = {"workspace": WORKSPACE["gid"]}
        found = (await player.do("asana_search_projects", name_pattern="aurora la.nch", **search))["data"]
        odd = await player.do("asana_search_projects", name_pattern="launch (", **search)
        first = await player.do("asana_get_tasks_for_project", project_id=project["gid"], limit=2)
        rest = await player.do(
            "asana_get_tasks_for_project",
            project_id=project["gid"],
            limit=2,
            offset=first["next_page"]["offset"],
            opt_fields="gid,notes",
        )
    assert [(p["gid"], p["notes"]) for p in found] == [(project["gid"], "ref fp-0123456789ab")]
    assert odd == {"data": []}
    assert [task["name"] for task in first["data"]] == ["Task 0", "Task 1"]
    assert [set(task) for task in rest["data"]] == [{"gid", "notes"}] and rest["next_page"] is None


async def test_a_date_that_is_none_is_an_error_and_makes_no_task(tmp_path):
    async with playing("asana-v2", tmp_path) as player:
        project = await _project(player)
        failed = await player.do(
            "asana_create_task", project_id=project["gid"], name="Launch", due_on="June 2nd"
        )
        listed = await player.do("asana_get_tasks_for_project", project_id=project["gid"])
    assert "due_on must be a date" in failed["error"] and listed["data"] == []
