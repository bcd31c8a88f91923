"""A person signs in with a browser, launches a campaign, watches the bars and opens the results."""

import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Locator, Page, WebSocketRoute, async_playwright, expect

from tests.e2e.conftest import Start
from tests.e2e.installation import PASSWORD, Installation

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium; CHROMIUM may name it"),
]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
END_MS = 45_000
SIZES = [(300, 250), (728, 90), (160, 600), (1920, 1080)]
#: Records every count and bar value that the page shows, by stage.
RECORD = """
window.shown = {};
const look = () => {
  for (const row of document.querySelectorAll("[data-stage]")) {
    const seen = (window.shown[row.dataset.stage] ??= {counts: [], bars: []});
    const note = (list, value) => { if (list.at(-1) !== value) list.push(value); };
    note(seen.counts, row.querySelector(".count").textContent);
    note(seen.bars, row.querySelector("progress").value);
  }
};
document.addEventListener("DOMContentLoaded", () => {
  look();
  new MutationObserver(look).observe(
    document.body, {subtree: true, childList: true, attributes: true, characterData: true});
});
"""
Open = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture(scope="module")
def site(start: Start) -> Installation:
    """Start an installation slow enough to watch."""
    return start(LOCAL_LATENCY="0.15")


@pytest.fixture
def finished(site: Installation) -> str:
    """Return the page of a completed job, from an earlier test if there was one."""
    rows = site.api.get("/api/jobs?status=completed").json()["items"]
    id = rows[0]["jobId"] if rows else site.ended(site.launch())["jobId"]
    return f"/jobs/{id}/"


