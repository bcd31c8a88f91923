"""Signing in: by password, and once by a link."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.pages import signin
from jobs.pages.signin import make_link
from tests.jobs import story

pytestmark = pytest.mark.django_db


def signed_in(client: Client) -> bool:
    """Return whether the client is signed in."""
    return "_auth_user_id" in client.session


def test_a_link_signs_in_and_redirects_to_the_jobs(client: Client):
    response = client.get(make_link(story.user()))
    assert (response.status_code, response.url) == (302, "/")
    assert signed_in(client)


def test_a_link_works_once(client: Client):
    link = make_link(story.user())
    client.get(link)
    second = Client()
    response = second.get(link)
    assert response.status_code == 410
    assert "no longer works" in response.content.decode()
    assert not signed_in(second)


def test_of_two_links_created_together_only_one_works(client: Client):
    user = story.user()
    first, second = make_link(user), make_link(user)
    client.get(first)
    assert Client().get(second).status_code == 410


def test_another_sign_in_invalidates_a_link(client: Client):
    user = story.user()
    link = make_link(user)
    Client().force_login(user)
    assert client.get(link).status_code == 410


def test_a_new_password_invalidates_a_link(client: Client):
    user = story.user()
    link = make_link(user)
    user.set_password("another one entirely")
    user.save()
    assert client.get(link).status_code == 410


def test_a_link_works_for_an_hour(client: Client, monkeypatch: pytest.MonkeyPatch):
    link = make_link(story.user())
    monkeypatch.setattr(signin, "SECONDS", -1)
    assert client.get(link).status_code == 410


def test_a_link_of_an_inactive_account_is_refused(client: Client):
    user = story.user()
    link = make_link(user)
    user.is_active = False
    user.save()
    assert client.get(link).status_code == 410


@pytest.mark.parametrize("token", ["x", "a:b:c", "WyIxIiwiIiwiIl0:1:x"])
def test_a_forged_link_is_refused_without_a_query(
    client: Client, token: str, django_assert_num_queries: object
):
    with django_assert_num_queries(0):
        assert client.get(reverse("sign-in-link", args=[token])).status_code == 410


def test_a_link_redirects_to_a_page_of_this_site(client: Client):
    where = reverse("job", args=[story.job().pk])
    assert client.get(make_link(story.user(), where)).url == where


@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_a_link_redirects_to_no_other_site(client: Client, next: str):
    assert client.get(make_link(story.user(), next)).url == "/"


def test_a_link_is_not_sent_as_referrer_or_cached(client: Client):
    response = client.get(make_link(story.user()))
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]


def test_a_user_who_signed_in_before_can_use_a_link_too(client: Client):
    user = story.user()
    user.last_login = timezone.now() - timedelta(days=3)
    user.save()
    client.get(make_link(user))
    assert signed_in(client)


def test_a_password_signs_in_and_a_wrong_password_is_refused(client: Client):
    user = story.user()
    user.set_password("right-horse")
    user.save()
    wrong = client.post(reverse("sign-in"), {"username": user.username, "password": "wrong"})
    assert "correct username and password" in wrong.content.decode()
    assert client.post(reverse("sign-in"), {"username": user.username, "password": "right-horse"}).url == "/"


def test_signing_out_needs_a_post_with_a_csrf_token():
    client = Client(enforce_csrf_checks=True)
    client.force_login(story.user())
    assert client.get(reverse("sign-out")).status_code == 405
    refused = client.post(reverse("sign-out"))
    assert refused.status_code == 403
    assert "Please try again" in refused.content.decode()
    assert signed_in(client)
