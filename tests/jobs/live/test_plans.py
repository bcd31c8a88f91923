"""The result of a dry run: on its page, at its calls, in the list and in the API."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import Artifact, Source
from jobs.live import pieces
from jobs.models import Job, ToolCall
from jobs.store import feed
from tests.jobs import calling, story
from tests.jobs.calling import bearer
from tests.pages import browser, text

ID = uuid.UUID("11111111-2222-4333-8444-555555555555")
AT = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
CALL = {"stage": "creative", "server": "image-gen", "tool": "generate_image"}
PLAN = ev.JobPlanned(calls=3, seconds=95.0, bound=61.5, servers={"image-gen": 2, "canva": 1})
QUEUED = ev.JobQueued(workflow="w", version=1, title="Aurora One", stages=story.PLAN, dry_run=True)


def planned(step: str, item: str = "", **more: Any) -> ev.CallPlanned:
    """A call that was checked."""
    values = {"seconds": 105.0, "limit": 2} | more
    return ev.CallPlanned(**CALL | {"step": f"creative.{step}", "item": item} | values)


def failed(step: str, error: str) -> ev.CallComplete:
    """A call that would be refused."""
    return ev.CallComplete(
        **CALL, step=f"creative.{step}", state="failed", attempt=0, waited=0, took=0, error=error
    )


def rendered(*events: ev.Event) -> dict[str, str]:
    """The pieces of a dry run after these events."""
    recorded = (
        ev.Recorded(seq, AT + timedelta(seconds=seq), one) for seq, one in enumerate((QUEUED, *events), 1)
    )
    job = Job(pk=ID, title="Aurora One", plan=story.PLAN, dry_run=True)
    return pieces.pieces(job, Progress.from_events(recorded))


def test_the_log_of_a_dry_run_ends_as_a_dry_run_and_its_time_reads_like_one():
    total = ev.JobPlanned(calls=37, seconds=285.0, bound=210.0, servers={"ttd": 37})
    over = ev.WorkflowComplete(status="completed", total_stages=1)
    recorded = [ev.Recorded(seq, AT, one) for seq, one in enumerate((QUEUED, total, over), 1)]
    told = [line.text for line in Progress.from_events(recorded).log]
    assert told[-2:] == ["Dry run: 37 calls, about 4 min 45 s; nothing was sent", "Dry run completed"]


def test_a_fallback_of_a_dry_run_is_explained():
    fallback = Artifact(name="tasks.md", title="Tasks", kind="table", source=Source.FALLBACK, file="t.md")
    end = ev.StageError(
        **story.STAGE, status="failed", current=0, total=1, artifacts=(fallback,), error="no tool"
    )
    parts = rendered(story.begin(), end)
    assert "a check failed" in parts["job-summary"]
    assert "a service failed" not in parts["job-summary"]


def test_from_the_start_the_page_says_that_nothing_is_sent():
    parts = rendered()
    assert "Dry run: nothing is sent." in parts["job-header"]
    assert "Every call is checked with its server" in parts["job-header"]
    assert "Cancel this dry run" in parts["job-header"]
    assert "nothing was created at any service" in parts["job-summary"]
    assert "No calls planned yet." in parts["job-calls"]


def test_at_the_end_it_says_what_would_be_made_where_and_how_long_it_would_take():
    parts = rendered(
        planned("image.a", "a"),
        planned("image.b", "b"),
        planned("upload.a", "a", server="canva", tool="upload_asset"),
        PLAN,
        *story.end(),
    )
    header = parts["job-header"]
    assert "A launch would make 3 calls and take about 1 min 35 s" in header
    assert "Best possible time: 1 min 1 s" in header
    assert "generate image ×2" in header and "upload asset</li>" in header
    assert "would fail" not in header and "Cancel" not in header
    assert "3 of 3 planned" in parts["job-calls"]


def test_planned_calls_show_expected_times_and_limits():
    html = rendered(planned("image.a", "a", per_minute=20), planned("cells", seconds=21.0))["calls-creative"]
    for words in ("planned", "1 min 45 s", "2 at once, 20 per minute", "what would be sent"):
        assert words in html
    for words in ("Attempts", "Waited", "Retry"):
        assert words not in html
    assert f"/jobs/{ID}/steps/creative.image.a/" in html
    assert 'width="100.0%"' in html and 'width="20.0%"' in html


def test_calls_that_would_fail_are_counted_and_show_their_reasons():
    nothing = ev.JobPlanned(calls=0, seconds=0.0, bound=0.0, servers={})
    parts = rendered(failed("image.a", "image-gen has no tool generate_image"), nothing, *story.end("failed"))
    assert "1 call would fail:" in parts["job-header"]
    assert "Right now, a launch could not make any calls." in parts["job-header"]
    assert "image-gen has no tool generate_image" in parts["calls-creative"]


def test_a_cancelled_dry_run_shows_no_plan():
    header = rendered(planned("image.a"), ev.WorkflowComplete(status="cancelled", total_stages=2))[
        "job-header"
    ]
    assert "It ended before there was a plan." in header and "would make" not in header


def test_a_later_round_hides_the_plan_until_it_has_its_own():
    again = ev.JobRetrying(by="mara", round=2, stages=["creative"], steps=["creative.image.a"])
    parts = rendered(planned("image.a"), PLAN, *story.end(), again)
    assert "would make" not in parts["job-header"]
    assert "waiting" in parts["calls-creative"]


def test_simulated_things_of_a_dry_run_are_explained_as_planned():
    thing = Artifact(name="brief.md", title="Brief", kind="document", source=Source.SIMULATED)
    told = ev.StageComplete(**story.STAGE, status="completed", current=1, total=1, artifacts=(thing,))
    assert pieces.DRY_RUN in rendered(told)["job-summary"]


def test_a_launch_does_not_mention_dry_runs():
    job = Job(pk=ID, title="Aurora One", plan=story.PLAN)
    queued = ev.JobQueued(workflow="w", version=1, title="Aurora One", stages=story.PLAN)
    parts = pieces.pieces(job, Progress.from_events([ev.Recorded(1, AT, queued)]))
    assert "dry" not in "".join(parts.values()).lower()


# -- pages and API over the database


def dry_job() -> Job:
    """A dry run that has ended, with one planned call and one that would be refused."""
    job = story.job(dry_run=True, status="queued")
    calls = {
        "image.a": (ToolCall.State.PLANNED, {"added": {"reference": "cd" * 16}}),
        "image.b": (ToolCall.State.FAILED, None),
    }
    for step, (state, reply) in calls.items():
        ToolCall.objects.create(
            **CALL, job=job, step=f"creative.{step}", key="cd" * 16, args={"prompt": "A lamp"}, state=state,
            reply=reply, args_hash="h", error="" if reply else "it is down",
        )  # fmt: skip
    one = ev.JobPlanned(calls=1, seconds=105.0, bound=105.0, servers={"image-gen": 1})
    told = [story.begin(), planned("image.a"), failed("image.b", "it is down"), one, *story.end("partial")]
    feed.append(job.pk, told)
    return job


@pytest.mark.django_db
def test_the_api_returns_the_plan_and_the_arguments_of_each_call(monkeypatch):
    calling.use_flow(monkeypatch)
    job = dry_job()
    told = bearer("read").get(f"/api/jobs/{job.pk}").json()
    assert told["plan"] == {"calls": 1, "seconds": 105.0, "bound": 105.0, "servers": {"image-gen": 1}}
    would, would_not = told["calls"]
    assert (would["state"], would["expected"], would["limit"], would["perMinute"]) == ("planned", 105, 2, 0)
    assert would["arguments"] == {"prompt": "A lamp", "reference": "cd" * 16}
    assert (would_not["state"], would_not["arguments"], would_not["expected"]) == ("failed", None, 0)
    assert told["stages"][1]["calls"] == told["calls"]
    [row] = bearer("read").get("/api/jobs").json()["items"]
    assert row["dryRun"] is True


@pytest.mark.django_db
def test_the_page_of_a_planned_step_shows_what_would_be_sent():
    html = text(browser().get(f"/jobs/{dry_job().pk}/steps/creative.image.a/"))
    assert "What would be sent" in html and "What was sent" not in html
    assert "A lamp" in html and "cd" * 16 in html
    assert "It was never sent." in html and "Retry" not in html


@pytest.mark.django_db
def test_the_retry_page_says_that_it_stays_a_dry_run():
    html = text(browser().get(f"/jobs/{dry_job().pk}/retry"))
    assert "It stays a dry run:" in html


@pytest.mark.django_db
def test_the_list_of_jobs_marks_dry_runs():
    story.job(title="In earnest")
    assert "dry run" not in text(browser().get("/"))
    story.job(title="DryRunCall", dry_run=True)
    assert "dry run" in text(browser().get("/"))


@pytest.mark.django_db
def test_a_launch_has_no_plan_in_the_api(monkeypatch):
    calling.use_flow(monkeypatch)
    told = bearer("read").get(f"/api/jobs/{story.ended_job().pk}").json()
    assert (told["dryRun"], told["plan"]) == (False, None)
    assert [call["arguments"] for call in told["calls"]] == [None]
