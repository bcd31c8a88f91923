"""The OpenAPI document: what ninja generates, completed by what it cannot know."""

import json
from collections.abc import Iterable, Iterator
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
        "description": "How to authenticate, and what is wrong with a rejected token",
        "required": True,
        "schema": {"type": "string"},
    }
}
#: When each error is returned. All operations return errors in the same shape.
ERRORS = {
    "400": "The body is not JSON",
    "401": "Not signed in, or the token is unknown or has expired",
    "403": "The token lacks the scope, the session's CSRF token is missing, or the permission to spend is",
    "404": "It does not exist, or it belongs to another user",
    "409": "Not possible in the current state: `detail` says why",
    "413": "The body is larger than 1 MB",
    "415": "The content type is not JSON",
    "422": "`errors` lists every invalid field",
    "503": "Not ready: `detail` says why",
}
#: OpenAPI links: the operations that take a job's id, and where a response holds that id.
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
    """An API whose document also has the workflows' input, the events, the problems and the plain views."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the operation's id, from which generated clients name their methods."""
        return camel(operation.view_func.__name__)

    def get_openapi_schema(self, **kwargs: Any) -> Any:
        """Return the document."""
        document = super().get_openapi_schema(**kwargs)
        document["components"]["schemas"] |= api_events.components()
        document["components"]["schemas"]["EventPage"]["properties"]["items"]["items"] = EVENT
        document["paths"] |= api_files.paths()
        _describe_launches(document)
        operations = dict(_operations(document))
        for operation in operations.values():
            operation["parameters"] = [_sendable(one) for one in operation.get("parameters", [])]
            _describe_problems(operation)
        _add_links(operations)
        return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for methods in document["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def _describe_launches(document: dict[str, Any]) -> None:
    """Set the body of each launch operation: the input of the workflow in its address, or of any workflow."""
    refs = {}
    for flow in workflows().values():
        document["components"]["schemas"] |= _components(flow)
        refs[flow.id] = {"$ref": f"#/components/schemas/{flow.id}"}
    for path, methods in document["paths"].items():
        named = path.rsplit("/", 1)[-1]
        if "{workflow_id}" in path:
            _set_body(methods["post"], {"anyOf": list(refs.values())})
            [parameter] = [one for one in methods["post"]["parameters"] if one["in"] == "path"]
            parameter["examples"] = {id: {"value": id} for id in refs}
        elif named in ALIASES:
            _set_body(methods["post"], refs.get(ALIASES[named], {}))


def _components(flow: Workflow) -> dict[str, Any]:
    """Return a workflow's input schema and its definitions, each under a component name."""
    text = json.dumps(flow.schema()).replace('"#/$defs/', f'"#/components/schemas/{flow.id}.')
    schema = json.loads(text)
    parts = schema.pop("$defs", {})
    return {flow.id: schema} | {f"{flow.id}.{name}": part for name, part in parts.items()}


def _set_body(operation: dict[str, Any], schema: dict[str, Any]) -> None:
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}


def _sendable(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return the parameter without null among its types: an address or a header cannot carry null."""
    schema = parameter["schema"]
    some = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(some) != 1:
        return parameter
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return parameter | {"schema": some[0] if "$ref" in some[0] else rest | some[0]}


def _describe_problems(operation: dict[str, Any]) -> None:
    """Describe each error of the operation as a problem."""
    responses = operation["responses"] = {str(code): one for code, one in operation["responses"].items()}
    if "requestBody" in operation:
        responses |= {code: {} for code in ("400", "413", "415")}
    for code in sorted(code for code in responses if code >= "400"):
        responses[code] = {"description": ERRORS[code], "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
    if "401" in responses:
        responses["401"]["headers"] = CHALLENGE


def _add_links(operations: dict[str, dict[str, Any]]) -> None:
    """Add the OpenAPI links between the operations."""
    for name, place in JOB_ID.items():
        _link(operations, name, FOLLOWED_BY, {"job_id": f"$response.body#{place}"})
    for name, parts in PARTS.items():
        places = {"job_id": "/jobId", **parts}
        _link(operations, "readJob", [name], {of: f"$response.body#{at}" for of, at in places.items()})
    _link(operations, "readJob", ("readEvents", "cancelJob", "retryJob"), {"job_id": "$response.body#/jobId"})


def _link(
    operations: dict[str, dict[str, Any]], origin: str, targets: Iterable[str], parameters: dict[str, str]
) -> None:
    responses = operations[origin]["responses"]
    [response] = [one for code, one in responses.items() if code in ("200", "202")]
    links = response.setdefault("links", {})
    links |= {target: {"operationId": target, "parameters": parameters} for target in targets}
