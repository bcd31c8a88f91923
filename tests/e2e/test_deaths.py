"""Campaigns survive workers that die or are stopped, unless they keep killing them."""

import contextlib
import os
import random
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.campaigns.briefs import raw_brief
from tests.e2e.deadly import deadly_world, made_twice
from tests.e2e.installation import Installation, until

pytestmark = [pytest.mark.slow, pytest.mark.long]
HURRIED = {"DJANGO_SETTINGS_MODULE": "tests.e2e.hurried"}


def little(**changes: object) -> dict:
    """Return a small brief whose flight is in the future."""
    begin = datetime.now(UTC).date() + timedelta(days=30)
    return raw_brief(flight_start=str(begin), flight_end=str(begin + timedelta(days=20)), **changes)


def worker(site: Installation) -> int:
    """Return the worker's process id, 0 while there is none."""
    found = [pid for pid, words in site.processes().items() if "manage.py worker" in words]
    return found[0] if found else 0


def kill_worker(site: Installation) -> None:
    """Kill the running worker; wait for one if there is none."""
    pid = until(lambda: worker(site), "a worker")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_job_that_kills_its_worker_is_quarantined_at_the_third_death_and_other_jobs_finish(tmp_path: Path):
    world = deadly_world(tmp_path, {"ttd": ["create_campaign:kill-worker?Arsenic"]})
    with Installation(tmp_path, TOOL_SERVERS=str(world.file), **HURRIED) as site:
        neighbors = [site.launch()]
        poison = site.launch(little(brand="Arsenic"), search=False)
        neighbors.append(site.launch(little(brand="Honey"), search=False))
        job = site.ended(poison)
        assert job["status"] == "failed"
        assert job["error"].startswith("quarantined: its worker died three times while activate.")
        assert job["error"].endswith("was in progress")
        assert [site.ended(id)["status"] for id in neighbors] == ["completed"] * 2
        assert len(world.entries("ttd", "kill")) == 3
        assert site.log.read_text().count("worker ended with exit code -9") == 3
        assert made_twice(world) == {}


def test_a_launch_with_a_lost_message_still_runs_and_jobs_cut_by_ctrl_c_resume_on_the_next_start(
    tmp_path: Path,
):
    world = deadly_world(tmp_path, {}, pace=0.3)
    with Installation(tmp_path, TOOL_SERVERS=str(world.file), **HURRIED) as site:
        os.kill(until(lambda: worker(site), "a worker"), signal.SIGSTOP)
        id = site.launch()
        with contextlib.closing(sqlite3.connect(site.data / "huey.sqlite3", timeout=20)) as queue, queue:
            assert queue.execute("DELETE FROM task").rowcount == 1
        os.kill(worker(site), signal.SIGCONT)
        until(lambda: len(world.entries("asana-v2", "effect")) > 2, "the campaign is in progress")
        site.process.send_signal(signal.SIGINT)
        assert site.process.wait(45) == 0, site.log.read_text()
        until(lambda: not site.processes(), "all processes have ended", 5)
    with Installation(tmp_path, TOOL_SERVERS=str(world.file), **HURRIED) as site:
        assert site.ended(id)["status"] == "completed"
        assert made_twice(world) == {}


@pytest.mark.parametrize("pauses", ["apart", "at once"])
def test_a_job_whose_worker_is_killed_five_times_from_outside_ends_completed(tmp_path: Path, pauses: str):
    world = deadly_world(tmp_path, {}, pace=0.5)
    with Installation(tmp_path, TOOL_SERVERS=str(world.file)) as site:
        id = site.launch()
        chance = random.Random(pauses)
        until(lambda: len(world.entries("asana-v2", "effect")) > 2, "the campaign is in progress")
        for _ in range(5):
            kill_worker(site)
            if pauses == "apart":
                until(lambda: worker(site), "a new worker")
                time.sleep(chance.uniform(2, 4))
        job = site.ended(id, within=100)
        assert (job["status"], job["error"]) == ("completed", "")
        assert made_twice(world) == {}
