"""The arguments of tools: small JSON schemas, and the validation of a call."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

Schema = dict[str, Any]

BOOLEAN: Schema = {"type": "boolean"}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
SCALARS: Schema = {"type": ["string", "number", "boolean", "null"]}
ROWS: Schema = {"type": "array", "items": {"type": "array", "items": SCALARS}}
DATE: Schema = {"type": "string", "description": "ISO 8601 date, e.g. 2031-05-14"}


def text(description: str = "") -> Schema:
    """Return the schema of any text."""
    return {"type": "string", "description": description} if description else {"type": "string"}


def texts(description: str = "") -> Schema:
    """Return the schema of a list of texts."""
    return {"type": "array", "items": {"type": "string"}} | (
        {"description": description} if description else {}
    )


def choice(*values: str) -> Schema:
    """Return the schema of one of these texts."""
    return {"type": "string", "enum": list(values)}


def whole(minimum: int, maximum: int) -> Schema:
    """Return the schema of a whole number between two limits, both included."""
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def schema_of(properties: Mapping[str, Schema], required: tuple[str, ...]) -> Schema:
    """Return the input schema of a tool; undeclared arguments are refused."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def problems(schema: Schema, arguments: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a call's arguments, a sentence each; empty if they are valid."""
    declared = schema["properties"]
    found = [f"unknown argument {name!r}" for name in arguments if name not in declared]
    found += [f"missing argument {name!r}" for name in schema["required"] if name not in arguments]
    for name, value in arguments.items():
        if name in declared:
            found += _value_problems(name, declared[name], value)
    return found


def _value_problems(name: str, schema: Schema, value: Any) -> list[str]:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(kind, value) for kind in kinds):
        return [f"{name} must be {' or '.join(kinds)}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{name} must be one of {', '.join(schema['enum'])}"]
    if isinstance(value, list) and "items" in schema:
        return [fault for item in value for fault in _value_problems(f"{name}[]", schema["items"], item)][:3]
    return _bound_problems(name, schema, value)


def _bound_problems(name: str, schema: Schema, value: Any) -> list[str]:
    if "exclusiveMinimum" in schema and not value > schema["exclusiveMinimum"]:
        return [f"{name} must be above {schema['exclusiveMinimum']}"]
    if "minimum" in schema and not schema["minimum"] <= value <= schema["maximum"]:
        return [f"{name} must be between {schema['minimum']} and {schema['maximum']}"]
    return []


def _is(kind: str, value: Any) -> bool:
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind == "integer":
        return _is("number", value) and value == int(value)
    python = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    return isinstance(value, python[kind])


def as_date(name: str, value: str) -> date:
    """Return the date in an argument. Raises ValueError, naming the argument, if it is not ISO 8601."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{name} must be a date like 2031-05-14, not {value[:40]!r}") from None
