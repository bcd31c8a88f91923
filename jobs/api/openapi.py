"""The OpenAPI document: what ninja knows of the operations, and what it cannot know of them."""

import json
from collections.abc import Iterator
from typing import Any

from ninja import NinjaAPI
from ninja.operation import Operation

from jobs.api import events as api_events
from jobs.api import files as api_files
from jobs.api.errors import MEDIA_TYPE
from jobs.engine.events import camel
from jobs.engine.graph import Workflow
from jobs.registry import ALIASES, workflows

PROBLEM = {"$ref": "#/components/schemas/ProblemOut"}
EVENT = {"$ref": "#/components/schemas/Event"}
CHALLENGE = {
    "WWW-Authenticate": {
        "description": "How to come in, and for a bad token what is wrong with it",
        "required": True,
        "schema": {"type": "string"},
    }
}
#: When each error is told. Every operation tells its errors in the same shape.
ERRORS = {
    "400": "The body is not JSON",
    "401": "Nobody is signed in, or the token is unknown or has expired",
    "403": "The token lacks the scope, a session sends no CSRF token, or there is no right to spend",
    "404": "There is no such thing, or it is somebody else's",
    "409": "Not as it stands: `detail` says why",
    "413": "The body is larger than 1 MB",
    "415": "The body is sent as something other than JSON",
    "422": "`errors` names every field at fault",
    "503": "Not ready: `detail` says why",
}
#: Where an answer leads: the operations that its job can be given to, and where the job's id stands in it.
FOLLOWED_BY = ("readJob", "readEvents", "cancelJob", "retryJob")
JOB_ID = {"launchDemo": "/jobId", "launch": "/jobId", "listJobs": "/items/0/jobId"}
JOB_ID |= dict.fromkeys(("cancelJob", "retryJob", "resolveStep", "activateJob"), "/jobId")
PARTS = {
    "resolveStep": {"step": "/calls/0/step"},
    "readArtifact": {"name": "/artifacts/0/name"},
    "readBundle": {},
    "readActivation": {},
    "activateJob": {},
}


class DocumentedAPI(NinjaAPI):
    """An API whose document also holds the workflows' input, the events, the problems and the plain views."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Give the name under which clients that are made from the document call an operation."""
        return camel(operation.view_func.__name__)

    def get_openapi_schema(self, **kwargs: Any) -> Any:
        """Give the document."""
        told = super().get_openapi_schema(**kwargs)
        told["components"]["schemas"] |= api_events.components()
        told["components"]["schemas"]["EventPage"]["properties"]["items"]["items"] = EVENT
        told["paths"] |= api_files.paths()
        _launches(told)
        operations = dict(_operations(told))
        for operation in operations.values():
            operation["parameters"] = [_sendable(one) for one in operation.get("parameters", [])]
            _problems(operation)
        _links(operations)
        return told


def _operations(told: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for methods in told["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def _launches(told: dict[str, Any]) -> None:
    """Say what a launch takes: the input of the workflow that the address names, or of any."""
    refs = {}
    for flow in workflows().values():
        told["components"]["schemas"] |= _components(flow)
        refs[flow.id] = {"$ref": f"#/components/schemas/{flow.id}"}
    for path, methods in told["paths"].items():
        named = path.rsplit("/", 1)[-1]
        if "{workflow_id}" in path:
            _takes(methods["post"], {"anyOf": list(refs.values())})
            [parameter] = [one for one in methods["post"]["parameters"] if one["in"] == "path"]
            parameter["examples"] = {id: {"value": id} for id in refs}
        elif named in ALIASES:
            _takes(methods["post"], refs.get(ALIASES[named], {}))


def _components(flow: Workflow) -> dict[str, Any]:
    """Give a workflow's input schema and its parts under names of their own."""
    text = json.dumps(flow.schema()).replace('"#/$defs/', f'"#/components/schemas/{flow.id}.')
    schema = json.loads(text)
    parts = schema.pop("$defs", {})
    return {flow.id: schema} | {f"{flow.id}.{name}": part for name, part in parts.items()}


def _takes(operation: dict[str, Any], schema: dict[str, Any]) -> None:
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}


def _sendable(parameter: dict[str, Any]) -> dict[str, Any]:
    """Give a parameter without null among its values: an address or a header cannot say null."""
    schema = parameter["schema"]
    some = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(some) != 1:
        return parameter
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return parameter | {"schema": some[0] if "$ref" in some[0] else rest | some[0]}


def _problems(operation: dict[str, Any]) -> None:
    """Say of each error when it is told, and that it is a problem."""
    answers = operation["responses"] = {str(code): answer for code, answer in operation["responses"].items()}
    if "requestBody" in operation:
        answers |= {code: {} for code in ("400", "413", "415")}
    for code in sorted(code for code in answers if code >= "400"):
        answers[code] = {"description": ERRORS[code], "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
    if "401" in answers:
        answers["401"]["headers"] = CHALLENGE


def _links(operations: dict[str, dict[str, Any]]) -> None:
    """Say how the answer of one operation leads to another."""
    for name, place in JOB_ID.items():
        _lead(operations, name, FOLLOWED_BY, {"job_id": f"$response.body#{place}"})
    for name, parts in PARTS.items():
        places = {"job_id": "/jobId", **parts}
        _lead(operations, "readJob", [name], {of: f"$response.body#{at}" for of, at in places.items()})
    _lead(operations, "readJob", ("readEvents", "cancelJob", "retryJob"), {"job_id": "$response.body#/jobId"})


def _lead(operations: dict[str, dict[str, Any]], origin: str, goals: Any, parameters: dict[str, str]) -> None:
    [answer] = [one for code, one in operations[origin]["responses"].items() if code in ("200", "202")]
    links = answer.setdefault("links", {})
    links |= {goal: {"operationId": goal, "parameters": parameters} for goal in goals}
