"""The page that sets lines live: what it names before the act, who may, and what it answers."""

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
    """Give what the page's form holds, with its box ticked."""
    return {"hash": re.search(r'name="hash" value="([0-9a-f]{64})"', html)[1], "checked": "yes"}


def test_it_names_every_line_and_the_sum_and_does_nothing():
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


def test_a_line_that_nobody_can_speak_for_is_not_called_paused():
    job = spend.prepared()
    spend.called(job, "north", "unknown")
    skipped = spend.called(
        job, "south", "skipped"
    )  # the person who left it out did not say that it is paused
    skipped.tries.update(outcome="unknown")
    html = text(browser(spend.spender()).get(at(job)))
    assert (html.count("<td>unknown: it may be live</td>"), html.count("<td>paused</td>")) == (2, 1)


def test_the_form_sets_them_live_and_leads_back_to_the_job_which_says_by_whom():
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


def test_what_has_changed_since_is_shown_as_it_is_now():
    job, client = spend.prepared("north"), browser(spend.spender())
    given = form(text(client.get(at(job))))
    feed.append(job.pk, [spend.end("lines", lines=[spend.record("north"), spend.record("south")])])
    answer = client.post(at(job), given)
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "has changed since it was shown" in html
    assert "Line south" in html
    assert client.post(at(job), form(html)).status_code == 302


def test_without_the_right_there_is_no_form_and_a_sentence_who_may():
    job, client = spend.prepared(), browser()
    html = text(client.get(at(job)))
    assert "You don't have permission to spend" in html
    assert 'name="hash"' not in html
    assert client.post(at(job), {"hash": actions.activation(job).digest}).status_code == 403
    assert not AuditEntry.objects.exists()


def test_what_cannot_be_set_live_says_why_and_is_a_conflict():
    job, client = spend.prepared(dry_run=True), browser(spend.spender())
    assert "this was a dry run" in text(client.get(at(job)))
    assert client.post(at(job), {"hash": "x", "checked": "yes"}).status_code == 409


def test_somebody_elses_job_is_not_there():
    job = spend.prepared(owner=story.user("other"))
    assert browser().get(at(job)).status_code == browser().post(at(job)).status_code == 404


def test_an_act_without_the_forms_token_is_refused():
    client = Client(enforce_csrf_checks=True)
    client.force_login(spend.spender())
    assert client.post(at(spend.prepared())).status_code == 403


def test_the_page_allows_no_inline_script_and_is_not_kept():
    answer = browser(spend.spender()).get(at(spend.prepared()))
    assert "unsafe-inline" not in policy(answer)
    assert "no-store" in answer.headers["Cache-Control"]


def test_the_jobs_page_links_there_for_those_with_the_right_and_tells_the_others_who_may():
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


def test_a_failed_line_is_offered_another_confirmation_and_no_retry():
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


def test_an_unknown_money_call_says_that_no_answer_sends_it():
    job = spend.prepared()
    job = actions.activate(job, spend.spender(), actions.activation(job).digest)
    spend.called(job, "north", "unknown", error="no answer")
    html = text(browser().get(reverse("step", args=[job.pk, "live.status.north"])))
    assert "Nothing is sent until a user sets it live again." in html
    assert "It is sent once more" not in html
