"""All confirmed lines, and no others, go live even if their worker or server dies."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fakes
from tests.trust.driver import ROOT, Run, Template
from tests.trust.kills import COMMIT_MODES, Kill

pytestmark = [pytest.mark.slow, pytest.mark.long]
TOOL = "set_campaign_status"
STRIDE = 6
MODES = ("before", "after", "late", "replied", "crash-before", "crash-after")
CONFIRM = (
    "from django.contrib.auth.models import User; from jobs.acts import actions; "
    "from jobs.models import Job; job = Job.objects.get(); offer = actions.activation(job); "
    "actions.activate(job, User.objects.get(username='admin'), offer.digest); "
    "print(*(f'{line.server}={line.remote_id}' for line in offer.lines), sep='\\n')"
)


class Confirmed:
    """An installation whose campaign has ended and whose lines were confirmed; each run is a copy of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "confirmed"
        (folder / "runs").mkdir(parents=True)
        run = Run(Template(folder / "launched"), Kill())
        try:
            assert run.play().status == "completed", run.output()
        finally:
            run.clear()
        shell = [sys.executable, "manage.py", "shell", "-v", "0", "-c", CONFIRM]
        done = subprocess.run(shell, cwd=ROOT, env=run.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        self.lines = sorted(tuple(line.split("=")) for line in done.stdout.split())
        shutil.copytree(run.data, self.data)
        shutil.rmtree(run.folder)
        clean = Run(self, Kill())
        self.sent = played(clean, "--commits", str(clean.folder / "commits"))
        self.commits = (clean.folder / "commits").stat().st_size


def played(run: Run, *words: str) -> list[tuple[str, str, str, str]]:
    """Run to the end and return the status calls to the DSPs: role, id, status and key of the effect."""
    try:
        story = run.play(*words)
    finally:
        run.clear()
    assert (story.status, story.gaps, story.left) == ("completed", False, {}), run.output()
    calls = [one for one in story.calls.values() if one["tool"] == TOOL]
    assert {one["state"] for one in calls} == {"done"}
    calls_sent = [(role, one) for role in fakes.CONTRACT for one in _started(run, role)]
    assert {one["tool"] for _, one in calls_sent} == {TOOL}, "more was sent than was confirmed"
    meta = "flightplan/idempotency-key"
    return [(role, one["args"]["id"], one["args"]["status"], one["meta"][meta]) for role, one in calls_sent]


def _started(run: Run, role: str) -> list[dict]:
    return list(fakes.ledger(run.world / f"{role}.ledger", "start"))


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confirmed]:
    yield Confirmed(tmp_path_factory.mktemp("activation"))


def judge(confirmed: Confirmed, kill: Kill) -> None:
    """Run one fault: every confirmed line is set live, no other line, and none is sent a third time."""
    run = Run(confirmed, kill)
    sent = played(run)
    # the number of commits varies between runs, so the last kills may not happen
    assert run.injected or kill.mode in COMMIT_MODES, "the fault was not injected"
    assert {status for *_, status, _ in sent} == {"ACTIVE"}
    assert sorted({(role, id) for role, id, *_ in sent}) == confirmed.lines
    # calls in flight at the death are sent again; that may be all lines, because they run concurrently
    assert max(Counter(id for _, id, *_ in sent).values()) <= 2, sent
    shutil.rmtree(run.folder)


@pytest.mark.timeout(300)
def test_without_a_kill_each_line_is_sent_once(confirmed: Confirmed):
    assert sorted((role, id) for role, id, *_ in confirmed.sent) == confirmed.lines
    assert len(confirmed.lines) == 5


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_every_confirmed_line_is_live_after_a_kill_at_a_call(confirmed: Confirmed, mode: str):
    number = MODES.index(mode)
    role, id, _, key = confirmed.sent[number % len(confirmed.sent)]
    judge(confirmed, Kill(mode, number, role, key, TOOL, id))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", COMMIT_MODES)
def test_every_confirmed_line_is_live_after_a_kill_at_any_commit(confirmed: Confirmed, mode: str):
    first = 1 + list(COMMIT_MODES).index(mode)
    for commit in range(first, confirmed.commits + 1, STRIDE):
        judge(confirmed, Kill(mode, commit, commit=commit))
