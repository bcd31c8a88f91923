"""A log that continues after an end: every follower replays all of it, to the end of the last round."""

import asyncio

import pytest
from asgiref.sync import sync_to_async

from jobs.acts import actions
from jobs.cli import follow
from jobs.engine.events import PUBLIC
from jobs.live import stream
from jobs.live.hub import Hub
from jobs.models import Job
from jobs.store import feed
from jobs.worker import leases
from tests.jobs import acting, story

pytestmark = pytest.mark.django_db(transaction=True)
SOON = 10.0
TWO_ENDS = ["workflow:complete", "job:retrying", "workflow:complete"]


@pytest.fixture(autouse=True)
def discarded_messages(monkeypatch):
    """Discard messages to the worker."""
    monkeypatch.setattr("jobs.acts.actions.run_job", lambda job_id: None)


@pytest.fixture
def again() -> Job:
    """Return a job that has ended and waits for its second round."""
    return actions.retry(acting.ended(acting.end("brief", "failed")), story.user())


def second_end(job: Job) -> None:
    """Append the events of the second round, including its end."""
    taken = leases.claim(job.pk, "worker-b")
    feed.append(job.pk, [acting.end("brief"), acting.end("report")], epoch=taken.epoch)
    actions.finish(job.pk, taken.epoch, acting.over("completed"))


def ends(types: list[str]) -> list[str]:
    return [type for type in types if type in TWO_ENDS]


@pytest.mark.parametrize("page", [1, 3, 1000])
def test_a_terminal_follows_to_the_end_of_the_last_round(again, monkeypatch, page):
    second_end(again)
    monkeypatch.setattr(feed, "PAGE", page)
    monkeypatch.setattr(feed.after, "__defaults__", (0, page))
    seen = list(follow.follow(again.pk))
    assert story.seqs(seen) == list(range(1, feed.heads([again.pk])[again.pk] + 1))
    assert ends([one.event.type for one in seen]) == TWO_ENDS


def test_a_terminal_waits_for_a_round_that_is_still_to_come(again):
    following = follow.follow(again.pk, poll=0.05)
    seen = [next(following) for _ in range(again.last_seq)]
    assert seen[-1].event.type == "job:retrying"
    second_end(again)
    assert [one.event.type for one in following][-1] == "workflow:complete"


def test_a_terminal_ends_after_a_resolution_that_started_no_round():
    job = acting.running()
    acting.call(job, "brief.document", "unknown")
    actions.cancel(job, story.user())
    actions.finish(job.pk, job.epoch, acting.over("cancelled"))
    actions.resolve(job, "brief.document", "skip", story.user())
    assert [one.event.type for one in follow.follow(job.pk)][-2:] == ["workflow:complete", "job:resolved"]


@pytest.mark.parametrize("page", [1, 3, 1000])
async def test_a_stream_and_a_page_replay_every_round_and_end_with_the_last(again, monkeypatch, page):
    monkeypatch.setattr(feed, "PAGE", page)
    monkeypatch.setattr(feed.after, "__defaults__", (0, page))
    hub, got = Hub(story_of, gather=0.001, pace=0.001), []
    async with asyncio.timeout(SOON):
        with hub.events(again.pk) as events, hub.pieces(again.pk) as pieces:
            while not got or got[-1].seq < again.last_seq:
                got += await events.take(SOON)
            assert not events.over
            assert (await pieces.take(SOON))["head"] == "queued"
            assert not pieces.over
            await sync_to_async(second_end)(again)
            while not events.over:
                got += await events.take(SOON)
            last = {}
            while not pieces.over:
                last |= await pieces.take(SOON)
    assert story.seqs(got) == list(range(1, got[-1].seq + 1))
    assert ends([one.event.type for one in got]) == TWO_ENDS
    assert last["head"] == "completed"


def story_of(job: Job, progress) -> dict[str, str]:
    return {"head": str(progress.status)}


async def test_a_stream_can_be_resumed_until_the_end_of_the_last_round_was_read(again):
    def answer(after: int) -> int:
        job = Job.objects.get(pk=again.pk)
        return stream.response(job, after, PUBLIC, lambda: True).status_code

    ask = sync_to_async(answer)
    assert await ask(again.last_seq) == 200
    await sync_to_async(second_end)(again)
    assert await ask(again.last_seq) == 200
    heads = await sync_to_async(feed.heads)([again.pk])
    assert await ask(heads[again.pk]) == 204
