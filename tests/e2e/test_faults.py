"""Servers that answer with errors, hang, die or are missing: what is made all the same, and what is said."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import fakes
from tests.e2e.installation import Installation, by_name, stages
from tests.e2e.outside import EFFECTS, META, World

pytestmark = pytest.mark.slow
#: Which servers are at fault at the same time. The halves meet only in stages that hold items of both.
HALVES = {
    "documents": ("google-docs", "image-gen", "ttd"),
    "projects": ("asana-v2", "canva", "dv360", "amazon-dsp", "google-ads"),
}
KINDS = ("error", "hang", "dies", "missing")
#: How the stages end, by design: three TTD lines of five, or two others, are less than three quarters.
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
#: What stands in for something real afterwards, by artifact.
STAND_INS = {
    "documents": {"brief.md", "media-plan.xlsx", "media-plan.csv", "report.md"},
    "projects": {"project-tasks.md", "search-campaign.md"},
}
ABOUT_TWO_CORES = 3


@dataclass
class Faulty:
    """One campaign on servers of which some are at fault."""

    site: Installation
    world: World
    job: dict
    page: str
    report: str


def faulty_world(folder: Path, half: str, kind: str) -> World:
    """Give a world in which the servers of this half are at fault."""
    faults: dict[str, list[str]] = {}
    more: dict[str, dict] = {}
    for role in HALVES[half]:
        if kind == "error":
            word = "toperror" if role == "asana-v2" else "iserror"
            faults[role] = [f"{tool}:{word}=out of order" for tool in EFFECTS[role]]
        elif kind == "hang":
            faults[role] = [f"{tool}:hang" for tool in fakes.CONTRACT[role]]
            more[role] = {"timeout": 0.5}
        elif kind == "dies":
            faults[role] = [f"{tool}:die-before" for tool in EFFECTS[role]]
        else:
            more[role] = {"command": str(folder / "no-such-program")}
    return World(folder, faults=faults, more=more)


def run(folder: Path, half: str, kind: str) -> Faulty:
    """Run the reference campaign in such a world, to its end, in an installation of its own."""
    world = faulty_world(folder, half, kind)
    with Installation(folder, TOOL_SERVERS=str(world.file)) as site:
        job = site.ended(site.launch(), within=90)
        with site.browser() as person:
            page = person.get(job["pageUrl"]).text
            for artifact in job["artifacts"]:
                if artifact["fileUrl"]:
                    assert len(person.get(artifact["fileUrl"]).content) > 100, artifact["name"]
        report = site.api.get(by_name(job)["report.md"]["fileUrl"]).text
    return Faulty(site, world, job, page, report)


@pytest.fixture(scope="module")
def all_of_them(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """Run all cases a few at a time: they mostly wait."""
    with ThreadPoolExecutor(ABOUT_TWO_CORES) as pool:
        yield {
            (half, kind): pool.submit(run, tmp_path_factory.mktemp(f"{half}-{kind}"), half, kind)
            for half in HALVES
            for kind in KINDS
        }


@pytest.fixture(params=[(half, kind) for half in HALVES for kind in KINDS], ids=lambda pair: "-".join(pair))
def case(request: pytest.FixtureRequest, all_of_them: dict) -> tuple[str, str, Faulty]:
    return (*request.param, all_of_them[request.param].result(110))


def test_each_stage_ends_as_it_must_and_the_job_is_partial(case: tuple[str, str, Faulty]):
    half, _, faulty = case
    assert stages(faulty.job) == ENDS[half]
    assert faulty.job["status"] == "partial"
    for stage in faulty.job["stages"]:
        assert bool(stage["error"]) == (stage["status"] != "completed"), stage
        told = {name for name in HALVES[half] if name in stage["error"]}
        assert told or not stage["error"], stage["error"]


def test_what_stands_in_is_called_a_fallback_and_nothing_else_is(case: tuple[str, str, Faulty]):
    half, _, faulty = case
    found = {one["name"] for one in faulty.job["artifacts"] if one["source"] == "fallback"}
    lines = {name for name in found if name.startswith("line-")}
    pictures = {name for name in found if name.startswith("creative-")}
    assert found - lines - pictures == STAND_INS[half]
    # a picture that was generated stays the generated one where only its design is missing
    assert (len(lines), len(pictures)) == ((3, 4) if half == "documents" else (2, 0))
    for one in faulty.job["artifacts"]:
        assert one["source"] in ("live", "local", "fallback")
        assert one["note"] or one["source"] != "fallback" or one["name"].startswith("brief"), one


def test_every_line_and_creative_has_its_page_or_picture_all_the_same(case: tuple[str, str, Faulty]):
    kinds = [one["kind"] for one in case[2].job["artifacts"]]
    assert kinds.count("line") == 5 and kinds.count("image") == 4


def test_the_page_and_the_report_name_each_stand_in(case: tuple[str, str, Faulty]):
    half, _, faulty = case
    stand_ins = [one for one in faulty.job["artifacts"] if one["source"] == "fallback"]
    assert f"{len(stand_ins)} stand-in" in faulty.page
    assert faulty.page.count("b-fallback") >= len(stand_ins)
    plain = faulty.report.replace("\\", "")
    for one in stand_ins:
        if one["name"] != "report.md":  # it cannot tell its own end
            row = next(line for line in plain.splitlines() if one["title"] in line and "fallback" in line)
            assert row
    for status in {"failed", "partial"} & set(ENDS[half].values()):
        assert status in plain


def test_a_call_that_may_have_happened_is_called_unknown_and_never_sent_again(case: tuple[str, str, Faulty]):
    half, kind, faulty = case
    unknown = [call for call in faulty.job["calls"] if call["state"] == "unknown"]
    assert bool(unknown) == (kind in ("hang", "dies"))
    assert {call["server"] for call in unknown} <= set(HALVES[half])
    for role in HALVES[half]:
        sent = [
            one["meta"][META] for one in faulty.world.entries(role, "start") if one["tool"] in EFFECTS[role]
        ]
        assert len(sent) == len(set(sent)), role
        assert not [one for one in faulty.world.entries(role, "effect") if one["tool"] in EFFECTS[role]]
