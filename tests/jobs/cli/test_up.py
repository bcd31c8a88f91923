"""manage.py up: how it checks that the installation is ready."""

import os
import subprocess
import sys

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
def test_readiness_is_requested_with_an_allowed_host_name(settings, hosts):
    settings.ALLOWED_HOSTS = hosts
    asked = probe("http://127.0.0.1:8000/")
    host = asked.get_header("Host") or "127.0.0.1:8000"
    assert Client().get("/readyz", headers={"Host": host}).status_code == 503  # no worker, but no bad host


def test_the_worker_and_its_parent_do_not_import_what_only_the_web_needs(tmp_path):
    words = """
import sys, django
django.setup()
import jobs.management.commands.up, jobs.management.commands.worker
heavy = {"jobs.admin", "config.urls", "daphne.server", "jobs.pages.views", "jobs.api.operations"}
print(sorted(heavy & sys.modules.keys()))
"""
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings", "DATA_DIR": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", words], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
