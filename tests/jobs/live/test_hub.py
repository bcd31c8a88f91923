"""The hub: delivery to pages and streams, failures and cleanup."""

import asyncio
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection

from jobs.engine.events import Recorded
from jobs.live import watched as rooms
from jobs.live.hub import Hub, HubBroken, JobNotFound
from jobs.store import doorbell, feed
from tests.jobs import story

pytestmark = pytest.mark.django_db(transaction=True)

append = sync_to_async(feed.append)
SOON = 10.0
NEVER = 3600.0


@pytest.fixture
def job():
    return story.job()


async def follow(hub: Hub, job_id, after: int = 0, until: int | None = None) -> list[int]:
    """Return the seqs that a stream gets, to the job's end or up to the seq `until`."""
    got: list[int] = []
    async with asyncio.timeout(SOON):
        with hub.events(job_id, after) as stream:
            while not stream.over and (until is None or not got or got[-1] < until):
                got += story.seqs(await stream.take(SOON))
    return got


async def test_a_page_gets_all_pieces_first_then_only_those_that_change_then_the_end(make_hub, job):
    hub = make_hub()
    with hub.pieces(job.pk) as page:
        assert await page.take(SOON) == {"head": "<p id=head>queued</p>", "stage": "<p id=stage>0</p>"}
        await append(job.pk, [story.begin()])
        assert await page.take(SOON) == {"head": "<p id=head>running</p>"}
        await append(job.pk, [story.step(3)])
        assert await page.take(SOON) == {"stage": "<p id=stage>3</p>"}
        assert not page.over
        await append(job.pk, story.end())
        last = await page.take(SOON)
        assert last["head"] == "<p id=head>completed</p>"
        assert page.over


async def test_a_second_page_of_a_watched_job_gets_all_pieces_too(make_hub, job):
    hub = make_hub()
    with hub.pieces(job.pk) as first:
        await first.take(SOON)
        with hub.pieces(job.pk) as second:
            assert set(await second.take(SOON)) == {"head", "stage"}


async def test_without_news_take_returns_an_empty_value_after_its_timeout(make_hub, job):
    hub = make_hub()
    with hub.pieces(job.pk) as page, hub.events(job.pk) as stream:
        await page.take(SOON)
        await stream.take(SOON)
        assert await page.take(0.01) == {}
        assert await stream.take(0.01) == []


async def test_streams_that_reconnect_get_each_of_a_thousand_events_once_and_in_order(
    make_hub, job, monkeypatch
):
    monkeypatch.setattr(rooms, "RECENT", 40)  # so that some must read the log
    hub, last = make_hub(), 1 + 999 + 2  # queued, the steps, the two of the end

    def write() -> None:
        try:
            for n in range(1, 1000, 3):
                feed.append(job.pk, [story.step(n), story.step(n + 1), story.step(n + 2)])
            feed.append(job.pk, story.end())
        finally:
            connection.close()

    async def cut_and_resumed(every: int) -> list[int]:
        got: list[int] = []
        while not got or got[-1] < last:
            after = got[-1] if got else 0
            got += await follow(hub, job.pk, after, until=after + every)
        return got

    with ThreadPoolExecutor(1) as writer:
        written = asyncio.get_running_loop().run_in_executor(writer, write)
        watchers = [follow(hub, job.pk) for _ in range(5)]
        watchers += [cut_and_resumed(every) for every in (1, 7, 50, 333)]
        async with asyncio.timeout(60):
            everything = await asyncio.gather(*watchers)
            await written
    assert {len(got) for got in everything} == {last}
    assert all(got == list(range(1, last + 1)) for got in everything)


async def test_what_is_committed_while_the_log_is_read_is_not_lost(make_hub, job, monkeypatch):
    """The poll never comes here: only a listener registered before the reading hears of the second event."""
    hub, real, raced = make_hub(), feed.after, threading.Event()

    def after(job_id: object, seq: int = 0, limit: int = feed.PAGE) -> list[Recorded]:
        page = real(job_id, seq, limit)
        if not raced.is_set():
            raced.set()
            feed.append(job_id, [story.begin()])  # too late for this page, and rung for while it is read
        return page

    monkeypatch.setattr(feed, "after", after)
    assert await follow(hub, job.pk, until=2) == [1, 2]


