"""Helpers of the page tests: a browser that is signed in, and the policies that answers carry."""

from typing import Any

from django.http import HttpResponse
from django.test import Client

from tests.jobs import story


def browser(user: Any = None) -> Client:
    """Give a client that is signed in, as the story's user where nobody is named."""
    client = Client()
    client.force_login(user or story.user())
    return client


def text(response: HttpResponse) -> str:
    """Give a page's html; it must have been answered with 200."""
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def policy(response: HttpResponse) -> str:
    """Give the content security policy of an answer."""
    return str(response.headers["Content-Security-Policy"])
