"""The rules for packages: allowed imports and maximum lengths. Each rule is also tested on a violation."""

import ast
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("config", "campaigns", "jobs", "tests", "docs", "benchmarks")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
FULLEST_FOLDER = 15  # modules, __init__.py not counted
# the packages of jobs, lowest first: a package imports only from lower tiers
TIERS = (
    ("jobs.engine",),
    ("jobs.tools.contract", "jobs.models"),
    ("jobs.tools.wire",),
    ("jobs.tools",),
    ("jobs.store", "jobs.registry"),
    ("jobs.acts", "jobs.public"),
    ("jobs.webhooks",),
    ("jobs.worker", "jobs.live", "jobs.cli"),
    ("jobs.api", "jobs.admin"),
    ("jobs.pages",),
)
HTTP = {"aiohttp", "h11", "http", "httpcore", "httpx", "httpx2", "requests", "urllib3", "websockets"}
# user interfaces, which read through feed and act through actions
FACES = ("jobs.live", "jobs.api", "jobs.pages", "campaigns.form")
MACHINES = (
    "jobs.tools.gateway",
    "jobs.tools.wire.session",
    "jobs.engine.runner",
    "jobs.worker.perform",
    "jobs.worker.runtime",
)


@dataclass(frozen=True)
class Module:
    """One Python file of the project: its dotted name, its text and its imports."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> set[str]:
        """Return each imported name in full: `from a import b` counts as a.b."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{self._base(node)}.{alias.name}" for alias in node.names}
        return found

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        return f"{package}.{node.module}" if node.module else package


def modules(root: Path) -> dict[str, Module]:
    """Return every module of the tree by its dotted name, except Django's migrations."""
    files = [file for room in ROOMS for file in sorted((root / room).rglob("*.py"))]
    found = {}
    for file in [*files, *root.glob("manage.py")]:
        parts = file.relative_to(root).with_suffix("").parts
        if "migrations" not in parts:
            name = ".".join(parts).removesuffix(".__init__")
            found[name] = Module(name, file)
    return found


def inside(name: str, *rooms: str) -> bool:
    """Return whether a dotted name is in one of these packages or modules."""
    return any(name == room or name.startswith(room + ".") for room in rooms)


def reached(start: Module, tree: dict[str, Module]) -> Iterator[tuple[str, str]]:
    """Yield each import of a module, direct or through campaigns, with the module that contains it."""
    todo, seen = [start], {start.name}
    while todo:
        module = todo.pop()
        for name in sorted(module.imports):
            yield name, module.name
            own = tree.get(name) or tree.get(name.rpartition(".")[0])
            if own and own.name not in seen and inside(own.name, "campaigns"):
                seen.add(own.name)
                todo.append(own)


def engine_knows_the_standard_library_only(tree: dict[str, Module]) -> Iterator[str]:
    for module in tree.values():
        if inside(module.name, "jobs.engine"):
            for name in module.imports:
                if name.split(".")[0] not in sys.stdlib_module_names and not inside(name, "jobs.engine"):
                    yield f"{module.name} imports {name}"


def tools_know_no_django_and_no_campaigns(tree: dict[str, Module]) -> Iterator[str]:
    for module in tree.values():
        if inside(module.name, "jobs.tools"):
            for name in module.imports:
                ours = inside(name, "jobs") and not inside(name, "jobs.tools", "jobs.engine")
                if ours or inside(name, "django", "campaigns", "config"):
                    yield f"{module.name} imports {name}"


def jobs_know_no_campaigns(tree: dict[str, Module]) -> Iterator[str]:
    for module in tree.values():
        if inside(module.name, "jobs"):
            yield from (f"{module.name} imports {n}" for n in module.imports if inside(n, "campaigns"))


