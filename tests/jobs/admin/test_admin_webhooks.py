"""The admin of webhooks: permissions, the secret that is shown once, the test, sending again."""

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
from tests.jobs.hooks import delivery, delivery_state, due_now, hook, private_hook, send_due

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
    """Sign in a user who may set up webhooks but is not a superuser."""
    return clerk_with("add_webhook", "change_webhook", "view_webhook", "delete_webhook")


def form(**values):
    good = {"name": "Desk", "url": "https://hooks.example.com/a", "kinds": ["ended", "stuck"], "active": "on"}
    return {name: value for name, value in (good | values).items() if value is not None}


def secret_of(page):
    found = re.search(r'value="(whsec_[^"]+)"', page.content.decode())
    return unescape(found[1]) if found else None


def errors(page):
    return page.context["adminform"].form.errors


def test_a_new_webhook_shows_its_secret_once(boss):
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


def test_errors_are_shown_at_their_fields(boss):
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


def test_a_superuser_can_allow_private_addresses_plain_names_and_http(boss):
    boss.post(ADD, form(url="http://collector:8080/hook", allow_private="on"))
    assert Webhook.objects.get().allow_private


def test_other_users_cannot_allow_private_addresses(clerk):
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


def test_other_users_cannot_change_the_address_of_a_private_webhook(clerk):
    made = private_hook("http://collector:8080/hook")
    assert 'name="url"' not in clerk.get(place(made)).content.decode()
    clerk.post(place(made), form(url="http://database:5432/", name="Renamed"))
    made.refresh_from_db()
    assert (made.name, made.url, made.allow_private) == ("Renamed", "http://collector:8080/hook", True)


def test_private_addresses_cannot_be_disallowed_while_the_address_is_private(boss):
    made = private_hook("http://collector:8080/hook")
    assert "https://" in str(errors(boss.post(place(made), form(url=made.url)))["url"])


def test_the_kinds_are_checkboxes_that_keep_their_state(boss):
    page = boss.get(place(hook("ended", "unknown"))).content.decode()
    boxes = re.findall(r'<input type="checkbox" name="kinds" value="(\w+)"[^>]*?( checked)?>', page)
    assert [(kind, bool(on)) for kind, on in boxes] == [
        ("ended", True),
        ("partial", False),
        ("unknown", True),
        ("stuck", False),
    ]


@pytest.mark.django_db(transaction=True)
def test_the_test_button_sends_a_test_through_the_outbox_and_the_page_shows_the_result(boss, receiver):
    made = private_hook(receiver.url())
    assert "nothing sent yet" in boss.get(place(made)).content.decode()
    page = boss.post(place(made, "test"), follow=True)
    assert page.redirect_chain == [(place(made), 302)]
    assert "The test will be sent now" in page.content.decode()
    assert ": pending" in page.content.decode()
    send_due()
    assert receiver.got[0].payload["type"] == "test"
    assert ": delivered, 1 attempt<" in boss.get(place(made)).content.decode()


def test_an_inactive_webhook_refuses_a_test_with_the_reason(boss):
    made = hook(active=False)
    assert "not active" in boss.post(place(made, "test"), follow=True).content.decode()
    assert not Delivery.objects.exists()


def test_a_new_secret_is_confirmed_created_and_shown_once(boss):
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
def test_the_buttons_need_change_permission_and_a_csrf_token(boss, name):
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


def test_a_link_cannot_send_a_test(boss):
    assert boss.get(place(hook(), "test")).status_code == 405
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("name", ["change", "secret"])
def test_the_pages_have_no_inline_script_and_no_inline_style(boss, name):
    made = hook(name="<b>bold</b>")
    delivery(made)
    page = boss.get(place(made, name)).content.decode()
    assert "<b>bold" not in page
    for tag in re.findall(r"<script[^>]*>", page):
        assert "src=" in tag or 'type="application/json"' in tag
    assert not re.findall(r"<form[^>]*\son\w+=|\sstyle=", page)


def test_the_list_shows_the_kinds_and_the_state_of_the_latest_delivery(boss):
    made = hook("ended", "unknown")
    delivery(made, state="delivered")
    delivery(made, state="given up")
    row = boss.get(LIST).context["cl"].result_list[0]
    assert row.newest == "given up"
    assert "ended, unknown" in boss.get(LIST).content.decode()


def test_deliveries_are_found_by_job_state_and_webhook_and_shown_in_full(boss):
    job, made = story.ended_job(), hook()
    row = delivery(made, job=job, state="given up", attempts=8, status_code=500, detail="answered <500>")
    delivery(hook())

    def found(**query):
        return [one.pk for one in boss.get(DELIVERIES, query).context["cl"].result_list]

    asked = ({"q": str(job.pk)}, {"state": "given up"}, {"webhook__id__exact": str(made.pk)})
    assert all(found(**query) == [row.pk] for query in asked)
    page = boss.get(reverse("admin:jobs_delivery_change", args=[row.pk])).content.decode()
    assert "answered &lt;500&gt;" in page
    assert "&quot;type&quot;: &quot;test&quot;" in page


def test_deliveries_sent_again_start_at_the_first_attempt(boss):
    rows = [delivery(hook(), state=state, attempts=8) for state in ("given up", "delivered", "pending")]
    chosen = {"action": "send_again", "_selected_action": [str(row.pk) for row in rows]}
    page = boss.post(DELIVERIES, chosen, follow=True)
    assert "3 deliveries will be sent again." in page.content.decode()
    assert {delivery_state(row)[:2] for row in rows} == {("pending", 0)}
    due_now()
    assert Delivery.objects.filter(ended_at=None).count() == 3


def test_view_permission_is_not_enough_to_send_deliveries_again():
    looker = clerk_with("view_delivery")
    row = delivery(hook(), state="given up")
    looker.post(DELIVERIES, {"action": "send_again", "_selected_action": [str(row.pk)]})
    assert delivery_state(row)[0] == "given up"
    sender = clerk_with("view_delivery", "change_delivery")
    sender = client(type(story.user("clerk")).objects.get(username="clerk"))
    sender.post(DELIVERIES, {"action": "send_again", "_selected_action": [str(row.pk)]})
    assert delivery_state(row)[0] == "pending"


def test_deleting_a_webhook_deletes_its_deliveries(boss):
    made = hook()
    delivery(made)
    boss.post(place(made, "delete"), {"post": "yes"})
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
