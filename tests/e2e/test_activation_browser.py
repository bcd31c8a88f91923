"""A person sets lines live in a browser with the keyboard; other viewers see it happen."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from tests.e2e.conftest import Start
from tests.e2e.installation import PASSWORD, Installation
from tests.e2e.test_acts_browser import press
from tests.e2e.test_browser import CHROMIUM, END_MS, QUIET

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium; CHROMIUM may name it"),
]


@pytest.fixture(scope="module")
def site(start: Start) -> Installation:
    """Start an installation whose bundled servers answer immediately."""
    return start()


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
async def context(site: Installation, request: pytest.FixtureRequest) -> AsyncIterator[BrowserContext]:
    """Yield a signed-in browser that fails on a violation of the content security policy."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = await browser.new_context(base_url=site.url, java_script_enabled=request.param)
        context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_label("User name").fill("admin")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.close()
        yield context
        await browser.close()
    assert complaints == []


async def looking_on(context: BrowserContext, job: str) -> Page:
    """Return a page of the job that was opened when the campaign had ended."""
    page = await context.new_page()
    await page.goto(f"/jobs/{job}/")
    await expect(page.locator("#job-header")).to_have_attribute("data-ended", "yes")
    await expect(page.locator("#stage-live")).to_be_hidden()
    return page


async def test_lines_are_set_live_by_keyboard_and_other_viewers_see_it(
    context: BrowserContext, site: Installation, request: pytest.FixtureRequest
):
    job = site.launch(search=False)
    assert site.ended(job)["status"] == "completed"
    other, page = await looking_on(context, job), await context.new_page()
    await page.goto(f"/jobs/{job}/")
    await expect(page.get_by_text("can be set live by a user with permission to spend")).to_be_hidden()
    await press(page, "link", "Set lines live…")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Set lines live?")
    await expect(page.locator("table.spend tbody tr")).to_have_count(5)
    button = page.get_by_role("button", name=re.compile(r"^Set 5 lines live: USD [\d,.]+$"))
    await button.focus()
    await page.keyboard.press("Enter")  # the browser itself requires the box to be ticked
    await expect(page.get_by_role("heading", level=1)).to_have_text("Set lines live?")
    await page.get_by_label("I have checked the lines and the total").focus()
    await page.keyboard.press("Space")
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#job-header")).to_contain_text("confirmed by admin")
    await expect(page.locator("#stage-live")).to_have_attribute("data-status", "completed", timeout=END_MS)
    await expect(page.locator("#job-header")).to_have_attribute("data-ended", "yes", timeout=END_MS)
    if "without" in request.node.name:
        await other.reload()
    await expect(other.locator("#stage-live .count")).to_have_text("5/5", timeout=END_MS)
    await expect(other.locator("#calls-live")).to_be_visible()
    await expect(other.get_by_role("link", name="Set lines live…")).to_have_count(0)
