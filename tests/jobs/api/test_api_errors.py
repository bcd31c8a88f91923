"""Errors have the same shape everywhere; every address reports its methods."""

import uuid

import pytest
from django.http import FileResponse
from django.test import Client

from tests.jobs import calling, story
from tests.jobs.calling import START, bearer, post, problem

pytestmark = pytest.mark.django_db(transaction=True)
READ, ACT = "GET, HEAD, OPTIONS", "OPTIONS, POST"


@pytest.fixture(autouse=True)
def one_workflow(monkeypatch):
    calling.use_flow(monkeypatch)


@pytest.fixture
def addresses() -> dict[str, str]:
    """Return an address of every kind with its allowed methods."""
    job = f"/api/jobs/{story.ended_job().pk}"
    reads = [job, f"{job}/events", f"{job}/artifacts/creative-1x1.png", f"{job}/bundle.zip", "/api/jobs"]
    reads += ["/api/workflows", "/api/openapi.json", "/healthz", "/readyz"]
    acts = [START, f"{job}/cancel", f"{job}/retry", f"{job}/steps/a/resolve"]
    return dict.fromkeys(reads, READ) | dict.fromkeys(acts, ACT)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_a_method_that_is_not_allowed_is_a_problem_that_lists_the_allowed_methods(addresses, method):
    client = bearer("read", "launch")
    for path, allowed in addresses.items():
        answer = client.generic(method, path)
        assert method in problem(answer, 405)["detail"]
        assert answer.headers["Allow"] == allowed, path


def test_reading_and_acting_need_different_methods(addresses):
    client = bearer("read", "launch")
    for path, allowed in addresses.items():
        problem(client.get(path) if allowed == ACT else client.post(path), 405)


def test_options_lists_the_allowed_methods(addresses):
    client = bearer("read", "launch")
    for path, allowed in addresses.items():
        answer = client.options(path)
        assert (answer.status_code, answer.headers["Allow"], answer.content) == (204, allowed, b"")


def test_head_returns_the_headers_of_get_without_the_body(addresses):
    client = bearer("read")
    for path in (path for path, allowed in addresses.items() if allowed == READ and "/bundle" not in path):
        head, whole = client.head(path), client.get(path)
        assert (head.status_code, head.content if not head.streaming else b"") == (whole.status_code, b"")
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]
        whole.close()
    assert Client().head("/api/jobs").status_code == 401
    assert client.head(f"/api/jobs/{uuid.uuid4()}").status_code == 404


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_content_type_other_than_json_is_refused(kind):
    job = story.ended_job()
    for path in (START, f"/api/jobs/{job.pk}/cancel", f"/api/jobs/{job.pk}/retry"):
        answer = bearer("launch").post(path, '{"campaign": "aurora-one"}', content_type=kind)
        assert kind in problem(answer, 415)["detail"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_every_spelling_of_the_json_content_type_is_accepted(kind):
    answer = bearer("launch").post(START, '{"campaign": "aurora-one"}', content_type=kind)
    assert answer.status_code == 202


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/jobs/not-an-id", "/api/docs/x"])
def test_an_unknown_address_is_a_problem_for_every_method_and_caller(method, path):
    problem(getattr(Client(), method)(path), 404)


def test_an_unreadable_file_is_a_problem_without_details(monkeypatch, caplog):
    job = story.ended_job()

    def break_down(*args: object) -> FileResponse:
        raise OSError("the secret is 42")

    monkeypatch.setattr("jobs.pages.downloads._send", break_down)
    monkeypatch.setattr("jobs.pages.downloads._open", lambda row: None)
    path = f"/api/jobs/{job.pk}/artifacts/creative-1x1.png"
    assert "secret" not in problem(bearer("read").get(path), 500)["detail"]
    assert "the secret is 42" in caplog.text
    client = Client(raise_request_exception=False)
    client.force_login(story.user())
    assert client.get(path, headers={"Accept": "text/html"}).headers["Content-Type"].startswith("text/html")


@pytest.mark.storage  # PostgreSQL takes no NUL
def test_a_name_with_a_nul_character_is_not_an_internal_error():
    assert problem(bearer("read").get("/api/jobs?q=%00"), 422)["errors"][0]["field"] == "q"
    job = story.ended_job()
    problem(bearer("read").get(f"/api/jobs/{job.pk}/artifacts/%00"), 404)
    problem(bearer("read").get("/local/canva/%00/index.html"), 404)
    problem(bearer("read").get("/local/%00/design-1/index.html"), 404)
    problem(
        post(bearer("launch"), path=f"/api/jobs/{job.pk}/steps/%00/resolve", body={"outcome": "skip"}), 404
    )


@pytest.mark.parametrize("path", ["/api/jobs", "/api/nothing", "/healthz", "/readyz"])
def test_an_unknown_host_name_is_a_problem_for_api_addresses(path):
    answer = Client().get(path, headers={"Host": "elsewhere.example"})
    assert "ALLOWED_HOSTS" in problem(answer, 400)["detail"]


def test_an_unknown_host_name_is_a_page_for_other_addresses():
    answer = Client().get("/", headers={"Host": "elsewhere.example"})
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (400, "text/html")
