"""The bundled servers are tested as the processes they are."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests as slow."""
    for item in items:
        if "tests/campaigns/servers/" in item.nodeid:
            item.add_marker(pytest.mark.slow)
