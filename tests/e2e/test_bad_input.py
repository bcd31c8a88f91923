"""Bad input to the API, the form and the command: an error names the field, and nothing is stored."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.campaigns.bad_briefs import BAD
from tests.e2e.conftest import Start
from tests.e2e.installation import Installation, csrf

pytestmark = pytest.mark.slow
#: By fault: the body of a launch, the field that the error must name, and what it must say.
LAUNCHES: dict[str, tuple[Any, str, str]] = {
    "unknown preset": ({"campaign": "no-such-preset"}, "campaign", "preset"),
    "no campaign": ({}, "campaign", "required|missing|needed|preset"),
    "campaign of a wrong type": ({"campaign": 7}, "campaign", "preset|brief"),
    "search of a wrong type": (
        {"campaign": "aurora-one", "includeSearch": "yes"},
        "includeSearch",
        "true|bool",
    ),
    "unknown key of the launch": ({"campaign": "aurora-one", "speed": 1}, "speed", "not a known field"),
    **{name: ({"campaign": campaign}, field, words) for name, (campaign, field, words) in BAD.items()},
}
#: The same on the form: the changed inputs, by name.
TYPED: dict[str, tuple[dict[str, str], str, str]] = {
    "missing": ({"brand": ""}, "brand", "required|missing|needed"),
    "over-long": ({"product": "x" * 5000}, "product", r"\d+ characters|too long"),
    "wrong type": ({"budget": "a lot"}, "budget", "number|amount"),
    "dates reversed": ({"flight_end": "2020-01-01"}, "flight_end", "before|after|later"),
    "budget that does not sum": ({"budget": "1"}, "budget|media_plan", "sum|add up|total"),
}


@pytest.fixture(scope="module")
def site(start: Start) -> Iterator[Installation]:
    """Start an installation that refuses every launch in these tests."""
    site = start()
    yield site
    assert site.jobs() == 0
    assert not list((site.data / "jobs").glob("*"))


def assert_names(faults: list[dict[str, str]], field: str, words: str) -> None:
    """Assert that an error names the field and says what is wrong."""
    named = [(one["field"].removeprefix("campaign."), one["message"]) for one in faults]
    said = [message for name, message in named if re.fullmatch(field, name)]
    assert any(re.search(words, message, re.IGNORECASE) for message in said), named


@pytest.mark.parametrize("case", LAUNCHES)
def test_the_api_rejects_a_bad_field_by_name(site: Installation, case: str):
    body, field, words = LAUNCHES[case]
    answer = site.api.post("/api/workflows/campaign-lifecycle-demo", json=body)
    assert answer.status_code == 422, answer.text
    assert_names(answer.json()["errors"], field, words)
    assert site.jobs() == 0


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"campaign": NaN}'])
def test_the_api_rejects_anything_but_a_json_object(site: Installation, body: str):
    answer = site.api.post("/api/workflows/campaign-lifecycle-demo", content=body)
    assert answer.status_code in (400, 422) and "JSON" in answer.text
    assert site.jobs() == 0


def typed(page: str) -> dict[str, str]:
    """Return the values of a form's inputs, as a browser would send them."""
    values = {}
    for tag in re.findall(r"<input [^>]*>", page):
        words = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if words.get("type") != "checkbox" and "name" in words:
            values[words["name"]] = unescape(words.get("value", ""))
    for name, text in re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL):
        values[name] = unescape(text)
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        values[name] = unescape(chosen[1]) if chosen else ""
    return values


@pytest.fixture(scope="module")
def person(site: Installation) -> Iterator[httpx2.Client]:
    with site.browser() as client:
        yield client


@pytest.mark.parametrize("case", TYPED)
def test_the_form_shows_the_error_at_its_field_and_keeps_the_input(
    site: Installation, person: httpx2.Client, case: str
):
    changes, field, words = TYPED[case]
    sent = typed(person.get("/campaigns/new?preset=aurora-one").text) | changes | {"launch": "yes"}
    answer = person.post("/campaigns/new", data=sent)
    assert answer.status_code == 422
    assert "nothing was launched" in answer.text
    listed = re.search(r'id="errors".*?</div>', answer.text, re.DOTALL)[0]
    named = re.findall(r'<a href="#(?:id_|section-)([^"]+)">[^<]*</a>: ([^<]*)', listed)
    assert_names([{"field": name, "message": unescape(text)} for name, text in named], field, words)
    assert {name: value for name, value in typed(answer.text).items() if name in changes} == changes
    assert site.jobs() == 0


def test_the_form_rejects_an_unknown_preset(person: httpx2.Client):
    assert person.get("/campaigns/new?preset=no-such-preset").status_code == 404


BROKEN_FILES = {
    "no json": ("{", ""),
    "no servers": ("{}", "mcpServers"),
    "wrong type": ('{"mcpServers": {"ttd": {"command": 7}}}', "mcpServers.ttd.command"),
    "no limit": ('{"mcpServers": {"ttd": {"command": "x", "concurrency": 0}}}', "mcpServers.ttd.concurrency"),
    "unset variable": ('{"mcpServers": {"ttd": {"url": "https://${NOT_SET_HERE}/"}}}', "mcpServers.ttd.url"),
}


@pytest.fixture(scope="module")
def changing_file(start: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, Path]:
    """Start an installation whose tool servers file is broken and fixed while it runs."""
    file = tmp_path_factory.mktemp("file") / "servers.json"
    file.write_text("{")
    return start(TOOL_SERVERS=str(file)), file


@pytest.mark.parametrize("case", BROKEN_FILES)
def test_the_api_and_the_form_name_the_broken_field_of_a_servers_file(
    changing_file: tuple[Installation, Path], case: str
):
    site, file = changing_file
    text, field = BROKEN_FILES[case]
    file.write_text(text)
    answer = site.post("aurora-one")
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [f"TOOL_SERVERS {field}".strip()]
    with site.browser() as person:
        sent = typed(person.get("/campaigns/new?preset=aurora-one").text) | {"launch": "yes"}
        page = person.post("/campaigns/new", data=sent)
        assert page.status_code == 422 and f"TOOL_SERVERS {field}".strip() in page.text
        assert csrf(person, "/campaigns/new")
    assert site.jobs() == 0


def test_an_installation_launches_again_once_its_servers_file_is_fixed(
    changing_file: tuple[Installation, Path],
):
    site, file = changing_file
    file.write_text(json.dumps({"mcpServers": {}}))
    assert site.ended(site.launch())["status"] == "completed"


@pytest.mark.parametrize("case", ["brief", "servers file"])
def test_the_command_exits_with_2_and_names_the_field(site: Installation, tmp_path: Path, case: str):
    """One process for each kind of file; tests/jobs/cli/test_launch_command.py has the other faults."""
    bad, file = BAD["wrong type"], tmp_path / "file.json"
    if case == "brief":
        file.write_text(json.dumps(bad[0]))
        done, field, words = site.manage("launch", str(file), check=False), *bad[1:]
    else:
        file.write_text(BROKEN_FILES["no limit"][0])
        done = site.manage("launch", "aurora-one", check=False, TOOL_SERVERS=str(file))
        field, words = r"TOOL_SERVERS mcpServers\.ttd\.concurrency", "at least 1"
    assert done.returncode == 2, done.stderr
    assert re.search(f"^({field}).*({words})", done.stderr, re.IGNORECASE | re.MULTILINE), done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
    assert site.jobs() == 0
