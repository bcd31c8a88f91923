"""An installation sets lines live through its API and its page, each once, even if its worker dies."""

import os
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import Start
from tests.e2e.installation import Installation, by_name, csrf, until
from tests.e2e.outside import DSPS, World

pytestmark = [pytest.mark.slow, pytest.mark.long]
TOOL = "set_campaign_status"
SHELL = (
    "from django.contrib.auth.models import Permission, User; from jobs.models import ApiToken; "
    "user = User.objects.create_user('noor'); "
    "user.user_permissions.add(Permission.objects.get(codename='spend')); "
    "print(ApiToken.make(user, ['read', 'launch', 'spend']))"
)


def made(world: World) -> dict[str, str]:
    """Return the server of each existing line, by the line's id on that server."""
    return {one["id"]: role for role in DSPS for one in world.entries(role, "effect", "create_campaign")}


def set_live(world: World) -> Counter[tuple[str, str, str]]:
    """Return how often each server, id and status was sent to the DSPs."""
    sent = [(role, one["args"]) for role in DSPS for one in world.entries(role, "start", TOOL)]
    return Counter((role, args["id"], args["status"]) for role, args in sent)


def offered(client: httpx2.Client, id: str) -> dict[str, Any]:
    """Return the lines that can be set live."""
    answer = client.get(f"/api/jobs/{id}/activate")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def activate(client: httpx2.Client, id: str, hash: str) -> httpx2.Response:
    """Ask for exactly these lines to be set live."""
    return client.post(f"/api/jobs/{id}/activate", json={"hash": hash})


def test_each_line_is_set_live_once_by_a_permitted_user_and_only_as_shown(start: Start, tmp_path: Path):
    world = World(tmp_path, faults={"dv360": ["create_campaign:iserror=no advertiser@1"]})
    site = start(TOOL_SERVERS=str(world.file))
    spender = site.caller(site.token("read", "launch", "spend"))
    id = site.launch(search=True)
    assert site.ended(id)["status"] == "completed"  # four of five lines are more than three quarters

    first = offered(spender, id)
    assert (len(first["lines"]), first["live"], first["possible"]) == (4, 0, True)
    assert {line["remoteId"]: line["server"] for line in first["lines"]} == made(world)
    assert any("DV360" in sentence for sentence in first["stays"])
    assert any("stays paused" in sentence for sentence in first["stays"])

    assert activate(site.api, id, first["hash"]).status_code == 403
    other = site.caller(site.manage("shell", "-c", SHELL).stdout.split()[-1])
    assert activate(other, id, first["hash"]).status_code == 404
    assert other.get(f"/api/jobs/{id}/activate").status_code == 404
    assert set_live(world) == Counter()

    assert activate(spender, id, first["hash"]).status_code == 202
    job = site.ended(id)
    assert (job["status"], job["round"], job["activation"]["by"]) == ("completed", 2, "admin")
    wanted = Counter((role, line, "ACTIVE") for line, role in made(world).items())
    assert set_live(world) == wanted
    for line in first["lines"]:
        assert by_name(job)[f"line-{line['item']}.md"]["note"] == "ACTIVE"
        page = site.api.get(f"/api/jobs/{id}/artifacts/line-{line['item']}.md").text
        assert "| Status | ACTIVE |" in page
    shown = site.api.get(f"/api/jobs/{id}/artifacts/activation.md").text.replace("\\", "")
    assert all(line["remoteId"] in shown for line in first["lines"])

    assert activate(spender, id, first["hash"]).status_code == 202
    assert (site.job(id)["round"], set_live(world)) == (2, wanted)

    # a retry creates the failed line and sets nothing live; the old hash no longer matches the lines
    assert spender.post(f"/api/jobs/{id}/retry", json={"stage": "activate"}).status_code == 202
    assert site.ended(id)["round"] == 3
    assert set_live(world) == wanted
    assert "review them again" in activate(spender, id, first["hash"]).text
    second = offered(spender, id)
    assert (len(second["lines"]), second["live"]) == (5, 4)
    assert "ACTIVE" in site.api.get(f"/api/jobs/{id}/artifacts/report.md").text

    _by_page(site, id)
    site.ended(id)
    assert set_live(world) == Counter((role, line, "ACTIVE") for line, role in made(world).items())
    assert sum(set_live(world).values()) == 5
    assert offered(spender, id)["reason"] == "5 lines are already live"
    for client in (spender, other):
        client.close()


def _by_page(site: Installation, id: str) -> None:
    """Set the remaining lines live as a person does, with the form on the page."""
    with site.browser() as client:
        assert f"/jobs/{id}/activate" in client.get(f"/jobs/{id}/").text
        page = client.get(f"/jobs/{id}/activate").text
        assert page.count("<td>already live</td>") == 4
        button = re.search(r'<button class="danger">(.*?)</button>', page)
        assert button and re.fullmatch(r"Set 1 line live: USD [\d,.]+", button[1])
        hash = re.search(r'name="hash" value="(\w+)"', page)
        assert hash
        form = {
            "hash": hash[1],
            "checked": "yes",
            "csrfmiddlewaretoken": csrf(client, f"/jobs/{id}/activate"),
        }
        answer = client.post(f"/jobs/{id}/activate", data=form)
        assert answer.status_code == 200
        assert "confirmed by admin" in answer.text


def test_after_a_worker_is_killed_halfway_all_confirmed_lines_are_live_and_no_others(
    start: Start, tmp_path: Path
):
    world = World(tmp_path, latency=dict.fromkeys(DSPS, 0.5))
    site = start(TOOL_SERVERS=str(world.file))
    spender = site.caller(site.token("read", "spend"))
    ids = [site.launch(search=False) for _ in range(2)]  # the second job's lines are not confirmed
    for id in ids:
        assert site.ended(id)["status"] == "completed"
    shown = offered(spender, ids[0])
    assert activate(spender, ids[0], shown["hash"]).status_code == 202
    until(lambda: set_live(world), "the first line is on its way")
    worker = [id for id, words in site.processes().items() if "manage.py worker" in words]
    os.kill(worker[0], signal.SIGKILL)
    assert site.ended(ids[0])["status"] == "completed"
    asked = {(role, line) for role, line, status in set_live(world) if status == "ACTIVE"}
    assert asked == {(line["server"], line["remoteId"]) for line in shown["lines"]}
    assert offered(spender, ids[0])["live"] == len(shown["lines"])
    assert offered(spender, ids[1])["live"] == 0
    spender.close()