async def test_an_event_between_two_readings_reaches_a_subscriber_that_comes_in_between(
    make_hub, job, monkeypatch
):
    hub = make_hub()
    with hub.events(job.pk) as first:
        await first.take(SOON)
        monkeypatch.setattr(doorbell, "ring_here", lambda job_id: None)
        await append(job.pk, [story.begin()])
        assert await follow(hub, job.pk, after=1, until=2) == [2]
        assert story.seqs(await first.take(SOON)) == [2]


async def test_a_stream_that_reads_the_log_beyond_the_hub_repeats_nothing(make_hub, job, monkeypatch):
    monkeypatch.setattr(rooms, "RECENT", 1)
    hub, ring = make_hub(), doorbell.ring_here
    await append(job.pk, [story.step(n) for n in range(1, 10)])
    with hub.events(job.pk) as slow:
        assert await follow(hub, job.pk, until=10) == list(range(1, 11))
        monkeypatch.setattr(doorbell, "ring_here", lambda job_id: None)
        await append(job.pk, [story.step(10), story.step(11)])
        got = story.seqs(await slow.take(SOON)) + story.seqs(await slow.take(0.01))
        ring(job.pk)
        while got[-1] < 12:
            got += story.seqs(await slow.take(SOON))
        assert got + story.seqs(await slow.take(0.01)) == list(range(1, 13))


async def test_resuming_during_an_older_read_repeats_nothing(make_hub, job, monkeypatch):
    hub, real, ring = make_hub(), feed.after, doorbell.ring_here
    read, go_on = threading.Event(), threading.Event()

    def after(*args, **kwargs):
        page = real(*args, **kwargs)
        read.set()
        go_on.wait(SOON)
        return page

    monkeypatch.setattr(feed, "after", after)
    with hub.events(job.pk):
        await asyncio.to_thread(read.wait, SOON)
        monkeypatch.setattr(doorbell, "ring_here", lambda job_id: None)
        await append(job.pk, [story.begin(), story.step(1)])
        with hub.events(job.pk, after=3) as resumed:  # it had them from another process
            go_on.set()
            assert await resumed.take(0.05) == []
            monkeypatch.setattr(doorbell, "ring_here", ring)
            await append(job.pk, [story.step(2)])
            assert story.seqs(await resumed.take(SOON)) == [4]


async def test_a_lost_ring_delays_by_at_most_one_poll(make_hub, job, monkeypatch):
    hub = make_hub(poll=0.05)
    with hub.events(job.pk) as stream:
        await stream.take(SOON)
        monkeypatch.setattr(doorbell, "ring_here", lambda job_id: None)
        await append(job.pk, [story.begin()])
        assert story.seqs(await stream.take(SOON)) == [2]


async def test_a_bell_that_may_have_overflowed_triggers_a_poll(make_hub, job, monkeypatch):
    hub, ring = make_hub(), doorbell.ring_here
    with hub.events(job.pk) as stream:
        await stream.take(SOON)
        monkeypatch.setattr(doorbell, "ring_here", lambda job_id: None)
        await append(job.pk, [story.begin()])
        for _ in range(20):
            ring(uuid.uuid4())
        assert story.seqs(await stream.take(SOON)) == [2]


async def test_an_invalid_ring_changes_nothing(make_hub, job):
    hub = make_hub()
    with hub.events(job.pk) as stream:
        await stream.take(SOON)
        doorbell.ring_here("no job at all")
        await append(job.pk, [story.begin()])
        assert story.seqs(await stream.take(SOON)) == [2]


async def test_a_job_that_has_ended_is_delivered_in_full_and_then_over(make_hub):
    done = await sync_to_async(story.ended_job)()
    hub = make_hub()
    assert await follow(hub, done.pk) == [1, 2, 3, 4, 5, 6]
    assert await follow(hub, done.pk, after=4) == [5, 6]
    assert await follow(hub, done.pk, after=6) == []
    assert await follow(hub, done.pk, after=9999) == []
    with hub.pieces(done.pk) as page:
        assert (await page.take(SOON))["head"] == "<p id=head>completed</p>"
        assert page.over


async def test_a_cursor_beyond_a_restored_log_gets_the_next_events(make_hub, job):
    hub = make_hub()
    with hub.events(job.pk, after=9999) as stream:
        assert await stream.take(0.05) == []
        await append(job.pk, [story.begin()])
        assert story.seqs(await stream.take(SOON)) == [2]


