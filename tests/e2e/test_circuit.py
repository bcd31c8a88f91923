"""Calls to a failing server are paused: few reach it, a banner says so, and its recovery is detected."""

import html
import time
from pathlib import Path

import pytest

from tests import fakes
from tests.e2e.deadly import SICK, deadly_world, made_twice
from tests.e2e.installation import Installation, by_name, stages
from tests.e2e.outside import World

pytestmark = [pytest.mark.slow, pytest.mark.long]
ILL, TASK, TASKS = "asana-v2", "asana_create_task", 13
COOL_DOWN = 5.0


def sent(world: World) -> int:
    """Count the calls that have reached the server, without look-ups."""
    return sum(one["tool"] not in fakes.FINDS for one in world.entries(ILL, "start"))


def retry(site: Installation, id: str) -> None:
    """Retry everything that failed."""
    answer = site.api.post(f"/api/jobs/{id}/retry")
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(("kind", "most"), [("rpc", 11), ("hang", 11)])
def test_calls_to_a_failing_server_are_paused_and_resume_when_it_recovers(
    tmp_path: Path, kind: str, most: int
):
    faults = [f"{tool}:{kind}" for tool in fakes.CONTRACT[ILL] if tool not in fakes.FINDS]
    world = deadly_world(tmp_path, {ILL: faults}, **{ILL: {"timeout": 1.0}})
    hurried = {"DJANGO_SETTINGS_MODULE": "tests.e2e.hurried", "COOL_DOWN": str(COOL_DOWN)}
    (tmp_path / SICK).write_text(TASK)  # it starts to fail once it has created the project
    with Installation(tmp_path, TOOL_SERVERS=str(world.file), **hurried) as site:
        first = site.launch()
        job = site.ended(first)
        assert job["status"] == "partial" and stages(job)["project"] in ("failed", "partial")
        assert by_name(job)["project-tasks.md"]["source"] == "fallback"
        assert list(job["down"]) == [ILL]
        with site.browser() as person:
            page = html.unescape(person.get(job["pageUrl"]).text)
        assert page.count(f"<strong>{ILL} is failing; calls to it are paused:</strong>") == 1
        few = sent(world)
        assert 5 <= few <= most

        (tmp_path / SICK).write_text("")
        second = site.launch()
        other = site.ended(second)
        assert other["status"] == "partial" and list(other["down"]) == [ILL]
        assert sent(world) == few

        time.sleep(COOL_DOWN)  # a call is sent to the server, but no event reports its end
        retry(site, second)
        assert site.ended(second)["status"] == "partial"
        assert sent(world) == few + 1

        (tmp_path / SICK).unlink()
        time.sleep(2 * COOL_DOWN)
        for id in (first, second):
            retry(site, id)
        for id in (first, second):
            job = site.ended(id)
            assert job["status"] == "completed" and job["down"] == {}
        assert len(world.entries(ILL, "effect", TASK)) == 2 * TASKS
        assert made_twice(world) == {}
