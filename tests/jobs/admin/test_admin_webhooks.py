"""The admin of webhooks: who may set up what, the secret that is shown once, the test, sending again."""

import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from jobs.models import Delivery, Webhook
from jobs.webhooks import signing as webhooks
from tests.jobs import story
from tests.jobs.hooks import due_now, hook, inside, letter, stands, work_off

pytestmark = pytest.mark.django_db
LIST = reverse("admin:jobs_webhook_changelist")
ADD = reverse("admin:jobs_webhook_add")
DELIVERIES = reverse("admin:jobs_delivery_changelist")


def place(hook, name="change"):
    return reverse(f"admin:jobs_webhook_{name}", args=[hook.pk])


def client(user, **options):
    made = Client(**options)
    made.force_login(user)
    return made


@pytest.fixture
def boss():
    return client(story.user("boss", is_staff=True, is_superuser=True))


def clerk_with(*rights):
    clerk = story.user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return client(clerk)


@pytest.fixture
def clerk():
    """Give somebody who may set up webhooks, and is no superuser."""
    return clerk_with("add_webhook", "change_webhook", "view_webhook", "delete_webhook")


def form(**values):
    good = {"name": "Desk", "url": "https://hooks.example.com/a", "kinds": ["ended", "stuck"], "active": "on"}
    return {name: value for name, value in (good | values).items() if value is not None}


def secret_of(page):
    found = re.search(r'value="(whsec_[^"]+)"', page.content.decode())
    return unescape(found[1]) if found else None


def errors(page):
    return page.context["adminform"].form.errors


def test_a_webhook_is_set_up_and_shows_its_secret_this_once(boss):
    page = boss.post(ADD, form())
    made = Webhook.objects.get()
    assert secret_of(page) == webhooks.secret(made.pk, 1)
    assert "no-store" in page["Cache-Control"]
    assert (made.kinds, made.active, made.allow_private) == (["ended", "stuck"], True, False)
    assert made.created_by.username == "boss"
    boss.post(place(made, "test"))
    for path in (LIST, place(made), place(made, "history"), place(made, "secret"), DELIVERIES):
        assert "whsec_" not in boss.get(path).content.decode()
    assert "whsec_" not in str(list(LogEntry.objects.values()) + list(Delivery.objects.values()))


def test_what_is_wrong_is_told_at_its_field(boss):
    for values, field, word in [
        ({"url": "http://hooks.example.com/"}, "url", "https://"),
        ({"url": "https://10.0.0.5/"}, "url", "superuser"),
        ({"url": "https://me:pw@hooks.example.com/"}, "url", "password"),
        ({"url": "https://" + "a" * 600}, "url", "500"),
        ({"url": ""}, "url", "required"),
        ({"url": "http://169.254.169.254/", "allow_private": "on"}, "url", "neither"),
        ({"kinds": None}, "kinds", "at least one"),
        ({"kinds": ["everything"]}, "kinds", "valid choice"),
        ({"name": ""}, "name", "required"),
    ]:
        found = errors(boss.post(ADD, form(**values)))
        assert list(found) == [field]
        assert word in str(found[field])
    assert not Webhook.objects.exists()


def test_a_superuser_opens_the_house_and_then_plain_names_and_http_will_do(boss):
    boss.post(ADD, form(url="http://collector:8080/hook", allow_private="on"))
    assert Webhook.objects.get().allow_private


def test_who_is_no_superuser_cannot_open_the_house(clerk):
    assert 'name="allow_private"' not in clerk.get(ADD).content.decode()
    assert "superuser" in str(
        errors(clerk.post(ADD, form(url="https://10.0.0.5/", allow_private="on")))["url"]
    )
    clerk.post(ADD, form(allow_private="on"))
    made = Webhook.objects.get()
    assert not made.allow_private
    clerk.post(place(made), form(allow_private="on"))
    made.refresh_from_db()
    assert not made.allow_private


def test_who_is_no_superuser_cannot_lead_an_open_webhook_elsewhere(clerk):
    made = inside("http://collector:8080/hook")
    assert 'name="url"' not in clerk.get(place(made)).content.decode()
    clerk.post(place(made), form(url="http://database:5432/", name="Renamed"))
    made.refresh_from_db()
    assert (made.name, made.url, made.allow_private) == ("Renamed", "http://collector:8080/hook", True)


def test_a_house_cannot_be_closed_around_an_address_that_is_inside(boss):
    made = inside("http://collector:8080/hook")
    assert "https://" in str(errors(boss.post(place(made), form(url=made.url)))["url"])


def test_the_kinds_are_boxes_that_stand_as_they_were_chosen(boss):
    page = boss.get(place(hook("ended", "unknown"))).content.decode()
    boxes = re.findall(r'<input type="checkbox" name="kinds" value="(\w+)"[^>]*?( checked)?>', page)
    assert [(kind, bool(on)) for kind, on in boxes] == [
        ("ended", True),
        ("partial", False),
        ("unknown", True),
        ("stuck", False),
    ]


