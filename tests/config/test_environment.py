"""Settings read from environment variables: defaults, types, and the message about a bad value."""

import os
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from config.environment import BASE_DIR, BadEnvironment, Environment, read_environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def read(monkeypatch, **variables):
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    return read_environment()


def test_nothing_has_to_be_set():
    found = read_environment()
    assert found.data_dir == BASE_DIR / "var"
    assert found.allowed_hosts == ["localhost", "127.0.0.1", "[::1]"]
    assert (found.lease_seconds, found.jobs_at_once, found.log_level) == (30, 16, "WARNING")
    assert (found.debug, found.secret_key, found.database_url, found.public_url) == (False, "", "", "")


@pytest.mark.parametrize("name", [name.upper() for name in Environment.model_fields])
def test_an_empty_variable_counts_as_unset(monkeypatch, name):
    default = read_environment()
    assert read(monkeypatch, **{name: ""}) == default


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DEBUG", "1", True),
        ("DEBUG", "off", False),
        ("ALLOWED_HOSTS", "a.example.com, .example.org,", ["a.example.com", ".example.org"]),
        ("CSRF_TRUSTED_ORIGINS", "https://*.example.com", ["https://*.example.com"]),
        ("LEASE_SECONDS", "0.5", 0.5),
        ("RETRY_BACKOFF", "0", 0),
        ("JOBS_AT_ONCE", "3", 3),
        ("LOG_LEVEL", "info", "INFO"),
        ("LOCAL_LATENCY", "0.3", "0.3"),
        ("DATABASE_URL", "postgres://me@host:5432/name", "postgres://me@host:5432/name"),
        ("PUBLIC_URL", "https://flightplan.example.com/", "https://flightplan.example.com"),
        ("PUBLIC_URL", "HTTPS://Flightplan.Example.com:443/fp/", "https://flightplan.example.com/fp"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1,unix", [ip_network("10.0.0.0/8"), ip_network("::1"), "unix"]),
        ("PUBLIC_URL", "http://[::1]:8080", "http://[::1]:8080"),
        ("PUBLIC_URL", "https://m\u00fcller.example", "https://xn--mller-kva.example"),
    ],
)
def test_a_variable_is_read_as_its_type(monkeypatch, name, text, value):
    assert getattr(read(monkeypatch, **{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "accepted"),
    [
        ("LEASE_SECONDS", "abc", "a number of seconds greater than 0"),
        ("LEASE_SECONDS", "-1", "a number of seconds greater than 0"),
        ("LEASE_SECONDS", "0", "a number of seconds greater than 0"),
        ("STUCK_SECONDS", "nan", "a number of seconds greater than 0"),
        ("RETRY_BACKOFF", "inf", "a number of seconds, 0 or greater"),
        ("JOBS_AT_ONCE", "1.5", "a whole number, 1 or greater"),
        ("JOBS_AT_ONCE", "0", "a whole number, 1 or greater"),
        ("RETENTION_DAYS", "-1", "a whole number of days, 0 or greater"),
        ("DEBUG", "maybe", "1 or 0"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("LOCAL_LATENCY", "fast", '"realistic" or a number from 0 to 100'),
        ("LOCAL_LATENCY", "101", '"realistic" or a number from 0 to 100'),
        ("CSRF_TRUSTED_ORIGINS", "flightplan.example.com", "a list of origins such as"),
        ("CSRF_TRUSTED_ORIGINS", "https://a.example/page", "a list of origins such as"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "a list of IP addresses, networks such as 10.0.0.0/8"),
        ("TRUSTED_PROXIES", "proxy.example.com", "a list of IP addresses, networks such as 10.0.0.0/8"),
        ("TRUSTED_PROXIES", "*", "a list of IP addresses, networks such as 10.0.0.0/8"),
        ("PUBLIC_URL", "flightplan.example.com", "an address such as"),
        ("PUBLIC_URL", "ftp://flightplan.example.com", "an address such as"),
        ("PUBLIC_URL", "https://me:secret@flightplan.example.com", "an address such as"),
        ("PUBLIC_URL", "https://flightplan.example.com/?a=1", "an address such as"),
        ("PUBLIC_URL", "https://flightplan.example.com/a/../b", "an address such as"),
        ("PUBLIC_URL", "https://flightplan.example.com:99999", "an address such as"),
    ],
)
def test_a_bad_value_is_named_with_what_is_accepted(monkeypatch, name, text, accepted):
    with pytest.raises(BadEnvironment) as caught:
        read(monkeypatch, **{name: text})
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{name} is {text!r}; it must be {accepted}")


def test_every_bad_variable_is_named_at_once(monkeypatch):
    with pytest.raises(BadEnvironment) as caught:
        read(monkeypatch, LOG_LEVEL="loud", JOBS_AT_ONCE="many", LEASE_SECONDS="-1")
    names = [line.split()[0] for line in str(caught.value).splitlines()]
    assert names == ["LEASE_SECONDS", "JOBS_AT_ONCE", "LOG_LEVEL"]


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/name", "oracle+x://me:hunter2@host", "hunter2"])
def test_a_password_in_a_bad_variable_is_not_shown(monkeypatch, url):
    with pytest.raises(BadEnvironment, match="DATABASE_URL cannot be used; it must be") as caught:
        read(monkeypatch, DATABASE_URL=url)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(read(monkeypatch, DATABASE_URL="", ADMIN_PASSWORD="hunter2"))


def test_every_setting_that_can_be_bad_says_what_it_accepts():
    plain = {"secret_key", "allowed_hosts", "tool_servers", "data_dir", "admin_password"}
    silent = {name for name, field in Environment.model_fields.items() if not field.description}
    assert silent == plain


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with nothing but these variables."""
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("words", [["check"], ["up"], ["launch", "aurora-one"]])
def test_a_command_refuses_bad_settings_in_a_line_each_without_a_traceback(tmp_path, words):
    done = command(*words, DATA_DIR=str(tmp_path), LEASE_SECONDS="abc", JOBS_AT_ONCE="-1")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines() == [
        "LEASE_SECONDS is 'abc'; it must be a number of seconds greater than 0",
        "JOBS_AT_ONCE is '-1'; it must be a whole number, 1 or greater",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_command_for_a_remote_installation_reads_its_own_settings_only(tmp_path):
    done = command("follow", "x", "--server", "http://127.0.0.1:1", LOG_LEVEL="loud", JOBS_AT_ONCE="-1")
    assert done.returncode == 2
    assert done.stderr == "LOG_LEVEL is 'loud'; it must be DEBUG, INFO, WARNING, ERROR or CRITICAL\n"


@pytest.mark.slow
def test_a_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    done = command("check", DATA_DIR=str(tmp_path / "file" / "data"))
    assert done.returncode == 2
    assert done.stderr.startswith("DATA_DIR is ") and done.stderr.count("\n") == 1
