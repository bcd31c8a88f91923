"""The OpenAPI description of the plain views: a job's files, and the health checks."""

from typing import Any

from django.urls import reverse

SECURITY: list[dict[str, list[str]]] = [{"Token": []}, {"Session": []}]
JOB_ID = {
    "in": "path",
    "name": "job_id",
    "required": True,
    "schema": {"type": "string", "format": "uuid", "title": "Job Id"},
}
NAME = {
    "in": "path",
    "name": "name",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "title": "Name"},
    "description": "The name of one of the job's `artifacts`",
}
HEALTHY = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ready"}}}


def paths() -> dict[str, Any]:
    """Return the OpenAPI path items by address."""
    return {
        "/api/jobs/{job_id}/artifacts/{name}": _file(
            "readArtifact",
            "Fetch an artifact",
            "Flightplan's own copy of an artifact.",
            "*/*",
            [JOB_ID, NAME],
        ),
        "/api/jobs/{job_id}/bundle.zip": _file(
            "readBundle", "Fetch all files", "The job's files as one ZIP.", "application/zip", [JOB_ID]
        ),
        reverse("healthz"): _health(
            "healthz",
            "Check that the process responds",
            {"200": _response("The process responds", "text/plain", {"type": "string"})},
        ),
        reverse("readyz"): _health(
            "readyz",
            "Check that a launch would run",
            {
                "200": _response("The database responds and a worker runs", "application/json", HEALTHY),
                "503": {},
            },
        ),
    }


def _file(id: str, summary: str, about: str, kind: str, parameters: list[Any]) -> dict[str, Any]:
    found = _response("The file", kind, {"type": "string", "format": "binary"})
    errors: dict[str, Any] = {code: {} for code in ("401", "403", "404")}
    more = {"tags": ["files"], "parameters": parameters, "security": SECURITY}
    return {
        "get": {
            "operationId": id,
            "summary": summary,
            "description": about,
            **more,
            "responses": {"200": found, **errors},
        }
    }


def _health(id: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "operationId": id,
            "summary": summary,
            "tags": ["health"],
            "security": [],
            "responses": responses,
        }
    }


def _response(description: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}
