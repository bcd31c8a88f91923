"""The stream with real clients: curl, a browser's EventSource, and their disconnects."""

import asyncio
import json
import re
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, async_playwright

from jobs.models import ApiToken
from jobs.store import doorbell, feed
from tests.e2e.test_browser import CHROMIUM, QUIET
from tests.jobs import running, story

pytestmark = pytest.mark.django_db(transaction=True)
append = sync_to_async(feed.append)
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium; CHROMIUM may name it")
SOON = 20.0
DOCS = running.ROOT / "docs" / "api.md"
#: Follows a job as a page would, and keeps what came: the id, the type and the number of items made.
FOLLOW = """
path => {
  const seen = window.seen = [];
  const source = window.source = new EventSource(path);
  for (const kind of ["stage:start", "stage:progress", "stage:complete", "stage:error", "workflow:complete"])
    source.addEventListener(kind, event =>
      seen.push([Number(event.lastEventId), event.type, JSON.parse(event.data).current ?? null]));
}
"""


@pytest.fixture
def token() -> str:
    return ApiToken.make(story.user(), ["read"])


@asynccontextmanager
async def curl(site: int, token: str, path: str, *words: str) -> AsyncIterator[Process]:
    """Run curl -N on an address of the site; it is gone after the block."""
    url = f"http://127.0.0.1:{site}{path}"
    headers = ("-H", f"Authorization: Bearer {token}")
    process = await asyncio.create_subprocess_exec("curl", "-sS", "-N", *headers, *words, url, stdout=PIPE)
    try:
        async with asyncio.timeout(SOON):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lines(process: Process, count: int) -> list[str]:
    """Return the next lines that it prints."""
    return [(await process.stdout.readline()).decode().rstrip("\n") for _ in range(count)]


async def watched(expected: bool) -> None:
    """Wait until the hub of the site's process has viewers, or has none and has removed its bell."""
    async with asyncio.timeout(SOON):
        while expected != any(doorbell.bells().glob("web-*.sock")):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


@needs_curl
async def test_curl_prints_each_event_as_it_is_committed_and_ends_with_the_job(site, token):
    job = await sync_to_async(story.job)()
    async with curl(site, token, f"/api/jobs/{job.pk}/events") as process:
        # nothing is buffered: the first bytes are there before there is any event
        assert await lines(process, 2) == ["retry: 2000", ""]
        await append(job.pk, [story.begin()])
        assert (await lines(process, 4))[:2] == ["id: 2", "event: stage:start"]
        await append(job.pk, [story.step(1)])
        id, kind, data, _ = await lines(process, 4)
        assert (id, kind) == ("id: 3", "event: stage:progress")
        assert json.loads(data.removeprefix("data: "))["current"] == 1
        await append(job.pk, story.end())
        rest = (await process.stdout.read()).decode()
        assert rest.count("\nevent: workflow:complete\n") == 1
        assert await process.wait() == 0


@needs_curl
async def test_curl_resumes_by_header_or_address_and_gets_204_at_the_end(site, token):
    job = await sync_to_async(story.ended_job)()
    path = f"/api/jobs/{job.pk}/events"
    async with curl(site, token, path, "-H", "Last-Event-ID: 3") as process:
        assert (await process.stdout.read()).count(b"id: ") == 2
    async with curl(site, token, f"{path}?after=5&detail=all") as process:
        assert (await process.stdout.read()).count(b"id: ") == 1
    async with curl(site, token, path, "-H", "Last-Event-ID: 6", "-w", "%{http_code}") as process:
        assert await process.stdout.read() == b"204"


@needs_curl
async def test_head_returns_the_headers_of_a_stream_only(site, token):
    job = await sync_to_async(story.job)()
    async with curl(site, token, f"/api/jobs/{job.pk}/events", "--head") as process:
        head = (await process.stdout.read()).decode().lower()
    assert head.startswith("http/1.1 200")
    assert "content-type: text/event-stream" in head
    await watched(False)


@needs_curl
async def test_a_killed_client_leaves_no_viewer_in_the_web_process(site, token):
    job = await sync_to_async(story.job)()
    async with curl(site, token, f"/api/jobs/{job.pk}/events") as first:
        await lines(first, 2)
        async with curl(site, token, f"/api/jobs/{job.pk}/events") as second:
            await lines(second, 2)
            await watched(True)
        await append(job.pk, [story.begin()])
        assert (await lines(first, 1)) == ["id: 2"]
        await watched(True)
    await watched(False)


async def test_the_python_client_of_the_documents_reads_every_event_once_to_the_end(site, token):
    words: dict = {}
    exec(re.search(r"```python\n(.+?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[1], words)
    job = await sync_to_async(story.job)()
    events = words["follow"](f"http://127.0.0.1:{site}", job.pk, token)
    reading = asyncio.create_task(asyncio.to_thread(list, events))
    await watched(True)
    await append(job.pk, [story.begin(), story.step(1)])
    await append(job.pk, story.end())
    async with asyncio.timeout(SOON):
        assert [one["seq"] for one in await reading] == [2, 3, 4, 5]


@asynccontextmanager
async def browsing(site: int) -> AsyncIterator[Page]:
    """Open a page of the site in a signed-in browser."""
    session = await sync_to_async(lambda: running.session_of(story.user()))()
    cookie = {"name": "sessionid", "value": session, "url": f"http://127.0.0.1:{site}"}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = await browser.new_context(base_url=f"http://127.0.0.1:{site}")
        await context.add_cookies([cookie])
        page = await context.new_page()
        await page.goto("/")
        yield page
        await browser.close()


@needs_browser
async def test_a_browser_follows_a_job_reconnects_and_stops_at_the_end(site):
    job = await sync_to_async(story.job)()
    await append(job.pk, [story.begin(), story.step(1)])
    async with browsing(site) as page:
        await page.evaluate(FOLLOW, f"/api/jobs/{job.pk}/events")
        await page.wait_for_function("() => window.seen.length === 2")
        await append(job.pk, [story.step(2)])
        await page.wait_for_function("() => window.seen.length === 3")
        await append(job.pk, story.end())
        await page.wait_for_function("() => window.seen.length === 5")
        # the stream has ended; the browser reconnects with its last id and gets 204
        await page.wait_for_function("() => window.source.readyState === EventSource.CLOSED")
        seen = await page.evaluate("() => window.seen")
    assert seen == [
        [2, "stage:start", None],
        [3, "stage:progress", 1],
        [4, "stage:progress", 2],
        [5, "stage:complete", 4],
        [6, "workflow:complete", None],
    ]
    await watched(False)
