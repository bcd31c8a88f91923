"""The main job on the bundled servers: from a launch over the API to files that open."""

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import openpyxl
import pytest

from tests.campaigns.briefs import raw_brief
from tests.e2e.conftest import Start
from tests.e2e.installation import Installation, by_name, stages

pytestmark = pytest.mark.slow
STAGES = ["brief", "plan", "project", "landing", "creative", "activate", "search", "report"]
PUBLIC = {"stage:start", "stage:progress", "stage:complete", "stage:error", "workflow:complete"}
SIZES = {(300, 250), (728, 90), (160, 600), (1920, 1080)}


@dataclass(frozen=True)
class Run:
    """A campaign from its launch to its end."""

    launched: dict[str, Any]
    events: list[dict[str, Any]]
    whole: list[dict[str, Any]]
    job: dict[str, Any]


@pytest.fixture(scope="module")
def site(start: Start) -> Installation:
    return start()


@pytest.fixture(scope="module")
def run(site: Installation) -> Run:
    """Run the reference campaign with search."""
    answer = site.post("aurora-one", includeSearch=True)
    assert answer.status_code == 202
    id = answer.json()["jobId"]
    events = site.events(id)
    return Run(answer.json(), events, site.events(id, "?detail=all"), site.job(id))


@pytest.fixture(scope="module")
def person(site: Installation) -> Iterator[httpx2.Client]:
    with site.browser() as client:
        yield client


def test_the_response_to_a_launch_contains_the_urls_to_follow_it(run: Run):
    id = run.launched["jobId"]
    assert run.launched["statusUrl"] == f"/api/jobs/{id}/events"
    assert run.launched["jobUrl"] == f"/api/jobs/{id}"
    assert run.launched["pageUrl"] == f"/jobs/{id}/"


def test_the_stream_reports_every_stage_with_the_five_public_types(run: Run):
    assert {event["type"] for event in run.events} <= PUBLIC
    assert all(event["type"] == event["@event"] for event in run.events)
    staged = [event for event in run.events if event["type"] != "workflow:complete"]
    assert {(event["stageIndex"], event["stage"]) for event in staged} == set(enumerate(STAGES))
    for stage in STAGES:
        kinds = [event["type"] for event in staged if event["stage"] == stage]
        assert kinds[0] == "stage:start" and kinds[-1] == "stage:complete"
        assert set(kinds[1:-1]) == {"stage:progress"}


def test_events_have_the_fields_that_existing_clients_read(run: Run):
    for event in run.events:
        assert event["jobId"] == run.launched["jobId"] and event["totalStages"] == 8
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+00:00)", event["timestamp"])
    progress = next(event for event in run.events if event["type"] == "stage:progress")
    assert {"stageName", "current", "total", "detail"} <= progress.keys()
    assert run.events[-1]["type"] == "workflow:complete" and run.events[-1]["status"] == "completed"
    assert run.events[-1]["artifacts"]


@pytest.mark.parametrize(("stage", "count"), [("project", 13), ("creative", 4)])
def test_each_item_is_counted_once_and_counts_never_decrease(run: Run, stage: str, count: int):
    steps = [e for e in run.events if e["type"] == "stage:progress" and e["stage"] == stage]
    counts = [event["current"] for event in steps]
    assert counts == sorted(counts) and set(range(1, count + 1)) <= set(counts)
    assert {event["total"] for event in steps if event["current"]} == {count}


def test_the_whole_log_is_numbered_without_gaps(run: Run):
    assert [event["@id"] for event in run.whole] == list(range(1, len(run.whole) + 1))
    assert run.job["lastEventId"] == len(run.whole)
    assert {"job:queued", "call:start", "call:complete"} <= {event["type"] for event in run.whole}
    public = [event for event in run.whole if event["type"] in PUBLIC]
    assert [event["@id"] for event in run.events] == [event["@id"] for event in public]


