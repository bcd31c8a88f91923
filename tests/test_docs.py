"""The docs keep step with the code: settings, commands, options, links, words; and they name no machine."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from campaigns.brief.presets import preset_names
from campaigns.roles import ROLES
from config.environment import Environment
from jobs.engine.results import JobStatus, Source, Status
from jobs.models import ToolCall, Webhook

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
TEXTS = [
    *PAGES,
    *(ROOT / "docs").rglob("*.py"),
    ROOT / "Makefile",
    ROOT / ".ci" / "run",
    ROOT / "pyproject.toml",
    *ROOT.glob("requirements*.lock"),
]
INDEX_HOSTS = (
    r"pypi\.|pythonhosted|npmjs|registry\.(?!py\b)|--(extra-)?index-url\s|--find-links\s|--trusted-host\s"
)
MACHINE_PATHS = r"(?<![\w./~$}-])/(home|root|work|Users|tmp|opt|mnt|srv)(/|\b)|[A-Z]:\\\\"
OURS = {"jobs", "campaigns"}
# what Django gives every command
COMMON = {
    option
    for action in BaseCommand().create_parser("manage.py", "x")._actions
    for option in action.option_strings
}
WORDS = [
    "flight",
    "line",
    "tactic",
    "creative",
    "stage",
    "step",
    "attempt",
    "lease",
    "permit",
    "deadline",
    "backoff",
    "job",
    "item",
    "call",
    "artifact",
    "brief",
    "campaign",
    "workflow",
    "role",
    "event",
    "feed",
    "fold",
    "doorbell",
    "hub",
    "piece",
    "preset",
    "unknown",
    "source",
    "webhook",
    "outbox",
    "delivery",
]


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands() -> dict[str, BaseCommand]:
    """Give the project's own commands by name."""
    return {name: load_command_class(app, name) for name, app in get_commands().items() if app in OURS}


def rows(text: str) -> list[str]:
    """Give what stands in the first cell of each row of a page's tables."""
    return re.findall(r"^\| (.+?) (?<!\\)\|", text, re.MULTILINE)


def settings_read() -> set[str]:
    """Return every variable that the settings are read from."""
    return {name.upper() for name in Environment.model_fields}


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as the usual renderers make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_setting_stands_in_the_readme_and_no_other():
    told = {cell.strip("`") for cell in rows(README) if re.fullmatch(r"`[A-Z_]+`", cell)}
    assert len(settings_read()) >= 14
    assert told == settings_read()


def test_every_command_stands_in_the_readme_with_all_its_options_and_no_other():
    told = {cell[1:].split()[0].strip("`"): cell for cell in rows(README) if re.match(r"`[a-z]+[ `]", cell)}
    told = {name: cell for name, cell in told.items() if name not in {str(source) for source in Source}}
    assert set(told) == set(commands())
    for name, command in commands().items():
        parser = command.create_parser("manage.py", name)
        options = {option for action in parser._actions for option in action.option_strings} - COMMON
        assert set(re.findall(r"--[a-z-]+", told[name])) == options, name


@pytest.mark.parametrize("path", TEXTS, ids=names)
def test_nothing_names_a_package_index_or_a_path_of_a_machine(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.replace("#!/usr/bin/env", "").replace("--no-emit-index-url", "")
        assert not re.search(INDEX_HOSTS, line), f"{names(path)}:{number}"
        assert not re.search(MACHINE_PATHS, line), f"{names(path)}:{number}"


@pytest.mark.parametrize(
    "line", ["see {}home/me/x", "cd {}work", "{}tmp/a", "--index{}url https://x", "from py{}pi.org"]
)
def test_a_path_or_an_index_would_be_seen(line):
    # put together here, so that this page holds none itself
    told = line.format({"--index{}url https://x": "-", "from py{}pi.org": ""}.get(line, "/"))
    assert re.search(f"{INDEX_HOSTS}|{MACHINE_PATHS}", told)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        assert goal.is_file(), f"{names(page)} links to {target}"
        assert not anchor or anchor in anchors(goal), f"{names(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_files_that_a_page_names_are_there(page):
    text = page.read_text(encoding="utf-8")
    for file in re.findall(r"`((?:jobs|campaigns|config|tests|docs)/[\w./]+\.\w+)`", text):
        assert (ROOT / file).exists(), f"{names(page)} names {file}"


@pytest.mark.parametrize("picture", ["live", "summary"])
def test_the_readme_shows_a_small_picture_that_is_there(picture):
    assert f"](docs/pictures/{picture}.png)" in README
    assert 10_000 < (ROOT / "docs" / "pictures" / f"{picture}.png").stat().st_size < 300_000


@pytest.mark.parametrize("word", WORDS)
def test_the_glossary_explains_the_word(word):
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert re.search(rf"\*\*{word}\*\*", text)


def test_the_statuses_page_has_every_status_of_the_code():
    told = {cell.strip("`") for cell in rows((ROOT / "docs" / "statuses.md").read_text(encoding="utf-8"))}
    used = {str(one) for kind in (JobStatus, Status, Source, ToolCall.State) for one in kind}
    assert told - {"status", "state", "source"} - {"---"} == used


def test_the_webhooks_page_has_all_that_one_can_be_told_of_with_its_type():
    text = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| (\w+) \| `job\.(\w+)` \|", text, re.MULTILINE))
    assert told == {kind: kind for kind in Webhook.Kind.values}


def test_the_tool_servers_page_has_every_role_with_its_limit():
    table = re.findall(
        r"^\| `([\w-]+)` \| `.*?\| (\d+) \|",
        (ROOT / "docs" / "tool-servers.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert dict(table) == {role.name: str(role.concurrency) for role in ROLES.values()}


def test_the_sample_of_the_readme_is_a_preset():
    assert '"campaign": "aurora-one"' in README
    assert "aurora-one" in preset_names()


def test_the_changes_tell_of_this_version():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