async def test_the_last_viewer_removes_the_room_and_the_bell(make_hub, job):
    hub = make_hub()
    before, tasks = set(doorbell.bells().iterdir()), asyncio.all_tasks()
    with hub.pieces(job.pk) as page:
        with hub.events(job.pk) as stream:
            await page.take(SOON)
            await stream.take(SOON)
            assert hub.watchers(job.pk) == hub.watchers() == 2
            assert len(set(doorbell.bells().iterdir()) - before) == 1
        assert hub.watchers() == 1
    assert hub.watchers() == 0
    assert set(doorbell.bells().iterdir()) == before
    await asyncio.sleep(0)
    assert {task for task in asyncio.all_tasks() if not task.cancelling()} == tasks


async def test_a_disconnected_viewer_leaves_nothing_behind(make_hub, job):
    hub = make_hub()
    started = asyncio.Event()

    async def view() -> None:
        with hub.pieces(job.pk) as page:
            await page.take(SOON)
            started.set()
            await page.take(NEVER)

    task = asyncio.create_task(view())
    await asyncio.wait_for(started.wait(), SOON)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert hub.watchers() == 0


async def test_a_renderer_that_fails_ends_the_pages_and_not_the_streams(make_hub, job, caplog):
    def broken(row, progress):
        raise ValueError("no such template")

    hub = make_hub(broken)
    with hub.pieces(job.pk) as page, hub.events(job.pk) as stream:
        with pytest.raises(HubBroken):
            await page.take(SOON)
        await append(job.pk, [story.begin()])
        got = story.seqs(await stream.take(SOON))
        assert got == [1, 2] or story.seqs(await stream.take(SOON)) == [2]
    assert "cannot render" in caplog.text


async def test_an_event_that_this_release_does_not_know_ends_that_job_only(make_hub, job, caplog):
    def write_strange() -> None:
        job.events.create(seq=2, type="stage:teleport", payload={}, at=job.created_at)
        type(job).objects.filter(pk=job.pk).update(last_seq=2)

    other = await sync_to_async(story.job)()
    hub = make_hub(poll=0.05)
    with hub.events(job.pk) as stream, hub.events(other.pk) as well:
        await stream.take(SOON)
        await well.take(SOON)
        await sync_to_async(write_strange)()
        with pytest.raises(HubBroken):
            await stream.take(SOON)
        await append(other.pk, [story.begin()])
        assert story.seqs(await well.take(SOON)) == [2]
    assert "cannot follow" in caplog.text


async def test_a_short_database_failure_only_delays_events(make_hub, job, monkeypatch):
    hub, real, failures = make_hub(poll=0.05), feed.after, iter(range(2))

    def after(*args, **kwargs):
        if next(failures, None) is not None:
            raise DatabaseError("it is being restarted")
        return real(*args, **kwargs)

    monkeypatch.setattr(feed, "after", after)
    assert await follow(hub, job.pk, until=1) == [1]


async def test_a_stream_that_cannot_read_the_log_raises_for_its_client_to_resume(make_hub, job, monkeypatch):
    monkeypatch.setattr(rooms, "RECENT", 1)
    hub = make_hub()
    await append(job.pk, [story.begin(), story.step(1)])
    with hub.events(job.pk) as behind:
        assert await follow(hub, job.pk, until=3) == [1, 2, 3]

        def fails(*args):
            raise DatabaseError("it is being restarted")

        monkeypatch.setattr(feed, "after", fails)
        with pytest.raises(HubBroken):
            await behind.take(SOON)


async def test_deleting_a_watched_job_ends_its_subscriptions(make_hub, job):
    hub = make_hub(poll=0.05)
    with hub.pieces(job.pk) as page, hub.events(job.pk) as stream:
        await page.take(SOON)
        await stream.take(SOON)
        await sync_to_async(job.delete)()
        with pytest.raises(JobNotFound):
            await stream.take(SOON)
        with pytest.raises(JobNotFound):
            await page.take(SOON)


async def test_the_hub_wakes_again_after_it_slept(make_hub, job):
    hub = make_hub()
    assert await follow(hub, job.pk, until=1) == [1]
    await append(job.pk, [story.begin()])
    assert await follow(hub, job.pk, until=2) == [1, 2]
