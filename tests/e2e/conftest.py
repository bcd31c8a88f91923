"""Shared setup of the end-to-end tests: all are slow, and installations start once per module."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.installation import Installation

Start = Callable[..., Installation]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Yield a function that runs an installation until the module ends; its keywords are settings."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            Installation(tmp_path_factory.mktemp("installation"), **settings)
        )