@pytest.fixture
async def opened(site: Installation) -> AsyncIterator[Open]:
    """Return a function that opens a signed-in browser and fails if a page logs an error."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)

        @asynccontextmanager
        async def open_page(*, sockets: bool = True, size: dict[str, int] = WIDE) -> AsyncIterator[Page]:
            context = await browser.new_context(base_url=site.url, viewport=size)
            complaints = listen(context, sockets)
            if not sockets:
                await context.route_web_socket(re.compile("/ws/"), refuse)
            page = await context.new_page()
            await page.goto("/campaigns/new")
            await page.get_by_label("User name").fill("admin")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            await expect(page.get_by_role("heading", name="New campaign")).to_be_visible()
            yield page
            await context.close()
            assert complaints == []

        yield open_page
        await browser.close()


def listen(context: BrowserContext, sockets: bool) -> list[str]:
    """Collect errors, warnings, refused resources and policy violations of pages."""
    complaints: list[str] = []

    def said(message: Any) -> None:
        expected = not sockets and "WebSocket" in message.text
        if message.type in ("error", "warning") and not expected:
            complaints.append(message.text)

    context.on("console", said)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    return complaints


async def refuse(route: WebSocketRoute) -> None:
    """Close a socket before it sends anything."""
    await route.close(code=1011)


async def counts(page: Page) -> dict[str, dict[str, list]]:
    """Return what the page has shown for each stage so far."""
    return await page.evaluate("() => window.shown")


async def assert_bars_moved(page: Page, sockets: bool) -> None:
    """Assert that bars and counts rose step by step to their maximum and never decreased."""
    # polling every two seconds may miss the middle of the shorter stage
    half_done = {"project", "creative"} if sockets else {"creative"}
    shown = await counts(page)
    assert len(shown) == 8
    for stage, seen in shown.items():
        assert seen["bars"] == sorted(seen["bars"]) and seen["bars"][-1] == 100, (stage, seen)
    for stage, total in (("project", 13), ("creative", 4)):
        made = [int(text.split("/")[0]) for text in shown[stage]["counts"] if text.endswith(f"/{total}")]
        assert made == sorted(made) and made[-1] == total
        assert stage not in half_done or any(0 < one < total for one in made), (
            f"{stage} was never seen half done: {made}"
        )


async def assert_summary(page: Page) -> None:
    """Assert that the summary lists the results, with four pictures at their exact size."""
    summary = page.locator("#job-summary")
    for title in (
        "campaign brief",
        "media plan",
        "landing page",
        "launch report",
        "Medium rectangle 300x250",
    ):
        await expect(summary.get_by_role("link", name=title).first).to_be_visible()
    assert await summary.locator(".thing").count() >= 17
    assert await summary.locator(".b-simulated").count() >= 6
    pictures = summary.locator("figure img")
    await expect(pictures).to_have_count(4)
    assert [await natural(pictures.nth(index)) for index in range(4)] == SIZES


async def natural(picture: Locator) -> tuple[int, int]:
    """Scroll to a picture, wait until it is loaded, and return its natural size."""
    await picture.scroll_into_view_if_needed()
    await picture.evaluate("image => image.decode()")
    size = await picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    return size[0], size[1]


async def assert_no_sideways_scroll(page: Page) -> None:
    """Assert that the page is no wider than the window."""
    widths = await page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]


async def choose_and_launch(page: Page) -> None:
    """Choose the sample campaign with search and press Launch."""
    await page.get_by_role("link", name="Aurora One").click()
    await expect(page.get_by_label("Brand")).to_have_value("Aurora")
    await page.get_by_label("Include search").check()
    await page.add_init_script(RECORD)
    await page.get_by_role("button", name="Launch campaign").click()
    await page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}/$"))


@pytest.mark.parametrize("sockets", [True, False], ids=["with the socket", "with the socket refused"])
async def test_a_campaign_is_launched_from_the_form_and_followed_to_its_summary(opened: Open, sockets: bool):
    async with opened(sockets=sockets) as page:
        await choose_and_launch(page)
        await expect(page.locator(".stages progress")).to_have_count(8)
        await expect(page.locator("#link-word")).to_have_text("Live" if sockets else "Polling")
        await expect(page.locator("#stage-creative .count")).to_have_text(
            re.compile(r"^[1-3]/4$"), timeout=END_MS
        )
        await expect(page.locator("#link-word")).to_have_text("Finished", timeout=END_MS)
        await expect(page.locator("#job-header .status")).to_have_text("completed")
        await assert_bars_moved(page, sockets)
        await assert_summary(page)


async def test_links_of_the_summary_open_in_the_browser(opened: Open, finished: str):
    async with opened() as page:
        await page.goto(finished)
        links = page.locator("#job-summary .thing-name a")
        assert await links.count() >= 17
        for address in await links.evaluate_all("links => links.map(link => link.href)"):
            answer = await page.context.request.get(address)
            assert answer.status == 200 and len(await answer.body()) > 100, address
        await page.get_by_role("link", name="campaign brief").first.click()
        await expect(page.get_by_text("Executive summary").first).to_be_visible()


async def test_a_campaign_can_be_launched_with_the_keyboard_alone(opened: Open):
    async with opened() as page:
        await page.get_by_role("link", name="Aurora One").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Brand")).to_have_value("Aurora")
        await page.get_by_label("Brand").focus()
        await page.keyboard.press("Control+A")
        await page.keyboard.type("Borealis")
        await page.keyboard.press("Tab")
        await page.keyboard.type("Two")
        for _ in range(400):
            await page.keyboard.press("Tab")
            if await page.evaluate("() => document.activeElement.name === 'launch'"):
                break
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}/$"))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Borealis Two")
        # a page that is closed while its socket opens logs an error
        await expect(page.locator("#link-word")).to_have_text("Live")


async def test_on_a_phone_nothing_scrolls_sideways(opened: Open, finished: str):
    async with opened(size=PHONE) as page:
        await assert_no_sideways_scroll(page)
        await choose_and_launch(page)
        moving = page.locator("#stage-activate .count")
        await expect(moving).to_have_text(re.compile("^[1-5]/5$"), timeout=END_MS)
        await assert_no_sideways_scroll(page)
        await page.goto(finished)
        await expect(page.locator("figure img")).to_have_count(4)
        await assert_no_sideways_scroll(page)


async def test_the_api_reference_lists_the_operations(opened: Open):
    async with opened() as page:
        await page.goto("/api/docs")
        await expect(page.locator(".opblock-summary-path").first).to_be_visible()
        described = (await (await page.context.request.get("/api/openapi.json")).json())["paths"]
        operations = sum(len(methods) for methods in described.values())
        await expect(page.locator(".opblock")).to_have_count(operations)
        await page.get_by_text("List the workflows").click()
        await page.get_by_role("button", name="Try it out").click()
        await page.get_by_role("button", name="Execute").click()
        await expect(page.locator(".live-responses-table tbody .response-col_status")).to_contain_text("200")
