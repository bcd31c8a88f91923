"""manage.py up: how it finds out that the product answers."""

import pytest
from django.test import Client

from jobs.management.commands.up import address_of, probe

pytestmark = pytest.mark.django_db


def test_a_listener_on_every_address_is_reached_on_this_machine():
    assert address_of("0.0.0.0", 8000) == "http://127.0.0.1:8000/"
    assert address_of("10.1.2.3", 80) == "http://10.1.2.3:80/"


@pytest.mark.parametrize(
    "hosts", [["example.com"], [".example.com"], ["*"], ["127.0.0.1"], ["a.org", "b.org"]]
)
def test_readiness_is_asked_for_under_a_name_that_the_site_answers_to(settings, hosts):
    settings.ALLOWED_HOSTS = hosts
    asked = probe("http://127.0.0.1:8000/")
    host = asked.get_header("Host") or "127.0.0.1:8000"
    assert Client().get("/readyz", headers={"Host": host}).status_code == 503  # no worker, but no bad host
