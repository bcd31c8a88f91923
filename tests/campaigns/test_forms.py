"""The launch form and the brief: each made from the other, every fault at its input."""

from datetime import date
from typing import Any

import pytest
from django.http import QueryDict

from campaigns.brief.findings import InvalidBrief
from campaigns.brief.presets import load_preset, preset_names
from campaigns.brief.rules import parse_brief
from campaigns.form.forms import LaunchForm
from tests.campaigns.briefs import TODAY, raw_brief


def sent(form: LaunchForm, **changes: str) -> QueryDict:
    """Return what a browser sends for this form, with changes."""
    data = QueryDict(mutable=True)
    rows = [row for rows in form.rows.values() for row in rows.forms]
    for part in [*form.parts.values(), *rows]:
        for bound in part:
            data[bound.html_name] = bound.value() or ""
    if form.include_search:
        data["include_search"] = "on"
    data.update(changes)
    return data


def typed(raw: dict[str, Any], **changes: str) -> LaunchForm:
    """Return the form that shows a raw brief, sent back with changes."""
    return LaunchForm.typed(sent(LaunchForm.of_brief(raw), **changes))


def placed(raw: dict[str, Any], include_search: bool = False, **changes: str) -> LaunchForm:
    """Return the sent form with the faults of its brief at their inputs."""
    form = typed(raw, **changes)
    with pytest.raises(InvalidBrief) as caught:
        parse_brief(form.raw(), today=TODAY, include_search=include_search)
    for finding in caught.value.errors:
        form.place(finding.field, finding.message)
    return form


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("search", [False, True])
def test_a_preset_comes_back_from_the_form_as_the_same_brief(name: str, search: bool):
    raw = load_preset(name, date(2027, 3, 1))
    direct, _ = parse_brief(raw, today=TODAY, include_search=search)
    through, _ = parse_brief(typed(raw).raw(), today=TODAY, include_search=search)
    assert through == direct


def test_an_empty_form_says_nothing_of_any_field():
    assert LaunchForm.typed(sent(LaunchForm.empty())).raw() == {}


def test_empty_rows_count_for_nothing_wherever_they_stand():
    form = typed(raw_brief())
    form.rows["media_plan"].fill([{}, *form.rows["media_plan"].raw(), {}])
    assert LaunchForm.typed(sent(form)).raw()["media_plan"] == typed(raw_brief()).raw()["media_plan"]


@pytest.mark.parametrize(
    ("changes", "id", "words"),
    [
        ({"budget": "lots"}, "id_budget", "must be a number above 0"),
        ({"landing_url": "http://a.example"}, "id_landing_url", "https"),
        ({"currency": "XXX"}, "id_currency", "ISO 4217"),
        ({"year": "next"}, "id_year", "whole number"),
        ({"timezone": "Mars/Base"}, "id_timezone", "time zone"),
        ({"media_plan.1.budget": "-5"}, "id_media_plan.1.budget", "above 0"),
        ({"media_plan.1.dsp": "Nobody"}, "id_media_plan.1.dsp", "not a known DSP"),
        ({"media_plan.0.sizes": "1x1"}, "id_media_plan.0.sizes", "not among the creatives"),
        ({"media_plan.0.kpi_target": "many"}, "id_media_plan.0.kpi_target", "KPI with a figure"),
        ({"creative_sizes.0.width": "9"}, "id_creative_sizes.0.width", "at least 40"),
        ({"flight_end": "2027-04-01"}, "id_flight_end", "after the flight's start"),
        ({"flight_start": "2026-01-01"}, "id_flight_start", "in the past"),
        ({"brief.audience.primary": "x" * 5000}, "id_brief.audience.primary", "at most 4000"),
        ({"objectives": "fine\n" + "x" * 5000}, "id_objectives", "line 2: must have at most"),
    ],
)
def test_an_error_is_shown_at_its_input_and_in_the_summary(changes: dict[str, str], id: str, words: str):
    form = placed(raw_brief(), **changes)
    (found,) = [error for error in form.errors if error[0] == id]
    assert words in found[2]
    bounds = [b for part in form.parts.values() for b in part]
    bounds += [b for rows in form.rows.values() for row in rows.forms for b in row]
    (bound,) = [b for b in bounds if b.id_for_label == id]
    assert [words in error for error in bound.errors] == [True]


def test_a_fault_counts_rows_as_they_are_shown_empty_ones_too():
    form = typed(raw_brief())
    rows = form.rows["media_plan"].raw()
    form.rows["media_plan"].fill([{}, *rows])
    form = LaunchForm.typed(sent(form))
    form.place("media_plan.1.budget", "is wrong")
    assert form.errors == [("id_media_plan.2.budget", "Line 3, Budget", "is wrong")]


def test_an_error_of_the_whole_plan_is_shown_above_its_lines():
    form = placed(raw_brief(), budget="70000")
    assert form.rows["media_plan"].faults[0].startswith("the budgets of the lines sum to")
    assert form.errors[0][:2] == ("section-media_plan", "Media plan")


def test_a_kpi_without_a_figure_is_marked_in_its_own_row():
    form = placed(raw_brief(kpis={"clicks": "450,000", "reach": "wide"}))
    assert [error[:2] for error in form.errors] == [("id_kpis.1.value", "KPI 2, Target")]


def test_kpis_of_one_name_are_named_because_one_would_be_lost():
    form = typed(raw_brief(kpis={"clicks": "1", "visits": "2"}), **{"kpis.1.name": "clicks"})
    assert form.doubles() == ["clicks"]


def test_a_search_campaign_without_settings_is_asked_for_at_the_search():
    form = placed(raw_brief(), include_search=True)
    assert form.errors[0][0] == "id_search.daily_budget"


def test_a_missing_due_date_is_shown_at_the_task():
    form = placed(raw_brief(tasks=[{"name": "Kick-off"}]))
    assert form.errors[0][0] == "id_tasks.0.name"


@pytest.mark.parametrize("field", ["", "campaign", "campaign.nothing", "media_plan.99.budget", "brief.x.y"])
def test_an_error_of_no_known_input_is_still_shown(field: str):
    form = typed(raw_brief())
    form.place(field, "is wrong")
    assert [error[2] for error in form.errors] == ["is wrong"]


def test_a_fault_of_the_installation_is_called_as_it_is():
    form = LaunchForm.empty()
    form.place("TOOL_SERVERS mcpServers.ttd.command", "must be text in quotes")
    assert form.errors == [("", "TOOL_SERVERS mcpServers.ttd.command", "must be text in quotes")]


def test_a_launchs_faults_carry_the_same_paths_under_campaign():
    form = typed(raw_brief())
    form.place("campaign.media_plan.1.budget", "is wrong")
    assert form.errors[0][0] == "id_media_plan.1.budget"


def test_a_row_is_added_and_another_removed():
    form = typed(raw_brief())
    rows = form.rows["media_plan"]
    rows.change(add=True)
    assert [len(rows.forms), len(rows.raw())] == [3, 2]
    rows.change(remove=0)
    assert [row["channel"].value() for row in rows.forms] == ["CTV", None]


def test_rows_have_a_bound_that_the_brief_can_tell():
    data = QueryDict(mutable=True)
    for number in range(400):
        data[f"tasks.{number}.name"] = f"Task {number}"
    assert len(LaunchForm.typed(data).raw()["tasks"]) == 101
