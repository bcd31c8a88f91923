"""The page that sets lines live: what it shows, permissions and responses."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from jobs import registry
from jobs.acts import actions
from jobs.models import AuditEntry, Job
from jobs.store import feed
from tests.jobs import spend, story
from tests.pages import browser, policy, text

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def one_workflow(monkeypatch, settings):
    settings.WORKFLOWS = ["tests.jobs.spend.SPEND"]
    settings.TOOL_ROLES = "tests.jobs.spend.ROLES"
    registry.workflows.cache_clear()
    monkeypatch.setattr("jobs.acts.actions.run_job", lambda job_id: None)
    yield
    registry.workflows.cache_clear()


def at(job: Job) -> str:
    return reverse("job-activate", args=[job.pk])


def form(html: str) -> dict[str, str]:
    """Return the data of the page's form with its box ticked."""
    return {"hash": re.search(r'name="hash" value="([0-9a-f]{64})"', html)[1], "checked": "yes"}


def test_the_page_shows_every_line_and_the_total_and_changes_nothing():
    job = spend.prepared()
    spend.called(job, "north", "done")
    html = text(browser(spend.spender()).get(at(job)))
    for words in (
        "Line south",
        "<code>c-south</code>",
        '2031-05-01 to 2031-05-31 <span class="kind">(Europe/Berlin)</span>',
        "USD 200.00",
        "<strong>USD 300.50</strong>",
        "<strong>EUR 70.00</strong>",
        "no money moves",
        "The search campaign stays paused.",
        '<button class="danger">Set 2 lines live: EUR 70.00 and USD 200.00</button>',
        '<label for="checked">I have checked the lines and the total</label>',
    ):
        assert words in html
    assert (html.count("<td>already live</td>"), html.count("<td>paused</td>")) == (1, 2)
    job.refresh_from_db()
    assert (job.status, AuditEntry.objects.count()) == ("completed", 0)


def test_a_line_with_an_unknown_status_is_not_called_paused():
    job = spend.prepared()
    spend.called(job, "north", "unknown")
    skipped = spend.called(job, "south", "skipped")  # skipping it does not say that it is paused
    skipped.tries.update(outcome="unknown")
    html = text(browser(spend.spender()).get(at(job)))
    assert (html.count("<td>unknown: it may be live</td>"), html.count("<td>paused</td>")) == (2, 1)


def test_the_form_sets_lines_live_and_the_job_shows_by_whom():
    job, client = spend.prepared(), browser(spend.spender())
    answer = client.post(at(job), form(text(client.get(at(job)))))
    assert (answer.status_code, answer.url) == (302, reverse("job", args=[job.pk]))
    html = text(client.get(answer.url))
    assert "The lines are being set live." in html
    assert "3 lines, EUR 70.00, USD 300.50, confirmed by sol" in html
    assert 'id="stage-live" class="stage' in html


def test_the_box_must_be_ticked():
    job, client = spend.prepared(), browser(spend.spender())
    given = form(text(client.get(at(job)))) | {"checked": ""}
    answer = client.post(at(job), given)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'aria-invalid="true" aria-describedby="checked-error" autofocus' in html
    assert "<title>Error: " in html
    assert not AuditEntry.objects.exists()


def test_changed_lines_are_shown_as_they_are_now():
    job, client = spend.prepared("north"), browser(spend.spender())
    given = form(text(client.get(at(job))))
    feed.append(job.pk, [spend.end("lines", lines=[spend.record("north"), spend.record("south")])])
    answer = client.post(at(job), given)
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "have changed since they were shown" in html
    assert "Line south" in html
    assert client.post(at(job), form(html)).status_code == 302


def test_without_permission_there_is_an_explanation_instead_of_a_form():
    job, client = spend.prepared(), browser()
    html = text(client.get(at(job)))
    assert "You don't have permission to spend" in html
    assert 'name="hash"' not in html
    assert client.post(at(job), {"hash": actions.activation(job).digest}).status_code == 403
    assert not AuditEntry.objects.exists()


def test_lines_that_cannot_be_set_live_are_a_conflict_with_the_reason():
    job, client = spend.prepared(dry_run=True), browser(spend.spender())
    assert "this was a dry run" in text(client.get(at(job)))
    assert client.post(at(job), {"hash": "x", "checked": "yes"}).status_code == 409


def test_another_users_job_returns_404():
    job = spend.prepared(owner=story.user("other"))
    assert browser().get(at(job)).status_code == browser().post(at(job)).status_code == 404


def test_a_post_without_a_csrf_token_is_refused():
    client = Client(enforce_csrf_checks=True)
    client.force_login(spend.spender())
    assert client.post(at(spend.prepared())).status_code == 403


def test_the_page_allows_no_inline_script_and_is_not_cached():
    answer = browser(spend.spender()).get(at(spend.prepared()))
    assert "unsafe-inline" not in policy(answer)
    assert "no-store" in answer.headers["Cache-Control"]


def test_the_jobs_page_links_there_for_users_with_permission():
    job = spend.prepared()
    link, sentence = "for-spenders", "can be set live by a user with permission to spend"
    ours = text(browser(spend.spender()).get(f"/jobs/{job.pk}/"))
    theirs = text(browser().get(f"/jobs/{job.pk}/"))
    assert "<body data-now=" in ours
    assert 'class="may-spend"' in ours
    assert 'class="may-spend"' not in theirs
    for html in (ours, theirs):  # one piece for every viewer: the style sheet shows each their own
        assert link in html
        assert sentence in html
        assert '<li id="stage-live" hidden></li>' in html


def test_a_failed_line_needs_another_confirmation_instead_of_a_retry():
    job = spend.prepared()
    sol = spend.spender()
    job = actions.activate(job, sol, actions.activation(job).digest)
    spend.called(job, "north", "done")
    spend.called(job, "south", "failed", error="archived")
    spend.over(job, "north", status="partial")
    html = text(browser(sol).get(f"/jobs/{job.pk}/"))
    assert at(job) in html
    assert "stage=live" not in html
    assert "step=live" not in html
    step = text(browser(sol).get(reverse("step", args=[job.pk, "live.status.south"])))
    assert "Retry…" not in step


def test_the_page_of_an_unknown_money_call_says_that_no_option_sends_it():
    job = spend.prepared()
    job = actions.activate(job, spend.spender(), actions.activation(job).digest)
    spend.called(job, "north", "unknown", error="no answer")
    html = text(browser().get(reverse("step", args=[job.pk, "live.status.north"])))
    assert "Nothing is sent until a user sets it live again." in html
    assert "It is sent once more" not in html
