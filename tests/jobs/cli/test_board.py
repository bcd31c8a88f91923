"""A job's progress in a terminal: bars with counts, waits, retries and unknown calls; and the summary."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from jobs.cli.board import Board, elapsed, left
from jobs.cli.installation import Trouble
from jobs.cli.summary import summary
from jobs.engine import events as ev
from jobs.engine.log import span
from jobs.engine.results import Artifact, Source

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
PLACE = {"stage": "project", "stage_name": "Setup Project Management", "stage_index": 0, "total_stages": 2}
QUEUED = ev.JobQueued(
    workflow="w",
    version=1,
    title="Aurora",
    stages=[["project", "Setup Project Management"], ["creative", "Generate Creatives"]],
)


def call(item: str = "kickoff") -> dict[str, str]:
    return {
        "stage": "project",
        "step": f"project.task.{item}",
        "server": "asana-v2",
        "tool": "create_task",
        "item": item,
    }


def done(item: str, attempt: int = 1) -> ev.CallComplete:
    return ev.CallComplete(**call(item), state="done", attempt=attempt, waited=0.5, took=1.5)


def shown(*events: ev.Event, width: int = 140, terminal: bool = True, quiet: bool = False) -> str:
    """Return what was printed on a terminal of this width after these events, then the bars."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, record=True)
    board = Board(console, quiet=quiet)
    with board:
        for seq, event in enumerate((QUEUED, *events), 1):
            board.show(ev.Recorded(seq, START + timedelta(seconds=seq), event))
    printed = console.export_text()
    if quiet or not terminal:
        return printed
    paper = Console(file=io.StringIO(), width=width)
    paper.print(board.live())
    return printed + "\n" + paper.file.getvalue()


def row(text: str, name: str = "Setup Project") -> str:
    """Return a stage's row at the end."""
    return [line for line in text.splitlines() if line.startswith(name)][-1]


def progress(current: int) -> ev.StageProgress:
    return ev.StageProgress(**PLACE, current=current, total=13, detail="kickoff")


def test_a_stage_has_a_bar_with_its_count_and_what_it_made_last():
    line = row(shown(ev.StageStart(**PLACE), progress(7)))
    assert "━" in line and "7/13" in line and "kickoff" in line and "0:0" in line


def test_a_waiting_call_is_shown_with_the_permits_in_use():
    waits = [ev.CallWaiting(**call(item), in_use=5, limit=5) for item in ("a", "b", "c")]
    assert "3 waiting: asana-v2 5/5" in row(shown(ev.StageStart(**PLACE), *waits))


def test_a_retry_is_shown_with_its_reason_and_the_next_attempt():
    retry = ev.CallRetry(**call(), attempt=1, delay=2.5, reason="too many requests")
    text = shown(ev.StageStart(**PLACE), ev.CallStart(**call(), attempt=1), retry, width=170)
    assert "1 to be retried: too many requests, next attempt in 2.5 s, 1 retry" in row(text)
    assert "asana-v2 create_task (kickoff): too many requests; next attempt in 2.5 s" in text


def test_calls_in_progress_are_counted_before_the_first_result():
    sent = [ev.CallStart(**call(item), attempt=1) for item in ("a", "b")]
    assert "2 in progress" in row(shown(ev.StageStart(**PLACE), *sent))


def test_retries_that_are_over_are_still_counted():
    text = shown(ev.StageStart(**PLACE), ev.CallStart(**call(), attempt=3), done("kickoff", 3), progress(1))
    assert "kickoff, 2 retries" in row(text)


def test_an_unknown_call_makes_its_row_amber_and_is_counted():
    unknown = ev.CallUnknown(**call(), attempt=1, reason="no answer came")
    console = Console(
        file=io.StringIO(), force_terminal=True, width=140, record=True, color_system="standard"
    )
    with Board(console) as board:
        for seq, event in enumerate((QUEUED, ev.StageStart(**PLACE), unknown), 1):
            board.show(ev.Recorded(seq, START, event))
    styled = [line for line in console.export_text(styles=True).splitlines() if "Setup Project" in line][-1]
    assert "\x1b[33mrunning, 1 unknown" in styled


