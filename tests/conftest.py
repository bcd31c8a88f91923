"""Shared setup: a database in a real file, because threads and processes share it."""

import os
from collections import Counter

import pytest
from django.conf import settings
from django.core.management.color import no_style
from django.db import connections
from django.test import TransactionTestCase
from hypothesis import settings as hypothesis

# examples have no deadline, because any of them can be slow on a busy machine
hypothesis.register_profile("developer", deadline=None)
# CI uses the same inputs in every run; on a developer's machine they vary
hypothesis.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.load_profile("ci" if os.environ.get("CI") else "developer")

# written once when the database is created, and never by a test
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def pytest_configure() -> None:
    """Disable slow password hashes and the static files scan, which cost each test 60 ms for nothing."""
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
    """Put the test database in a file; SQLite locks differently in memory."""
    if settings.SQLITE:
        file = tmp_path_factory.mktemp("database") / "test.sqlite3"
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(file)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each reason why tests were skipped."""
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    for reason, tests in sorted(reasons.items()):
        terminalreporter.write_line(f"{tests} skipped: {reason.removeprefix('Skipped: ')}")
