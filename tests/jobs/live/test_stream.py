"""A job's events over HTTP: the stream, how it resumes and ends, and the page of JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory

from jobs import public
from jobs.api.auth import Caller, still_allowed
from jobs.engine.events import PUBLIC
from jobs.live import stream
from jobs.live.hub import hub
from jobs.models import ApiToken
from jobs.store import feed
from tests.jobs import running, story

pytestmark = pytest.mark.django_db(transaction=True)

append = sync_to_async(feed.append)
SOON = 10.0


@pytest.fixture
def token() -> str:
    return ApiToken.make(story.user(), ["read"])


@pytest.fixture
def ask(site, token):
    """Return the complete response to a GET of a job's events."""

    async def get(job, query: str = "", **headers: str) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=SOON) as client:
            own = {"Authorization": f"Bearer {token}"}
            return await client.get(
                f"http://127.0.0.1:{site}/api/jobs/{job.pk}/events{query}",
                headers=own | {name.replace("_", "-"): value for name, value in headers.items()},
            )

    return get


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the events in a stream's text: id, event and parsed data."""
    blocks = [block for block in text.split("\n\n") if block.startswith("id: ")]
    fields = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [one | {"id": int(one["id"]), "data": json.loads(one["data"])} for one in fields]


@asynccontextmanager
async def listening(site: int, token: str, job, last: int = 0) -> AsyncIterator[AsyncIterator[dict]]:
    """Listen to a job's events as they come, resuming after the seq `last`."""

    async def events(answer: httpx2.Response) -> AsyncIterator[dict]:
        block: list[str] = []
        async for line in answer.aiter_lines():
            if line:
                block.append(line)
            else:
                for one in parsed("\n".join(block)):
                    yield one
                block = []

    headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": str(last)}
    url = f"http://127.0.0.1:{site}/api/jobs/{job.pk}/events"
    async with (
        httpx2.AsyncClient(timeout=SOON) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        yield events(answer)


async def test_a_job_that_has_ended_is_replayed_and_the_stream_ends(ask):
    job = await sync_to_async(story.ended_job)()
    answer = await ask(job)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.text.startswith("retry: 2000\n\n")
    assert answer.text.count("retry:") == 1
    got = parsed(answer.text)
    assert [(one["id"], one["event"]) for one in got] == [
        (2, "stage:start"),
        (3, "stage:progress"),
        (5, "stage:complete"),
        (6, "workflow:complete"),
    ]
    assert [one["data"] for one in got] == [
        public.event(job.pk, one)
        for one in await sync_to_async(feed.after)(job.pk)
        if one.event.type in PUBLIC
    ]


async def test_detail_all_carries_the_calls_and_the_jobs_own_events_too(ask):
    job = await sync_to_async(story.ended_job)()
    got = parsed((await ask(job, "?detail=all")).text)
    assert [one["id"] for one in got] == [1, 2, 3, 4, 5, 6]
    assert [got[0]["event"], got[3]["event"]] == ["job:queued", "call:start"]


async def test_a_stream_resumes_after_the_last_event_it_had(ask):
    job = await sync_to_async(story.ended_job)()
    assert [one["id"] for one in parsed((await ask(job, Last_Event_ID="3")).text)] == [5, 6]
    assert [one["id"] for one in parsed((await ask(job, "?after=5")).text)] == [6]
    # a browser that reconnects repeats the address it was first given, and the header is newer
    assert [one["id"] for one in parsed((await ask(job, "?after=2", Last_Event_ID="5")).text)] == [6]


async def test_a_client_that_has_read_the_end_gets_204(ask):
    job = await sync_to_async(story.ended_job)()
    answer = await ask(job, Last_Event_ID="6")
    assert (answer.status_code, answer.text) == (204, "")


async def test_events_arrive_as_they_are_committed_and_the_stream_ends_with_the_job(site, token):
    job = await sync_to_async(story.job)()
    async with listening(site, token, job) as events:
        await append(job.pk, [story.begin()])
        assert (await anext(events))["event"] == "stage:start"
        await append(job.pk, [story.step(1)])
        assert (await anext(events))["data"]["current"] == 1
        await append(job.pk, story.end())
        assert [one["event"] async for one in events] == ["stage:complete", "workflow:complete"]


async def test_a_stream_that_reconnects_often_gets_every_event_once(site, token):
    job = await sync_to_async(story.job)()

    async def write() -> None:
        for n in range(1, 300, 2):
            await append(job.pk, [story.step(n), story.step(n + 1)])
        await append(job.pk, story.end())

    got: list[int] = []
    writing = asyncio.create_task(write())
    async with asyncio.timeout(60):
        while not got or got[-1] < 303:
            async with listening(site, token, job, got[-1] if got else 0) as events:
                async for one in events:
                    got.append(one["id"])
                    if one["id"] % 40 == 0:
                        break
        await writing
    assert got == list(range(2, 304))


async def test_accept_json_returns_a_page_of_events_and_the_next_cursor(ask):
    job = await sync_to_async(story.ended_job)()
    first = (await ask(job, "?limit=3", Accept="application/json")).json()
    assert [one["seq"] for one in first["items"]] == [2, 3]
    assert (first["after"], first["lastEventId"]) == (3, 6)
    rest = (await ask(job, f"?after={first['after']}&detail=all", Accept="application/json")).json()
    assert [one["type"] for one in rest["items"]] == ["call:start", "stage:complete", "workflow:complete"]
    assert rest["after"] == rest["lastEventId"] == 6
    assert (await ask(job, "?after=6", Accept="application/json")).json() == {
        "items": [],
        "after": 6,
        "lastEventId": 6,
    }


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?after=-1", {}, "after"),
        ("?after=soon", {}, "after"),
        ("?after=99999999999999999999", {}, "after"),
        ("?detail=some", {}, "detail"),
        ("", {"Last_Event_ID": "x"}, "Last-Event-ID"),
    ],
)
async def test_an_invalid_cursor_is_named(ask, query, headers, field):
    answer = await ask(await sync_to_async(story.job)(), query, **headers)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


