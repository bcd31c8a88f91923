"""Webhooks of a whole installation: set up in the admin, notified of an end, and again after a kill."""

import contextlib
import os
import re
import signal
import sqlite3
from html import unescape

import httpx2
import pytest

from tests.e2e.conftest import Start
from tests.e2e.installation import Installation, csrf, until
from tests.jobs.webhooks.test_webhooks import documented
from tests.receiver import Receiver, silence, status
from tests.receiver import receiver as run_receiver

pytestmark = [pytest.mark.slow, pytest.mark.long]
ADD = "/admin/jobs/webhook/add/"


def set_up(browser: httpx2.Client, url: str, **values: object) -> tuple[str, str]:
    """Set up a webhook as a person does; return its page and the secret shown there."""
    form = {"name": url, "url": url, "kinds": ["ended", "partial"], "active": "on", "allow_private": "on"}
    form |= {"csrfmiddlewaretoken": csrf(browser, ADD)} | values
    page = browser.post(ADD, data=form)
    secret = re.search(r'value="(whsec_[^"]+)"', page.text)
    place = re.search(r'href="(/admin/jobs/webhook/\d+/change/)">Done', page.text)
    assert secret and place, page.text
    return place[1], unescape(secret[1])


def rows(site: Installation, sql: str) -> list[tuple]:
    """Query or change the installation's database."""
    file = site.data / "flightplan.sqlite3"
    with contextlib.closing(sqlite3.connect(file, timeout=20)) as database, database:
        return database.execute(sql).fetchall()


@pytest.fixture(scope="module")
def site(start: Start) -> Installation:
    return start(PUBLIC_URL="http://flightplan.example.com/")


@pytest.fixture
def receiver():
    with run_receiver() as made:
        yield made


def test_a_test_delivery_and_the_end_of_a_campaign_arrive_signed(site: Installation, receiver: Receiver):
    verify = documented()
    with site.browser() as browser:
        place, secret = set_up(browser, receiver.url())
        token = csrf(browser, place)
        test = place.replace("change", "test")
        assert "The test will be sent now" in browser.post(test, data={"csrfmiddlewaretoken": token}).text
        (got,) = receiver.wait()
        assert got.payload["type"] == "test"
        assert verify(secret, got.headers, got.body)
        until(lambda: ": delivered, 1 attempt<" in browser.get(place).text, "the page says that it was taken")
        id = site.launch()
        job = site.ended(id)
        got = receiver.wait(2)[1]
        assert verify(secret, got.headers, got.body)
        assert not verify(secret, got.headers, got.body.replace(b"Aurora", b"Aurola"))
        payload = got.payload
        assert (payload["type"], payload["jobId"], payload["status"]) == ("job.ended", id, job["status"])
        assert payload["pageUrl"] == f"http://flightplan.example.com{job['pageUrl']}"
        sources = [artifact["source"] for artifact in job["artifacts"]]
        assert payload["artifacts"] == {
            word: sources.count(word) for word in ("live", "local", "simulated", "fallback")
        }
        assert payload["unknownCalls"] == 0
        assert secret not in site.log.read_text()
        browser.post(place.replace("change", "delete"), data={"csrfmiddlewaretoken": token, "post": "yes"})


def test_a_delivery_survives_a_killed_worker(site: Installation, receiver: Receiver):
    receiver.answers = [silence(receiver), status(200)]
    with site.browser() as browser:
        _, secret = set_up(browser, receiver.url())
        site.ended(site.launch())
        (first,) = receiver.wait()
        for id, words in site.processes().items():
            if "manage.py worker" in words:
                os.kill(id, signal.SIGKILL)
        # otherwise the dead worker's claim would expire half a minute later
        rows(site, "UPDATE jobs_delivery SET next_at = created_at WHERE state = 'pending'")
        second = receiver.wait(2)[1]
        assert second.headers["webhook-id"] == first.headers["webhook-id"]
        assert second.body == first.body
        assert documented()(secret, second.headers, second.body)
        until(
            lambda: (
                rows(site, "SELECT state, attempts FROM jobs_delivery WHERE kind = 'ended'")[-1]
                == ("delivered", 2)
            ),
            "the delivery is recorded",
        )


def test_a_private_address_is_never_contacted_without_permission(site: Installation, receiver: Receiver):
    with site.browser() as browser:
        refused = {
            "name": "in",
            "url": f"https://127.0.0.1:{receiver.port}/",
            "kinds": ["ended"],
            "active": "on",
        }
        page = browser.post(ADD, data=refused | {"csrfmiddlewaretoken": csrf(browser, ADD)})
        assert "A superuser can allow addresses on a private network" in page.text
        # insert it directly, because the form refuses it
        rows(
            site,
            "INSERT INTO jobs_webhook (name, url, kinds, active, allow_private, secret_version, created_at) "
            f"VALUES ('in', 'https://localhost:{receiver.port}/', '[\"ended\"]', 1, 0, 1, '2026-01-01')",
        )
        site.ended(site.launch())
        sql = "SELECT detail FROM jobs_delivery WHERE webhook_id = (SELECT max(id) FROM jobs_webhook)"
        found = until(lambda: [detail for (detail,) in rows(site, sql) if detail], "the delivery is refused")
        assert "not on the public internet" in found[0]
        assert receiver.got == []
