"""The HTTP API: cancelling a job, retrying it, and resolving an unknown call."""

import uuid
from urllib.parse import quote

import pytest
from django.http import HttpResponse
from django.test import Client

from jobs.acts import actions
from jobs.acts.checking import how_to_check
from jobs.engine import events as ev
from jobs.models import Job, ToolCall
from jobs.store import feed
from tests.jobs import acting, calling, story
from tests.jobs.calling import bearer, fields, post, problem

pytestmark = pytest.mark.django_db(transaction=True)
STEP = "creative.image.a"


@pytest.fixture(autouse=True)
def one_workflow(monkeypatch):
    calling.use_flow(monkeypatch)
    monkeypatch.setattr("jobs.acts.actions.run_job", lambda job_id: None)


@pytest.fixture
def job():
    calls = {"brief.document": "done", STEP: "unknown", "creative.image.b": "failed"}
    return acting.ended(acting.end("creative", "partial"), calls=calls)


def act(job: object, what: str, body: object = "", client: Client | None = None) -> HttpResponse:
    id = job.pk if isinstance(job, Job) else job
    return post(client or bearer("launch"), body, path=f"/api/jobs/{id}/{what}")


def accepted(answer: HttpResponse, job: Job, status: str) -> None:
    assert answer.status_code == 202, answer.content
    assert answer.json() == {
        "jobId": str(job.pk),
        "status": status,
        "statusUrl": f"/api/jobs/{job.pk}/events",
        "jobUrl": f"/api/jobs/{job.pk}",
        "pageUrl": f"/jobs/{job.pk}/",
    }


def resolve(step: str = STEP) -> str:
    return f"steps/{step}/resolve"


@pytest.mark.parametrize("body", ["", "{}", " "])
def test_a_job_is_cancelled(body):
    job = story.job()
    accepted(act(job, "cancel", body), job, "cancelled")
    accepted(act(job, "cancel"), job, "cancelled")
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    assert (data["status"], data["cancelling"], data["round"]) == ("cancelled", False, 1)


def test_a_running_job_reports_that_it_is_being_cancelled():
    job = acting.running()
    accepted(act(job, "cancel"), job, "running")
    assert bearer("read").get(f"/api/jobs/{job.pk}").json()["cancelling"] is True


def test_cancelling_a_job_that_has_ended_is_a_conflict(job):
    answer = problem(act(job, "cancel"), 409)
    assert answer["type"].endswith("not-now")
    assert "has ended (partial)" in answer["detail"]


@pytest.mark.parametrize("body", ["", "{}", {"stage": "creative"}, {"step": "creative.image.b"}])
def test_what_failed_is_retried(job, body):
    accepted(act(job, "retry", body), job, "queued")
    assert acting.states(job)["creative.image.b"] == "waiting"
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    assert (data["status"], data["round"]) == ("queued", 2)
    assert [stage["status"] for stage in data["stages"]] == ["completed", "pending", "pending"]
    assert "still running" in problem(act(job, "retry", body), 409)["detail"]


def test_retrying_a_job_with_only_unknown_calls_asks_to_resolve_them(job):
    ToolCall.objects.filter(step="creative.image.b").delete()
    assert "resolve" in problem(act(job, "retry"), 409)["detail"]


@pytest.mark.parametrize(
    "body", [{"stage": "nope"}, {"step": "nope"}, {"stage": "brief", "step": "creative.image.b"}]
)
def test_a_retry_of_a_missing_stage_or_step_names_the_field(job, body):
    answer = act(job, "retry", body)
    assert fields(answer, 409) == [list(body)[-1]]
    assert answer.json()["type"].endswith("not-there")


