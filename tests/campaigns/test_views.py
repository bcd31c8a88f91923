"""The launch form in the browser: nothing is made of a bad brief, and one job of any number of clicks."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from campaigns import workflow as lifecycle
from campaigns.brief.presets import preset_names
from campaigns.brief.rules import parse_brief
from campaigns.form import views
from campaigns.form.forms import LaunchForm
from campaigns.models import Campaign
from jobs.engine.inputs import Fault
from jobs.models import Job
from tests.campaigns.briefs import TODAY, raw_brief
from tests.campaigns.test_forms import sent
from tests.pages import browser, policy, text

pytestmark = pytest.mark.django_db
TOKEN = "11111111-2222-4333-8444-555555555555"
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be the day that the test briefs are written for."""
    moment = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    monkeypatch.setattr(lifecycle, "now", lambda: moment)
    monkeypatch.setattr(views, "now", lambda: moment)


def body(raw: dict[str, Any] | None = None, **changes: str) -> dict[str, str]:
    """Return what the browser sends when Launch is pressed."""
    data = sent(LaunchForm.of_brief(raw or raw_brief()), token=TOKEN, **changes)
    return data.dict() | ({} if "check" in changes else {"launch": "yes"})


def post(client: Client | None = None, data: dict[str, str] | None = None) -> HttpResponse:
    """Send the form."""
    return (client or browser()).post(reverse("campaign-new"), data or body())


def test_the_empty_form_shows_every_section_and_no_error():
    html = text(browser().get(reverse("campaign-new")))
    for words in (
        "Basics",
        "Media plan",
        "Creatives",
        "KPIs",
        "Search campaign",
        "Brief texts",
        "Project tasks",
    ):
        assert words in html
    assert 'id="errors"' not in html


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_fills_the_form_and_shows_its_warnings(name: str):
    html = text(browser().get(reverse("campaign-new"), {"preset": name}))
    assert "ready</span>" in html
    assert "requires approval by a" in html


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_can_be_launched_from_the_form_as_it_is(name: str):
    client = browser()
    page = client.get(reverse("campaign-new"), {"preset": name})
    data = sent(page.context["form"], token=page.context["token"], launch="yes").dict()
    response = client.post(reverse("campaign-new"), data)
    assert response.url == reverse("job", args=[Job.objects.get().pk])


def test_an_unknown_preset_is_not_there():
    assert browser().get(reverse("campaign-new"), {"preset": "../secret"}).status_code == 404


def test_a_launch_makes_a_job_with_its_campaign_and_leads_to_its_page():
    response = post()
    job = Job.objects.get()
    assert (response.status_code, response.url) == (302, reverse("job", args=[job.pk]))
    assert (job.title, job.owner.username) == ("Tessel Desk", "mara")
    assert Campaign.objects.get().job == job
    assert "search" not in [id for id, *_ in job.plan]


def test_search_is_part_of_the_job_when_it_is_ticked():
    raw = raw_brief(search={"daily_budget": 100, "seed_keywords": ["desk"]})
    post(data=body(raw, include_search="on"))
    assert "search" in [id for id, *_ in Job.objects.get().plan]


def test_a_double_click_makes_one_job():
    client = browser()
    first, second = post(client), post(client)
    assert first.url == second.url
    assert Job.objects.count() == 1


def test_a_form_that_was_changed_after_its_launch_asks_before_it_makes_another():
    client = browser()
    post(client)
    response = post(client, body(tagline="New words"))
    assert response.status_code == 409
    html = response.content.decode()
    assert "has already launched a campaign" in html
    assert Job.objects.count() == 1
    token = re.search(r'name="token" value="([^"]+)"', html)[1]
    assert token != TOKEN
    post(client, body(tagline="New words") | {"token": token})
    assert Job.objects.count() == 2


def test_two_people_with_the_same_token_make_two_jobs():
    from tests.jobs import story

    post()
    post(browser(story.user("other")))
    assert Job.objects.count() == 2


@pytest.mark.parametrize("changes", [{"budget": ""}, {"landing_url": "x"}, {"media_plan.0.budget": "1"}])
def test_nothing_is_made_of_a_bad_brief_and_what_was_typed_stays(changes: dict[str, str]):
    response = post(data=body(tagline="Kept words", **changes))
    assert response.status_code == 422
    html = response.content.decode()
    assert 'id="errors"' in html
    assert "Kept words" in html
    assert f'value="{TOKEN}"' in html
    assert Job.objects.count() == Campaign.objects.count() == 0


def test_an_error_is_tied_to_its_input_for_those_who_cannot_see_it():
    html = post(data=body(budget="lots")).content.decode()
    field = re.search(r'<input[^>]+name="budget"[^>]*>', html)[0]
    assert 'aria-invalid="true"' in field
    assert re.search(r'aria-describedby="[^"]*id_budget_error', field)
    assert 'id="id_budget_error"' in html
    assert '<a href="#id_budget">Total media budget</a>' in html


