"""manage.py follow and launch on a remote installation: exit codes, lines, links and invalid options."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from jobs.engine import events as ev
from jobs.models import ApiToken, Job
from jobs.store import feed
from tests.jobs import story
from tests.jobs.far import stranger

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[3]
ENDS = [("completed", 0), ("partial", 3), ("failed", 1), ("cancelled", 1)]


def run(*words: object) -> tuple[int, str, str]:
    """Return the exit code of a command and what it wrote to standard output and error."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*map(str, words), stdout=out, stderr=err)
    except SystemExit as left:
        code = left.code
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.setattr("jobs.cli.remote.UNMET", 0.0)
    monkeypatch.delenv("FLIGHTPLAN_TOKEN", raising=False)


@pytest.fixture
def there(site, monkeypatch) -> list[str]:
    """Return the options for the running site; the token comes from the environment."""
    monkeypatch.setenv("FLIGHTPLAN_TOKEN", ApiToken.make(story.user(), ["read", "launch"]))
    return ["--server", f"http://127.0.0.1:{site}"]


def ended(status: str) -> Job:
    job = story.job()
    feed.append(job.pk, [story.begin(), *story.end(status if status == "partial" else "completed")[:1]])
    feed.append(job.pk, [ev.WorkflowComplete(status=status, total_stages=2)])
    return job


@pytest.mark.parametrize(("status", "code"), ENDS)
def test_the_exit_code_says_how_the_job_ended_here(status, code):
    found, out, _ = run("follow", ended(status).pk)
    assert (found, out.splitlines()[-1].split(" in ")[0]) == (code, f"Campaign {status}")


@pytest.mark.parametrize(("status", "code"), ENDS)
def test_the_exit_code_says_how_a_remote_job_ended(there, status, code):
    job = ended(status)
    found, out, err = run("follow", job.pk, *there)
    assert (found, err) == (code, "")
    assert out.splitlines()[-1].startswith(f"Campaign {status} in 0:00: 1 artifacts (1 local)")
    assert f"  local      Square  {there[1]}/api/jobs/{job.pk}/artifacts/creative-1x1.png" in out


def test_lines_of_json_are_the_same_locally_and_remotely(there):
    job = ended("completed")
    here = run("follow", job.pk, "--json")[1]
    assert run("follow", job.pk, "--json", *there) == (0, here, "")
    assert [json.loads(line)["seq"] for line in here.splitlines()] == [1, 2, 3, 4]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_closed_pipe_ends_it_quietly(more):
    job, err = ended("completed"), io.StringIO()
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe, pytest.raises(SystemExit) as left:
        call_command("follow", str(job.pk), *more, stdout=pipe, stderr=err)
    assert (left.value.code, err.getvalue()) == (130, "")


def test_an_unknown_call_is_shown_with_the_page_to_resolve_it(there):
    job = story.job()
    unknown = ev.CallUnknown(**story.CALL, attempt=1, reason="no answer came")
    feed.append(
        job.pk,
        [story.begin(), unknown, story.end()[0], ev.WorkflowComplete(status="partial", total_stages=2)],
    )
    code, out, _ = run("follow", job.pk, *there)
    assert code == 3
    assert "creative/image/a  image-gen generate_image: no answer came" in out
    assert f"resolve them on {there[1]}/jobs/{job.pk}/" in out


def test_a_remote_launch_prints_absolute_links_and_returns(there):
    code, out, err = run("launch", "aurora-one", *there)
    job = Job.objects.get()
    assert code == 0 and f"Page     {there[1]}/jobs/{job.pk}/\n" in out
    assert "warning: budget: " in err and "is not ready: no worker has started yet" in err


def test_remote_errors_are_shown_like_local_errors(there, tmp_path):
    file = tmp_path / "brief.json"
    file.write_text('{"brand": "x"}')
    here, far = run("launch", file), run("launch", file, *there)
    assert here == far
    assert far[0] == 2 and "product: is required\n" in far[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--server", "http://127.0.0.1:1"], "--server: needs a token, in FLIGHTPLAN_TOKEN or as --token; "),
        (["--server", "127.0.0.1:8000", "--token", "t"], "--server: must be an address such as https://"),
        (["--server", "ftp://x", "--token", "t"], "--server: must be an address such as https://"),
        (["--server", "http://x:port", "--token", "t"], "--server: must be an address such as https://"),
        (["--server", "http://[::1", "--token", "t"], "--server: must be an address such as https://"),
        (
            ["--server", "https://me:pw@x", "--token", "t"],
            "may only have scheme, host, port and path",
        ),
        (["--server", "https://x/?a=b", "--token", "t"], "may only have scheme, host, port and path"),
        (["--server", "http://127.0.0.1:1", "--token", "a b"], "--token: has invalid characters"),
        (["--token", "t"], "--token: only for a remote installation; add --server"),
    ],
)
def test_an_invalid_option_is_explained(words, said):
    for command in (["launch", "aurora-one"], ["follow", "00000000-0000-0000-0000-000000000000"]):
        code, out, err = run(*command, *words)
        assert (code, out) == (2, "") and said in err
    assert not Job.objects.exists()


def test_an_unreachable_server_exits_with_1():
    code, out, err = run("launch", "aurora-one", "--server", "http://127.0.0.1:1", "--token", "sesame-1")
    assert (code, out) == (1, "")
    assert "http://127.0.0.1:1 cannot be reached" in err and "sesame" not in err


def test_a_missing_job_exits_with_1(there):
    nobody = "00000000-0000-0000-0000-000000000000"
    assert run("follow", nobody)[::2] == (
        1,
        f"there is no job {nobody} here; for another installation, use --server\n",
    )
    code, _, err = run("follow", nobody, *there)
    assert code == 1 and f"there is no job {nobody}" in err


def test_an_invalid_job_id_is_bad_input(there):
    for words in ([], there):
        assert run("follow", "first", *words)[0] == 2


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        ("127.0.0.1", False),
        ("localhost", False),
        ("[::1]", False),
        ("a.localhost", False),
        ("x.invalid", True),
    ],
)
def test_http_to_another_host_prints_a_warning(host, warned):
    _, _, err = run("launch", "aurora-one", "--server", f"http://{host}:1", "--token", "sesame-1")
    assert ("http:// sends the token" in err) is warned


def test_a_servers_text_cannot_control_the_terminal():
    problem = {"detail": "\x1b[2Jno", "errors": []}
    answer = (403, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())
    with stranger(answer) as (url, _):
        _, _, err = run("launch", "aurora-one", "--server", url, "--token", "sesame-1")
    assert "?[2Jno" in err and "\x1b" not in err


@pytest.mark.slow
def test_a_remote_command_needs_nothing_of_this_installation(there, tmp_path):
    job = ended("partial")
    env = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(tmp_path / "nothing" / "here"),
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
        "TOOL_SERVERS": "/no/such/file",
        "FLIGHTPLAN_TOKEN": os.environ["FLIGHTPLAN_TOKEN"],
    }
    for words in (["follow", str(job.pk)], ["launch", "aurora-one"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *words, *there], cwd=ROOT, env=env, capture_output=True, text=True
        )
        assert done.returncode == (3 if words[0] == "follow" else 0), done.stderr
        assert os.environ["FLIGHTPLAN_TOKEN"] not in done.stdout + done.stderr
    assert not (tmp_path / "nothing").exists()
