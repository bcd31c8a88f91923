"""An installation as a user runs it: `manage.py up` in processes of its own, with its own data and port."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "pw-of-the-tests-1"
READY_SECONDS = 60.0
END_SECONDS = 60.0
LOOK_SECONDS = 0.05
DAY = timedelta(days=1)
DEMO = "/api/workflows/campaign-lifecycle-demo"


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(condition: Callable[[], Any], what: str, within: float = END_SECONDS) -> Any:
    """Wait until the condition returns something true, and return it; fail with `what` on a timeout."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(LOOK_SECONDS)
    raise AssertionError(f"not within {within:.0f} s: {what}")


class Installation:
    """One running product. Its processes have `root` in their command line or environment."""

    def __init__(self, root: Path, **settings: str) -> None:
        self.root, self.data = root, root / "data"
        self.log = root / "up.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        same = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"DATA_DIR": str(self.data), "ADMIN_PASSWORD": PASSWORD, "SECRET_KEY": "of-the-tests"}
        self.env = same | own | {"RETRY_BACKOFF": "0.05", "LEASE_SECONDS": "10"} | settings

    def __enter__(self) -> "Installation":
        self.root.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "manage.py", "up", "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            until(self._ready, f"the installation is ready: {self.log.read_text()}", READY_SECONDS)
            self.api = self.caller(self.token("read", "launch"))
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *about: object) -> None:
        self.api.close()
        code, left = self.stop()
        assert code == 0, self.log.read_text()
        assert left == {}, "processes are left"

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200
        return False

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Return its database; changes are committed when the block ends."""
        path = self.data / "flightplan.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database, database:
            yield database

    def token(self, *scopes: str) -> str:
        """Return a token of admin, stored as `manage.py apitoken` does but without starting a process."""
        plain, now = secrets.token_urlsafe(), datetime.now(UTC).replace(tzinfo=None)
        row = (hashlib.sha256(plain.encode()).hexdigest(), json.dumps(scopes), str(now), str(now + DAY))
        with self.database() as database:
            database.execute(
                "INSERT INTO jobs_apitoken (digest, scopes, created_at, expires_at, user_id) "
                "SELECT ?, ?, ?, ?, id FROM auth_user WHERE username = 'admin'",
                row,
            )
        return plain

    def caller(self, token: str) -> httpx2.Client:
        """Return a client of the API with this token."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30)

    # -- its processes

    def manage(self, *words: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a management command of this installation to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.env | settings,
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    def processes(self) -> dict[int, str]:
        """Return the command lines of all its processes, including tool servers, by process id."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes()
                if str(self.root).encode() in words + (folder / "environ").read_bytes():
                    found[int(folder.name)] = words.replace(b"\0", b" ").decode(errors="replace")
        return found

    def stop(self) -> tuple[int, dict[int, str]]:
        """Stop it as a service manager does; return its exit code and the processes left 5 s later."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(45)
            until(lambda: not self.processes(), "all processes have ended", 5)
        except (AssertionError, subprocess.TimeoutExpired):
            left = self.processes()
            self.kill()
            return self.process.returncode, left
        return code, {}

    def kill(self) -> None:
        """Kill all its processes immediately."""
        for id in (self.process.pid, *self.processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(id, signal.SIGKILL)
        self.process.wait(10)

    # -- its API

    def post(self, campaign: object, **more: object) -> httpx2.Response:
        """Request a launch."""
        return self.api.post(DEMO, json={"campaign": campaign, **more})

    def launch(self, campaign: object = "aurora-one", *, search: bool = True) -> str:
        """Launch a campaign and return its job id."""
        answer = self.post(campaign, includeSearch=search)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["jobId"])

    def job(self, id: str) -> dict[str, Any]:
        """Return a job from the API."""
        answer = self.api.get(f"/api/jobs/{id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def events(self, id: str, query: str = "", within: float = END_SECONDS) -> list[dict[str, Any]]:
        """Follow a job's stream to its end and return its events, each with its SSE `id` and `event`."""
        return list(self.stream(id, query, within))

    def stream(self, id: str, query: str = "", within: float = END_SECONDS) -> Iterator[dict[str, Any]]:
        """Follow a job's stream, event by event, until it ends."""
        deadline = time.monotonic() + within
        with self.api.stream("GET", f"/api/jobs/{id}/events{query}", timeout=within) as answer:
            assert answer.status_code == 200, answer.read()
            frame: dict[str, str] = {}
            for line in answer.iter_lines():
                assert time.monotonic() < deadline, f"job {id} did not end within {within} s"
                name, _, value = line.partition(": ")
                if name:
                    frame[name] = value
                elif "data" in frame:
                    yield {**json.loads(frame["data"]), "@id": int(frame["id"]), "@event": frame["event"]}
                    frame = {}

    def ended(self, id: str, within: float = END_SECONDS) -> dict[str, Any]:
        """Wait until a job ends and return it; fail with the log if the stream ended before the job."""
        events = self.events(id, within=within)
        assert events[-1]["@event"] == "workflow:complete", (events[-1], self.log.read_text()[-3000:])
        return self.job(id)

    def jobs(self) -> int:
        """Return the number of jobs, at most 100."""
        return len(self.api.get("/api/jobs?limit=100").json()["items"])

    # -- its pages

    @contextlib.contextmanager
    def browser(self) -> Iterator[httpx2.Client]:
        """Yield a client that has signed in with the form, as a person does."""
        with httpx2.Client(base_url=self.url, follow_redirects=True, timeout=30) as client:
            form = {
                "username": "admin",
                "password": PASSWORD,
                "csrfmiddlewaretoken": csrf(client, "/sign-in/"),
            }
            answer = client.post("/sign-in/", data=form)
            assert answer.status_code == 200 and "Sign out" in answer.text
            yield client


def csrf(client: httpx2.Client, path: str) -> str:
    """Return the CSRF token of a page's form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(path).text)
    assert found, f"{path} has no form"
    return found[1]


def stages(job: dict[str, Any]) -> dict[str, str]:
    """Return the status of each stage of a job."""
    return {stage["id"]: stage["status"] for stage in job["stages"]}


def by_name(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a job's artifacts by name."""
    return {artifact["name"]: artifact for artifact in job["artifacts"]}
