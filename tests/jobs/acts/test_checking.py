"""How to check an unknown call: where to look, by which mark, and why Flightplan could not."""

import pytest

from campaigns.roles import ROLES
from jobs.acts.checking import how_to_check
from jobs.models import CallAttempt, ToolCall
from tests.jobs import acting, story

KEY = "ab" * 16


def words(server, tool, args=None, **more):
    row = ToolCall(server=server, tool=tool, key=KEY, args=args or {}, step="stage.step", **more)
    return " ".join(how_to_check(row))


def test_a_task_is_told_by_the_last_line_of_its_notes():
    told = words("asana-v2", "asana_create_task", {"project_id": "7", "name": "Kick-off"})
    assert told.startswith("Open Asana and look for “Kick-off”.")
    assert "notes is “ref fp-abababababab”" in told
    assert "asana_get_tasks_for_project(project_id=7" in told


def test_a_line_is_told_by_its_external_id():
    told = words("ttd", "create_campaign", {"name": "Line"})
    assert "Open The Trade Desk" in told
    assert f"Its external_id is {KEY}." in told


def test_a_folder_is_told_by_its_name_and_a_document_by_its_folder():
    assert "(fp-abababababab)" in words("google-docs", "createFolder", {"name": "Aurora"})
    assert "job's folder (f-1)" in words(
        "google-docs", "createDocument", {"title": "Brief", "parentFolderId": "f-1"}
    )


def test_a_document_without_a_folder_says_why_it_could_not_be_looked_up():
    told = words("google-docs", "createDocument", {"title": "Brief"})
    assert "carries no mark" in told
    assert "could not look it up: the call was sent without parentFolderId" in told


def test_a_tool_without_a_look_up_says_so_and_an_earlier_answer_is_named():
    told = words("ttd", "set_campaign_status", {"id": "c-1"}, remote_id="c-1")
    assert "offers no look-up" in told
    assert "An earlier response gave its id as c-1." in told


@pytest.mark.django_db
def test_what_nobody_has_looked_for_yet_says_so():
    job = story.job()
    row = acting.call(job, "project.task.a", "unknown", server="asana-v2", tool="asana_create_task")
    row.tries.update(outcome=CallAttempt.LOST)
    told = " ".join(how_to_check(row))
    assert "Flightplan has not looked it up" in told and "retry the campaign" in told
    assert "no conclusive answer" not in told


def test_a_server_that_plays_no_role_any_more_is_named_as_it_was():
    assert words("gone", "make", {"name": "A"}).startswith("Open gone.")


@pytest.mark.parametrize(("server", "tool"), [(s, t) for s, r in ROLES.items() for t in r.tools])
def test_every_tool_can_be_checked(server, tool):
    assert words(server, tool).endswith("Nothing is sent before you do.")
