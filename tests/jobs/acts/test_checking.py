"""How to check an unknown call: where to look, what to look for, and why Flightplan could not find out."""

import pytest

from campaigns.roles import ROLES
from jobs.acts.checking import how_to_check
from jobs.models import CallAttempt, ToolCall
from tests.jobs import acting, story

KEY = "ab" * 16


def guide_for(server, tool, args=None, **more):
    row = ToolCall(server=server, tool=tool, key=KEY, args=args or {}, step="stage.step", **more)
    return " ".join(how_to_check(row))


def test_a_task_is_identified_by_the_last_line_of_its_notes():
    guide = guide_for("asana-v2", "asana_create_task", {"project_id": "7", "name": "Kick-off"})
    assert guide.startswith("Open Asana and look for “Kick-off”.")
    assert "notes is “ref fp-abababababab”" in guide
    assert "asana_get_tasks_for_project(project_id=7" in guide


def test_a_line_is_identified_by_its_external_id():
    guide = guide_for("ttd", "create_campaign", {"name": "Line"})
    assert "Open The Trade Desk" in guide
    assert f"Its external_id is {KEY}." in guide


def test_a_folder_is_identified_by_its_name_and_a_document_by_its_folder():
    assert "(fp-abababababab)" in guide_for("google-docs", "createFolder", {"name": "Aurora"})
    assert "job's folder (f-1)" in guide_for(
        "google-docs", "createDocument", {"title": "Brief", "parentFolderId": "f-1"}
    )


def test_a_document_without_a_folder_has_the_reason_why_it_was_not_looked_up():
    guide = guide_for("google-docs", "createDocument", {"title": "Brief"})
    assert "has no marker" in guide
    assert "could not look it up: the call was sent without parentFolderId" in guide


def test_a_tool_without_a_look_up_is_named_with_the_earlier_answer():
    guide = guide_for("ttd", "set_campaign_status", {"id": "c-1"}, remote_id="c-1")
    assert "has no way to look it up" in guide
    assert "An earlier response gave its id as c-1." in guide


@pytest.mark.django_db
def test_a_call_that_was_not_looked_up_yet_is_described_as_such():
    job = story.job()
    row = acting.call(job, "project.task.a", "unknown", server="asana-v2", tool="asana_create_task")
    row.tries.update(outcome=CallAttempt.LOST)
    guide = " ".join(how_to_check(row))
    assert "Flightplan has not looked it up" in guide and "retry the campaign" in guide
    assert "no conclusive answer" not in guide


def test_a_server_without_a_role_is_shown_by_its_recorded_name():
    assert guide_for("gone", "make", {"name": "A"}).startswith("Open gone.")


@pytest.mark.parametrize(("server", "tool"), [(s, t) for s, r in ROLES.items() for t in r.tools])
def test_every_tool_can_be_checked(server, tool):
    assert guide_for(server, tool).endswith("Nothing is sent before you do.")
