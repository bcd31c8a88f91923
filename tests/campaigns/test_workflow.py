"""How a launch is read: presets and briefs, faults by the field that was sent, and what is stored."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from campaigns import workflow as lifecycle
from campaigns.brief.presets import load_preset, preset_names
from campaigns.models import Campaign
from campaigns.workflow import LIFECYCLE, load, parse, schema
from jobs.engine.inputs import InvalidInput
from jobs.models import Job
from jobs.registry import workflow
from tests.campaigns.briefs import raw_brief

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "now", lambda: NOON)


def faults(raw: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse(raw)
    return {fault.field: fault.message for fault in caught.value.faults}


def test_the_lifecycle_has_its_eight_stages_by_name_and_only_the_report_waits():
    assert [(stage.id, stage.name) for stage in LIFECYCLE.stages] == [
        ("brief", "Generate Campaign Brief"),
        ("plan", "Create Media Plan"),
        ("project", "Setup Project Management"),
        ("landing", "Generate Landing Page"),
        ("creative", "Generate Creatives"),
        ("activate", "Activate on DSPs"),
        ("search", "Search Campaign"),
        ("report", "Generate Summary Report"),
    ]
    *others, report = LIFECYCLE.stages
    assert all(stage.needs == () for stage in others)
    assert set(report.needs) == {stage.id for stage in others}


def test_the_lifecycle_is_found_under_both_of_its_names():
    assert workflow("campaign-lifecycle") is LIFECYCLE
    assert workflow("campaign-lifecycle-demo") is LIFECYCLE


@pytest.mark.parametrize("wanted", [True, False])
def test_the_search_stage_is_part_of_a_job_that_asks_for_it(wanted):
    flow = LIFECYCLE.wanted(parse({"campaign": "aurora-one", "includeSearch": wanted}).params)
    assert ("search" in [stage.id for stage in flow.stages]) is wanted
    assert ("search" in flow.stages[-1].needs) is wanted


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_launched_by_its_name_and_comes_back_from_its_stored_form(name):
    request = parse({"campaign": name, "includeSearch": True})
    stored = json.loads(json.dumps(request.params))
    brief = load(stored)
    assert request.title == brief.title
    assert (stored["preset"], stored["includeSearch"], stored["dryRun"]) == (name, True, False)
    assert brief.model_dump(mode="json") == stored["brief"]
    assert any(fault.field == "campaign.budget" for fault in request.warnings)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_is_parsed_and_stored_as_one(dry_run):
    request = parse({"campaign": "aurora-one", "dryRun": dry_run})
    assert (request.dry_run, request.params["dryRun"]) == (dry_run, dry_run)
    assert not parse({"campaign": "aurora-one"}).dry_run


def test_a_brief_of_ones_own_is_launched_with_warnings_by_field():
    request = parse(
        {"campaign": raw_brief(budget=6000, media_plan=[raw_brief()["media_plan"][0] | {"budget": 6000}])}
    )
    assert (request.title, request.params["preset"]) == ("Tessel Desk", "")
    assert [fault.field for fault in request.warnings] == ["campaign.media_plan.0.budget"]


def test_a_fault_in_a_brief_is_named_as_it_was_sent():
    found = faults({"campaign": raw_brief(budget=-5, landing_url="http://x.example")})
    assert set(found) == {"campaign.budget", "campaign.landing_url"}


def test_an_unknown_preset_is_answered_with_the_names_there_are():
    found = faults({"campaign": "nowhere"})
    assert set(found) == {"campaign"}
    assert all(name in found["campaign"] for name in ("nowhere", *preset_names()))


@pytest.mark.parametrize(
    ("raw", "field", "says"),
    [
        ({}, "campaign", "is required"),
        ({"campaign": 7}, "campaign", "must be"),
        ({"campaign": None}, "campaign", "must be"),
        ({"campaign": ["aurora-one"]}, "campaign", "must be"),
        ({"campaign": "../aurora-one"}, "campaign", "there is no preset"),
        ({"campaign": {}}, "campaign.brand", "is required"),
        ({"campaign": "aurora-one", "includeSearch": "yes"}, "includeSearch", "must be true or false"),
        ({"campaign": "aurora-one", "includeSearch": 1}, "includeSearch", "must be true or false"),
        ({"campaign": "aurora-one", "includeSearch": None}, "includeSearch", "must be true or false"),
        ({"campaign": "aurora-one", "dryRun": "no"}, "dryRun", "must be true or false"),
        ({"campaign": "aurora-one", "include_search": True}, "include_search", "is not a known field"),
        ([], "", "a JSON object"),
        ("aurora-one", "", "a JSON object"),
        (None, "", "a JSON object"),
        ({"campaign": "x" * 600_000}, "", "too large"),
    ],
)
def test_an_input_that_cannot_be_launched_names_the_field(raw, field, says):
    found = faults(raw)
    assert list(found) == [field] or field in found
    assert says in found[field]


def test_all_faults_are_reported_at_once():
    found = faults({"campaign": raw_brief(currency="XYZ"), "dryRun": 1, "x\ud800\n": 2})
    assert set(found) == {"campaign.currency", "dryRun", "x??"}


def test_an_input_nested_beyond_reason_is_refused():
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert faults({"campaign": deep}) == {"": "is nested too deeply"}


def test_a_search_campaign_needs_search_settings():
    assert "campaign.search" in faults({"campaign": raw_brief(), "includeSearch": True})


def test_today_is_the_day_in_the_time_zone_of_the_brief(monkeypatch):
    late = datetime(2027, 5, 1, 1, tzinfo=UTC)  # still 30 April in New York, 1 May in Berlin
    monkeypatch.setattr(lifecycle, "now", lambda: late)
    start = {"flight_start": "2027-04-30", "flight_end": "2027-05-30"}
    assert parse({"campaign": raw_brief(timezone="America/New_York", **start)}).title
    assert set(faults({"campaign": raw_brief(timezone="Europe/Berlin", **start)})) == {
        "campaign.flight_start"
    }
    for wrong in ("Nowhere/Land", "Europe", "../UTC", "", "\0", "x" * 5000):
        assert lifecycle.today_of({"timezone": wrong}) == date(2027, 5, 1)
    assert lifecycle.today_of({"timezone": ["Europe/Berlin"]}) == lifecycle.today_of(7) == date(2027, 5, 1)


def test_the_dates_of_a_preset_count_from_its_own_today(monkeypatch):
    monkeypatch.setattr(lifecycle, "now", lambda: datetime(2027, 5, 1, 1, tzinfo=UTC))
    brief = load(parse({"campaign": "aurora-one"}).params)
    there = date(2027, 4, 30)
    assert brief.timezone == "America/New_York"
    assert brief.flight_start == date.fromisoformat(load_preset("aurora-one", there)["flight_start"])
    assert brief.flight_start - there == timedelta(days=45)


def test_the_schema_describes_every_field_of_the_input():
    described = schema()
    assert set(described["properties"]) == set(lifecycle.FIELDS)
    assert described["required"] == ["campaign"] and described["additionalProperties"] is False
    preset, brief = described["properties"]["campaign"]["anyOf"]
    assert preset["enum"] == list(preset_names())
    assert brief["$ref"].endswith("/Brief")
    assert json.loads(json.dumps(described)) == described


@pytest.mark.django_db
def test_an_accepted_launch_is_kept_as_a_campaign():
    owner = get_user_model().objects.create_user("planner")
    request = parse({"campaign": "aurora-one"})
    job = Job.objects.create(
        owner=owner, workflow="campaign-lifecycle", title=request.title, params=request.params, plan=[]
    )
    LIFECYCLE.accepted(str(job.pk), owner.pk, request.params)
    campaign = Campaign.objects.get(job=job)
    assert (campaign.owner, campaign.slug, campaign.brand) == (owner, "aurora-one", "Aurora")
    assert (campaign.budget, campaign.currency) == (750000, "USD")
    assert campaign.brief == request.params["brief"]


def test_the_stages_import_neither_django_nor_mcp_nor_http():
    code = (
        "import sys, campaigns.stages.brief, campaigns.stages.plan, campaigns.stages.project\n"
        "import campaigns.stages.landing, campaigns.stages.creative, campaigns.stages.activate\n"
        "import campaigns.stages.search, campaigns.stages.report\n"
        "heavy = ('django', 'mcp', 'httpx', 'httpx2', 'http.client', 'jobs.tools.wire.reading')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_setting_lines_live_is_a_second_act_and_none_of_the_eight_stages():
    assert len(LIFECYCLE.stages) == 8
    assert LIFECYCLE.activation is not None
    stage = LIFECYCLE.activation.stage
    assert (stage.id, stage.name, stage.needs) == ("live", "Set Lines Live", ())
    assert {(hop.server, hop.tool) for hop in stage.path} == {
        (server, "set_campaign_status") for server in ("ttd", "dv360", "amazon-dsp")
    }
    plan = [[one.id, one.name, list(one.needs)] for one in LIFECYCLE.stages]
    assert [one.id for one in LIFECYCLE.by_plan([*plan, ["live", "Set Lines Live", []]]).stages][-1] == "live"