def stages_know_no_django_no_mcp_and_no_http(tree: dict[str, Module]) -> Iterator[str]:
    barred = ("django", "mcp", "urllib.request", "jobs.tools.gateway", "jobs.tools.wire.session", *HTTP)
    for module in tree.values():
        if inside(module.name, "campaigns.stages"):
            for name, by in reached(module, tree):
                if inside(name, *barred):
                    yield f"{module.name} reaches {name}" + (f" through {by}" if by != module.name else "")


def faces_read_through_feed_and_act_through_actions(tree: dict[str, Module]) -> Iterator[str]:
    for module in tree.values():
        if inside(module.name, *FACES):
            for name in module.imports:
                if inside(
                    name, *MACHINES, "jobs.models.WorkflowEvent", "jobs.worker.journal", "jobs.store.writer"
                ):
                    yield f"{module.name} imports {name}"


def there_are_no_signals_no_services_and_no_utils(tree: dict[str, Module]) -> Iterator[str]:
    for module in tree.values():
        if module.name.rpartition(".")[2] in ("signals", "services", "utils", "helpers"):
            yield f"{module.name} is a name that says nothing"
        for name in module.imports:
            if inside(name, "django.dispatch") or "signals" in name.split("."):
                yield f"{module.name} imports {name}"


def every_module_says_first_what_lives_in_it(tree: dict[str, Module]) -> Iterator[str]:
    for module in tree.values():
        empty_package = module.path.name == "__init__.py" and not module.text.strip()
        lines = module.text.removeprefix("#!/usr/bin/env python\n").lstrip("\n")
        if not empty_package and not (ast.get_docstring(module.tree) and lines.startswith('"""')):
            yield f"{module.name} does not begin with a docstring"


def nothing_is_too_long(tree: dict[str, Module]) -> Iterator[str]:
    for module in tree.values():
        lines = len(module.text.splitlines())
        if lines > LONGEST_FILE:
            yield f"{module.name} has {lines} lines, of at most {LONGEST_FILE}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                long = (node.end_lineno or node.lineno) - node.lineno + 1
                if long > LONGEST_FUNCTION:
                    yield f"{module.name}.{node.name} has {long} lines, of at most {LONGEST_FUNCTION}"


def tier(name: str) -> tuple[int, str] | None:
    """Return the tier and the package of a dotted name; None outside jobs."""
    found = [(len(wing), at, wing) for at, wings in enumerate(TIERS) for wing in wings if inside(name, wing)]
    return max(found)[1:] if found else None


def no_wing_imports_upwards(tree: dict[str, Module]) -> Iterator[str]:
    for module in tree.values():
        own = tier(module.name)
        for name in module.imports if own else ():
            other = tier(name)
            if own and other and other[1] != own[1] and other[0] >= own[0]:
                yield f"{module.name} imports {name}, which is not below it"


def imports_form_no_circle(tree: dict[str, Module]) -> Iterator[str]:
    code = {name: module for name, module in tree.items() if inside(name, "jobs", "campaigns", "config")}
    arrows = {}
    for module in code.values():
        found = (name if name in code else name.rpartition(".")[0] for name in module.imports)
        arrows[module.name] = {name for name in found if name in code and name != module.name}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        yield f"imports in a circle: {' -> '.join(error.args[1])}"


def no_folder_is_too_full(tree: dict[str, Module]) -> Iterator[str]:
    code = [
        m.path for m in tree.values() if inside(m.name, "jobs", "campaigns") and "__init__" not in m.path.name
    ]
    for folder, files in Counter(path.parent for path in code).items():
        if files > FULLEST_FOLDER:
            yield f"{folder.name} has {files} modules, of at most {FULLEST_FOLDER}"


Rule = Callable[[dict[str, Module]], Iterator[str]]
RULES: tuple[Rule, ...] = (
    engine_knows_the_standard_library_only,
    tools_know_no_django_and_no_campaigns,
    jobs_know_no_campaigns,
    stages_know_no_django_no_mcp_and_no_http,
    faces_read_through_feed_and_act_through_actions,
    there_are_no_signals_no_services_and_no_utils,
    every_module_says_first_what_lives_in_it,
    nothing_is_too_long,
    no_wing_imports_upwards,
    imports_form_no_circle,
    no_folder_is_too_full,
)


