"""What PUBLIC_URL and TRUSTED_PROXIES switch on, in processes that have them in their environment."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.e2e.installation import PASSWORD, Installation
from tests.jobs import running

pytestmark = [pytest.mark.slow, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]
URL = "https://flightplan.example.com"
SHOW = """
import json, django
django.setup()
from django.conf import settings
from django.urls import reverse
names = {names}
print(json.dumps({{name: getattr(settings, name) for name in names}} | {{"sign-in": reverse("sign-in")}}))
"""


def run(folder, *words, **variables):
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=env | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def shown(folder, *names, **variables):
    """Return settings by name, and the path of the sign-in page."""
    return json.loads(run(folder, "-c", SHOW.format(names=names), **variables).stdout)


SECURE = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS", "SECURE_SSL_REDIRECT")
NAMES = ("ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH", "STATIC_URL")


def test_https_switches_on_secure_cookies_hsts_and_the_redirect(tmp_path):
    found = shown(tmp_path, *SECURE, PUBLIC_URL=URL, TRUSTED_PROXIES="127.0.0.1")
    assert [found[name] for name in SECURE] == [True, True, 31536000, True]
    # without a trusted proxy no request looks secure, and a redirect would never end
    found = shown(tmp_path, *SECURE, PUBLIC_URL=URL)
    assert [found[name] for name in SECURE] == [True, True, 31536000, False]
    for variables in ({}, {"PUBLIC_URL": "http://flightplan.example.com", "TRUSTED_PROXIES": "127.0.0.1"}):
        found = shown(tmp_path, *SECURE, **variables)
        assert [found[name] for name in SECURE] == [False, False, 0, False]


def test_the_host_and_the_origin_are_accepted_beside_those_that_are_set(tmp_path):
    found = shown(tmp_path, *NAMES, PUBLIC_URL=f"{URL}:8443", ALLOWED_HOSTS="other.example.com")
    assert found["ALLOWED_HOSTS"] == ["other.example.com", "flightplan.example.com"]
    assert found["CSRF_TRUSTED_ORIGINS"] == [f"{URL}:8443"]
    found = shown(tmp_path, *NAMES, PUBLIC_URL="https://[2001:db8::1]")
    assert found["ALLOWED_HOSTS"][-1] == "[2001:db8::1]"


def test_the_path_becomes_the_path_of_the_whole_site(tmp_path):
    found = shown(tmp_path, *NAMES, PUBLIC_URL=f"{URL}/fp/")
    assert found["sign-in"] == "/fp/sign-in/" and found["STATIC_URL"] == "/fp/static/"
    assert found["SESSION_COOKIE_PATH"] == found["CSRF_COOKIE_PATH"] == "/fp/"
    assert found["CSRF_TRUSTED_ORIGINS"] == [URL]
    assert shown(tmp_path, *NAMES, PUBLIC_URL=URL)["sign-in"] == "/sign-in/"


def test_djangos_check_for_deployment_is_clean(tmp_path):
    done = run(
        tmp_path, "manage.py", "check", "--deploy", PUBLIC_URL=f"{URL}/fp", TRUSTED_PROXIES="127.0.0.1"
    )
    assert "no issues" in done.stdout and done.stderr == ""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("proxied") / "installation"
    with Installation(root, PUBLIC_URL=f"{URL}/fp", TRUSTED_PROXIES="127.0.0.1") as site:
        yield site


@pytest.fixture
def proxy(site):
    """A client that reaches the site as a TLS proxy in front of it does."""
    headers = {
        "Host": "flightplan.example.com",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
    }
    with httpx2.Client(base_url=site.url, headers=headers, timeout=30) as client:
        yield client


def sign_in(proxy, origin=URL):
    page = proxy.get("/fp/sign-in/")
    cookie = re.match(r"csrftoken=([^;]+)", page.headers["set-cookie"])[1]
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
    form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
    headers = {"Cookie": f"csrftoken={cookie}", "Origin": origin, "Referer": f"{origin}/fp/sign-in/"}
    return proxy.post("/fp/sign-in/", data=form, headers=headers)


async def test_pages_and_sockets_work_behind_a_tls_proxy_below_a_path(site, proxy):
    answer = sign_in(proxy)
    assert (answer.status_code, answer.headers["location"]) == (302, "/fp/")
    session = next(text for text in answer.headers.get_list("set-cookie") if text.startswith("sessionid="))
    assert "Secure" in session and "Path=/fp/" in session and "HttpOnly" in session
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    mine = re.match(r"sessionid=([^;]+)", session)[1]
    bearer = {"Authorization": f"Bearer {site.token('read', 'launch')}"}
    brief = {"campaign": "aurora-one", "dryRun": True}
    job = proxy.post("/fp/api/workflows/campaign-lifecycle-demo", json=brief, headers=bearer).json()["jobId"]
    page = proxy.get(f"/fp/jobs/{job}/", headers={"Cookie": f"sessionid={mine}"})
    assert page.status_code == 200
    socket = re.search(r'hx-ws:connect="([^"]+)"', page.text)[1]
    assert socket == f"/fp/ws/jobs/{job}/"
    for style in re.findall(r'href="([^"]+\.css)"', page.text):
        assert style.startswith("/fp/static/") and proxy.get(style).status_code == 200
    async with running.open_socket(site.port, socket, session=mine, origin=URL) as page:
        assert job in await page.receive()


def test_plain_requests_are_redirected_and_probes_are_not(site, proxy):
    answer = proxy.get("/fp/sign-in/?next=/fp/", headers={"X-Forwarded-Proto": "http"})
    assert (answer.status_code, answer.headers["location"]) == (301, f"{URL}/fp/sign-in/?next=/fp/")
    for path in ("/healthz", "/readyz", "/fp/healthz", "/fp/readyz"):
        assert httpx2.get(site.url + path).status_code == 200


def test_a_form_from_an_address_that_is_not_set_is_refused_with_the_settings_to_set(proxy):
    answer = sign_in(proxy, origin="https://elsewhere.example.com")
    assert answer.status_code == 403
    assert "PUBLIC_URL" in answer.text and "TRUSTED_PROXIES" in answer.text


def test_a_form_that_expired_names_no_setting(proxy):
    answer = proxy.post("/fp/sign-in/", data={}, headers={"Origin": URL})
    assert answer.status_code == 403
    assert "expired" in answer.text and "PUBLIC_URL" not in answer.text


def test_a_header_of_the_client_does_not_change_our_links(proxy):
    page = proxy.get("/fp/sign-in/", headers={"Daphne-Root-Path": "/evil"})
    assert page.status_code == 200 and "/evil" not in page.text


def test_the_start_says_where_users_reach_the_site(site):
    assert f"Flightplan is ready: {URL}/fp/" in site.log.read_text()
