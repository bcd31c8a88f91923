"""manage.py launch: what it launches and prints, its exit codes, and invalid input."""

import io
import json
import os
import pty
import re
import threading
from dataclasses import dataclass, field

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection

from campaigns.models import Campaign
from jobs import public
from jobs.cli import follow
from jobs.engine import events as ev
from jobs.models import Job
from jobs.store import doorbell, feed
from tests.campaigns.bad_briefs import BAD
from tests.jobs import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]
SOON = 15.0


def run(*words: str, stdout=None) -> tuple[int, str, str]:
    """Return the exit code of a launch and what it wrote to standard output and error."""
    out, err, code = stdout or io.StringIO(), io.StringIO(), 0
    try:
        call_command("launch", *words, stdout=out, stderr=err)
    except SystemExit as left:
        code = left.code
    return code, "" if stdout else out.getvalue(), err.getvalue()


@dataclass
class Teller:
    """Replaces the worker: writes the events of a job as soon as it is launched."""

    status: str = "completed"
    threads: list[threading.Thread] = field(default_factory=list)

    def __call__(self, job_id: str) -> None:
        self.threads.append(threading.Thread(target=self._tell, args=(job_id,)))
        self.threads[-1].start()

    def _tell(self, job_id: str) -> None:
        call = {"stage": "brief", "step": "brief.document", "server": "google-docs", "tool": "createDocument"}
        place = {
            "stage": "brief",
            "stage_name": "Generate Campaign Brief",
            "stage_index": 0,
            "total_stages": 7,
        }
        for event in (
            ev.StageStart(**place),
            ev.CallWaiting(**call, in_use=3, limit=3),
            ev.CallRetry(**call, attempt=1, delay=1, reason="asked to wait\x1b[2J"),
            ev.StageProgress(**place, current=1, total=1, detail="document"),
            ev.StageComplete(**place, status="completed", current=1, total=1),
            ev.WorkflowComplete(status=self.status, total_stages=7),
        ):
            feed.append(job_id, [event])
        connection.close()


@pytest.fixture(autouse=True)
def teller(monkeypatch):
    worker = Teller()
    monkeypatch.setattr("jobs.acts.actions.run_job", worker)
    yield worker
    for thread in worker.threads:
        thread.join(SOON)
        assert not thread.is_alive()


def test_a_preset_is_launched_as_admin_and_its_id_and_page_are_printed():
    code, out, err = run("aurora-one", "--include-search")
    job = Job.objects.get()
    assert code == 0
    assert (job.owner.username, len(job.plan)) == ("admin", 8)
    assert str(job.pk) in out and f"/jobs/{job.pk}/" in out
    assert "warning: budget: " in err and "No worker is running" in err


def test_a_file_is_launched_and_a_byte_order_mark_does_no_harm(tmp_path):
    run("aurora-one")
    brief = Job.objects.get().params["brief"] | {"product": "Aurora Two"}
    file = tmp_path / "brief.json"
    file.write_text(json.dumps(brief), encoding="utf-8-sig")
    assert run(str(file))[0] == 0
    assert Job.objects.filter(title__contains="Aurora Two").count() == 1


def test_a_dry_run_does_not_say_that_it_was_launched():
    _, out, _ = run("aurora-one", "--dry-run")
    assert out.splitlines()[0].startswith("Dry run of Aurora One")
    assert "Launched" not in out


@pytest.mark.parametrize(
    ("status", "code"), [("completed", 0), ("partial", 3), ("failed", 1), ("cancelled", 1)]
)
def test_the_exit_code_says_how_a_followed_campaign_ended(teller, status, code):
    teller.status = status
    found, out, _ = run("aurora-one", "--watch")
    assert found == code
    assert f"Campaign {status}" in out.splitlines()[-1]


def test_json_prints_every_event_as_a_line_and_nothing_else():
    _, out, err = run("aurora-one", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, 8))
    job = Job.objects.get()
    assert out.splitlines() == [public.line(job.pk, one) for one in feed.after(job.pk)]
    assert events[-1]["type"] == "workflow:complete"
    assert f"/jobs/{Job.objects.get().pk}/" in err


