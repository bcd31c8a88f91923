"""The command line on a local and a remote installation: output, exit codes and lost connections."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.deadly import SICK, deadly_world
from tests.e2e.installation import ROOT, Installation, free_port, until
from tests.e2e.outside import World

pytestmark = [pytest.mark.slow, pytest.mark.long]
WHERE = ("here", "elsewhere")
SECONDS = 90
NOWHERE = "/no/such/folder"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return external servers; Asana refuses the project while the file `sick` exists."""
    world = deadly_world(
        tmp_path_factory.mktemp("world"), {"asana-v2": ["asana_create_project:iserror=refused"]}, pace=0.15
    )
    (world.folder / SICK).unlink()
    return world


@pytest.fixture(scope="module")
def site(start: Start, world: World) -> Installation:
    return start(TOOL_SERVERS=str(world.file))


class Line:
    """A command line, either local to the installation or with nothing but its URL and a token."""

    def __init__(self, site: Installation, where: str) -> None:
        self.site, self.far = site, where == "elsewhere"
        self.token = site.api.headers["Authorization"].removeprefix("Bearer ")

    def start(self, *words: str, token: str = "") -> subprocess.Popen[str]:
        """Start a command."""
        env, more = self.site.env, []
        if self.far:
            # a command that used these would fail
            own = {"DATA_DIR": NOWHERE, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/no"}
            env = {"PATH": os.environ["PATH"], "FLIGHTPLAN_TOKEN": token or self.token} | own
            more = ["--server", self.site.url]
        command = [sys.executable, "manage.py", *words, *more]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str, token: str = "") -> tuple[int, str, str]:
        """Run a command to its end; return its exit code, stdout and stderr."""
        process = self.start(*words, token=token)
        out, err = process.communicate(timeout=SECONDS)
        assert self.token not in out + err
        return process.returncode, out, err


@pytest.fixture(params=WHERE)
def line(site: Installation, request: pytest.FixtureRequest) -> Line:
    return Line(site, request.param)


@pytest.fixture
def far(site: Installation) -> Line:
    return Line(site, "elsewhere")


@pytest.fixture
def sick(world: World) -> Iterator[None]:
    (world.folder / SICK).touch()
    yield
    (world.folder / SICK).unlink()


def rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait until a command ends and return the rest of its output."""
    out, err = process.stdout.read(), process.stderr.read()
    process.wait(SECONDS)
    return out, err


def first_event(process: subprocess.Popen[str]) -> dict:
    """Return the first event of a command that prints them."""
    return json.loads(process.stdout.readline())


def test_a_completed_campaign_exits_with_0_and_lists_its_artifacts(line):
    code, out, err = line.run("launch", "aurora-one", "--include-search", "--watch")
    assert code == 0, out + err
    assert re.search(r"^Campaign completed in 0:\d\d: \d+ artifacts \(\d+ live, ", out.splitlines()[-1])
    assert "asana-v2 asana_create_task" in out
    links = re.findall(r"^  (?:live|local) .*  (\S+)$", out, re.MULTILINE)
    assert len(links) > 5
    assert all(link.startswith("http") for link in links) or not line.far


@pytest.mark.usefixtures("sick")
def test_a_partial_campaign_exits_with_3_and_the_reason(line):
    code, out, err = line.run("launch", "aurora-one", "--watch")
    assert code == 3, out + err
    assert "Setup Project Management failed" in out and "fallback" in out
    assert out.splitlines()[-1].startswith("Campaign partial in ")


def test_a_cancelled_campaign_exits_with_1(line):
    process = line.start("launch", "aurora-one", "--json")
    job = first_event(process)["jobId"]
    assert line.site.api.post(f"/api/jobs/{job}/cancel").status_code == 202
    out, err = rest(process)
    assert process.returncode == 1, err
    assert json.loads(out.splitlines()[-1])["status"] == "cancelled"


def test_following_exits_with_130_when_interrupted_and_can_be_resumed(line):
    process = line.start("launch", "aurora-one", "--json")
    job = first_event(process)["jobId"]
    process.send_signal(signal.SIGINT)
    _, err = rest(process)
    again = re.search(r"Follow it again with: manage.py (follow \S+)", err)
    assert process.returncode == 130 and again, err
    code, out, err = line.run(*again[1].split(), "--json")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [one["seq"] for one in lines] == list(range(1, len(lines) + 1))
    assert {one["jobId"] for one in lines} == {job}


def test_a_bad_brief_exits_with_2_and_names_the_field(line, tmp_path):
    before = line.site.jobs()
    file = tmp_path / "brief.json"
    file.write_text('{"brand": "x"}')
    code, out, err = line.run("launch", str(file), "--watch")
    assert (code, out) == (2, "") and "budget: is required\n" in err
    assert line.site.jobs() == before


def test_a_dry_run_prints_its_plan_and_sends_nothing(line, world):
    def started() -> int:
        return sum(len(world.entries(role, "start")) for role in ("asana-v2", "google-docs", "ttd", "canva"))

    before = started()
    code, out, err = line.run("launch", "aurora-one", "--include-search", "--dry-run")
    assert code == 0, out + err
    assert re.search(
        r"^project +\S.* +asana-v2 asana_create_task +5 at a time.* +[\d.]+ s$", out, re.MULTILINE
    )
    assert re.search(
        r"^  project.task.launch: project_id=dry-run:project.project, name=Launch, due_on=", out, re.MULTILINE
    )
    assert re.search(r"^\d+ calls would be made: .*asana-v2 1[45]", out, re.MULTILINE)
    assert re.search(r"^About [\d mins]+ in total; best possible time: [\d mins]+$", out, re.MULTILINE)
    assert re.search(r"^Dry run completed in \d+:\d\d: nothing was sent$", out.splitlines()[-1])
    assert started() == before


def test_following_loses_no_event_when_the_web_process_is_killed(far):
    process = far.start("launch", "aurora-one", "--include-search", "--json")
    lines = [process.stdout.readline() for _ in range(20)]
    for _ in range(2):
        web = [id for id, words in far.site.processes().items() if "manage.py web" in words]
        assert len(web) == 1
        os.kill(web[0], signal.SIGKILL)
        lines += [process.stdout.readline() for _ in range(20)]
        until(far.site._ready, "the web process is there again")
    out, err = rest(process)
    events = [json.loads(one) for one in [*lines, *out.splitlines()]]
    assert process.returncode == 0, err
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "workflow:complete"
    assert "lost the connection to" in err and "reconnected to" in err
    told = far.site.events(events[0]["jobId"], "?detail=all")
    assert events == [{name: one[name] for name in one if name[0] != "@"} for one in told]


def test_a_wrong_or_read_only_token_exits_with_1_and_a_message(far):
    code, out, err = far.run("launch", "aurora-one", token="wrong-token-1")
    assert (code, out) == (1, "") and "does not accept the token" in err and "Traceback" not in err
    reading = far.site.manage("apitoken", "admin", "--scope", "read").stdout.split()[-1]
    code, out, err = far.run("launch", "aurora-one", token=reading)
    assert (code, out) == (1, "") and "lacks the scope launch; it has: read" in err
    assert reading not in err


def test_an_unreachable_server_exits_with_1_and_a_message(far):
    env = {"PATH": os.environ["PATH"], "FLIGHTPLAN_TOKEN": far.token, "DATA_DIR": NOWHERE}
    url = f"http://127.0.0.1:{free_port()}"
    words = [sys.executable, "manage.py", "launch", "aurora-one", "--watch", "--server", url]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{url} cannot be reached" in done.stderr and "Traceback" not in done.stderr


def test_a_remote_command_writes_nothing_locally():
    assert not Path(NOWHERE).exists()