def test_what_was_typed_is_escaped_where_it_is_shown_again():
    html = post(data=body(brand=HOSTILE, budget="", **{"media_plan.0.tactic": HOSTILE})).content.decode()
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html


def test_checking_shows_the_warnings_and_launches_nothing():
    html = text(post(data=body(check="yes")))
    assert "requires approval by a manager" in html
    assert "ready</span>" in html
    assert Job.objects.count() == 0


def test_the_notice_is_updated_during_input():
    response = browser().post(reverse("campaign-check"), body(budget="70000"))
    html = text(response)
    assert "1 problem to fix before you can launch" in html
    assert html.lstrip().startswith('<aside id="notice"')


def test_warnings_do_not_hold_up_a_launch():
    cheap = {"budget": "45000", "media_plan.0.budget": "40000", "media_plan.1.budget": "5000"}
    assert post(data=body(**cheap)).status_code == 302


def test_rows_are_added_and_removed_without_a_script_and_nothing_is_launched():
    more = text(post(data=body() | {"add": "media_plan", "launch": ""}))
    assert 'name="media_plan.2.channel"' in more
    fewer = text(post(data=body() | {"remove": "media_plan.0"}))
    assert 'name="media_plan.1.channel"' not in fewer
    assert 'value="CTV"' in fewer
    assert Job.objects.count() == 0


@pytest.mark.parametrize("asked", [{"add": "nothing"}, {"remove": "media_plan.x"}, {"token": "x" * 5000}])
def test_odd_requests_do_no_harm(asked: dict[str, str]):
    assert post(data=body() | asked).status_code in (200, 302)


def test_the_form_needs_its_csrf_token():
    client = Client(enforce_csrf_checks=True)
    client.force_login(browser().get(reverse("jobs")).wsgi_request.user)
    assert post(client).status_code == 403
    assert Job.objects.count() == 0


def test_a_signed_out_post_launches_nothing(client: Client):
    assert post(client).status_code == 302
    assert Job.objects.count() == 0


def test_the_form_is_never_kept_by_a_cache_and_allows_no_inline_code():
    response = browser().get(reverse("campaign-new"))
    assert "no-store" in response["Cache-Control"]
    assert "unsafe-inline" not in policy(response)


def test_the_button_for_a_dry_run_makes_one_and_the_same_form_launches_after_it():
    client = browser()
    dry = body() | {"dry_run": "yes"}
    del dry["launch"]
    assert post(client, dry).status_code == post(client, dry).status_code == 302
    assert Job.objects.get().dry_run
    assert post(client).status_code == 302
    assert sorted(Job.objects.values_list("dry_run", flat=True)) == [False, True]


def test_the_form_offers_a_dry_run_and_says_what_it_does():
    html = text(browser().get(reverse("campaign-new")))
    assert 'name="dry_run"' in html and "It sends nothing." in html


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 302),
        ({"budget": ""}, 422),
        ({"check": "yes"}, 200),
        ({"check": "yes", "budget": ""}, 422),
        ({"add": "media_plan"}, 200),
    ],
)
def test_a_post_parses_the_brief_once(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], status: int):
    parsed = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        parsed.append(args)
        return parse_brief(*args, **kwargs)

    for module in (views, lifecycle):
        monkeypatch.setattr(module, "parse_brief", counted)
    client, data = browser(), body(**changes)
    assert post(client, data).status_code == status
    assert len(parsed) == 1
    if status == 302:  # the same again, and then with a change that needs a confirmation
        for number, more in enumerate([{}, {"tagline": "New words"}], 2):
            post(client, data | more)
            assert len(parsed) == number


def test_a_bad_brief_is_refused_with_its_errors_and_its_warnings():
    cheap = {"budget": "50000", "media_plan.0.budget": "40000", "media_plan.1.budget": "5000"}
    html = post(data=body(**cheap)).content.decode()
    assert 'id="errors"' in html and "you can still launch" in html


def test_a_broken_servers_file_is_named_beside_the_errors_of_the_brief(monkeypatch: pytest.MonkeyPatch):
    fault = Fault("TOOL_SERVERS", "cannot be read")
    monkeypatch.setattr("jobs.registry.faults", lambda: [fault])
    html = post(data=body(budget="lots")).content.decode()
    assert "TOOL_SERVERS" in html and "#id_budget" in html
    assert Job.objects.count() == 0


def test_a_kpi_that_is_listed_twice_is_refused():
    twice = {"kpis.7.name": "CTR", "kpis.7.value": "1%", "kpis.8.name": "CTR", "kpis.8.value": "2%"}
    response = post(data=body(**twice))
    assert response.status_code == 422 and "CTR is listed twice" in response.content.decode()