async def test_another_users_events_return_404(ask):
    theirs = await sync_to_async(lambda: story.job(story.user("noor")))()
    answer = await ask(theirs)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


async def chunks(job, after: int = 0, allowed=lambda: True) -> list[bytes]:
    async with asyncio.timeout(SOON):
        return [chunk async for chunk in stream.stream(job.pk, after, PUBLIC, allowed)]


async def test_a_quiet_stream_sends_comments(monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT", 0.02)
    job = await sync_to_async(story.job)()
    running = stream.stream(job.pk, 0, PUBLIC, lambda: True)
    got = [await anext(running) for _ in range(3)]
    assert got == [b"retry: 2000\n\n", b": still here\n\n", b": still here\n\n"]
    await running.aclose()
    assert hub().watchers() == 0


async def test_a_stream_ends_when_its_reader_may_no_longer_read(monkeypatch):
    monkeypatch.setattr(stream, "RECHECK", 0.02)
    job = await sync_to_async(story.job)()
    assert await chunks(job, allowed=lambda: False) == [b"retry: 2000\n\n"]
    assert hub().watchers() == 0


@pytest.mark.parametrize("loss", ["token", "job", "user"])
async def test_an_expired_token_or_a_job_of_another_owner_ends_a_running_stream(token, monkeypatch, loss):
    from config.asgi import application

    monkeypatch.setattr(stream, "RECHECK", 0.02)
    job = await sync_to_async(story.job)()
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": f"/api/jobs/{job.pk}/events", "query_string": b""}
    client = ApplicationCommunicator(application, scope | {"headers": headers, "http_version": "1.1"})
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await client.receive_output(SOON))["status"] == 200

    def lose() -> None:
        match loss:
            case "token":
                ApiToken.objects.all().delete()
            case "user":
                type(job.owner).objects.update(is_active=False)
            case "job":
                type(job).objects.update(owner=story.user("noor"))

    await sync_to_async(lose)()
    while (await client.receive_output(SOON)).get("more_body"):
        pass
    await client.wait(SOON)
    assert hub().watchers() == 0


async def test_a_session_that_ends_ends_its_stream_too(monkeypatch):
    request = RequestFactory().get("/")
    request.user = await sync_to_async(story.user)()
    key = await sync_to_async(running.session_of)(request.user)
    request.session = SessionStore(key)
    caller = Caller(request.user, frozenset({"read"}))
    assert await sync_to_async(still_allowed)(request, caller)
    await sync_to_async(SessionStore(key).flush)()
    assert not await sync_to_async(still_allowed)(request, caller)


async def test_a_client_that_disconnects_leaves_no_subscription(token):
    from config.asgi import application

    job = await sync_to_async(story.job)()
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": f"/api/jobs/{job.pk}/events", "query_string": b""}
    client = ApplicationCommunicator(application, scope | {"headers": headers, "http_version": "1.1"})
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await client.receive_output(SOON))["status"] == 200
    assert b"retry" in (await client.receive_output(SOON))["body"]
    await append(job.pk, [story.begin()])
    assert b"stage:start" in (await client.receive_output(SOON))["body"]
    assert hub().watchers(job.pk) == 1
    await client.send_input({"type": "http.disconnect"})
    await client.wait(SOON)
    assert hub().watchers() == 0


async def test_a_session_can_read_the_stream_too(site):
    job = await sync_to_async(story.ended_job)()
    session = await sync_to_async(lambda: running.session_of(story.user()))()
    async with httpx2.AsyncClient(timeout=SOON, cookies={"sessionid": session}) as client:
        answer = await client.get(f"http://127.0.0.1:{site}/api/jobs/{job.pk}/events")
    assert [one["id"] for one in parsed(answer.text)] == [2, 3, 5, 6]
