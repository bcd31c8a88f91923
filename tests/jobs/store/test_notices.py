"""The doorbell between machines: commits made elsewhere reach the hub without polling."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, connections

from jobs.live import hub
from jobs.store import doorbell, feed, notices
from tests.e2e.installation import until
from tests.jobs import story

pytestmark = [
    pytest.mark.storage,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(settings.SQLITE, reason="needs PostgreSQL; DATABASE_URL names it"),
]
SOON = 10.0
append = sync_to_async(feed.append)


@pytest.fixture
async def far_away(monkeypatch):
    """Silence the bells of this machine, as if every commit came from another machine."""
    monkeypatch.setattr(doorbell, "_ring_one", lambda *about: None)
    yield
    await sync_to_async(connections.close_all)()


async def got(stream, seq: int) -> list[int]:
    """Return the seqs that arrive, up to this seq."""
    seqs: list[int] = []
    async with asyncio.timeout(SOON):
        while not seqs or seqs[-1] < seq:
            seqs += story.seqs(await stream.take(SOON))
    return seqs


@sync_to_async
def listeners(what: str) -> list[int]:
    """Wait until a session listens to the database, and select this from the listening sessions."""
    sql = f"SELECT {what} FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"

    def ask() -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return [row[0] for row in cursor.fetchall()]

    return until(ask, "somebody listens", SOON)


async def test_a_commit_on_another_machine_reaches_the_hub(make_hub, far_away):
    job = await sync_to_async(story.job)()
    with make_hub().events(job.pk) as stream:
        assert await got(stream, 1) == [1]
        await listeners("pid")
        await append(job.pk, [story.begin(), story.step(1)])
        assert await got(stream, 3) == [2, 3]


async def test_a_disconnected_listener_reconnects(make_hub, far_away, monkeypatch, caplog):
    monkeypatch.setattr(hub, "AGAIN", 0.01)
    job = await sync_to_async(story.job)()
    with make_hub().events(job.pk) as stream:
        assert await got(stream, 1) == [1]
        [first] = await listeners("pid")
        await listeners("pg_terminate_backend(pid)")
        await asyncio.to_thread(until, lambda: "cannot listen" in caplog.text, "the hub has noticed", SOON)
        assert await listeners("pid") != [first]
        await append(job.pk, [story.begin()])
        assert await got(stream, 2) == [2]


def test_a_notice_that_cannot_be_sent_is_logged_and_raises_nothing(monkeypatch, caplog):
    monkeypatch.setattr(notices, "CHANNEL", "x" * 100)  # longer than PostgreSQL takes
    job = story.job()
    assert feed.heads([job.pk]) == {job.pk: 1}
    assert "cannot notify other machines" in caplog.text
