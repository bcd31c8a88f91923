"""The API reference page: Swagger UI, served from the installation, for signed-in users."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests.jobs import story

pytestmark = pytest.mark.django_db


@pytest.fixture
def page() -> str:
    client = Client()
    client.force_login(story.user())
    response = client.get("/api/docs")
    assert response.status_code == 200
    return response.content.decode()


def test_the_page_reads_the_openapi_document(page):
    assert '"url": "/api/openapi.json"' in page
    assert 'data-api-csrf="true"' in page  # so that signed-in users can send requests from the page


def test_scripts_and_styles_come_from_our_static_files(page):
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) >= 4
    for address in addresses:
        assert address.startswith("/static/ninja/")
        assert finders.find(address.removeprefix("/static/")), address


def test_the_page_has_no_inline_script_and_no_inline_style(page):
    scripts = re.findall(r"<script([^>]*)>", page)
    assert [one for one in scripts if "src=" not in one] == [' type="application/json" id="swagger-settings"']
    assert re.findall(r"<style|\s(?:style|on\w+)=", page) == []


def test_the_page_needs_a_sign_in_and_is_linked_from_every_page():
    response = Client().get("/api/docs")
    assert (response.status_code, response["Location"]) == (302, "/sign-in/?next=/api/docs")
    client = Client()
    client.force_login(story.user())
    assert 'href="/api/docs"' in client.get("/").content.decode()


def test_the_page_can_only_be_read():
    client = Client()
    client.force_login(story.user())
    assert client.post("/api/docs").status_code == 405
