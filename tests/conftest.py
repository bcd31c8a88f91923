"""What all tests share: a database in a real file, because threads and processes meet in it."""

import os
from collections import Counter

import pytest
from django.conf import settings
from hypothesis import settings as hypothesis

# the build machine tries the same wild inputs each time; on a developer's they differ from run to run
hypothesis.register_profile("ci", derandomize=True, database=None)
hypothesis.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the test database be a file; in memory SQLite has other locks than on a disk."""
    if settings.SQLITE:
        file = tmp_path_factory.mktemp("database") / "test.sqlite3"
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(file)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line a reason for which tests were skipped."""
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    for reason, tests in sorted(reasons.items()):
        terminalreporter.write_line(f"{tests} skipped: {reason.removeprefix('Skipped: ')}")