def test_fallbacks_are_counted():
    failed = ev.CallComplete(**call(), state="failed", attempt=1, waited=0, took=1, error="it broke")
    fallback = ev.CallFallback(**call(), reason="it broke")
    assert "1 fallback" in row(shown(ev.StageStart(**PLACE), failed, fallback, progress(1)))


def test_a_failing_server_is_shown_above_the_bars_until_it_recovers():
    down = ev.JobServerDown(server="asana-v2", reason="five failures in a row")
    words = "asana-v2 is failing; calls to it are paused: five failures in a row"
    lines = shown(ev.StageStart(**PLACE), down).splitlines()
    first = [number for number, line in enumerate(lines) if line.startswith("Setup Project")][-1]
    assert lines[first - 1].strip() == words
    lines = shown(ev.StageStart(**PLACE), down, done("kickoff")).splitlines()
    first = [number for number, line in enumerate(lines) if line.startswith("Setup Project")][-1]
    assert lines[first - 1].strip() != words


def test_the_last_line_is_about_the_whole_job_with_its_time():
    text = shown(ev.StageStart(**PLACE), done("a"), ev.CallWaiting(**call("b"), in_use=1, limit=1))
    assert "running · 1 of 2 calls done · 1 waiting · 0:0" in text.splitlines()[-1]


def test_an_ended_stage_shows_its_status_and_error():
    end = ev.StageError(**PLACE, status="failed", current=0, total=13, error="the project was refused")
    assert "failed: the project was refused" in row(shown(ev.StageStart(**PLACE), end))


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100])
def test_a_narrow_terminal_keeps_a_row_a_stage_with_its_count(width):
    retry = ev.CallRetry(**call(), attempt=1, delay=2.5, reason="a reason of many words " * 9)
    text = shown(ev.StageStart(**PLACE), progress(7), retry, width=width)
    last = text.splitlines()[-3:]
    assert "7/13" in last[0]
    assert all(len(line) <= width for line in last)
    assert last[0].startswith("Set") and last[1].startswith("Gen")
    assert last[2].startswith("running")


def test_away_from_a_terminal_there_are_only_lines():
    text = shown(ev.StageStart(**PLACE), progress(1), done("a"), terminal=False)
    assert text.splitlines() == [
        "Launched and queued",
        "Setup Project Management begins",
        "asana-v2 create_task (a) done in 1.5 s",
    ]


def test_a_quiet_board_shows_nothing():
    assert shown(ev.StageStart(**PLACE), done("a"), quiet=True) == ""


def test_a_servers_text_cannot_control_the_terminal():
    retry = ev.CallRetry(**call("\x1b]0;x\x07"), attempt=1, delay=1, reason="\x1b[2J[red]x[/red]")
    text = shown(ev.StageStart(**PLACE), retry, terminal=False)
    assert "?[2J[red]x[/red]" in text and "\x1b" not in text


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00"), (65, "1:05"), (3605, "1:00:05"), (-3, "0:00")])
def test_times_read_like_a_clock(seconds, words):
    assert elapsed(START, START + timedelta(seconds=seconds), None) == words
    assert elapsed(None, None, START) == ""


@pytest.mark.parametrize(("seconds", "words"), [(31.4, "31 s"), (119, "119 s"), (410, "6 min 50 s")])
def test_expected_times_are_rounded(seconds, words):
    assert span(seconds) == words


class Place:
    """An installation whose links are easy to see."""

    def page(self, job_id):
        return f"https://far/jobs/{job_id}/"

    def link(self, job_id, artifact):
        return artifact.url

    def arguments(self, job_id):
        return {
            "project.task.kickoff": {"name": "Kick-off", "notes": "a\n" * 80, "budget": 1500, "tags": ["x"]}
        }


