"""Servers that return errors, hang, die or are missing: the results, fallbacks and messages."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import fakes
from tests.e2e.installation import Installation, by_name, stages
from tests.e2e.outside import EFFECTS, META, World

pytestmark = [pytest.mark.slow, pytest.mark.long]
#: Which servers fail at the same time. Only stages with items on both halves depend on both.
HALVES = {
    "documents": ("google-docs", "image-gen", "ttd"),
    "projects": ("asana-v2", "canva", "dv360", "amazon-dsp", "google-ads"),
}
#: The fault of each server, by world.
WORLDS = {
    "documents-1": {"google-docs": "error", "image-gen": "dies", "ttd": "hang"},
    "documents-2": {"google-docs": "dies", "image-gen": "hang", "ttd": "missing"},
    "projects": {
        "asana-v2": "dies",
        "canva": "hang",
        "dv360": "error",
        "amazon-dsp": "missing",
        "google-ads": "hang",
    },
}
#: How the stages should end: three TTD lines of five, or the two others, are less than three quarters.
ENDS = {
    "documents": {
        "brief": "failed",
        "plan": "failed",
        "project": "completed",
        "landing": "completed",
        "creative": "failed",
        "activate": "partial",
        "search": "completed",
        "report": "failed",
    },
    "projects": {
        "brief": "completed",
        "plan": "completed",
        "project": "failed",
        "landing": "completed",
        "creative": "failed",
        "activate": "partial",
        "search": "skipped",
        "report": "completed",
    },
}
#: The artifacts that are fallbacks.
FALLBACKS = {
    "documents": {"brief.md", "media-plan.xlsx", "media-plan.csv", "report.md"},
    "projects": {"project-tasks.md", "search-campaign.md"},
}
#: Servers with a call that may have taken effect and that no look-up can resolve.
UNKNOWN = {
    "documents-1": {"ttd"},
    # documents are looked up by folder, and there is none
    "documents-2": {"google-docs", "image-gen"},
    "projects": {"canva", "google-ads"},
}
MOST_SENDS = 3
SHORT = 0.5


@dataclass
class Faulty:
    """One campaign on servers of which some have faults."""

    name: str
    half: str
    kinds: dict[str, str]
    world: World
    job: dict
    page: str
    report: str


def faulty_world(folder: Path, kinds: dict[str, str]) -> World:
    """Return a world in which these servers have faults."""
    faults: dict[str, list[str]] = {}
    more: dict[str, dict] = {}
    for role, kind in kinds.items():
        if kind == "error":
            word = "toperror" if role == "asana-v2" else "iserror"
            faults[role] = [f"{tool}:{word}=out of order" for tool in EFFECTS[role]]
        elif kind == "hang":  # look-ups too
            faults[role] = [f"{tool}:hang" for tool in fakes.CONTRACT[role]]
            more[role] = {"timeout": SHORT}
        elif kind == "dies":
            faults[role] = [f"{tool}:die-before" for tool in EFFECTS[role]]
        else:
            more[role] = {"command": str(folder / "no-such-program")}
    return World(folder, faults=faults, more=more)


def run(folder: Path, name: str) -> Faulty:
    """Run the reference campaign in such a world, in its own installation, to the end."""
    half, kinds = name.partition("-")[0], WORLDS[name]
    world = faulty_world(folder, kinds)
    hurried = {"DJANGO_SETTINGS_MODULE": "tests.e2e.hurried"}
    with Installation(folder, TOOL_SERVERS=str(world.file), **hurried) as site:
        job = site.ended(site.launch(), within=90)
        assert "report.md" in by_name(job), (stages(job), job["error"], site.log.read_text()[-3000:])
        with site.browser() as person:
            page = person.get(job["pageUrl"]).text
            for artifact in job["artifacts"]:
                if artifact["fileUrl"]:
                    assert len(person.get(artifact["fileUrl"]).content) > 100, artifact["name"]
        report = site.api.get(by_name(job)["report.md"]["fileUrl"]).text
    return Faulty(name, half, kinds, world, job, page, report)


@pytest.fixture(scope="module")
def all_of_them(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """Run all worlds concurrently, because they mostly wait."""
    with ThreadPoolExecutor(len(WORLDS)) as pool:
        yield {name: pool.submit(run, tmp_path_factory.mktemp(name), name) for name in WORLDS}


@pytest.fixture(params=WORLDS)
def faulty(request: pytest.FixtureRequest, all_of_them: dict) -> Faulty:
    return all_of_them[request.param].result(110)


def test_each_stage_has_its_expected_status_and_the_job_is_partial(faulty: Faulty):
    assert stages(faulty.job) == ENDS[faulty.half]
    assert faulty.job["status"] == "partial"
    for stage in faulty.job["stages"]:
        assert bool(stage["error"]) == (stage["status"] != "completed"), stage
        named = {name for name in faulty.kinds if name in stage["error"]}
        assert named or not stage["error"], stage["error"]


def test_only_fallbacks_are_marked_as_fallbacks(faulty: Faulty):
    found = {one["name"] for one in faulty.job["artifacts"] if one["source"] == "fallback"}
    lines = {name for name in found if name.startswith("line-")}
    pictures = {name for name in found if name.startswith("creative-")}
    assert found - lines - pictures == FALLBACKS[faulty.half]
    # a generated picture is kept if only its design is missing
    assert (len(lines), len(pictures)) == ((3, 4) if faulty.half == "documents" else (2, 0))
    for one in faulty.job["artifacts"]:
        assert one["source"] in ("live", "local", "fallback")
        assert one["note"] or one["source"] != "fallback" or one["name"].startswith("brief"), one


def test_every_line_and_creative_still_has_its_page_or_picture(faulty: Faulty):
    kinds = [one["kind"] for one in faulty.job["artifacts"]]
    assert kinds.count("line") == 5 and kinds.count("image") == 4


def test_the_page_and_the_report_name_each_fallback(faulty: Faulty):
    fallbacks = [one for one in faulty.job["artifacts"] if one["source"] == "fallback"]
    assert f"{len(fallbacks)} fallback" in faulty.page
    assert faulty.page.count("b-fallback") >= len(fallbacks)
    plain = faulty.report.replace("\\", "")
    for one in fallbacks:
        if one["name"] != "report.md":  # the report cannot include its own result
            row = next(line for line in plain.splitlines() if one["title"] in line and "fallback" in line)
            assert row
    for status in {"failed", "partial"} & set(ENDS[faulty.half].values()):
        assert status in plain


def test_only_calls_that_no_look_up_can_resolve_are_unknown(faulty: Faulty):
    unknown = {call["server"] for call in faulty.job["calls"] if call["state"] == "unknown"}
    assert unknown == UNKNOWN[faulty.name]


def test_calls_without_a_look_up_are_sent_once_and_definite_failures_at_most_three_times(faulty: Faulty):
    unknown = {(call["server"], call["tool"]) for call in faulty.job["calls"] if call["state"] == "unknown"}
    for role, kind in faulty.kinds.items():
        made = [one for one in faulty.world.entries(role, "effect") if one["tool"] in EFFECTS[role]]
        assert not made, role
        starts = [one for one in faulty.world.entries(role, "start") if one["tool"] in EFFECTS[role]]
        sends = Counter((one["tool"], one["meta"][META]) for one in starts)
        for (tool, _), times in sends.items():
            most = MOST_SENDS if kind == "dies" and (role, tool) not in unknown else 1
            assert times <= most, (role, tool)
