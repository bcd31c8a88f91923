"""The live page in a real browser: the socket, the polling instead of it, and the display of both."""

import os
import re
import shutil
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from jobs.engine import events as ev
from jobs.models import Job
from jobs.store import feed
from tests.jobs import running, story

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium; CHROMIUM may name it"),
]
append = sync_to_async(feed.append)
#: A server that takes no sockets, as the browser sees it.
NO_SOCKETS = """
window.WebSocket = class extends EventTarget {
  static CONNECTING = 0; static OPEN = 1; static CLOSED = 3;
  readyState = 3;
  constructor() { super(); setTimeout(() => this.dispatchEvent(new CloseEvent("close", {code: 1006}))); }
  close() {}
};
"""


@pytest.fixture
async def context(site: int) -> AsyncIterator[BrowserContext]:
    """Open a signed-in browser, and check that nothing violates the content security policy."""
    session = await sync_to_async(lambda: running.session_of(story.user()))()
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(base_url=f"http://127.0.0.1:{site}")
        await context.add_cookies(
            [{"name": "sessionid", "value": session, "url": f"http://127.0.0.1:{site}"}]
        )
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda said: complaints.append(said.text) if "Policy" in said.text else None)
        yield context
        await browser.close()
    assert complaints == []


async def opened(context: BrowserContext) -> tuple[Page, Job]:
    """Open the page of a running job."""
    job = await sync_to_async(story.job)()
    call = ev.CallComplete(**story.CALL, state="done", attempt=1, waited=0, took=1)
    await append(job.pk, [story.begin(), call])
    page = await context.new_page()
    await page.goto(f"/jobs/{job.pk}/")
    return page, job


async def test_the_socket_updates_the_page_and_keeps_opened_details(context: BrowserContext):
    page, job = await opened(context)
    await expect(page.locator("#link")).to_have_attribute("data-state", "live")
    calls = page.locator("#calls-creative")
    await calls.locator("summary").click()
    another = ev.CallStart(**story.CALL | {"step": "creative/image/b"}, attempt=1)
    await append(job.pk, [story.step(3, 4), another])
    await expect(page.locator("#stage-creative .count")).to_have_text("3/4")
    await expect(page.locator("#job-calls h2")).to_contain_text("1 of 2 done")
    await expect(calls.locator("tbody tr")).to_have_count(2)
    await expect(calls).to_have_attribute("open", "")


async def test_without_a_socket_the_page_polls_and_says_so(context: BrowserContext):
    await context.add_init_script(NO_SOCKETS)
    page, job = await opened(context)
    await expect(page.locator("#link")).to_have_attribute("data-state", "polling")
    await append(job.pk, [story.step(2, 4)])
    await expect(page.locator("#stage-creative .count")).to_have_text("2/4")


async def test_with_both_down_the_page_says_since_when_and_recovers(context: BrowserContext):
    await context.add_init_script(NO_SOCKETS)
    page, _ = await opened(context)
    await expect(page.locator("#link")).to_have_attribute("data-state", "polling")
    await context.set_offline(True)
    await expect(page.locator("#link-word")).to_have_text(re.compile(r"Offline since \d\d:\d\d:\d\d"))
    await context.set_offline(False)
    await expect(page.locator("#link")).to_have_attribute("data-state", "polling")


async def test_a_page_that_is_signed_out_says_so_and_offers_to_sign_in(context: BrowserContext):
    await context.add_init_script(NO_SOCKETS)
    page, _ = await opened(context)
    await context.clear_cookies()
    await expect(page.get_by_role("link", name="Sign in again")).to_be_visible()


async def test_a_page_whose_job_is_removed_says_so_rather_than_offline(context: BrowserContext):
    page, job = await opened(context)
    await expect(page.locator("#link")).to_have_attribute("data-state", "live")
    await sync_to_async(job.delete)()
    await expect(page.locator("#link-word")).to_have_text("No longer available")


