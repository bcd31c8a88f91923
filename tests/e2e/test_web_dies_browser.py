"""A person watches a campaign while the web process dies and is restarted."""

import os
import re
import signal
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.e2e.conftest import Start
from tests.e2e.following import from_api
from tests.e2e.installation import PASSWORD, Installation
from tests.e2e.test_browser import CHROMIUM, QUIET

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium; CHROMIUM may name it"),
]
SOON_MS, END_MS = 30_000, 90_000
#: Returns what the page shows, in the format of the API.
SHOWN = """
() => Object.fromEntries([
  ["status", document.getElementById("job-header").dataset.status],
  ...[...document.querySelectorAll("[data-stage]")].map(
    row => [row.dataset.stage, [row.dataset.status, row.querySelector(".count").textContent]]),
])
"""
#: Counts how often the page was loaded: a page that recovers is not reloaded.
LOADS = "sessionStorage.loads = Number(sessionStorage.loads || 0) + 1;"


@pytest.fixture(scope="module")
def site(start: Start) -> Installation:
    """Start an installation so slow that a campaign outlives its web process."""
    return start(LOCAL_LATENCY="0.5")


def web_of(site: Installation) -> int:
    """Return the process id of the web process."""
    [id] = [id for id, words in site.processes().items() if "manage.py web" in words]
    return id


async def sign_in(page: Page) -> None:
    """Sign in with the form."""
    await page.goto("/")
    await page.get_by_label("User name").fill("admin")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_be_visible()


async def shown(page: Page) -> dict[str, Any]:
    """Return what the page shows of the job and its stages."""
    found = await page.evaluate(SHOWN)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "asked to end"])
async def test_a_page_recovers_automatically_when_the_web_process_restarts(
    site: Installation, number: signal.Signals
):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = await (await browser.new_context(base_url=site.url)).new_page()
        await sign_in(page)
        await page.add_init_script(LOADS)
        job, link = site.launch(), page.locator("#link")
        await page.goto(f"/jobs/{job}/")
        await expect(link).to_have_attribute("data-state", "live", timeout=SOON_MS)
        await expect(page.locator("#stage-project .count")).to_have_text(
            re.compile(r"^[1-9]"), timeout=SOON_MS
        )
        os.kill(web_of(site), number)
        # the supervisor keeps the port open, so connections are accepted but not answered
        await expect(page.locator("#link-word")).to_have_text(
            re.compile(r"^(No answer|Offline) since \d\d:\d\d:\d\d$"), timeout=SOON_MS
        )
        await expect(page.locator("#link-heard")).to_have_text(re.compile(r"^last update \d+ s ago$"))
        await expect(link).to_have_attribute("data-state", "live", timeout=SOON_MS)
        assert (await shown(page))["status"] == "running"
        await expect(page.locator("#link-word")).to_have_text("Finished", timeout=END_MS)
        assert await shown(page) == from_api(site.job(job))
        assert await page.evaluate("() => sessionStorage.loads") == "1"
        await browser.close()
