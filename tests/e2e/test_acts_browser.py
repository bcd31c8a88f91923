"""A person cancels and retries a campaign, and makes a dry run, in a browser with the keyboard."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.e2e.conftest import Start
from tests.e2e.installation import PASSWORD, Installation
from tests.e2e.test_browser import CHROMIUM, END_MS, QUIET

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium; CHROMIUM may name it"),
]


@pytest.fixture(scope="module")
def site(start: Start) -> Installation:
    """Start an installation slow enough that a running campaign can be cancelled."""
    return start(LOCAL_LATENCY="0.3")


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
async def page(site: Installation, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """Yield a signed-in page that fails on a violation of the content security policy."""
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
        yield page
        await browser.close()
    assert complaints == []


async def press(page: Page, role: str, name: str) -> None:
    """Use a link or button with the keyboard."""
    await page.get_by_role(role, name=name, exact=True).focus()
    await page.keyboard.press("Enter")


def done(site: Installation, job: str) -> dict[str, str]:
    """Return the external id of each finished call, "" if it has none, by step."""
    calls = [call for stage in site.job(job)["stages"] for call in stage["calls"]]
    return {call["step"]: call.get("remoteId", "") for call in calls if call["state"] == "done"}


async def test_a_campaign_is_cancelled_and_retried_in_the_browser(page: Page, site: Installation):
    job, head = site.launch(), page.locator("#job-header")
    await page.goto(f"/jobs/{job}/")
    # without scripts the page reloads
    await expect(page.locator("#stage-project .count")).to_have_text(re.compile(r"^[1-9]"), timeout=END_MS)
    await press(page, "link", "Cancel this campaign…")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Cancel this campaign?")
    await press(page, "button", "Cancel the campaign")
    await expect(page.get_by_role("status").filter(has_text="Nothing new will be sent")).to_be_visible()
    await expect(head).to_have_attribute("data-status", "cancelled", timeout=END_MS)
    made = done(site, job)
    assert await page.locator("#outside .thing").count() == sum(map(bool, made.values())) >= 2
    await press(page, "link", "Retry everything that failed…")
    await press(page, "button", "Retry")
    await expect(head).to_contain_text("round 2")
    await expect(head).to_have_attribute("data-status", "completed", timeout=END_MS)
    assert await page.locator("#outside").count() == 0
    assert made.items() <= done(site, job).items()


async def test_a_campaign_is_dry_run_and_then_launched_from_the_form(page: Page, site: Installation):
    head = page.locator("#job-header")
    await page.goto("/campaigns/new?preset=aurora-one")
    await press(page, "button", "Dry run")
    await expect(head).to_contain_text("Dry run: nothing is sent.")
    await expect(head).to_have_attribute("data-status", "completed", timeout=END_MS)
    await expect(head).to_contain_text("A launch would make")
    await expect(page.locator("#calls-brief .s-planned")).to_have_count(2)
    await page.locator("#calls-brief").get_by_role("link", name="create", exact=False).last.click()
    await expect(page.get_by_role("heading", name="What would be sent")).to_be_visible()
    await expect(page.get_by_text("dry-run:brief.folder")).to_be_visible()
    await page.goto("/")
    await expect(page.locator("#jobs tbody tr").first).to_contain_text("dry run")
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 844})
        await page.locator("#jobs tbody tr a").first.click()
        await expect(head).to_contain_text("A launch would make")
        wide = await page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= width
        await page.goto("/")
