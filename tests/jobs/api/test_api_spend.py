"""The HTTP API for setting lines live: hash, permissions, conflicts."""

import uuid

import pytest
from django.http import HttpResponse
from django.test import Client

from jobs import registry
from jobs.acts import actions
from jobs.models import AuditEntry, Job
from jobs.store import feed
from tests.jobs import spend, story
from tests.jobs.calling import bearer, fields, post, problem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def one_workflow(monkeypatch, settings):
    settings.WORKFLOWS = ["tests.jobs.spend.SPEND"]
    settings.TOOL_ROLES = "tests.jobs.spend.ROLES"
    registry.workflows.cache_clear()
    monkeypatch.setattr("jobs.acts.actions.run_job", lambda job_id: None)
    yield
    registry.workflows.cache_clear()


@pytest.fixture
def sol():
    return spend.spender()


def shown(job: Job, user: object = None) -> dict:
    """Return the lines that can be set live."""
    answer = bearer("read", user=user).get(f"/api/jobs/{job.pk}/activate")
    assert answer.status_code == 200, answer.content
    return answer.json()


def act(job: object, body: object, client: Client) -> HttpResponse:
    """Request that lines are set live."""
    id = job.pk if isinstance(job, Job) else job
    return post(client, body, path=f"/api/jobs/{id}/activate")


def test_reading_returns_every_line_the_totals_and_the_hash(sol):
    job = spend.prepared()
    data = shown(job, sol)
    assert data["lines"][0] == {
        "item": "north",
        "name": "Line north",
        "server": "ttd",
        "remoteId": "c-north",
        "budget": "100.50",
        "currency": "USD",
        "start": "2031-05-01",
        "end": "2031-05-31",
        "timezone": "Europe/Berlin",
        "source": "simulated",
        "live": False,
        "unknown": False,
    }
    assert data["totals"] == [{"currency": "EUR", "amount": "70"}, {"currency": "USD", "amount": "300.50"}]
    assert (data["hash"], data["live"], data["possible"], data["reason"]) == (
        actions.activation(job).digest,
        0,
        True,
        "",
    )
    assert data["stays"] == ["The search campaign stays paused."]


def test_without_permission_to_spend_it_is_not_possible():
    data = shown(spend.prepared())
    assert (data["possible"], len(data["lines"])) == (False, 3)
    assert "you don't have permission to spend" in data["reason"]


def test_posting_the_hash_is_accepted_and_the_job_shows_who_and_when(sol):
    job = spend.prepared()
    client, digest = bearer("spend", user=sol), shown(job)["hash"]
    first, second = act(job, {"hash": digest}, client), act(job, {"hash": digest}, client)
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json() | {"status": "queued"}
    assert set(first.json()) == {"jobId", "statusUrl", "jobUrl", "pageUrl", "status"}
    assert AuditEntry.objects.count() == 1
    data = bearer("read").get(f"/api/jobs/{job.pk}").json()
    assert (data["activation"]["hash"], data["activation"]["by"], data["round"]) == (digest, "sol", 2)
    assert data["activation"]["at"].endswith("Z")
    assert data["stages"][-1]["name"] == "Set Lines Live"
    assert "are being set live" in shown(job, sol)["reason"]


def test_a_job_without_activation_has_none():
    assert bearer("read").get(f"/api/jobs/{spend.prepared().pk}").json()["activation"] is None


def test_each_error_has_its_own_response_and_changes_nothing(sol):
    job = spend.prepared()
    good, client = {"hash": shown(job)["hash"]}, bearer("spend", user=sol)
    problem(act(job, good, Client()), 401)
    for scopes in (("read",), ("launch",), ("read", "launch")):
        data = problem(act(job, good, bearer(*scopes, user=sol)), 403)
        assert data["type"].endswith("missing-scope")
    assert problem(act(job, good, bearer("spend")), 403)["type"].endswith("may-not-spend")
    problem(act(job, good, bearer("spend", user=story.user("noor"))), 404)
    problem(act(uuid.uuid4(), good, client), 404)
    assert fields(act(job, {}, client)) == fields(act(job, "", client)) == ["hash"]
    assert fields(act(job, {"hash": 7}, client)) == fields(act(job, {"hash": ""}, client)) == ["hash"]
    assert fields(act(job, good | {"force": True}, client)) == ["force"]
    changed = act(job, {"hash": "0" * 64}, client)
    assert fields(changed, 409) == ["hash"]
    assert changed.json()["type"].endswith("changed")
    problem(act(job, "{", client), 400)
    job.refresh_from_db()
    assert (job.round, AuditEntry.objects.count()) == (1, 0)


def test_a_session_without_its_csrf_token_sets_nothing_live(sol):
    client = Client(enforce_csrf_checks=True)
    client.force_login(sol)
    job = spend.prepared()
    assert problem(act(job, {"hash": shown(job)["hash"]}, client), 403)["type"].endswith("csrf")


def test_a_running_job_and_a_dry_run_are_conflicts_with_a_reason(sol):
    client = bearer("spend", user=sol)
    running, dry = story.job(workflow="spend"), spend.prepared(dry_run=True)
    assert "still running" in problem(act(running, {"hash": "x"}, client), 409)["detail"]
    assert "dry run" in problem(act(dry, {"hash": "x"}, client), 409)["detail"]
    assert shown(running)["hash"] == ""


def test_a_later_line_makes_the_old_hash_a_conflict(sol):
    job, client = spend.prepared("north"), bearer("spend", user=sol)
    old = shown(job)["hash"]
    feed.append(job.pk, [spend.end("lines", lines=[spend.record("north"), spend.record("south")])])
    assert "review them again" in problem(act(job, {"hash": old}, client), 409)["detail"]
    assert act(job, {"hash": shown(job)["hash"]}, client).status_code == 202


def test_openapi_describes_the_body():
    paths = Client().get("/api/openapi.json").json()["paths"]["/api/jobs/{job_id}/activate"]
    body = paths["post"]["requestBody"]
    assert body["required"]
    assert body["content"]["application/json"]["schema"]["required"] == ["hash"]
    assert {"202", "403", "404", "409", "422"} <= set(paths["post"]["responses"])
