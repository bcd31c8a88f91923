"""External servers that know only the contract: five concurrent campaigns, measured at the servers."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import fakes
from tests.e2e.conftest import Start
from tests.e2e.installation import Installation, by_name, stages, until
from tests.e2e.outside import DSPS, EFFECTS, META, ROLES, World

pytestmark = pytest.mark.slow
CAMPAIGNS = 5
#: The limits in the file, or the role's own limit if the file has none.
LIMITS = {
    "google-docs": 2,
    "asana-v2": 5,
    "image-gen": 1,
    "canva": 2,
    "ttd": 4,
    "dv360": 2,
    "amazon-dsp": 2,
    "google-ads": 2,
}
EXPLICIT = ("google-docs", "image-gen", "dv360")
KEYED = {
    "image-gen": "reference",
    "canva": "reference",
    "google-ads": "external_id",
    **dict.fromkeys(DSPS, "external_id"),
}
#: Effects of one reference campaign with search, by tool.
ONCE = {
    "createFolder": 1,
    "createDocument": 2,
    "createSpreadsheet": 1,
    "writeSpreadsheet": 1,
    "asana_create_project": 1,
    "asana_create_task": 13,
    "generate_image": 4,
    "upload_asset": 4,
    "create_design": 4,
    "create_campaign": 5,
    "google_ads_create_campaign": 1,
}


@dataclass
class Five:
    """Five campaigns that ran concurrently."""

    world: World
    site: Installation
    jobs: list[dict]


@pytest.fixture(scope="module")
def five(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Five:
    world = World(
        tmp_path_factory.mktemp("outside"),
        more={role: {"concurrency": LIMITS[role]} for role in EXPLICIT},
        # there are few lines, so they must last until the campaigns overlap
        latency={role: 1.0 if role in DSPS else 0.1 for role in ROLES},
    )
    site = start(TOOL_SERVERS=str(world.file))
    ids = [site.launch() for _ in range(CAMPAIGNS)]
    return Five(world, site, [site.ended(id) for id in ids])


def test_campaigns_complete_and_artifacts_of_external_servers_are_live(five: Five):
    for job in five.jobs:
        assert job["status"] == "completed", (job["error"], stages(job))
        sources = {artifact["kind"]: artifact["source"] for artifact in job["artifacts"]}
        outside = ("document", "sheet", "project", "image", "line", "search", "report")
        assert {sources[kind] for kind in outside} == {"live"}
        assert by_name(job)["project"]["url"].startswith("https://asana.example/")
        designs = [one["url"] for one in job["artifacts"] if one["kind"] == "image"]
        assert len(designs) == 4 and all(url.startswith("https://canva.example/") for url in designs)


@pytest.mark.parametrize("role", ROLES)
def test_calls_at_a_server_reach_its_limit_and_never_exceed_it(five: Five, role: str):
    assert five.world.peak(role) == LIMITS[role]


@pytest.mark.parametrize("role", ROLES)
def test_only_declared_arguments_are_sent(five: Five, role: str):
    sent = five.world.entries(role, "start")
    assert sent
    for call in sent:
        declared = fakes.schema(fakes.CONTRACT[role][call["tool"]])
        assert call["args"].keys() <= declared["properties"].keys(), call["tool"]
        assert set(declared["required"]) <= call["args"].keys(), call["tool"]


@pytest.mark.parametrize("role", ROLES)
def test_every_effect_has_its_own_key_in_every_place_where_the_server_reads_one(five: Five, role: str):
    keys = set()
    for effect in (one for one in five.world.entries(role, "effect") if one["tool"] in EFFECTS[role]):
        key, args = effect["meta"][META], effect["args"]
        keys.add((effect["tool"], key))
        assert len(key) == 32
        if role in KEYED:
            assert args[KEYED[role]] == key
        if role == "asana-v2":
            assert args["notes"].splitlines()[-1] == f"ref fp-{key[:12]}"
        if effect["tool"] == "createFolder":
            assert f"fp-{key[:12]}" in args["name"]
    effects = [one for one in five.world.entries(role, "effect") if one["tool"] in EFFECTS[role]]
    assert len(keys) == len(effects) > 0


def test_each_effect_happens_exactly_once_for_each_campaign(five: Five):
    counts = Counter(one["tool"] for role in ROLES for one in five.world.entries(role, "effect"))
    assert {tool: counts[tool] for tool in ONCE} == {tool: n * CAMPAIGNS for tool, n in ONCE.items()}
    sent = Counter(one["tool"] for role in ROLES for one in five.world.entries(role, "start"))
    assert {tool: sent[tool] for tool in ONCE} == {tool: counts[tool] for tool in ONCE}


def test_documents_are_created_in_their_jobs_folder(five: Five):
    folders = {one["id"] for one in five.world.entries("google-docs", "effect", "createFolder")}
    documents = five.world.entries("google-docs", "effect", "createDocument")
    inside = Counter(one["args"]["parentFolderId"] for one in documents)
    assert inside == dict.fromkeys(folders, 2)


def test_a_rate_per_minute_is_kept_and_the_page_shows_waiting_calls(start: Start, tmp_path: Path):
    world = World(tmp_path, more={"ttd": {"perMinute": 2}})
    site = start(TOOL_SERVERS=str(world.file))
    id = site.launch()
    others = {"brief", "plan", "project", "landing", "creative", "search"}
    until(lambda: {stages(site.job(id))[one] for one in others} == {"completed"}, "the other stages")
    until(lambda: len(world.entries("ttd", "end")) == 2, "two lines at the DSP")
    job = site.job(id)
    waiting = [call["server"] for call in job["calls"] if call["state"] == "waiting"]
    assert waiting == ["ttd"] and stages(job)["activate"] == "running"
    assert len(world.entries("ttd", "start")) == 2
    with site.browser() as person:
        assert "waiting: ttd" in person.get(f"/jobs/{id}/").text
