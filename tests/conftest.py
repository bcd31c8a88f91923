"""What all tests share: a database in a real file, because threads and processes meet in it."""

import os
from collections import Counter

import pytest
from django.conf import settings
from django.core.management.color import no_style
from django.db import connections
from django.test import TransactionTestCase
from hypothesis import settings as hypothesis

# an example has no deadline: on a busy machine any of them can take long
hypothesis.register_profile("developer", deadline=None)
# the build machine tries the same inputs each time; on a developer's machine they differ from run to run
hypothesis.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.load_profile("ci" if os.environ.get("CI") else "developer")

# written once when the database is made, and never by a test
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def pytest_configure() -> None:
    """Leave out what costs each test 60 ms and proves nothing: slow hashes, a walk over all static files."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.WHITENOISE_AUTOREFRESH = True


def empty_tables(case: TransactionTestCase) -> None:
    """Delete the rows of all tables but KEPT, after a test that commits.

    Django's own way empties these three as well, and fills them again for each test.
    """
    for alias in case._databases_names(include_mirrors=False):
        database = connections[alias]
        tables = set(database.introspection.django_table_names(only_existing=True, include_views=False))
        database.ops.execute_sql_flush(
            database.ops.sql_flush(no_style(), sorted(tables - KEPT), reset_sequences=False)
        )


TransactionTestCase._fixture_teardown = empty_tables


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
