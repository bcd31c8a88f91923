"""The OpenAPI schemas of a job's events, one per type, derived from the event classes."""

from dataclasses import fields
from inspect import getdoc
from typing import Any, get_args, get_origin, get_type_hints

from jobs.engine import events as ev
from jobs.engine.results import Artifact

SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Artifact: {"$ref": "#/components/schemas/ArtifactOut"},
}
EVERY = {
    "jobId": {"type": "string", "format": "uuid"},
    "seq": {"type": "integer", "minimum": 1, "description": "Position in the job's log, from 1"},
    "timestamp": {"type": "string", "format": "date-time"},
}
HIDDEN = "data"  # what a stage passes to later stages is internal


def components() -> dict[str, Any]:
    """Return the schemas by name: of each event type, of any event, and of a frame of the stream."""
    refs = {kind: f"#/components/schemas/{_name(kind)}" for kind in ev.KINDS}
    any_event = {
        "description": "An event of a job's log. `type` determines its fields.",
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "type", "mapping": refs},
    }
    return {
        **{_name(kind): _schema(kind, cls) for kind, cls in ev.KINDS.items()},
        "Event": any_event,
        "StreamFrame": FRAME,
    }


FRAME: dict[str, Any] = {
    "type": "object",
    "description": "A frame of the text/event-stream. `id` is the event's seq; resume from it.",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "event": {"type": "string", "enum": list(ev.KINDS)},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Event"},
        },
    },
}


def _name(kind: str) -> str:
    return f"Event.{kind.replace(':', '.')}"


def _schema(kind: str, cls: type[ev.Event]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    own = [one for one in fields(cls) if one.name != HIDDEN]
    shown = {ev.camel(one.name): _type(hints[one.name]) for one in own}
    # events omit an empty error
    always = [name for name in shown if name != "error"]
    return {
        "type": "object",
        "description": getdoc(cls) or "",
        "required": ["type", *EVERY, *always],
        "properties": {"type": {"const": kind}, **EVERY, **shown},
    }


def _type(hint: Any) -> dict[str, Any]:
    """Return the schema of a field. Raises KeyError for a type that no event has used so far."""
    if hint in SIMPLE:
        return SIMPLE[hint]
    inner = get_args(hint)
    if get_origin(hint) in (list, tuple):
        return {"type": "array", "items": _type(inner[0])}
    return {"type": "object", "additionalProperties": _type(inner[1])}
