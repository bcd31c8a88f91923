"""The container, compose, nginx and systemd files: checked, with their commands run here."""

import copy
import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "docs" / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted(DEPLOY.glob("*.service"))
UP_SECONDS = 60.0
STOP_SECONDS = 75.0
# a tag with a number in it, and no host of a registry in front of the name
PINNED = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?:[a-z]*\d[\w.-]*")


def instructions(text: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions in order, each with its words on one line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(maxsplit=1)[0].upper(), line.split(maxsplit=1)[1]) for line in joined.splitlines()]


def last_stage(text: str) -> dict[str, str]:
    """Return the last value of each instruction of the last stage."""
    found: dict[str, str] = {}
    for name, words in instructions(text):
        found = {name: words} if name == "FROM" else found | {name: words}
    return found


def exec_form(words: str) -> list[str]:
    """Return the command of `CMD [...]`; raise ValueError for the shell form, which swallows SIGTERM."""
    command = json.loads(words[words.index("[") :])
    if not all(isinstance(word, str) for word in command):
        raise ValueError(words)
    return list(command)


def is_in_the_build(path: str) -> bool:
    """Return whether .dockerignore lets a path of this repository into the build; its last match counts."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").removeprefix("**/")
            parents = [path, *(str(parent) for parent in Path(path).parents)]
            if any(fnmatch.fnmatch(name, pattern) for name in parents):
                kept = line.startswith("!")
    return kept


def dockerfile_faults(text: str) -> Iterator[str]:
    """Yield what is wrong with a Dockerfile."""
    stages = {name.split()[2] for kind, name in instructions(text) if kind == "FROM" and " AS " in name}
    for name, words in instructions(text):
        if name == "FROM" and not PINNED.fullmatch(words.split()[0]):
            yield f"not pinned to a version, or names a registry: {words}"
        if name == "ADD" or "curl" in words or "wget" in words:
            yield f"downloads without a checksum: {words}"
        if name in ("ENV", "ARG") and re.search(r"PASSWORD|SECRET|TOKEN|_KEY", words):
            yield f"a secret would stay in the image: {words}"
        if "pip install" in words and "--require-hashes" not in words:
            yield f"installs without hashes: {words}"
        if name == "COPY":
            stage = re.match(r"--from=(\S+)", words)
            if stage and stage[1] not in stages:
                yield f"copies from an unknown stage: {words}"
            for source in [] if stage else words.split()[:-1]:
                if not (ROOT / source).exists() or (source != "." and not is_in_the_build(source)):
                    yield f"copies what the build does not have: {source}"
    end = last_stage(text)
    if end.get("USER", "root").split(":")[0] in ("root", "0"):
        yield "runs as root"
    for name in ("CMD", "HEALTHCHECK"):
        try:
            exec_form(end.get(name, ""))
        except ValueError:
            yield f"{name} is missing or in shell form"
    if "/data" not in end.get("VOLUME", "") or "DATA_DIR=/data" not in text:
        yield "DATA_DIR is not a volume"


def compose_faults(compose: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a compose file."""
    services = compose["services"]
    for name, service in services.items():
        if not PINNED.fullmatch(service.get("image", "")):
            yield f"{name}: the image is not pinned to a version, or names a registry"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: {port} is published to the network without TLS"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source not in compose["volumes"] and not (ROOT / source).exists():
                yield f"{name}: there is no volume {source}"
        for other, how in service.get("depends_on", {}).items():
            if other not in services:
                yield f"{name}: depends on {other}, which is not there"
            elif how["condition"] == "service_healthy" and services[other].get("healthcheck", {}).get(
                "disable"
            ):
                yield f"{name}: waits for the health of {other}, which has no check"
            elif how["condition"] == "service_completed_successfully" and services[other]["restart"] != "no":
                yield f"{name}: waits for the end of {other}, which is restarted"
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN", key) and not re.match(r"\$\{\w+:[?-]", value):
                yield f"{name}: {key} is written down"


def managed(command: list[str], port: int) -> list[str]:
    """Return a container's command for this machine: this Python, the loopback address and this port."""
    here = {
        "python": sys.executable,
        "/venv/bin/python": sys.executable,
        "0.0.0.0": "127.0.0.1",
        "8000": str(port),
    }
    return [here.get(word, word).replace("'127.0.0.1', 8000", f"'127.0.0.1', {port}") for word in command]


def manage_lines() -> list[str]:
    """Return the RUN lines of the Dockerfile that call manage.py."""
    return [words for name, words in instructions(DOCKERFILE) if name == "RUN" and "manage.py" in words]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a container, with the volume in a temporary folder and SQLite in it."""
    same = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return same | {
        "DATA_DIR": str(tmp_path / "data"),
        "ADMIN_PASSWORD": "of-the-tests-1",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends; then SIGTERM must end it in time."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def until(condition: Callable[[], bool], log: Path) -> None:
    """Wait until the condition holds; raise AssertionError with the log when it does not in time."""
    deadline = time.monotonic() + UP_SECONDS
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def is_healthy(port: int, env: dict[str, str]) -> bool:
    command = managed(exec_form(last_stage(DOCKERFILE)["HEALTHCHECK"]), port)
    return subprocess.run(command, env=env, stderr=subprocess.DEVNULL, check=False).returncode == 0


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_dockerfile_is_sound() -> None:
    assert list(dockerfile_faults(DOCKERFILE)) == []


@pytest.mark.parametrize(
    ("sound", "broken", "fault"),
    [
        ("python:3.13-slim-bookworm AS build", "python:latest AS build", "not pinned"),
        ("python:3.13-slim-bookworm AS build", "python AS build", "not pinned"),
        ("python:3.13-slim-bookworm AS build", "example.com/python:3.13 AS build", "names a registry"),
        ("--require-hashes", "", "without hashes"),
        ("COPY . .", "ADD https://example.com/x .", "without a checksum"),
        ("ENV PIP_", "ENV SECRET_KEY=x PIP_", "secret"),
        ("--from=build /venv", "--from=builder /venv", "unknown stage"),
        ("COPY requirements.lock", "COPY requirements-dev.lock", "does not have"),
        ("COPY requirements.lock", "COPY nothing.lock", "does not have"),
        ("USER flightplan\n", "", "root"),
        ('CMD ["python", "manage.py", "up", "--host"', 'CMD python manage.py up # "--host"', "CMD"),
        ("HEALTHCHECK --interval", "LABEL check=", "HEALTHCHECK"),
        ("VOLUME /data\n", "", "volume"),
    ],
)
def test_a_fault_in_a_dockerfile_is_found(sound: str, broken: str, fault: str) -> None:
    assert sound in DOCKERFILE
    assert any(fault in found for found in dockerfile_faults(DOCKERFILE.replace(sound, broken)))


def test_the_compose_file_is_sound() -> None:
    assert list(compose_faults(COMPOSE)) == []


@pytest.mark.parametrize(
    ("service", "key", "value", "fault"),
    [
        ("database", "image", "postgres", "not pinned"),
        ("database", "image", "example.com/postgres:17", "names a registry"),
        ("proxy", "ports", ["8080:80"], "without TLS"),
        ("web", "volumes", ["other:/data"], "no volume"),
        ("web", "depends_on", {"nothing": {"condition": "service_started"}}, "not there"),
        ("proxy", "depends_on", {"worker": {"condition": "service_healthy"}}, "no check"),
        ("migrate", "restart", "always", "is restarted"),
        ("database", "environment", {"POSTGRES_PASSWORD": "secret"}, "written down"),
    ],
)
def test_a_fault_in_a_compose_file_is_found(service: str, key: str, value: object, fault: str) -> None:
    broken = copy.deepcopy(COMPOSE)
    broken["services"][service][key] = value
    assert any(fault in found for found in compose_faults(broken))


def test_secrets_and_development_files_stay_out_of_the_build() -> None:
    for path in (
        "var/secret_key",
        ".venv/bin/python",
        ".git/config",
        "tests/conftest.py",
        "docs/api.md",
        ".env",
    ):
        assert not is_in_the_build(path), path
    for path in ("jobs/apps.py", "docs/deploy/nginx-container.conf", "LICENSE", "templates/base.html"):
        assert is_in_the_build(path), path


def test_the_stages_that_compose_builds_are_in_the_dockerfile() -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)
    for name, service in COMPOSE["services"].items():
        assert "build" not in service or service["build"]["target"] in stages, name


def test_containers_run_commands_that_exist() -> None:
    commands = [service["command"] for service in COMPOSE["services"].values() if "command" in service]
    for command in [*commands, exec_form(last_stage(DOCKERFILE)["CMD"])]:
        python, script, name, *options = command
        assert (python, script) == ("python", "manage.py")
        load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(options)


def test_the_images_carry_the_newest_version() -> None:
    version = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version
    images = [service["image"] for service in COMPOSE["services"].values() if "build" in service]
    assert {image.partition(":")[2] for image in images} == {version[1]}


def test_the_worker_has_time_to_release_its_jobs() -> None:
    unit = (DEPLOY / "flightplan-worker.service").read_text()
    assert COMPOSE["services"]["worker"]["stop_grace_period"] == "75s"
    assert "TimeoutStopSec=75" in unit and "KillMode=mixed" in unit


@pytest.mark.parametrize(("name", "other"), [("web", "worker"), ("worker", "web")])
def test_the_units_share_one_writable_temporary_folder(name: str, other: str) -> None:
    unit = (DEPLOY / f"flightplan-{name}.service").read_text()
    assert "\nPrivateTmp=yes\n" in unit and f"\nJoinsNamespaceOf=flightplan-{other}.service\n" in unit


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_systemd_unit_runs_a_command_that_exists(unit: Path) -> None:
    line = re.search(r"^ExecStart=\S+/\.venv/bin/python manage\.py (.+)$", unit.read_text(), re.MULTILINE)
    assert line
    name, *options = line[1].split()
    load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(options)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    copied = tmp_path / unit.name
    folder = {
        "/usr/local/lib/flightplan/.venv/bin/python": sys.executable,
        "/usr/local/lib/flightplan": str(ROOT),
    }
    text = unit.read_text()
    for path, here in folder.items():
        text = text.replace(path, here)
    copied.write_text(text)
    found = subprocess.run(["systemd-analyze", "verify", copied], capture_output=True, text=True, check=False)
    assert unit.name not in found.stderr, found.stderr
    assert found.returncode == 0, found.stderr


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
@pytest.mark.parametrize("name", ["nginx.conf", "nginx-container.conf"])
def test_nginx_accepts_the_configuration(name: str, tmp_path: Path) -> None:
    text = (DEPLOY / name).read_text().replace("web:8000", "127.0.0.1:8000")
    text = re.sub(r"^ *(listen .*ssl|ssl_certificate).*\n", "", text, flags=re.MULTILINE)
    (tmp_path / "site.conf").write_text(text)
    places = "".join(
        f"{what}_temp_path {tmp_path}/{what};"
        for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {places} include {tmp_path}/site.conf; }}"
    )
    command = ["nginx", "-t", "-e", str(tmp_path / "errors"), "-c", str(main)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-container.conf"])
def test_a_location_of_nginx_passes_on_host_client_and_scheme(name: str) -> None:
    text = (DEPLOY / name).read_text()
    for location in re.findall(r"location (?:[^{]|\{(?=\w))*\{([^}]*)\}", text):
        sets = re.findall(r"proxy_set_header (\S+)", location)
        # a location that sets a header inherits no others
        assert not sets or {"Host", "X-Forwarded-For", "X-Forwarded-Proto"} <= set(sets)
    events = re.search(r"/events\$ \{([^}]*)\}", text)
    assert events and "proxy_buffering off" in events[1]
    socket_ = re.search(r"location /ws/ \{([^}]*)\}", text)
    assert socket_ and "Upgrade $http_upgrade" in socket_[1]


@pytest.mark.slow
@pytest.mark.long
def test_the_build_collects_every_static_file(env: dict[str, str]) -> None:
    assert len(manage_lines()) == 1
    found = re.fullmatch(r"DATA_DIR=\S+ (\S+) (manage\.py .+)", manage_lines()[0])
    assert found
    command = managed([found[1], *found[2].split()], 0)
    subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
    collected = Path(env["DATA_DIR"]) / "static"
    assert (collected / "app.css").is_file() and (collected / "admin" / "css" / "base.css").is_file()


@pytest.mark.slow
@pytest.mark.long
def test_the_commands_of_compose_start_a_ready_site(env: dict[str, str], port: int, tmp_path: Path) -> None:
    services = COMPOSE["services"]
    migrate = managed(services["migrate"]["command"], port)
    subprocess.run(migrate, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
    assert not is_healthy(port, env)
    log = tmp_path / "log"
    with running(managed(services["web"]["command"], port), env, log) as web:
        until(lambda: is_healthy(port, env), log)
        assert not is_ready(port)  # no worker yet
        with running(managed(services["worker"]["command"], port), env, tmp_path / "worker") as worker:
            until(lambda: is_ready(port), tmp_path / "worker")
            assert worker.poll() is None and web.poll() is None
        assert worker.returncode == 0


@pytest.mark.slow
@pytest.mark.long
def test_the_health_check_passes_under_another_host_name(
    env: dict[str, str], port: int, tmp_path: Path
) -> None:
    env |= {"ALLOWED_HOSTS": "flightplan.example.com"}
    log = tmp_path / "log"
    with running(managed(exec_form(last_stage(DOCKERFILE)["CMD"]), port), env, log):
        until(lambda: is_healthy(port, env), log)