def ending(*events: ev.Event, terminal: bool = False) -> list[str]:
    """Return the lines of the summary after these events."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, record=True)
    board = Board(console, quiet=True)
    for seq, event in enumerate(events, 1):
        board.show(ev.Recorded(seq, START + timedelta(seconds=seq), event))
    for part in summary(board.progress, Place(), "j1", console):
        console.print(part, soft_wrap=not hasattr(part, "columns"))
    return [line.rstrip() for line in console.export_text().splitlines()]


def artifact(name: str, source: Source) -> Artifact:
    return Artifact(name=name, title=name.title(), kind="document", source=source, url=f"https://x/{name}")


def test_the_summary_names_every_artifact_with_its_source_and_link():
    made = (artifact("brief", Source.LIVE), artifact("tasks", Source.FALLBACK), artifact("b2", Source.LIVE))
    end = ev.StageComplete(**PLACE, status="completed", current=1, total=1, artifacts=made)
    over = ev.WorkflowComplete(status="completed", total_stages=2)
    assert ending(QUEUED, ev.StageStart(**PLACE), end, over) == [
        "  live       Brief  https://x/brief",
        "  fallback   Tasks  https://x/tasks",
        "  live       B2  https://x/b2",
        "Campaign completed in 0:02: 3 artifacts (2 live, 1 fallback)",
    ]


def test_the_summary_says_where_to_resolve_an_unknown_call():
    unknown = ev.CallUnknown(**call(), attempt=1, reason="no answer came")
    over = ev.WorkflowComplete(status="partial", total_stages=2)
    assert ending(QUEUED, ev.StageStart(**PLACE), unknown, over) == [
        "Calls with an unknown outcome: 1",
        "  project.task.kickoff  asana-v2 create_task: no answer came",
        "  Check the service, then resolve them on https://far/jobs/j1/",
        "Campaign partial in 0:02: 0 artifacts",
    ]


def dry_run(*events: ev.Event, status: str = "completed", terminal: bool = False) -> list[str]:
    queued = ev.JobQueued(workflow="w", version=1, title="A", stages=QUEUED.stages, dry_run=True)
    total = ev.JobPlanned(calls=2, seconds=31.4, bound=12.2, servers={"canva": 1, "asana-v2": 1})
    over = ev.WorkflowComplete(status=status, total_stages=2)
    return ending(queued, ev.StageStart(**PLACE), *events, total, over, terminal=terminal)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_dry_run_ends_with_what_would_be_made_where_and_how_long_it_takes(terminal):
    planned = ev.CallPlanned(**call(), seconds=1.5, limit=5, per_minute=60)
    lines = dry_run(planned, terminal=terminal)
    table = " ".join(" ".join(lines).split())
    assert "stage what where permits expected" in table
    assert "project kickoff asana-v2 create_task 5 at a time, 60 per minute 1.5 s" in table
    assert lines[-3:] == [
        "2 calls would be made: asana-v2 1, canva 1",
        "About 31 s in total; best possible time: 12 s",
        "Dry run completed in 0:03: nothing was sent",
    ]


def test_a_dry_run_lists_what_each_call_would_send_a_line_each():
    lines = dry_run(ev.CallPlanned(**call(), seconds=1.5, limit=5))
    at = lines.index("What would be sent (in full on https://far/jobs/j1/)")
    notes = "a " * 30
    assert lines[at + 1] == (
        f'  project.task.kickoff: name=Kick-off, notes={notes}..., budget=1500, tags=["x"]'
    )
    assert lines[at + 2].startswith("2 calls would be made")


def test_a_remote_dry_run_keeps_its_exit_code_if_its_arguments_cannot_be_read(monkeypatch):
    def gone(self, job_id):
        raise Trouble("https://far refuses")

    monkeypatch.setattr(Place, "arguments", gone)
    lines = dry_run(ev.CallPlanned(**call(), seconds=1.5, limit=5))
    assert "Could not read what would be sent: https://far refuses" in lines
    assert lines[-1] == "Dry run completed in 0:03: nothing was sent"


def test_a_call_that_would_fail_is_listed_with_the_reason():
    failed = ev.CallComplete(**call(), state="failed", attempt=0, waited=0, took=0, error="name is required")
    end = ev.StageError(**PLACE, status="failed", current=0, total=1, error="1 of 1 did not pass")
    lines = dry_run(failed, end, status="partial")
    assert any("failed: name is required" in line for line in lines)
    assert "  Setup Project Management failed: 1 of 1 did not pass" in lines
    assert "1 call would fail; see the reason above" in lines
    assert lines[-1].startswith("Dry run partial")


def test_the_time_left_is_shown_and_once_it_is_over_that_it_is():
    assert left(START + timedelta(seconds=65), START) == "about 1:05 left"
    assert left(START, START + timedelta(seconds=3)) == "about to end"
    assert left(START, START + timedelta(seconds=5)) == "taking longer than expected"
    assert left(None, START) == left(START, None) == ""