def test_a_stream_resumes_after_the_last_seen_event(site: Installation, run: Run):
    middle = run.events[len(run.events) // 2]["@id"]
    rest = site.events(run.launched["jobId"], f"?after={middle}")
    assert [event["@id"] for event in rest] == [e["@id"] for e in run.events if e["@id"] > middle]


def test_the_job_in_json_lists_what_was_made_and_shows_no_spending(run: Run):
    assert run.job["status"] == "completed" and run.job["timings"]["seconds"] > 0
    assert stages(run.job) == dict.fromkeys(STAGES, "completed")
    counts = {stage["id"]: (stage["current"], stage["total"]) for stage in run.job["stages"]}
    assert counts["project"] == (13, 13) and counts["creative"] == (4, 4) and counts["activate"] == (5, 5)
    sources = {artifact["kind"]: artifact["source"] for artifact in run.job["artifacts"]}
    assert sources["line"] == sources["search"] == "simulated"
    assert sources["document"] == sources["project"] == sources["image"] == "local"
    assert {call["state"] for call in run.job["calls"]} == {"done"}
    assert len(run.job["calls"]) > 40


def test_every_artifact_opens(site: Installation, person: httpx2.Client, run: Run):
    assert len(run.job["artifacts"]) >= 17
    for artifact in run.job["artifacts"]:
        links = [link for link in (artifact["url"], artifact["fileUrl"]) if link]
        assert links, artifact["name"]
        for link in links:
            for client in (person, site.api):
                answer = client.get(link)
                assert answer.status_code == 200 and len(answer.content) > 100, link


def test_creatives_are_pictures_of_exactly_the_requested_size(site: Installation, run: Run):
    pictures = [one for one in run.job["artifacts"] if one["kind"] == "image"]
    assert {(one["width"], one["height"]) for one in pictures} == SIZES
    for one in pictures:
        assert pixels(site.api.get(one["fileUrl"]).content) == (one["width"], one["height"])


def pixels(data: bytes) -> tuple[int, int]:
    """Return width and height from the header of a PNG or JPEG."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return struct.unpack("!II", data[16:24])
    assert data.startswith(b"\xff\xd8")
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    height, width = struct.unpack("!HH", data[at + 5 : at + 9])
    return width, height


def test_the_media_plan_is_a_workbook_whose_total_is_the_sum_of_its_lines(site: Installation, run: Run):
    data = site.api.get(by_name(run.job)["media-plan.xlsx"]["fileUrl"]).content
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    rows = [list(row) for row in sheet.values]
    column = next(i for i, head in enumerate(rows[0]) if str(head).lower().startswith("budget"))
    total = next(row for row in rows if "TOTAL" in row)
    lines = [row[column] for row in rows[1:] if row is not total and row[column] is not None]
    assert len(lines) == 5 and sum(lines) == total[column] == 750_000


def test_the_report_names_every_artifact_and_where_it_came_from(site: Installation, run: Run):
    artifacts = by_name(run.job)
    report = site.api.get(artifacts.pop("report.md")["fileUrl"]).text.replace("\\", "")
    for artifact in artifacts.values():
        row = next((line for line in report.splitlines() if artifact["title"] in line), "")
        assert artifact["source"] in row, artifact["title"]


def test_the_jobs_page_and_the_admin_show_the_job_to_a_signed_in_user(person: httpx2.Client, run: Run):
    page = person.get(run.launched["pageUrl"]).text
    assert page.count('data-status="completed"') >= 8 and "13/13" in page and "4/4" in page
    for artifact in run.job["artifacts"]:
        assert artifact["title"].replace("'", "&#x27;").replace("&", "&amp;") in page
    admin = person.get("/admin/jobs/job/").text
    assert run.job["title"] in admin
    one = person.get(f"/admin/jobs/job/{run.launched['jobId']}/change/").text
    assert "asana_create_task" in one and "stage:complete" in one


def test_an_anonymous_visitor_sees_nothing(site: Installation, run: Run):
    with httpx2.Client(base_url=site.url) as stranger:
        assert stranger.get(run.launched["pageUrl"]).status_code == 302
        assert stranger.get(run.launched["jobUrl"]).status_code == 401
        assert stranger.get(by_name(run.job)["brief.md"]["fileUrl"]).status_code in (302, 401)


def test_a_token_printed_by_the_command_has_exactly_its_scopes(site: Installation):
    printed = site.manage("apitoken", "admin", "--scope", "read").stdout
    with site.caller(printed.split()[-1]) as reader:
        assert reader.get("/api/jobs").status_code == 200
        assert reader.post("/api/workflows/campaign-lifecycle-demo", json={}).status_code == 403


def test_without_search_there_are_seven_stages(site: Installation):
    id = site.launch("aurora-one", search=False)
    events, job = site.events(id), site.job(id)
    assert {event["totalStages"] for event in events} == {7}
    assert stages(job) == {stage: "completed" for stage in STAGES if stage != "search"}
    assert "search-campaign.md" not in by_name(job)


def test_the_other_preset_runs_as_well(site: Installation):
    job = site.ended(site.launch("casa-olmeda-early-harvest"))
    assert job["status"] == "completed" and "Casa Olmeda" in job["title"]
    assert len([one for one in job["artifacts"] if one["kind"] == "image"]) == 5


def test_a_custom_brief_runs_as_well(site: Installation):
    begin = datetime.now(UTC).date() + timedelta(days=30)
    dates = {"flight_start": str(begin), "flight_end": str(begin + timedelta(days=20))}
    id = site.launch(raw_brief(brand="Ölmøbel & Söhne", **dates), search=False)
    job = site.ended(id)
    assert job["status"] == "completed" and "Ölmøbel & Söhne" in job["title"]
    brief = site.api.get(by_name(job)["brief.md"]["fileUrl"]).text
    assert "Ölmøbel" in brief and "Aurora" not in brief
