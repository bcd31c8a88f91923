"""The running site, one process for all tests of this folder that want it."""

from collections.abc import Iterator

import pytest

from tests.jobs import live


@pytest.fixture(scope="session")
def site(django_db_setup: None) -> Iterator[int]:
    """Give the port of a Daphne that serves the tests' database."""
    with live.daphne() as port:
        yield port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts the site as slow."""
    for item in items:
        if "site" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