@pytest.mark.django_db(transaction=True)
def test_the_test_button_sends_a_test_by_the_outbox_and_the_page_shows_what_became_of_it(boss, house):
    made = inside(house.url())
    assert "nothing sent yet" in boss.get(place(made)).content.decode()
    page = boss.post(place(made, "test"), follow=True)
    assert page.redirect_chain == [(place(made), 302)]
    assert "A test is on its way" in page.content.decode()
    assert ": pending" in page.content.decode()
    work_off()
    assert house.got[0].payload["type"] == "test"
    assert ": delivered, 1 attempt<" in boss.get(place(made)).content.decode()


def test_a_test_to_an_address_that_is_not_active_is_refused_with_the_reason(boss):
    made = hook(active=False)
    assert "not active" in boss.post(place(made, "test"), follow=True).content.decode()
    assert not Delivery.objects.exists()


def test_a_new_secret_is_asked_for_made_and_shown_once(boss):
    made = hook()
    asked = boss.get(place(made, "secret"))
    assert "whsec_" not in asked.content.decode()
    made.refresh_from_db()
    assert made.secret_version == 1
    page = boss.post(place(made, "secret"))
    assert secret_of(page) == webhooks.secret(made.pk, 2) != webhooks.secret(made.pk, 1)
    assert "no-store" in page["Cache-Control"]
    assert LogEntry.objects.get().get_change_message() == "Created a new secret."


@pytest.mark.parametrize("name", ["test", "secret"])
def test_the_buttons_are_for_those_who_may_change_a_webhook_and_take_no_foreign_forms(boss, name):
    made = hook()
    looker = clerk_with("view_webhook", "view_delivery")
    assert looker.get(place(made)).status_code == 200
    assert "Send a test" not in looker.get(place(made)).content.decode()
    assert looker.post(place(made, name)).status_code == 403
    assert "/sign-in/" in Client().post(place(made, name)).url
    checked = client(story.user("boss"), enforce_csrf_checks=True)
    assert checked.post(place(made, name)).status_code == 403
    made.refresh_from_db()
    assert made.secret_version == 1
    assert not Delivery.objects.exists()
    assert boss.post(reverse(f"admin:jobs_webhook_{name}", args=[999])).url == reverse("admin:index")


def test_a_test_is_never_sent_by_a_mere_link(boss):
    assert boss.get(place(hook(), "test")).status_code == 405
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("name", ["change", "secret"])
def test_the_pages_hold_no_inline_script_and_no_inline_style(boss, name):
    made = hook(name="<b>bold</b>")
    letter(made)
    page = boss.get(place(made, name)).content.decode()
    assert "<b>bold" not in page
    for tag in re.findall(r"<script[^>]*>", page):
        assert "src=" in tag or 'type="application/json"' in tag
    assert not re.findall(r"<form[^>]*\son\w+=|\sstyle=", page)


def test_the_list_says_what_each_is_told_of_and_how_its_latest_delivery_stands(boss):
    made = hook("ended", "unknown")
    letter(made, state="delivered")
    letter(made, state="given up")
    row = boss.get(LIST).context["cl"].result_list[0]
    assert row.newest == "given up"
    assert "ended, unknown" in boss.get(LIST).content.decode()


def test_deliveries_are_found_by_job_state_and_webhook_and_show_all_of_it(boss):
    job, made = story.ended_job(), hook()
    row = letter(made, job=job, state="given up", attempts=8, status_code=500, detail="answered <500>")
    letter(hook())

    def found(**query):
        return [one.pk for one in boss.get(DELIVERIES, query).context["cl"].result_list]

    asked = ({"q": str(job.pk)}, {"state": "given up"}, {"webhook__id__exact": str(made.pk)})
    assert all(found(**query) == [row.pk] for query in asked)
    page = boss.get(reverse("admin:jobs_delivery_change", args=[row.pk])).content.decode()
    assert "answered &lt;500&gt;" in page
    assert "&quot;type&quot;: &quot;test&quot;" in page


def test_deliveries_are_sent_again_from_the_first_attempt_on(boss):
    rows = [letter(hook(), state=state, attempts=8) for state in ("given up", "delivered", "pending")]
    chosen = {"action": "send_again", "_selected_action": [str(row.pk) for row in rows]}
    page = boss.post(DELIVERIES, chosen, follow=True)
    assert "3 deliveries will be sent again." in page.content.decode()
    assert {stands(row)[:2] for row in rows} == {("pending", 0)}
    due_now()
    assert Delivery.objects.filter(ended_at=None).count() == 3


def test_who_may_only_look_at_deliveries_sends_none_again():
    looker = clerk_with("view_delivery")
    row = letter(hook(), state="given up")
    looker.post(DELIVERIES, {"action": "send_again", "_selected_action": [str(row.pk)]})
    assert stands(row)[0] == "given up"
    sender = clerk_with("view_delivery", "change_delivery")
    sender = client(type(story.user("clerk")).objects.get(username="clerk"))
    sender.post(DELIVERIES, {"action": "send_again", "_selected_action": [str(row.pk)]})
    assert stands(row)[0] == "pending"


def test_a_webhook_goes_with_all_that_was_sent_to_it(boss):
    made = hook()
    letter(made)
    boss.post(place(made, "delete"), {"post": "yes"})
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
