"""Downloads: a job's artifacts, Markdown shown as pages, and the documents of the bundled servers."""

import mimetypes
import tempfile
import uuid
import zipfile
from dataclasses import fields
from pathlib import Path

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.cache import patch_cache_control
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt
from slugify import slugify

from jobs.api.auth import signed_in_or_token
from jobs.engine import results
from jobs.live.pieces import READABLE, thing
from jobs.models import Artifact, Job, ToolCall
from jobs.pages.act_views import user_of

#: The policy of generated pages: no scripts, no forms, nothing loaded from elsewhere. They keep their origin,
#: because otherwise the browser would not send the session with requests for their pictures.
SANDBOX = (
    "sandbox allow-same-origin allow-downloads allow-popups allow-popups-to-escape-sandbox; "
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:"
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
}
NUL = "\x00"  # PostgreSQL refuses it in queries
SHOWN = {".html", ".htm", ".md", ".txt", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".pdf"}
_READER = MarkdownIt("commonmark", {"html": False}).enable("table")


@signed_in_or_token("read")
@require_safe
def artifact(request: HttpRequest, job_id: uuid.UUID, name: str) -> HttpResponseBase:
    """Return Flightplan's copy of an artifact. Browsers show pages and pictures and save everything else."""
    row = _artifact(request, job_id, name)
    return _send(_open(row), row.file)


@signed_in_or_token("read")
@require_safe
def bundle(request: HttpRequest, job_id: uuid.UUID) -> FileResponse:
    """Return the files of a job's artifacts as one ZIP, or 404 if there are none yet."""
    job = Job.objects.visible_to(request.user).filter(pk=job_id).first()
    if job is None:
        raise Http404(f"there is no job {job_id}")
    files = sorted(set(job.artifacts.exclude(file="").values_list("file", flat=True)))
    if not files:
        raise Http404("this job has no files yet")
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as pack:
        for name in files:
            with default_storage.open(f"{job.folder}/{name}") as file:
                pack.writestr(name, file.read())
    spool.seek(0)
    title = slugify(job.title) or "campaign"
    response = FileResponse(spool, as_attachment=True, filename=f"{title}-{job.pk.hex[:8]}.zip")
    patch_cache_control(response, private=True, no_cache=True)
    return response


@require_safe
def document(request: HttpRequest, job_id: uuid.UUID, name: str) -> HttpResponse:
    """Show a Markdown artifact as a page. Other artifacts, which it may link to, are returned unchanged."""
    row = _artifact(request, job_id, name)
    if not row.name.endswith(READABLE):
        return redirect("artifact", job_id, name)
    with _open(row) as file:
        text = file.read().decode("utf-8", errors="replace")
    values = {one.name: getattr(row, one.name) for one in fields(results.Artifact)}
    shown = thing(row.job, results.Artifact(**{**values, "source": results.Source(row.source)}))
    context = {"job": row.job, "thing": shown, "html": to_html(text)}
    return render(request, "jobs/document.html", context)


@signed_in_or_token("read")
@require_safe
def world(request: HttpRequest, role: str, path: str) -> HttpResponseBase:
    """Return a file of a bundled server, or 404 unless a job that the user may see has created it.

    The first part of the path is the id that the server gave it.
    """
    remote_id = path.split("/", 1)[0]
    if NUL in role + path:
        raise Http404("file not found")
    mine = Job.objects.visible_to(user_of(request))
    if not ToolCall.objects.filter(server=role, remote_id=remote_id, job__in=mine).exists():
        raise Http404("file not found")
    folder = (settings.DATA_DIR / "local" / role / remote_id).resolve()
    found = (settings.DATA_DIR / "local" / role / path).resolve()
    inside = found == folder or folder in found.parents
    if (
        not remote_id.strip(".")
        or (settings.DATA_DIR / "local").resolve() not in folder.parents
        or not inside
    ):
        raise Http404("file not found")
    if found.is_dir():
        found = found / "index.html"
    if not found.is_file():
        raise Http404("file not found")
    return _send(File(found.open("rb")), found.name)


def _artifact(request: HttpRequest, job_id: uuid.UUID, name: str) -> Artifact:
    job = Job.objects.visible_to(request.user).filter(pk=job_id).first()
    if job is None:
        raise Http404(f"there is no job {job_id}")
    rows = Artifact.objects.select_related("job").filter(job=job, name=name).exclude(file="")
    row = None if NUL in name else rows.first()
    if row is None:
        raise Http404(f"this job has no artifact {name}")
    return row


def _open(row: Artifact) -> "File[bytes]":
    try:
        return default_storage.open(f"{row.job.folder}/{row.file}")
    except (FileNotFoundError, IsADirectoryError, SuspiciousFileOperation):
        raise Http404("the file is gone") from None


def _send(file: "File[bytes]", name: str) -> FileResponse:
    ending = Path(name).suffix.lower()
    kind = TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    response = FileResponse(
        file, filename=Path(name).name, as_attachment=ending not in SHOWN, content_type=kind
    )
    response["Content-Security-Policy"] = SANDBOX
    response["X-Content-Type-Options"] = "nosniff"
    patch_cache_control(response, private=True, no_cache=True)
    return response


def to_html(text: str) -> SafeString:
    """Return Markdown as HTML, with each table in a scrolling box."""
    html = str(_READER.render(text))
    html = html.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    return SafeString(html)
