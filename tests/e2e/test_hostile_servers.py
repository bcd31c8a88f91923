"""Hostile servers, all on one worker at the same time: each job ends as expected and affects no other."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e import hostile
from tests.e2e.installation import Installation, until

pytestmark = [pytest.mark.slow, pytest.mark.long]
#: Three attempts, each with its deadline, a ping, two look-ups and the lag, on a busy machine.
DEADLINE_SECONDS = 30.0
#: For a job on a healthy server; it takes a fraction of a second if nothing else runs.
WELL_SECONDS = 15.0
MOST_MEMORY = 200_000  # kB that the worker may grow by with all hostile servers together
#: Jobs on the healthy server: one for every EVERY hostile servers.
EVERY = 6
CASES = [name for name in hostile.SERVERS if name != hostile.WELL]


@dataclass
class Seen:
    """Observations of the installation, from the first launch until after its end."""

    world: Path
    jobs: dict[str, dict] = field(default_factory=dict)
    well: list[dict] = field(default_factory=list)
    alive: Counter[str] = field(default_factory=Counter)
    grown: int = 0
    code: int = -1
    left: dict[int, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Run a job on each server, concurrently on one worker, and more jobs on the healthy server."""
    root = tmp_path_factory.mktemp("hostile")
    world = Seen(root)
    site = Installation(
        root,
        DJANGO_SETTINGS_MODULE="tests.e2e.hostile_settings",
        TOOL_SERVERS=str(hostile.servers_file(root)),
        JOBS_AT_ONCE="64",
    )
    site.__enter__()
    try:
        play(site, world)
    finally:
        site.api.close()
        world.code, world.left = site.stop()
    yield world


def play(site: Installation, world: Seen) -> None:
    """Launch all jobs at once and wait until they end."""
    first = launch(site, hostile.WELL)
    site.ended(first)
    before = memory(site, "VmRSS")
    ids, well = {}, [first]
    for number, name in enumerate(CASES):
        ids[name] = launch(site, name)
        if number % EVERY == 0:
            well.append(launch(site, hostile.WELL))
    world.jobs = {name: site.ended(id) for name, id in ids.items()}
    world.well = [site.ended(id) for id in well]
    world.grown = memory(site, "VmHWM") - before
    # abandoned processes are dead by now, so each server has at most one process
    until(lambda: max(servers(site).values()) == 1, f"one process a server, not {servers(site)}", 10)
    world.alive = servers(site)


def launch(site: Installation, server: str) -> str:
    """Launch a job on a server."""
    answer = site.api.post("/api/workflows/hostile/start", json={"server": server})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobId"])


def servers(site: Installation) -> Counter[str]:
    """Count the living processes of each server."""
    return Counter(
        Path(words.split(" --ledger ")[1].split()[0]).stem
        for words in site.processes().values()
        if " --ledger " in words
    )


def memory(site: Installation, what: str) -> int:
    """Return a value of the worker's status in kB."""
    [worker] = [id for id, words in site.processes().items() if "manage.py worker" in words]
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what)))


@pytest.mark.parametrize("name", CASES)
def test_a_job_on_a_hostile_server_ends_in_time_with_the_expected_status(seen: Seen, name: str):
    job, expected = seen.jobs[name], hostile.SERVERS[name]
    assert hostile.states(job) == Counter(expected.states.split()), [call["error"] for call in job["calls"]]
    assert (job["status"] == "completed") == (expected.states == "done done done")
    assert job["timings"]["seconds"] < DEADLINE_SECONDS


@pytest.mark.parametrize("name", hostile.SERVERS)
def test_every_line_exists_at_most_once_and_exactly_once_for_each_done_call(seen: Seen, name: str):
    effects = Counter(one["args"]["external_id"] for one in hostile.ledger(seen.world, name, "effect"))
    jobs = seen.well if name == hostile.WELL else [seen.jobs[name]]
    assert len(effects) == hostile.SERVERS[name].made * len(jobs)
    assert set(effects.values()) <= {1}
    ids = {one["id"] for one in hostile.ledger(seen.world, name, "effect")}
    assert {call["remoteId"] for job in jobs for call in job["calls"] if call["state"] == "done"} == ids


def test_jobs_on_a_healthy_server_are_not_affected(seen: Seen):
    for job in seen.well:
        assert job["status"] == "completed"
        assert job["timings"]["seconds"] < WELL_SECONDS


def test_the_workers_memory_grows_little_with_all_hostile_servers_together(seen: Seen):
    assert seen.grown < MOST_MEMORY, f"{seen.grown} kB"


def test_the_process_of_an_abandoned_server_is_gone_before_the_worker_ends(seen: Seen):
    assert set(seen.alive) <= set(hostile.SERVERS)
    assert set(seen.alive.values()) == {1}


def test_no_process_is_left_after_the_end(seen: Seen):
    assert seen.left == {}
    assert seen.code == 0