@pytest.mark.parametrize(("body", "field"), [({"stage": 7}, "stage"), ({"item": "a"}, "item")])
def test_an_invalid_retry_names_the_field(job, body, field):
    assert fields(act(job, "retry", body)) == [field]
    assert fields(act(job, "cancel", {"force": True})) == ["force"]


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"outcome": "exists", "remoteId": "77"}, "done"),
        ({"outcome": "absent"}, "waiting"),
        ({"outcome": "skip"}, "skipped"),
    ],
)
def test_an_unknown_call_is_resolved_once(job, body, state):
    accepted(act(job, resolve(), body), job, "queued")
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    (call,) = [one for one in data["calls"] if one["step"] == STEP]
    assert (call["state"], call["remoteId"]) == (state, body.get("remoteId", ""))
    assert "key" not in call
    assert (call["howToCheck"], call["resolveUrl"]) == ([], "")
    assert f"it is {state}" in problem(act(job, resolve(), body), 409)["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", "outcome"),
        ({"outcome": "perhaps"}, "outcome"),
        ({"outcome": "exists"}, "remoteId"),
        ({"outcome": "exists", "remote_id": "7"}, "remote_id"),
        ({"outcome": "skip", "remoteId": "7"}, "remoteId"),
        ({"outcome": "skip", "why": "x"}, "why"),
        ("[]", ""),
    ],
)
def test_an_inconsistent_resolution_names_the_field(job, body, field):
    assert fields(act(job, resolve(), body)) == [field]
    assert acting.states(job)[STEP] == "unknown"


@pytest.mark.parametrize("what", ["cancel", "retry", resolve()])
@pytest.mark.parametrize("body", ["{", b"\xff", "[" * 100_000])
def test_a_body_that_is_not_json_is_refused(job, what, body):
    assert problem(act(job, what, body), 400)["type"].endswith("malformed-json")


def test_a_step_that_the_job_does_not_have_returns_404(job):
    assert problem(act(job, resolve("nope"), {"outcome": "skip"}), 404)["type"].endswith("unknown-step")


@pytest.mark.parametrize("step", ["creative.image.Größe 1/2 50%", "creative/image/a", "creative.a~b_c-d.é"])
def test_a_step_is_found_by_its_encoded_name(job, step):
    ToolCall.objects.filter(job=job, step=STEP).update(step=step)
    assert act(job, resolve(quote(step, safe="")), {"outcome": "skip"}).status_code == 202
    assert ToolCall.objects.get(job=job, step=step).state == "skipped"


@pytest.mark.parametrize("what", ["cancel", "retry", resolve()])
def test_actions_need_the_launch_scope_and_an_own_job(job, what):
    body = {"outcome": "skip"} if "steps" in what else ""
    problem(act(job, what, body, Client()), 401)
    assert "launch" in problem(act(job, what, body, bearer("read")), 403)["detail"]
    problem(act(job, what, body, bearer("launch", user=story.user("noor"))), 404)
    problem(act(uuid.uuid4(), what, body), 404)
    client = Client(enforce_csrf_checks=True)
    client.force_login(story.user())
    assert problem(act(job, what, body, client), 403)["type"].endswith("csrf")
    assert Job.objects.get().round == 1
    assert problem(bearer("launch").get(f"/api/jobs/{job.pk}/{what}"), 405)


def test_every_action_appears_in_the_jobs_events(job):
    actions.resolve(job, STEP, "absent", story.user())
    actions.cancel(job, story.user())
    actions.retry(job, story.user())
    path = f"/api/jobs/{job.pk}/events?after={job.last_seq}"
    client = bearer("read")
    client.defaults["HTTP_ACCEPT"] = "application/json"
    data = client.get(f"{path}&detail=all").json()["items"]
    assert [one["type"] for one in data] == [
        "job:resolved",
        "job:retrying",
        "job:cancelling",
        "workflow:complete",
        "job:retrying",
    ]
    assert {name: data[0][name] for name in ("by", "step", "outcome")} == (
        {"by": "mara", "step": STEP, "outcome": "absent"}
    )
    assert (data[-1]["round"], data[-1]["stages"]) == (3, ["creative", "report"])
    assert [one["type"] for one in client.get(path).json()["items"]] == ["workflow:complete"]


def test_servers_whose_calls_are_paused_are_listed_with_the_reason():
    job = acting.running()
    feed.append(job.pk, [ev.JobServerDown(server="docs", reason="5 failures in a row")], epoch=job.epoch)
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    assert data["down"] == {"docs": "5 failures in a row"}


def test_an_unknown_call_has_instructions_and_the_address_to_resolve_it(job):
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    (call,) = [one for one in data["calls"] if one["step"] == STEP]
    assert call["howToCheck"] == how_to_check(ToolCall.objects.get(job=job, step=STEP))
    assert len(call["howToCheck"]) > 1
    assert call in data["stages"][1]["calls"]
    assert "args" not in call
    assert post(bearer("launch"), {"outcome": "skip"}, path=call["resolveUrl"]).status_code == 202
    assert all(one["resolveUrl"] == "" for one in data["calls"] if one != call)
