"""What OpenAPI says of a launch's body: the input schemas of the workflows that this site has."""

import json
from typing import Any

from ninja import NinjaAPI

from jobs.workflow.graph import Workflow
from jobs.workflows import ALIASES, workflows


class DocumentedAPI(NinjaAPI):
    """An API whose OpenAPI document holds the input schemas of all workflows."""

    def get_openapi_schema(self, **kwargs: Any) -> Any:
        """Give the document."""
        told = super().get_openapi_schema(**kwargs)
        refs = {}
        for flow in workflows().values():
            told["components"]["schemas"] |= _components(flow)
            refs[flow.id] = {"$ref": f"#/components/schemas/{flow.id}"}
        for path, operations in told["paths"].items():
            if "{workflow_id}" in path:
                _describe(operations["post"], {"anyOf": list(refs.values())})
            elif path.rsplit("/", 1)[-1] in ALIASES:
                _describe(operations["post"], refs.get(ALIASES[path.rsplit("/", 1)[-1]], {}))
        return told


def _components(flow: Workflow) -> dict[str, Any]:
    """Give a workflow's input schema and its parts under names of their own."""
    text = json.dumps(flow.schema()).replace('"#/$defs/', f'"#/components/schemas/{flow.id}.')
    schema = json.loads(text)
    parts = schema.pop("$defs", {})
    return {flow.id: schema} | {f"{flow.id}.{name}": part for name, part in parts.items()}


def _describe(operation: dict[str, Any], schema: dict[str, Any]) -> None:
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
