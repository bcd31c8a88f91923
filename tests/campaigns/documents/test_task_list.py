"""Project tasks: due dates out of the flight, slugs that stay, links that are honest."""

from datetime import date, timedelta

from campaigns.documents.tasks import render_tasks, task_list
from tests.campaigns.briefs import brief_of, preset


def test_without_tasks_of_its_own_a_brief_gets_the_thirteen_standard_ones() -> None:
    assert [task.name for task in task_list(brief_of())] == [
        "Kick-off",
        "Audience, KPI and measurement plan",
        "Creative production",
        "Landing page build and QA",
        "Legal and privacy review",
        "Set-up on TTD",
        "Set-up on DV360",
        "Set-up on Amazon DSP",
        "Trafficking, tags and QA",
        "Pre-launch tease",
        "Launch",
        "Week-1 review",
        "Post-mortem",
    ]


def test_due_dates_move_with_the_flight() -> None:
    now = task_list(brief_of())
    later = task_list(brief_of(flight_start="2027-05-11", flight_end="2027-06-09"))
    assert [b.due_on - a.due_on for a, b in zip(now, later, strict=True)] == [timedelta(days=10)] * 13
    due = {task.name: task.due_on for task in now}
    assert (due["Launch"], due["Post-mortem"]) == (date(2027, 5, 1), date(2027, 6, 6))


def test_a_set_up_task_names_the_lines_of_its_dsp_or_that_there_are_none() -> None:
    notes = {task.name: task.notes for task in task_list(brief_of())}
    assert notes["Set-up on DV360"] == "Set up and leave paused: CTV, Reach."
    assert "has no lines on Amazon DSP" in notes["Set-up on Amazon DSP"]


def test_braces_in_a_users_words_are_words() -> None:
    notes = [task.notes for task in task_list(brief_of(product="{start} {0}", launch_event="{title"))]
    assert "Tessel {start} {0}" in notes[0]


def test_the_list_links_only_tasks_that_are_in_the_project() -> None:
    brief = preset("aurora-one")
    text = render_tasks(brief, {"launch": "https://p.example/7", "kick-off": ""})
    assert "2 of 13 tasks are in the project" in text
    assert text.count("[in the project](https://p.example/7)") == 1
    assert text.count("listed here only") == 11