@pytest.fixture(scope="module")
def project() -> dict[str, Module]:
    return modules(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Rule, project: dict[str, Module]) -> None:
    assert list(rule(project)) == []


def test_the_whole_project_is_checked(project: dict[str, Module]) -> None:
    for name in (
        "manage",
        "jobs.engine.runner",
        "jobs.tools.gateway",
        "campaigns.stages.brief",
        "jobs.api.operations",
    ):
        assert name in project
    assert "jobs.engine.graph.Stage" in project["campaigns.workflow"].imports


@pytest.mark.parametrize(
    ("rule", "file", "text", "fault"),
    [
        (RULES[0], "jobs/engine/a.py", "import rich", "jobs.engine.a imports rich"),
        (
            RULES[0],
            "jobs/engine/a.py",
            "from ..store.feed import after",
            "jobs.engine.a imports jobs.store.feed.after",
        ),
        (RULES[0], "jobs/engine/a.py", "def f():\n    import django", "jobs.engine.a imports django"),
        (RULES[1], "jobs/tools/a.py", "from django.conf import settings", "django.conf.settings"),
        (RULES[1], "jobs/tools/a.py", "from jobs.store import feed", "jobs.tools.a imports jobs.store.feed"),
        (
            RULES[2],
            "jobs/a.py",
            "from campaigns.brief.schema import Brief",
            "jobs.a imports campaigns.brief.schema.Brief",
        ),
        (RULES[3], "campaigns/stages/a.py", "import httpx2", "campaigns.stages.a reaches httpx2"),
        (
            RULES[3],
            "campaigns/stages/a.py",
            "from campaigns import b",
            "django.db.models through campaigns.b",
        ),
        (
            RULES[4],
            "jobs/api/jobs.py",
            "from jobs.tools.gateway import Gateway",
            "jobs.tools.gateway.Gateway",
        ),
        (
            RULES[4],
            "jobs/pages/views.py",
            "from jobs.models import Job, WorkflowEvent",
            "jobs.models.WorkflowEvent",
        ),
        (RULES[5], "jobs/utils.py", "", "jobs.utils is a name that says nothing"),
        (RULES[5], "jobs/a.py", "from django.db.models.signals import post_save", "signals.post_save"),
        (RULES[6], "jobs/a.py", "import os\n'''Late.'''", "jobs.a does not begin with a docstring"),
        (RULES[7], "jobs/a.py", "x = 1\n" * 401, "jobs.a has 401 lines"),
        (RULES[8], "jobs/engine/a.py", "from jobs.store import feed", "jobs.store.feed, which is not below"),
        (RULES[8], "jobs/live/a.py", "from jobs.cli import board", "jobs.cli.board, which is not below"),
        (
            RULES[8],
            "jobs/tools/wire/a.py",
            "import jobs.tools.gateway",
            "gateway, which is not below",
        ),
        (RULES[7], "jobs/a.py", "def f():\n" + "    x = 1\n" * 60, "jobs.a.f has 61 lines"),
    ],
)
def test_a_violation_of_a_rule_is_found(tmp_path: Path, rule: Rule, file: str, text: str, fault: str) -> None:
    for name, content in {"campaigns/b.py": "from django.db import models", file: text}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert any(fault in found for found in rule(modules(tmp_path)))


def test_an_import_cycle_and_a_full_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    for number in range(16):
        (tmp_path / f"jobs/m{number}.py").write_text(f"import jobs.m{(number + 1) % 16}\n")
    tree = modules(tmp_path)
    assert any("jobs.m0 -> " in fault for fault in imports_form_no_circle(tree))
    assert list(no_folder_is_too_full(tree)) == ["jobs has 16 modules, of at most 15"]


def test_every_test_file_contains_tests() -> None:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert [file.name for file in files if "def test_" not in file.read_text(encoding="utf-8")] == []
