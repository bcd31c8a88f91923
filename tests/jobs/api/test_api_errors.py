"""One shape for every error, whatever was asked and wherever; and what is possible at an address."""

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
    """Give every kind of address with what is possible there."""
    job = f"/api/jobs/{story.ended_job().pk}"
    reads = [job, f"{job}/events", f"{job}/artifacts/creative-1x1.png", f"{job}/bundle.zip", "/api/jobs"]
    reads += ["/api/workflows", "/api/openapi.json", "/healthz", "/readyz"]
    acts = [START, f"{job}/cancel", f"{job}/retry", f"{job}/steps/a/resolve"]
    return dict.fromkeys(reads, READ) | dict.fromkeys(acts, ACT)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_what_is_not_possible_is_a_problem_that_says_what_is(addresses, method):
    client = bearer("read", "launch")
    for path, allowed in addresses.items():
        answer = client.generic(method, path)
        assert method in problem(answer, 405)["detail"]
        assert answer.headers["Allow"] == allowed, path


def test_a_read_is_no_act_and_an_act_no_read(addresses):
    client = bearer("read", "launch")
    for path, allowed in addresses.items():
        problem(client.get(path) if allowed == ACT else client.post(path), 405)


def test_options_says_what_is_possible(addresses):
    client = bearer("read", "launch")
    for path, allowed in addresses.items():
        answer = client.options(path)
        assert (answer.status_code, answer.headers["Allow"], answer.content) == (204, allowed, b"")


def test_the_head_of_an_answer_is_that_of_get_without_the_body(addresses):
    client = bearer("read")
    for path in (path for path, allowed in addresses.items() if allowed == READ and "/bundle" not in path):
        head, whole = client.head(path), client.get(path)
        assert (head.status_code, head.content if not head.streaming else b"") == (whole.status_code, b"")
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]
        whole.close()
    assert Client().head("/api/jobs").status_code == 401
    assert client.head(f"/api/jobs/{uuid.uuid4()}").status_code == 404


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_calls_itself_something_else_than_json_is_told_so(kind):
    job = story.ended_job()
    for path in (START, f"/api/jobs/{job.pk}/cancel", f"/api/jobs/{job.pk}/retry"):
        answer = bearer("launch").post(path, '{"campaign": "aurora-one"}', content_type=kind)
        assert kind in problem(answer, 415)["detail"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_taken_however_it_is_spelt(kind):
    answer = bearer("launch").post(START, '{"campaign": "aurora-one"}', content_type=kind)
    assert answer.status_code == 202


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/jobs/not-an-id", "/api/docs/x"])
def test_an_address_that_does_not_exist_is_a_problem_by_any_method_and_for_anybody(method, path):
    problem(getattr(Client(), method)(path), 404)


def test_a_file_that_cannot_be_read_is_a_problem_for_a_program_and_tells_nothing(monkeypatch, caplog):
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
def test_a_name_with_a_nul_is_no_fault_of_ours():
    assert problem(bearer("read").get("/api/jobs?q=%00"), 422)["errors"][0]["field"] == "q"
    job = story.ended_job()
    problem(bearer("read").get(f"/api/jobs/{job.pk}/artifacts/%00"), 404)
    problem(bearer("read").get("/local/canva/%00/index.html"), 404)
    problem(bearer("read").get("/local/%00/design-1/index.html"), 404)
    problem(
        post(bearer("launch"), path=f"/api/jobs/{job.pk}/steps/%00/resolve", body={"outcome": "skip"}), 404
    )


@pytest.mark.parametrize("path", ["/api/jobs", "/api/nothing", "/healthz", "/readyz"])
def test_a_program_that_asks_under_another_host_s_name_is_told_so_as_a_problem(path):
    answer = Client().get(path, headers={"Host": "elsewhere.example"})
    assert "ALLOWED_HOSTS" in problem(answer, 400)["detail"]


def test_a_browser_that_asks_under_another_host_s_name_gets_a_page():
    answer = Client().get("/", headers={"Host": "elsewhere.example"})
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (400, "text/html")
