"""The socket of a job's page: access, messages and close codes."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session

from jobs.live import consumers
from jobs.live.hub import hub
from jobs.live.origins import is_own_origin
from jobs.store import feed
from tests.jobs import running, story

pytestmark = pytest.mark.django_db(transaction=True)

append = sync_to_async(feed.append)
SOON = 10.0


@pytest.fixture
def mine() -> str:
    return running.session_of(story.user())


@pytest.fixture
def connect(mine):
    """Connect to a job in this process, with short waits, and check that no viewer is left at the end."""
    opened = []

    async def open_it(job, session: str = mine) -> WebsocketCommunicator:
        from config.asgi import application

        headers = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
        headers.append((b"cookie", f"sessionid={session}".encode()))
        one = WebsocketCommunicator(application, f"/ws/jobs/{job.pk}/", headers)
        opened.append(one)
        connected, _ = await one.connect(SOON)
        assert connected
        return one

    return open_it


async def closing(socket: WebsocketCommunicator) -> int:
    while (message := await socket.receive_output(SOON))["type"] != "websocket.close":
        pass
    await socket.disconnect()
    return message["code"]


async def test_a_page_gets_all_pieces_then_changes_then_a_normal_close(site, mine):
    job = await sync_to_async(story.job)()
    async with running.open_socket(site, f"/ws/jobs/{job.pk}/", session=mine) as socket:
        first = await socket.receive()
        assert all(f'id="{id}"' in first for id in ("job-header", "stage-brief", "stage-creative", "job-log"))
        await append(job.pk, [story.begin(), story.step(1, 4)])
        second = await socket.receive()
        assert 'id="stage-creative"' in second
        assert 'id="stage-brief"' not in second
        await append(job.pk, story.end())
        texts, code = await socket.end()
    assert code == 1000
    assert "completed" in texts[-1]


async def test_the_page_of_a_job_that_has_ended_gets_everything_once_and_the_end(site, mine):
    job = await sync_to_async(story.ended_job)()
    async with running.open_socket(site, f"/ws/jobs/{job.pk}/", session=mine) as socket:
        texts, code = await socket.end()
    assert (len(texts), code) == (1, 1000)


async def test_all_pages_of_a_job_get_its_end(site, mine):
    job = await sync_to_async(story.job)()

    async def view() -> str:
        async with running.open_socket(site, f"/ws/jobs/{job.pk}/", session=mine) as socket:
            texts = [await socket.receive()]
            ready.release()
            more, code = await socket.end()
            assert code == 1000
            return "".join(texts + more)

    ready = asyncio.Semaphore(0)
    views = [asyncio.create_task(view()) for _ in range(25)]
    for _ in views:
        await asyncio.wait_for(ready.acquire(), SOON)
    await append(job.pk, [story.begin(), *story.end()])
    assert all("completed" in text for text in await asyncio.gather(*views))


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "http://127.0.0.1", "file://"]
)
async def test_a_page_of_another_origin_is_refused_even_from_another_port(site, mine, origin):
    job = await sync_to_async(story.job)()
    with pytest.raises(running.Refused) as refused:
        async with running.open_socket(site, f"/ws/jobs/{job.pk}/", session=mine, origin=origin):
            pass
    assert refused.value.args == (403,)


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "own"),
    [
        ("ws", "localhost:8000", "http://localhost:8000", True),
        ("ws", "localhost:8000", "http://127.0.0.1:8000", False),
        ("ws", "localhost", "https://localhost", True),  # a TLS proxy in front
        ("wss", "localhost", "http://localhost", False),
        ("wss", "localhost:443", "https://localhost", True),
        ("ws", "[::1]:8000", "http://[::1]:8000", True),
        ("ws", "evil.example", "http://evil.example", False),  # a name that points here
        ("ws", "localhost", "https://app.trusted.example", True),
        ("ws", "localhost", "http://app.trusted.example", False),
        ("ws", "localhost", "https://trusted.example", False),
        ("ws", "localhost", "http://localhost:port", False),
        ("ws", "", "", False),
    ],
)
def test_the_own_origin_is_this_host_and_port_or_a_trusted_one(settings, scheme, host, origin, own):
    settings.ALLOWED_HOSTS = ["localhost", "[::1]"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.trusted.example"]
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    assert is_own_origin({"scheme": scheme, "headers": headers}) is own


@pytest.mark.parametrize("path", ["/ws/jobs/not-an-id/", "/ws/", "/ws/jobs/"])
async def test_a_socket_address_that_does_not_exist_is_refused(site, mine, path):
    with pytest.raises(running.Refused):
        async with running.open_socket(site, path, session=mine):
            pass


async def test_another_users_job_and_a_missing_job_close_alike(site, mine):
    theirs = await sync_to_async(lambda: story.job(story.user("noor")))()
    for id in (theirs.pk, uuid.uuid4()):
        async with running.open_socket(site, f"/ws/jobs/{id}/", session=mine) as socket:
            assert await socket.end() == ([], 4404)


async def test_staff_may_watch_every_job(site):
    job = await sync_to_async(story.ended_job)()
    boss = await sync_to_async(lambda: running.session_of(story.user("boss", is_staff=True)))()
    async with running.open_socket(site, f"/ws/jobs/{job.pk}/", session=boss) as socket:
        assert (await socket.end())[1] == 1000


@pytest.mark.parametrize("session", ["", "made-up"])
async def test_a_signed_out_client_gets_no_pieces(site, session):
    job = await sync_to_async(story.job)()
    async with running.open_socket(site, f"/ws/jobs/{job.pk}/", session=session) as socket:
        assert await socket.end() == ([], 4401)


async def test_a_quiet_socket_sends_heartbeats(connect, monkeypatch):
    monkeypatch.setattr(consumers, "HEARTBEAT", 0.02)
    socket = await connect(await sync_to_async(story.job)())
    while "job-header" not in await socket.receive_from(SOON):
        pass
    assert await socket.receive_json_from(SOON) == {"hb": 1}
    assert await socket.receive_json_from(SOON) == {"hb": 1}
    await socket.disconnect()
    assert hub().watchers() == 0


async def test_signing_out_closes_the_socket_at_the_next_check(connect, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK", 0.02)
    socket = await connect(await sync_to_async(story.job)())
    await sync_to_async(Session.objects.all().delete)()
    assert await closing(socket) == 4401
    assert hub().watchers() == 0


async def test_losing_access_to_the_job_closes_the_socket_at_the_next_check(connect, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK", 0.02)
    job = await sync_to_async(story.job)()
    socket = await connect(job)
    job.owner = await sync_to_async(story.user)("noor")
    await sync_to_async(job.save)()
    assert await closing(socket) == 4404


async def test_deactivating_a_user_closes_the_socket_at_the_next_check(connect, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK", 0.02)
    job = await sync_to_async(story.job)()
    socket = await connect(job)
    await sync_to_async(type(job.owner).objects.update)(is_active=False)
    assert await closing(socket) == 4401


async def test_a_page_that_disconnects_leaves_no_task_and_no_subscription(connect):
    job = await sync_to_async(story.job)()
    before = asyncio.all_tasks()
    socket = await connect(job)
    await socket.receive_from(SOON)
    assert hub().watchers(job.pk) == 1
    await socket.disconnect()
    assert hub().watchers() == 0
    await asyncio.sleep(0)
    assert {task for task in asyncio.all_tasks() if not task.cancelling()} <= before


async def test_messages_from_a_page_are_ignored(connect):
    job = await sync_to_async(story.job)()
    socket = await connect(job)
    await socket.receive_from(SOON)
    await socket.send_to(text_data="<script>")
    await socket.send_to(bytes_data=b"\xff")
    await append(job.pk, story.end())
    assert await closing(socket) == 1000


async def test_a_job_that_cannot_be_rendered_closes_with_an_error(connect, monkeypatch, caplog):
    def broken(job, progress):
        raise ValueError("no such template")

    monkeypatch.setattr(hub(), "_render", broken)
    socket = await connect(await sync_to_async(story.job)())
    assert await closing(socket) == 1011
