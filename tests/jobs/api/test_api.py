"""The HTTP API: launching, authentication, and the shape of errors."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from jobs.acts import actions
from jobs.api.auth import signed_in_or_token
from jobs.engine.inputs import Fault, InvalidInput, Request
from jobs.models import ApiToken, Job
from jobs.store import feed
from tests.jobs import calling, story
from tests.jobs.calling import BODY, START, bearer, fields, post, problem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def one_workflow(monkeypatch):
    calling.use_flow(monkeypatch)


# launching


@pytest.mark.parametrize("path", [START, "/api/workflows/campaign-lifecycle-demo"])
def test_an_accepted_launch_returns_the_addresses_to_follow_it(path):
    client = bearer("launch", "read")
    answer = post(client, path=path)
    assert answer.status_code == 202
    data = answer.json()
    job = Job.objects.get()
    assert data == {
        "jobId": str(job.pk),
        "statusUrl": f"/api/jobs/{job.pk}/events",
        "jobUrl": f"/api/jobs/{job.pk}",
        "pageUrl": f"/jobs/{job.pk}/",
        "warnings": [{"field": "campaign.goal", "message": "is vague"}],
    }
    assert (job.owner, job.title, job.params) == (story.user(), "aurora-one", BODY)
    assert client.get(data["jobUrl"]).json()["status"] == "queued"


def test_the_alias_of_a_workflow_starts_it_too():
    assert post(bearer("launch"), path="/api/workflows/campaign-lifecycle-demo/start").status_code == 202


def test_every_error_of_a_launch_names_the_field_as_it_was_sent():
    assert fields(post(bearer("launch"), {"includeSearch": True})) == [
        "campaign",
        "campaign.media_plan.2.budget",
    ]
    assert not Job.objects.exists()


@pytest.mark.parametrize("body", ["", "{", "{'a': 1}", b"\xff", "[" * 100_000, '{"a": NaN}', "1" * 5000])
def test_a_body_that_is_not_json_is_refused(body):
    assert problem(post(bearer("launch"), body), 400)["type"].endswith("malformed-json")


@pytest.mark.parametrize("body", ["[]", "null", '"aurora-one"', "7"])
def test_a_body_that_is_not_an_object_is_refused(body):
    assert fields(post(bearer("launch"), body)) == [""]


def test_a_body_of_more_than_a_megabyte_is_refused_before_it_is_read():
    problem(post(bearer("launch"), {"campaign": "x" * (1024 * 1024)}), 413)
    problem(post(Client(), {"campaign": "x" * (3 * 1024 * 1024)}), 413)


def test_an_unknown_workflow_returns_404_and_the_known_workflows():
    assert (
        "campaign-lifecycle" in problem(post(bearer("launch"), path="/api/workflows/x/start"), 404)["detail"]
    )


def test_an_internal_error_reveals_no_details(caplog):
    answer = post(bearer("launch"), {"campaign": "break"})
    assert "secret" not in json.dumps(problem(answer, 500))
    assert "the secret is 42" in caplog.text


# idempotency


def test_the_same_key_and_body_give_the_same_job():
    client = bearer("launch")
    first, second = (post(client, Idempotency_Key="a") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert first.json()["warnings"] != []
    assert Job.objects.count() == 1


def test_a_launch_that_would_now_be_refused_is_still_found_by_its_key(monkeypatch):
    client = bearer("launch")
    first = post(client, Idempotency_Key="a")

    def refused(raw: object) -> Request:
        raise InvalidInput([Fault("campaign", "is in the past")])

    calling.use_flow(monkeypatch, parse=refused)
    again = post(client, Idempotency_Key="a")
    assert (again.status_code, again.json()["jobId"]) == (202, first.json()["jobId"])


def test_the_same_key_with_another_body_is_a_conflict():
    client = bearer("launch")
    post(client, Idempotency_Key="a")
    assert fields(post(client, BODY | {"dryRun": False}, Idempotency_Key="a"), 409) == ["Idempotency-Key"]
    assert Job.objects.count() == 1


def test_keys_of_different_users_are_independent():
    post(bearer("launch"), Idempotency_Key="a")
    post(bearer("launch", user=story.user("noor")), Idempotency_Key="a")
    assert Job.objects.count() == 2


@pytest.mark.parametrize("key", ["", "x" * 201, "caf\xe9"])
def test_an_invalid_key_is_named(key):
    assert fields(post(bearer("launch"), Idempotency_Key=key)) == ["Idempotency-Key"]


@pytest.mark.storage
def test_fifty_launches_at_once_with_one_key_make_one_job():
    token = ApiToken.make(story.user(), ["launch"])

    def launch(_: int) -> tuple[int, str]:
        try:
            answer = post(Client(headers={"Authorization": f"Bearer {token}"}), Idempotency_Key="once")
            return answer.status_code, answer.json().get("jobId")
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as threads:
        answers = set(threads.map(launch, range(50)))
    job = Job.objects.get()
    assert answers == {(202, str(job.pk))}
    assert story.seqs(feed.whole(job.pk)) == [1]


# authentication


def test_an_unauthenticated_request_gets_401_and_no_sign_in_page():
    for path in (
        "/api/workflows",
        "/api/jobs",
        f"/api/jobs/{uuid.uuid4()}",
        f"/api/jobs/{uuid.uuid4()}/events",
    ):
        answer = Client().get(path)
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    problem(post(Client()), 401)


def test_a_token_that_is_unknown_expired_or_of_an_inactive_user_gets_401():
    made_up = Client(headers={"Authorization": "Bearer fp_made-up"})
    assert problem(made_up.get("/api/jobs"), 401)["type"].endswith("invalid-token")
    client = bearer("read")
    assert client.get("/api/jobs").status_code == 200
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    problem(client.get("/api/jobs"), 401)
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    type(story.user()).objects.update(is_active=False)
    problem(client.get("/api/jobs"), 401)


@pytest.mark.parametrize("header", ["Basic bWFyYTptYXJh", "Bearer", "Bearer ", "fp_x", ""])
def test_a_session_does_not_override_a_bad_authorization_header(header):
    client = Client(headers={"Authorization": header})
    client.force_login(story.user())
    problem(client.get("/api/jobs"), 401)


def test_a_token_allows_only_its_scopes():
    answer = post(bearer("read"))
    assert "launch" in problem(answer, 403)["detail"]
    assert 'scope="launch"' in answer.headers["WWW-Authenticate"]
    problem(bearer("launch").get("/api/jobs"), 403)
    assert not Job.objects.exists()


def test_a_session_needs_its_csrf_token_to_launch_but_not_to_read():
    client = Client(enforce_csrf_checks=True)
    client.force_login(story.user())
    assert client.get("/api/jobs").status_code == 200
    assert problem(post(client), 403)["type"].endswith("csrf")
    client.cookies["csrftoken"] = "a" * 32
    assert post(client, X_CSRFToken="b" * 32).status_code == 403
    assert post(client, X_CSRFToken="a" * 32).status_code == 202


def test_plain_views_accept_the_same_callers():
    @signed_in_or_token("read")
    def view(request, name):
        return HttpResponse(f"{name} for {request.user}")

    def ask(accept: str = "*/*", **headers: str) -> HttpResponse:
        request = RequestFactory().get("/x?y=1", headers={"Accept": accept, **headers})
        request.user = nobody
        return view(request, name="brief")

    from django.contrib.auth.models import AnonymousUser

    nobody = AnonymousUser()
    token = ApiToken.make(story.user(), ["read"])
    assert ask(Authorization=f"Bearer {token}").content == b"brief for mara"
    problem_of = json.loads(ask().content)
    assert problem_of["status"] == 401
    to_sign_in = ask("text/html,*/*")
    assert (to_sign_in.status_code, to_sign_in.url) == (302, "/sign-in/?next=/x%3Fy%3D1")
    launch_only = ApiToken.make(story.user(), ["launch"])
    assert ask("text/html", Authorization=f"Bearer {launch_only}").status_code == 403
    assert view.login_required is False


def test_a_token_fetches_an_artifact_of_its_users_jobs_only(settings, tmp_path):
    job = story.ended_job()
    settings.MEDIA_ROOT = tmp_path
    (tmp_path / job.folder).mkdir(parents=True)
    (tmp_path / job.folder / "creative-1x1.png").write_bytes(b"picture")
    url = bearer("read").get(f"/api/jobs/{job.pk}").json()["artifacts"][0]["fileUrl"]
    assert b"".join(bearer("read").get(url).streaming_content) == b"picture"
    problem(bearer("read", user=story.user("noor")).get(url), 404)
    problem(bearer("launch").get(url), 403)
    problem(Client().get(url), 401)


# other errors


@pytest.mark.parametrize(
    "path", ["/api/", "/api/nothing", "/api/jobs/", "/api/jobs/not-an-id", "/api/jobs/not-an-id/events"]
)
def test_an_address_that_does_not_exist_is_a_problem_too(path):
    problem(bearer("read").get(path), 404)


def test_a_method_that_is_not_allowed_is_a_problem_too():
    answer = bearer("read").delete("/api/jobs")
    assert "DELETE" in problem(answer, 405)["detail"]
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_another_users_job_returns_404_like_a_missing_one():
    theirs = story.job(story.user("noor"))
    client = bearer("read")
    for id in (theirs.pk, uuid.uuid4()):
        problem(client.get(f"/api/jobs/{id}"), 404)
        problem(client.get(f"/api/jobs/{id}/events"), 404)
    boss = bearer("read", user=story.user("boss", is_staff=True))
    assert boss.get(f"/api/jobs/{theirs.pk}").status_code == 200


def test_a_launch_through_the_api_is_like_any_other():
    again = post(bearer("launch"), Idempotency_Key="a").json()["jobId"]
    launched = actions.launch("campaign-lifecycle", BODY, story.user(), idempotency_key="a")
    assert (str(launched.job.pk), launched.created) == (again, False)
