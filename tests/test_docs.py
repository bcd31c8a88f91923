"""The docs match the code: settings, commands, options, links and terms; no file names a machine."""

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
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = [
    *PAGES,
    *(ROOT / "docs").rglob("*.py"),
    ROOT / "Makefile",
    ROOT / ".ci" / "run",
    ROOT / "Dockerfile",
    ROOT / "compose.yaml",
    *(file for file in (ROOT / "docs" / "deploy").iterdir() if file.is_file()),
    ROOT / "pyproject.toml",
    *ROOT.glob("requirements*.lock"),
]
INDEX_HOSTS = (
    r"pypi\.|pythonhosted|npmjs|registry\.(?!py\b)|--(extra-)?index-url\s|--find-links\s|--trusted-host\s"
)
MACHINE_PATHS = r"(?<![\w./~$}-])/(home|root|work|Users|tmp|opt|mnt|srv)(/|\b)|[A-Z]:\\\\"
OURS = {"jobs", "campaigns"}
# read outside config/settings.py
HEADINGS = ["Context", "Decision", "Measured", "Alternatives rejected", "Consequences"]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
# options that Django adds to every command
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
    """Return the project's own commands by name."""
    return {name: load_command_class(app, name) for name, app in get_commands().items() if app in OURS}


def rows(text: str) -> list[str]:
    """Return the first cell of each row of a page's tables."""
    return re.findall(r"^\| (.+?) (?<!\\)\|", text, re.MULTILINE)


def settings_read() -> set[str]:
    """Return every variable that the settings read from the environment."""
    return {name.upper() for name in Environment.model_fields}


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers derive them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_lists_exactly_the_settings_that_are_read() -> None:
    listed = {cell.strip("`") for cell in rows(README) if re.fullmatch(r"`[A-Z_]+`", cell)}
    assert len(settings_read()) >= 14
    assert listed == settings_read()


def test_the_readme_lists_exactly_the_commands_with_their_options() -> None:
    listed = {cell[1:].split()[0].strip("`"): cell for cell in rows(README) if re.match(r"`[a-z]+[ `]", cell)}
    listed = {name: cell for name, cell in listed.items() if name not in {str(source) for source in Source}}
    assert set(listed) == set(commands())
    for name, command in commands().items():
        parser = command.create_parser("manage.py", name)
        options = {option for action in parser._actions for option in action.option_strings} - COMMON
        assert set(re.findall(r"--[a-z-]+", listed[name])) == options, name


@pytest.mark.parametrize("path", TEXTS, ids=names)
def test_no_file_names_a_package_index_or_a_local_path(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.replace("#!/usr/bin/env", "").replace("--no-emit-index-url", "")
        assert not re.search(INDEX_HOSTS, line), f"{names(path)}:{number}"
        assert not re.search(MACHINE_PATHS, line), f"{names(path)}:{number}"


@pytest.mark.parametrize(
    "line", ["see {}home/me/x", "cd {}work", "{}tmp/a", "--index{}url https://x", "from py{}pi.org"]
)
def test_a_local_path_or_a_package_index_is_found(line: str) -> None:
    # assembled here, so that this file contains none itself
    text = line.format({"--index{}url https://x": "-", "from py{}pi.org": ""}.get(line, "/"))
    assert re.search(f"{INDEX_HOSTS}|{MACHINE_PATHS}", text)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_between_pages_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.is_file(), f"{names(page)} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{names(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for file in re.findall(r"`((?:jobs|campaigns|config|tests|docs)/[\w./]+\.\w+)`", text):
        assert (ROOT / file).exists(), f"{names(page)} names {file}"


@pytest.mark.parametrize("picture", ["live", "summary"])
def test_the_readme_shows_a_small_picture_that_exists(picture: str) -> None:
    assert f"](docs/pictures/{picture}.png)" in README
    assert 10_000 < (ROOT / "docs" / "pictures" / f"{picture}.png").stat().st_size < 300_000


@pytest.mark.parametrize("word", WORDS)
def test_the_glossary_explains_the_word(word: str) -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert re.search(rf"\*\*{word}\*\*", text)


def test_the_statuses_page_lists_every_status_of_the_code() -> None:
    listed = {cell.strip("`") for cell in rows((ROOT / "docs" / "statuses.md").read_text(encoding="utf-8"))}
    used = {str(one) for kind in (JobStatus, Status, Source, ToolCall.State) for one in kind}
    assert listed - {"status", "state", "source"} - {"---"} == used


def test_the_webhooks_page_lists_every_kind_with_its_type() -> None:
    text = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| (\w+) \| `job\.(\w+)` \|", text, re.MULTILINE))
    assert listed == {kind: kind for kind in Webhook.Kind.values}


def test_the_tool_servers_page_lists_every_role_with_its_limit() -> None:
    table = re.findall(
        r"^\| `([\w-]+)` \| `.*?\| (\d+) \|",
        (ROOT / "docs" / "tool-servers.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert dict(table) == {role.name: str(role.concurrency) for role in ROLES.values()}


def test_the_sample_of_the_readme_is_a_preset() -> None:
    assert '"campaign": "aurora-one"' in README
    assert "aurora-one" in preset_names()


def test_the_changelog_has_an_entry_for_this_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version and f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_index_links_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)\)", index))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_the_index_of_decisions_links_to_every_record() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\d+-[\w-]+\.md)\)", index) == [page.name for page in DECISIONS]
    assert [int(page.name[:2]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", DECISIONS, ids=names)
def test_a_decision_has_its_number_and_every_part(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(page.name[:2])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_modules_that_a_page_runs_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"python -m ((?:benchmarks|tests|campaigns)[\w.]*)", text):
        path = ROOT / Path(*name.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name
    for file in re.findall(r"pytest ((?:tests/[\w/.]+ ?)+)", text):
        for one in file.split():
            assert (ROOT / one).exists(), one


def test_the_deployment_guide_names_every_file_that_it_needs() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for file in ("nginx.conf", "flightplan-web.service", "flightplan-worker.service"):
        assert f"](deploy/{file})" in text, file