def test_without_a_terminal_the_log_is_printed_without_control_characters():
    _, out, _ = run("aurora-one", "--watch")
    assert "Generate Campaign Brief completed, 1/1" in out
    assert "asked to wait?[2J" in out and "\x1b" not in out


def test_in_a_terminal_each_stage_has_a_bar_with_its_count():
    leader, follower = pty.openpty()
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                shown.extend(os.read(leader, 65536))
            except OSError:  # the last process that had the terminal open has closed it
                return

    reader = threading.Thread(target=read)
    reader.start()
    with open(follower, "w") as terminal:
        assert run("aurora-one", "--watch", stdout=terminal)[0] == 0
    reader.join(SOON)
    os.close(leader)
    text = shown.decode()
    assert "\x1b[" in text and "━" in text and "1/1" in text
    for _, name, _ in Job.objects.get().plan:
        assert name in text


def test_stopping_to_follow_does_not_stop_the_campaign(monkeypatch):
    def interrupted(job_id):
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.cli.local.follow", interrupted)
    code, _, err = run("aurora-one", "--watch")
    assert code == 130
    assert f"the campaign continues. Follow it again with: manage.py follow {Job.objects.get().pk}\n" in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"brand": "x",,}', "is not JSON: line 1, column 15: "),
        ('{\n  "brand": x\n}', "is not JSON: line 2, column 12: "),
        ("", "is not JSON: line 1, column 1: "),
        ("[" * 100_000, "is nested too deeply"),
        ('["aurora-one"]', "must be a brief: a JSON object"),
        ('{"brand": "x"}', "product: is required\n"),
        ('{"brand": "x"}', "budget: is required\n"),
        ('{"brnad": "x"}', "brnad: "),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_bad_file_names_the_error_and_creates_nothing(tmp_path, content, words):
    file = tmp_path / "brief.json"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = run(str(file))
    assert (code, out) == (2, "")
    assert words in err
    assert nothing_was_made()


@pytest.mark.parametrize("case", BAD)
def test_a_bad_brief_names_the_field_and_creates_nothing(tmp_path, case):
    brief, field, words = BAD[case]
    file = tmp_path / "brief.json"
    file.write_text(json.dumps(brief))
    code, out, err = run(str(file))
    assert (code, out) == (2, "")
    assert re.search(f"^({field}).*({words})", err, re.IGNORECASE | re.MULTILINE), err
    assert nothing_was_made()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["no-such"], "campaign: there is no preset 'no-such'; the presets are aurora-one, "),
    ],
)
def test_an_invalid_option_is_named_and_creates_nothing(words, fault):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert fault in err
    assert nothing_was_made()


def test_errors_of_the_servers_file_and_the_brief_are_shown_together(tmp_path, settings):
    file = tmp_path / "servers.json"
    file.write_text('{"mcpServers": {"asana-v2": {}}}')
    settings.TOOL_SERVERS = str(file)
    code, _, err = run("no-such")
    assert code == 2
    assert "TOOL_SERVERS mcpServers.asana-v2: must name a command, or a url" in err
    assert "campaign: there is no preset 'no-such'" in err
    assert nothing_was_made()


def test_bars_and_lines_at_once_are_refused():
    with pytest.raises(CommandError, match="not allowed with"):
        run("aurora-one", "--watch", "--json")


def nothing_was_made() -> bool:
    made = Job, Campaign, get_user_model()
    return not any(model.objects.exists() for model in made)


def test_a_follower_without_rings_still_gets_every_event(monkeypatch):
    monkeypatch.setattr(doorbell, "ring_here", lambda job_id: None)
    job = story.job()
    seen = []
    for one in follow.follow(job.pk, poll=0.01):
        seen.append(one.seq)
        if one.seq == 1:
            feed.append(job.pk, [story.begin(), *story.end()])
    assert seen == [1, 2, 3, 4]


def test_a_follower_of_a_removed_job_ends():
    job = story.job()
    with pytest.raises(follow.JobRemoved):
        for _ in follow.follow(job.pk, poll=0.01):
            Job.objects.all().delete()


def test_a_follower_removes_its_bell():
    before = set(doorbell.bells().iterdir())
    job = story.ended_job()
    assert story.seqs(follow.follow(job.pk)) == [1, 2, 3, 4, 5, 6]
    assert set(doorbell.bells().iterdir()) <= before