@pytest.mark.parametrize("script", ["", NO_SOCKETS], ids=["socket", "poll"])
async def test_the_end_is_shown_and_announced_and_stops_the_polling(context: BrowserContext, script: str):
    await context.add_init_script(script)
    page, job = await opened(context)
    await expect(page.locator("#link")).to_have_attribute("data-state", "polling" if script else "live")
    await append(job.pk, story.end())
    await expect(page.locator("#link-word")).to_have_text("Finished")
    await expect(page.locator("#announcer")).to_contain_text("Generate Creatives: completed")
    await expect(page).to_have_title("Completed · Aurora One · Flightplan")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.wait_for_timeout(500)
    assert [url for url in asked if "progress" in url] == []


@pytest.mark.parametrize("script", ["", NO_SOCKETS], ids=["socket", "poll"])
@pytest.mark.parametrize("late", [False, True], ids=["saw the end", "opened after the end"])
async def test_a_finished_page_reconnects_when_its_job_runs_again(
    context: BrowserContext, script: str, late: bool
):
    await context.add_init_script(script)
    page, job = await opened(context)
    await append(job.pk, story.end("partial"))
    await expect(page.locator("#link-word")).to_have_text("Finished")
    if late:
        await page.reload()
        await expect(page.locator("#link-word")).to_have_text("Finished")
    await append(job.pk, [ev.JobRetrying(by="mara", round=2, stages=["creative"]), story.begin()])
    # what the page does each 15 seconds, it does at once when the network is back
    await page.evaluate("() => { window.dispatchEvent(new Event('online')); }")
    await expect(page.locator("#link")).to_have_attribute("data-state", "polling" if script else "live")
    await expect(page.locator("#announcer")).to_contain_text("The campaign is being retried, round 2")
    await append(job.pk, story.end())
    await expect(page.locator("#job-header .status")).to_have_text("completed")
    await expect(page.locator("#link-word")).to_have_text("Finished")


async def test_screen_readers_hear_that_a_job_is_a_dry_run(context: BrowserContext):
    job = await sync_to_async(story.job)(dry_run=True)
    await append(job.pk, [story.begin()])
    page = await context.new_page()
    await page.goto(f"/jobs/{job.pk}/")
    await expect(page.locator("#link")).to_have_attribute("data-state", "live")
    await append(job.pk, story.end())
    await expect(page.locator("#announcer")).to_contain_text("The dry run is completed")


async def test_screen_readers_hear_what_needs_attention(context: BrowserContext):
    page, job = await opened(context)
    await expect(page.locator("#link")).to_have_attribute("data-state", "live")
    told = page.locator("#announcer")
    await append(job.pk, [ev.CallUnknown(**story.CALL, attempt=1, reason="no answer")])
    await expect(told).to_have_text("Unknown calls to resolve: 1")
    await append(job.pk, [ev.JobResolved(by="mara", step=story.CALL["step"], outcome="skip")])
    await expect(told).to_have_text("All unknown calls are resolved")
    await append(job.pk, [ev.JobServerDown(server="canva", reason="it keeps failing")])
    await expect(told).to_have_text("Calls paused: canva")
    await append(job.pk, [ev.JobCancelling(by="mara")])
    await expect(told).to_contain_text("The campaign is being cancelled")


async def test_the_list_refreshes_when_a_job_runs_again(context: BrowserContext):
    job = await sync_to_async(story.ended_job)()
    page = await context.new_page()
    await page.clock.install()
    await page.goto("/")
    await expect(page.locator("tbody .status")).to_have_text("completed")
    await append(job.pk, [ev.JobRetrying(by="mara", round=2, stages=["creative"])])
    await page.clock.run_for(20_500)
    await expect(page.locator("tbody .status")).to_have_text("queued")
    await append(job.pk, [story.begin()])
    await page.clock.run_for(4_500)
    await expect(page.locator("tbody .status")).to_have_text("running")
