"""What all tests share: a database in a real file, because threads and processes meet in it."""

import os

import pytest
from django.conf import settings
from hypothesis import settings as hypothesis

# an example has no deadline: on a busy machine any of them can take long
hypothesis.register_profile("developer", deadline=None)
# the build machine tries the same inputs each time; on a developer's machine they differ from run to run
hypothesis.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the test database be a file; in memory SQLite has other locks than on a disk."""
    if settings.SQLITE:
        file = tmp_path_factory.mktemp("database") / "test.sqlite3"
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(file)
