"""Calling the API in tests: a workflow of two stages, clients with tokens, and parsed answers."""

import json
from dataclasses import replace
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from jobs import registry
from jobs.engine.graph import Stage, Workflow
from jobs.engine.inputs import Fault, InvalidInput, Request
from jobs.models import ApiToken
from tests.jobs import story

START = "/api/workflows/campaign-lifecycle/start"
BODY = {"campaign": "aurora-one", "includeSearch": False, "dryRun": True}


def parse(raw: dict[str, Any]) -> Request:
    """Parse a launch, which needs only a preset."""
    if not isinstance(raw.get("campaign"), str):
        raise InvalidInput(
            [Fault("campaign", "is required"), Fault("campaign.media_plan.2.budget", "is too low")]
        )
    if raw["campaign"] == "break":
        raise RuntimeError("the secret is 42")
    warnings = [Fault("campaign.goal", "is vague")] if raw.get("dryRun") else []
    return Request(raw["campaign"], dict(raw), warnings)


async def run(context: Any) -> Any:
    """Do nothing; no worker runs here."""


FLOW = Workflow(
    id="campaign-lifecycle",
    name="Campaign lifecycle",
    stages=(
        Stage("brief", "Generate Campaign Brief", run),
        Stage("search", "Search Campaign", run, needs=("brief",), wanted=lambda p: p.get("includeSearch")),
    ),
    parse=parse,
    load=dict,
    schema=lambda: {"type": "object", "properties": {"campaign": {"$ref": "#/$defs/C"}}, "$defs": {"C": {}}},
)


def use_flow(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Install FLOW as the only workflow, with these fields changed."""
    flow = replace(FLOW, **changed)
    monkeypatch.setattr(registry, "workflows", lambda: {flow.id: flow})
    for place in ("jobs.api.operations", "jobs.api.openapi"):
        monkeypatch.setattr(f"{place}.workflows", lambda: {flow.id: flow})


def bearer(*scopes: str, user: Any = None, days: int = 1) -> Client:
    """Return a client with a token that has these scopes."""
    token = ApiToken.make(user or story.user(), list(scopes), days)
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {token}"})


def post(client: Client, body: Any = BODY, path: str = START, **headers: str) -> HttpResponse:
    """Post a launch."""
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, data, content_type="application/json", headers=named)


def problem(answer: HttpResponse, status: int) -> dict[str, Any]:
    """Return the problem document of an answer."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert list(told) == ["type", "title", "status", "detail", "errors"]
    assert told["status"] == status
    assert told["type"].startswith("urn:flightplan:problem:")
    assert told["detail"]
    return told


def fields(answer: HttpResponse, status: int = 422) -> list[str]:
    """Return the names of the invalid fields."""
    return [fault["field"] for fault in problem(answer, status)["errors"]]
