"""The hub's pages: slow pages, the rate of rendering, and wake-ups."""

import asyncio
from itertools import pairwise

import pytest
from asgiref.sync import sync_to_async

from jobs.live import watched as rooms
from jobs.store import feed
from tests.jobs import story

pytestmark = pytest.mark.django_db(transaction=True)

append = sync_to_async(feed.append)
SOON = 10.0


@pytest.fixture
def job():
    return story.job()


async def test_a_new_viewer_wakes_no_other(make_hub, job):
    hub = make_hub()
    with hub.pieces(job.pk) as first:
        await first.take(SOON)
        first.wake.clear()
        with hub.pieces(job.pk) as second, hub.events(job.pk) as stream:
            await second.take(SOON)
            await stream.take(SOON)
            assert not first.wake.is_set()


async def test_a_slow_page_finds_the_latest_html_of_each_piece_and_no_queue(make_hub, job):
    hub = make_hub()
    with hub.pieces(job.pk) as slow, hub.pieces(job.pk) as quick:
        for n in range(1, 6):
            await append(job.pk, [story.step(n)])
            while f">{n}<" not in (await quick.take(SOON)).get("stage", ""):
                pass
        assert await slow.take(SOON) == {"head": "<p id=head>queued</p>", "stage": "<p id=stage>5</p>"}
        await append(job.pk, story.end())
        while not quick.over:
            await quick.take(SOON)
        assert not slow.over
        assert (await slow.take(SOON))["head"] == "<p id=head>completed</p>"
        assert slow.over


async def test_a_change_is_rendered_once_for_all_its_viewers(make_hub, job):
    rendered = []

    def render(row, progress):
        rendered.append(progress.last_seq)
        return story.plain(row, progress)

    hub = make_hub(render)
    with hub.pieces(job.pk) as first, hub.pieces(job.pk) as second, hub.pieces(job.pk) as third:
        pages = (first, second, third)
        await asyncio.gather(*(page.take(SOON) for page in pages))
        await append(job.pk, [story.step(1)])
        got = await asyncio.gather(*(page.take(SOON) for page in pages))
    assert rendered == [1, 2]
    assert got == [{"stage": "<p id=stage>1</p>"}] * 3


async def test_a_busy_job_is_rendered_at_its_pace_however_many_events_come(make_hub, job, monkeypatch):
    due: list[float] = []  # when the job may be painted next, as each painting begins
    hub = make_hub(pace=0.1)
    paint = hub._paint

    async def noted(room: rooms.Room) -> None:
        due.append(room.paint_at)
        await paint(room)

    monkeypatch.setattr(hub, "_paint", noted)
    with hub.pieces(job.pk) as page:
        for n in range(1, 40):
            await append(job.pk, [story.step(n)])
        await append(job.pk, story.end())
        while not page.over:
            await page.take(SOON)
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert gaps
    assert min(gaps) >= 0.0999  # the paintings themselves are as far apart, whatever the machine does
