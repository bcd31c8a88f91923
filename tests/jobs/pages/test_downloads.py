"""Downloads: only for users who may see the job, and sandboxed."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import reverse

from jobs import public
from jobs.models import Artifact as Row
from jobs.models import Job, ToolCall
from jobs.store.files import JobFiles
from tests.jobs import story
from tests.pages import browser, policy, text

UNKNOWN = "55555555-3333-4444-8888-555555555555"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    """Store files in a folder of the test."""
    settings.MEDIA_ROOT = settings.DATA_DIR = tmp_path
    return tmp_path


def made(name: str, data: bytes | str, job: Job | None = None, **values: Any) -> Row:
    """Create an artifact of a job with a file."""
    job = job or story.job()
    JobFiles(job.folder).write(name, data)
    values = {"stage": "brief", "title": name, "kind": "document", "source": "local"} | values
    return Row.objects.create(job=job, name=name, file=name, **values)


def fetch(row: Row, user: Any = None, page: str = "artifact") -> HttpResponse:
    """Request an artifact."""
    return browser(user).get(reverse(page, args=[row.job_id, row.name]))


@pytest.mark.parametrize(
    ("name", "kind", "saved"),
    [
        ("landing-page.html", "text/html; charset=utf-8", False),
        ("brief.md", "text/plain; charset=utf-8", False),
        ("media-plan.csv", "text/csv; charset=utf-8", True),
        ("creative.png", "image/png", False),
        ("odd.bin", "application/octet-stream", True),
    ],
)
def test_a_file_has_its_type_and_is_shown_or_saved(name: str, kind: str, saved: bool):
    response = fetch(made(name, "content"))
    assert b"".join(response.streaming_content) == b"content"
    assert response["Content-Type"] == kind
    assert response["Content-Disposition"].startswith("attachment" if saved else "inline")
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_generated_page_runs_in_a_sandbox_without_scripts():
    rules = policy(fetch(made("landing-page.html", "<script>alert(1)</script>")))
    assert rules.startswith("sandbox ")
    assert "allow-scripts" not in rules
    assert "default-src 'none'" in rules


@pytest.mark.parametrize("page", ["artifact", "document"])
def test_another_users_artifact_returns_404(page: str):
    row = made("brief.md", "secret", story.job(story.user("other")))
    answer = fetch(row, page=page)
    assert answer.status_code == 404
    assert "matches the given query" not in answer.content.decode()


def test_a_missing_artifact_or_bundle_is_named():
    row = made("brief.md", "x")
    for path, told in (
        (f"/api/jobs/{row.job_id}/artifacts/other.md", "this job has no artifact other.md"),
        (f"/api/jobs/{UNKNOWN}/artifacts/brief.md", f"there is no job {UNKNOWN}"),
        (f"/api/jobs/{UNKNOWN}/bundle.zip", f"there is no job {UNKNOWN}"),
    ):
        answer = browser().get(path, headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["detail"]) == (404, told)


@pytest.mark.parametrize("file", ["../../secret", "/etc/passwd", "missing.md", "."])
def test_a_row_that_names_no_file_of_its_job_is_404(file: str):
    row = made("brief.md", "x")
    Row.objects.filter(pk=row.pk).update(file=file)
    assert fetch(row).status_code == 404


def test_a_document_is_shown_as_a_page_and_its_html_is_escaped():
    row = made(
        "brief.md", "# Brief\n\n<script>alert(1)</script>\n\n| A |\n|---|\n| 1 |\n\n[x](javascript:alert(1))"
    )
    html = text(fetch(row, page="document"))
    assert "<h1>Brief</h1>" in html
    assert "<td>1</td>" in html
    assert "<script>alert" not in html
    assert 'href="javascript' not in html


def test_a_document_may_link_to_a_file_beside_it():
    row = made("plan.csv", "a")
    answer = fetch(row, page="document")
    assert (answer.status_code, answer["Location"]) == (302, f"/api/jobs/{row.job_id}/artifacts/plan.csv")


def world(folder: Path, job: Job, path: str = "doc-1/index.html", remote_id: str = "doc-1") -> str:
    """Put a file into the local world, with the call that made it, and give its address."""
    file = folder / "local" / "google-docs" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("<h1>made</h1>")
    ToolCall.objects.create(
        job=job, step=f"brief.{remote_id}", stage="brief", server="google-docs", tool="t", key="k",
        args={}, args_hash="h", remote_id=remote_id,
    )  # fmt: skip
    return reverse("world", args=["google-docs", path])


def test_the_local_world_shows_what_the_users_job_made(folder: Path):
    where = world(folder, story.job())
    response = browser().get(where)
    assert b"".join(response.streaming_content) == b"<h1>made</h1>"
    assert policy(response).startswith("sandbox ")


def test_the_folder_of_a_thing_shows_its_page(folder: Path):
    where = world(folder, story.job())
    assert browser().get(where.removesuffix("index.html")).status_code == 200


def test_the_local_world_hides_what_another_users_job_made(folder: Path):
    where = world(folder, story.job(story.user("other")))
    assert browser().get(where).status_code == 404


def test_another_role_may_use_the_same_id(folder: Path):
    where = world(folder, story.job()).replace("google-docs", "canva")
    assert browser().get(where).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "doc-1/../../secret.txt",
        "doc-1/../doc-2/x.html",
        "../local/google-docs/doc-1/index.html",
        "..",
        "doc-1/missing.html",
    ],
)
def test_no_path_leaves_the_folder_of_the_users_job(folder: Path, path: str):
    world(folder, story.job())
    (folder / "local" / "secret.txt").write_text("secret")
    (folder / "local" / "google-docs" / "doc-2").mkdir()
    (folder / "local" / "google-docs" / "doc-2" / "x.html").write_text("secret")
    assert browser().get(f"/local/google-docs/{path}").status_code == 404


def test_a_remote_id_that_is_a_path_opens_nothing(folder: Path):
    job = story.job()
    world(folder, job)
    (folder / "secret.txt").write_text("secret")
    ToolCall.objects.filter(job=job).update(remote_id="..")
    assert browser().get("/local/google-docs/../../secret.txt").status_code == 404
    ToolCall.objects.filter(job=job).update(server="..", remote_id="secret.txt")
    assert browser().get("/local/../secret.txt").status_code == 404


def test_a_symbolic_link_out_of_the_world_is_not_followed(folder: Path):
    where = world(folder, story.job())
    (folder / "secret.txt").write_text("secret")
    (folder / "local" / "google-docs" / "doc-1" / "link.txt").symlink_to(folder / "secret.txt")
    assert browser().get(where.replace("index.html", "link.txt")).status_code == 404


def test_files_need_a_sign_in(client: Any, folder: Path):
    row = made("brief.md", "x")
    for where in (reverse("artifact", args=[row.job_id, row.name]), world(folder, row.job)):
        assert client.get(where).status_code in (302, 401)


def test_an_ended_job_links_to_files_that_open():
    job = story.ended_job()
    JobFiles(job.folder).write("creative-1x1.png", b"png")
    html = text(browser().get(reverse("job", args=[job.pk])))
    where = public.artifact(job.pk, job.artifacts.get())["url"]
    assert where in html
    assert browser().get(where).status_code == 200


def test_the_bundle_holds_each_artifacts_file_once_and_nothing_else():
    job = story.job()
    made("brief.md", "# Brief", job)
    Row.objects.create(
        job=job, name="brief-again", stage="brief", title="t", kind="document", file="brief.md"
    )
    JobFiles(job.folder).write("working-copy.png", b"not an artifact")
    answer = browser(job.owner).get(f"/api/jobs/{job.pk}/bundle.zip")
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as pack:
        assert pack.namelist() == ["brief.md"]
        assert pack.read("brief.md") == b"# Brief"


def test_there_is_no_bundle_without_files_or_of_another_users_job():
    assert browser(story.user()).get(f"/api/jobs/{story.job().pk}/bundle.zip").status_code == 404
    row = made("brief.md", "x", story.job(story.user("other")))
    assert browser(story.user()).get(f"/api/jobs/{row.job_id}/bundle.zip").status_code == 404
