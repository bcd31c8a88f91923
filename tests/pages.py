"""Helpers of the page tests: a signed-in browser, and the security policies of responses."""

from typing import Any

from django.http import HttpResponse
from django.test import Client

from tests.jobs import story


def browser(user: Any = None) -> Client:
    """Return a client that is signed in, as the story's user by default."""
    client = Client()
    client.force_login(user or story.user())
    return client


def text(response: HttpResponse) -> str:
    """Return a page's HTML; its status must be 200."""
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def policy(response: HttpResponse) -> str:
    """Return the content security policy of a response."""
    return str(response.headers["Content-Security-Policy"])
