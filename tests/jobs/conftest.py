"""Fixtures: a running site, shared by all tests that use it, and workers of the small workflow."""

from collections.abc import Iterator

import pytest
from django.db import connection, connections

from jobs import registry
from jobs.live.hub import Hub
from jobs.store.writer import Writer
from jobs.webhooks import sender as deliver
from jobs.worker.runtime import Runtime
from tests import fakes
from tests import receiver as receivers
from tests.jobs import running, story


@pytest.fixture(scope="session")
def site(django_db_setup: None) -> Iterator[int]:
    """Return the port of a Daphne process that serves the test database."""
    with running.daphne() as port:
        yield port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that start the site as slow."""
    for item in items:
        if "site" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def writer() -> Iterator[Writer]:
    """Return a worker's writer; it is closed when the test ends."""
    made = Writer()
    yield made
    made.close()


@pytest.fixture
def world(settings, tmp_path, monkeypatch):
    """Install the small workflow on one fake server; return a function that sets the server's faults."""
    settings.WORKFLOWS = ["tests.jobs.small.SMALL"]
    settings.TOOL_ROLES = "tests.jobs.small.ROLES"
    settings.BUNDLED_SERVERS = "tests.jobs.small.no_bundled"
    settings.RETRY_BACKOFF = 0.01
    settings.MEDIA_ROOT = str(tmp_path / "data")
    monkeypatch.setattr("jobs.acts.actions.run_job", lambda job_id: None)
    registry.workflows.cache_clear()
    ledger = tmp_path / "ledger.jsonl"

    def configure(*faults, latency=0.0):
        file = tmp_path / "servers.json"
        settings.TOOL_SERVERS = str(
            fakes.servers_file(file, {"ttd": fakes.entry("ttd", ledger, *faults, latency=latency)})
        )
        return ledger

    yield configure
    registry.workflows.cache_clear()


@pytest.fixture
def worker():
    """Return a function that starts a worker; all workers are stopped when the test ends."""
    started = []

    def start():
        made = Runtime()
        made.start()
        started.append(made)
        return made

    yield start
    for one in started:
        one.stop()
    connection.close()


@pytest.fixture
def receiver() -> Iterator[receivers.Receiver]:
    """Run a webhook receiver on the local network."""
    with receivers.receiver() as made:
        yield made


@pytest.fixture
def quick(monkeypatch):
    """Shorten the deadline of a delivery attempt."""
    monkeypatch.setattr(deliver, "DEADLINE", 0.4)
    monkeypatch.setattr(deliver, "READ_SECONDS", 0.3)


@pytest.fixture
async def make_hub():
    """Return a factory of hubs that never wait or poll; when the test ends, no watcher may be left."""
    made = []

    def make(render=story.plain, **pace) -> Hub:
        made.append(Hub(render, **({"gather": 0.001, "pace": 0.001, "poll": 3600.0} | pace)))
        return made[-1]

    yield make
    for hub in made:
        assert hub.watchers() == 0
        hub._thread.submit(connections.close_all).result()
