"""The OpenAPI document: every address with its requests, responses, errors and links."""

from typing import Any

import pytest
from django.test import Client

from jobs import public
from jobs.engine.events import KINDS
from jobs.engine.results import JobStatus
from jobs.store import feed
from tests.jobs import calling, story

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def document(monkeypatch) -> dict[str, Any]:
    calling.use_flow(monkeypatch)
    answer = Client().get("/api/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = [one for methods in document["paths"].values() for one in methods.values()]
    return {one["operationId"]: one for one in found}


def test_every_address_is_described(document):
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) >= {
        "/api/workflows",
        "/api/workflows/campaign-lifecycle-demo",
        "/api/workflows/{workflow_id}/start",
        "/api/jobs",
        "/api/jobs/{job_id}",
        "/api/jobs/{job_id}/events",
        "/api/jobs/{job_id}/cancel",
        "/api/jobs/{job_id}/retry",
        "/api/jobs/{job_id}/activate",
        "/api/jobs/{job_id}/steps/{step}/resolve",
        "/api/jobs/{job_id}/artifacts/{name}",
        "/api/jobs/{job_id}/bundle.zip",
        "/healthz",
        "/readyz",
    }
    assert len(document["components"]["securitySchemes"]) == 2
    for one in operations(document).values():
        assert one["summary"] and one["tags"]
        assert one["operationId"].isidentifier()


def test_a_launch_takes_the_input_of_its_workflow(document):
    start = operations(document)["launch"]
    assert "Idempotency-Key" in [one["name"] for one in start["parameters"]]
    body = operations(document)["launchDemo"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/campaign-lifecycle"}
    parts = document["components"]["schemas"]
    inner = parts["campaign-lifecycle"]["properties"]["campaign"]
    assert inner == {"$ref": "#/components/schemas/campaign-lifecycle.C"}
    assert "campaign-lifecycle.C" in parts


def test_an_id_is_allowed_only_with_the_outcome_exists(document):
    body = operations(document)["resolveStep"]["requestBody"]
    assert body["required"]
    exists, other = body["content"]["application/json"]["schema"]["oneOf"]
    assert exists["required"] == ["outcome", "remoteId"]
    assert exists["properties"]["outcome"]["enum"] == ["exists"]
    assert (other["required"], other["properties"]["remoteId"]["maxLength"]) == (["outcome"], 0)


def test_every_error_is_a_problem_with_a_description(document):
    for one in operations(document).values():
        for code, answer in one["responses"].items():
            if code >= "400":
                assert list(answer["content"]) == ["application/problem+json"]
                assert answer["description"]
        if one["security"]:
            assert one["responses"]["401"]["headers"]["WWW-Authenticate"]["required"]
        if "requestBody" in one:
            assert {"400", "413", "415", "422"} <= set(one["responses"])


def test_no_parameter_may_be_null(document):
    for one in operations(document).values():
        assert "null" not in str(one["parameters"])


def test_every_reference_and_every_link_has_a_target(document):
    def refs(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [ref for one in value.values() for ref in refs(one)]
        return [ref for one in value for ref in refs(one)] if isinstance(value, list) else []

    parts = document["components"]["schemas"]
    assert {ref.removeprefix("#/components/schemas/") for ref in refs(document)} <= set(parts)
    known = operations(document)
    led = {
        name: set(answer["links"])
        for name, one in known.items()
        for answer in one["responses"].values()
        if "links" in answer
    }
    assert {"readJob", "readEvents", "cancelJob", "retryJob"} <= led["launch"] & led["launchDemo"]
    assert {"resolveStep", "readArtifact", "readBundle"} <= led["readJob"]
    assert set.union(*led.values()) <= set(known)


def test_every_event_type_has_a_schema_of_its_public_fields(document):
    parts = document["components"]["schemas"]
    assert len(parts["Event"]["oneOf"]) == len(KINDS)
    job = story.ended_job()
    for one in feed.whole(job.pk):
        schema = parts[f"Event.{one.event.type.replace(':', '.')}"]
        sent = public.event(job.pk, one)
        assert set(sent) <= set(schema["properties"])
        assert set(schema["required"]) <= set(sent)
        assert schema["properties"]["type"] == {"const": one.event.type}
    assert "data" not in parts["Event.stage.complete"]["properties"]


def test_jobs_can_be_listed_by_every_status(document):
    [status] = [one for one in operations(document)["listJobs"]["parameters"] if one["name"] == "status"]
    assert status["schema"]["enum"] == ["", *map(str, JobStatus)]


def test_the_stream_and_the_page_of_events_are_both_described(document):
    content = operations(document)["readEvents"]["responses"]["200"]["content"]
    assert content["text/event-stream"]["schema"] == {"$ref": "#/components/schemas/StreamFrame"}
    page = document["components"]["schemas"]["EventPage"]
    assert page["properties"]["items"]["items"] == {"$ref": "#/components/schemas/Event"}
