"""A dry run of a whole installation with eight external servers, whose ledgers show no call."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaigns.workflow import LIFECYCLE
from jobs.engine.estimate import PlannedCall, waits
from jobs.tools.dry_run import steps_in
from tests.e2e.conftest import Start
from tests.e2e.installation import Installation, by_name, stages
from tests.e2e.outside import ROLES, World

pytestmark = pytest.mark.slow


@dataclass
class Both:
    """A dry run, the calls sent by its end, and a later launch of the same brief."""

    world: World
    site: Installation
    dry: dict
    sent: list[dict]
    real: dict


def dry_run(site: Installation, **more: object) -> dict:
    """Make a dry run of the reference campaign and return its job."""
    answer = site.post("aurora-one", **{"includeSearch": True, "dryRun": True} | more)
    assert answer.status_code == 202, answer.text
    return site.ended(answer.json()["jobId"])


def starts(world: World) -> list[dict]:
    """Return every tool call that arrived at any server."""
    return [one for role in ROLES for one in world.entries(role, "start")]


@pytest.fixture(scope="module")
def both(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Both:
    world = World(tmp_path_factory.mktemp("outside"))
    site = start(TOOL_SERVERS=str(world.file))
    dry = dry_run(site)
    sent = starts(world)
    return Both(world, site, dry, sent, site.ended(site.launch()))


def test_a_dry_run_completes_and_connects_to_the_servers_but_never_calls_them(both: Both):
    assert (both.dry["status"], both.dry["dryRun"]) == ("completed", True), stages(both.dry)
    assert both.sent == []
    assert all(both.world.entries(role, "hello") for role in ROLES)


def test_a_dry_run_lists_exactly_the_calls_that_a_launch_makes(both: Both):
    def listed(job: dict) -> set[tuple[str, str, str, str]]:
        return {(call["step"], call["server"], call["tool"], call["item"]) for call in job["calls"]}

    assert both.real["status"] == "completed"
    assert listed(both.dry) == listed(both.real)
    assert {call["state"] for call in both.dry["calls"]} == {"planned"}
    assert (both.real["dryRun"], both.real["plan"]) == (False, None)


def test_the_arguments_are_those_that_a_launch_sends(both: Both):
    planned = Counter((call["tool"], *sorted(call["arguments"])) for call in both.dry["calls"])
    sent = Counter((one["tool"], *sorted(one["args"])) for one in starts(both.world))
    assert planned == sent


def test_every_call_has_its_expected_time_and_the_plan_has_the_total(both: Both):
    plan, calls = both.dry["plan"], both.dry["calls"]
    assert plan["calls"] == len(calls)
    assert plan["servers"] == Counter(call["server"] for call in calls)
    assert all(call["expected"] > 0 and call["limit"] > 0 for call in calls)
    assert 0 < plan["bound"] <= plan["seconds"] < sum(call["expected"] for call in calls)
    assert {call["perMinute"] for call in calls} == {6000}


def test_calls_that_wait_for_each_other_in_the_estimate_do_so_in_a_launch(both: Both):
    calls = [
        PlannedCall(
            stage=call["stage"],
            step=call["step"],
            server=call["server"],
            tool=call["tool"],
            seconds=call["expected"],
            item=call["item"],
            after=tuple(steps_in(call["arguments"])),
        )
        for call in both.dry["calls"]
    ]
    events = both.site.events(both.real["jobId"], "?detail=all")
    start = {one["step"]: one["seq"] for one in events if one["type"] == "call:start"}
    end = {one["step"]: one["seq"] for one in events if one["type"] == "call:complete"}
    waiting = waits(LIFECYCLE, calls)
    assert sum(map(len, waiting.values())) > len(calls)
    for step, before in waiting.items():
        assert all(end[one] < start[step] for one in before), step


def test_nothing_in_a_dry_run_is_shown_as_existing(both: Both):
    job = both.dry
    assert {artifact["source"] for artifact in job["artifacts"]} == {"simulated", "local"}
    assert not any(call["remoteId"] or call["remoteUrl"] or call["source"] for call in job["calls"])
    assert not any(artifact.get("remoteId") for artifact in job["artifacts"])
    assert all((artifact.get("url") or "/").startswith("/") for artifact in job["artifacts"])
    with both.site.browser() as person:
        page = person.get(job["pageUrl"]).text
        assert "Dry run: nothing is sent." in page and "A launch would make" in page
        report = person.get(by_name(job)["report.md"]["url"]).text
        assert "nothing was sent" in report


def test_calls_that_would_fail_are_reported_and_nothing_is_called(start: Start, tmp_path: Path):
    faults = {
        "asana-v2": ["asana_create_task:missing"],
        "canva": ["create_design:without=asset_id"],
        "ttd": ["*:refuse"],
    }
    world = World(tmp_path, faults=faults)
    job = dry_run(start(TOOL_SERVERS=str(world.file)))
    assert job["status"] == "partial"
    wrong = {call["server"]: call["error"] for call in job["calls"] if call["state"] == "failed"}
    assert "has no tool asana_create_task" in wrong.pop("asana-v2")
    assert "asset_id is not an argument of this tool" in wrong.pop("canva")
    assert "its process ended" in wrong.pop("ttd")
    assert wrong == {}
    assert {id for id, status in stages(job).items() if status in ("failed", "partial")} == {
        "project",
        "creative",
        "activate",
    }
    assert job["plan"]["servers"].keys() == set(ROLES) - {"ttd"}
    assert starts(world) == []


def test_a_dry_run_works_with_bundled_servers_and_makes_nothing_on_them(start: Start):
    site = start()
    job = dry_run(site)
    assert (job["status"], job["plan"]["calls"]) == ("completed", len(job["calls"]))
    things = (path for path in (site.data / "local").rglob("*") if path.is_file())
    assert [path for path in things if ".sqlite3" not in path.name] == []
