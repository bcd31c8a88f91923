"""What OpenAPI says of the addresses that plain views answer: a job's files, and the health of the house."""

from typing import Any

from django.urls import reverse

SECURITY = [{"Token": []}, {"Session": []}]
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
    "description": "As the job's `artifacts` tell it",
}
HEALTHY = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ready"}}}


def paths() -> dict[str, Any]:
    """Give the operations by address, as the document has them."""
    return {
        "/api/jobs/{job_id}/artifacts/{name}": _file(
            "readArtifact", "Fetch an artifact", "Our own copy of what a job made.", "*/*", [JOB_ID, NAME]
        ),
        "/api/jobs/{job_id}/bundle.zip": _file(
            "readBundle", "Fetch all files", "The job's files as one ZIP.", "application/zip", [JOB_ID]
        ),
        reverse("healthz"): _health(
            "healthz",
            "Is the process there?",
            {"200": _answer("It answers", "text/plain", {"type": "string"})},
        ),
        reverse("readyz"): _health(
            "readyz",
            "Would a launch run?",
            {
                "200": _answer("The database answers and a worker lives", "application/json", HEALTHY),
                "503": {},
            },
        ),
    }


def _file(id: str, summary: str, about: str, kind: str, parameters: list[Any]) -> dict[str, Any]:
    found = _answer("The file", kind, {"type": "string", "format": "binary"})
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


def _answer(description: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}
