"""The HTTP API: one job in full, and the pages of the list."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.engine import events as ev
from jobs.models import WorkflowEvent
from jobs.store import feed
from tests.jobs import calling, story
from tests.jobs.calling import FLOW, START, bearer, fields

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def one_workflow(monkeypatch):
    calling.use_flow(monkeypatch)


def test_a_job_is_returned_in_full():
    job = story.job()
    feed.append(
        job.pk,
        [
            story.begin(),
            ev.CallWaiting(**story.CALL, in_use=5, limit=5),
            ev.CallStart(**story.CALL, attempt=1),
            ev.CallRetry(**story.CALL, attempt=1, delay=1.0, reason="429"),
            ev.CallStart(**story.CALL, attempt=2),
            ev.CallComplete(
                **story.CALL, state="done", attempt=2, waited=1.5, took=2.25, remote_id="7", source="local"
            ),
            story.step(1, 4),
        ],
    )
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    assert [stage["calls"] for stage in data["stages"]] == [[], data["calls"]]
    [sent] = WorkflowEvent.objects.filter(job=job, type="call:start", payload__attempt=2)
    assert data["calls"] == [
        {
            "step": "creative/image/a",
            "stage": "creative",
            "item": "",
            "server": "image-gen",
            "tool": "generate_image",
            "state": "done",
            "attempts": 2,
            "sentAt": ev.iso(sent.at),
            "waited": 1.5,
            "took": 2.25,
            "source": "local",
            "remoteId": "7",
            "remoteUrl": "",
            "error": "",
            "fallback": False,
            "howToCheck": [],
            "resolveUrl": "",
            "expected": 0.0,
            "limit": 5,
            "perMinute": 0,
            "arguments": None,
        }
    ]
    brief, creative = data["stages"]
    assert (brief["status"], brief["startedAt"]) == ("pending", None)
    assert (creative["status"], creative["current"], creative["total"], creative["percent"]) == (
        "running",
        1,
        4,
        25,
    )
    assert creative["startedAt"].endswith("Z")
    assert (data["status"], data["lastEventId"], data["timings"]["endedAt"]) == ("running", 8, None)
    feed.append(job.pk, story.end("partial"))
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    assert data["status"] == "partial"
    assert data["stages"][1]["artifacts"] == ["creative-1x1.png"]
    assert data["artifacts"][0]["fileUrl"] == f"/api/jobs/{job.pk}/artifacts/creative-1x1.png"
    assert data["timings"]["seconds"] >= 0


def test_only_a_running_job_has_an_expected_end():
    job = story.job()
    feed.append(job.pk, [story.begin(), ev.JobExpected(seconds=90.0)])
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    at = WorkflowEvent.objects.get(job=job, type="job:expected").at
    assert data["timings"]["expectedEndAt"] == ev.iso(at + timedelta(seconds=90))
    feed.append(job.pk, story.end("completed"))
    assert bearer("read").get(f"/api/jobs/{job.pk}").json()["timings"]["expectedEndAt"] is None


@pytest.mark.storage
def test_no_job_is_missing_or_repeated_across_pages_while_others_are_launched():
    now = timezone.now()
    jobs = [story.job(created_at=now - timedelta(seconds=n // 3)) for n in range(10)]  # some share a time
    story.job(story.user("noor"))
    client, got, after = bearer("read"), [], ""
    while after is not None:
        page = client.get("/api/jobs", {"limit": 4, "after": after}).json()
        got += [one["jobId"] for one in page["items"]]
        after = page["after"]
        story.job(created_at=timezone.now() + timedelta(days=1))
    assert got == [str(job.pk) for job in sorted(jobs, key=lambda job: (job.created_at, job.pk))[::-1]]


@pytest.mark.storage
def test_the_list_is_filtered_by_status_title_and_id():
    done, other = story.ended_job(title="Casa Olmeda"), story.job(title="Aurora One")
    client = bearer("read")

    def ids(**query: str) -> list[str]:
        return [one["jobId"] for one in client.get("/api/jobs", query).json()["items"]]

    assert ids(status="completed") == ids(q="olmeda") == [str(done.pk)]
    assert ids(status="queued") == ids(q=str(other.pk)) == ids(q=other.pk.hex[:8]) == [str(other.pk)]
    assert ids(q="olmeda", status="failed") == []
    assert ids(status="", q="", after="") == ids()
    assert fields(client.get("/api/jobs?status=finished")) == ["status"]


def test_a_row_of_the_list_has_the_jobs_status():
    job = story.ended_job()
    row = bearer("read").get("/api/jobs").json()["items"][0]
    assert (row["title"], row["owner"], row["status"]) == ("Aurora One", "mara", "completed")
    assert (row["stagesEnded"], row["totalStages"]) == (1, 2)
    assert (row["jobUrl"], row["pageUrl"]) == (f"/api/jobs/{job.pk}", f"/jobs/{job.pk}/")


@pytest.mark.parametrize("after", ["x", "1-2", "-", "9" * 60 + "-" + "0" * 32, "1" * 101])
def test_an_invalid_cursor_is_named(after):
    assert fields(bearer("read").get("/api/jobs", {"after": after})) == ["after"]


@pytest.mark.parametrize("limit", ["0", "101", "many"])
def test_a_page_has_at_most_a_hundred_jobs(limit):
    assert fields(bearer("read").get("/api/jobs", {"limit": limit})) == ["limit"]


def test_the_list_runs_the_same_queries_at_any_length(django_assert_num_queries):
    client = bearer("read")
    for _ in range(20):
        story.job()
    with django_assert_num_queries(2):  # the token, the jobs with their owners
        client.get("/api/jobs")


def test_the_workflows_show_how_to_launch_them():
    data = bearer("read").get("/api/workflows").json()["items"]
    assert data == [
        {
            "id": "campaign-lifecycle",
            "name": "Campaign lifecycle",
            "version": 1,
            "aliases": ["campaign-lifecycle-demo"],
            "startUrl": START,
            "stages": [
                {"id": "brief", "name": "Generate Campaign Brief", "needs": [], "optional": False},
                {"id": "search", "name": "Search Campaign", "needs": ["brief"], "optional": True},
            ],
            "inputSchema": FLOW.schema(),
        }
    ]
