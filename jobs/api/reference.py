"""The page at /api/docs: the OpenAPI document as people read it, rendered here, without a script."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from jobs.api.operations import api

METHODS = ("get", "post")
#: What stands in an address of an example in the place of a parameter.
SHELL = {"job_id": "$JOB", "step": "$STEP", "name": "$NAME"}
BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}


@dataclass(frozen=True)
class Field:
    """A parameter, or a property of an object: what it is called, where it goes, what it may be."""

    name: str
    type: SafeString
    required: bool
    about: SafeString
    place: str = ""


@dataclass(frozen=True)
class Shape:
    """An object or another kind of value: its fields, or in `type` what it is; `anchor` leads to it."""

    name: str
    about: SafeString
    fields: list[Field]
    type: SafeString
    anchor: str = ""


@dataclass(frozen=True)
class Answer:
    """What an operation may answer: the status, when, and with what; `media` is its content type."""

    code: str
    about: SafeString
    media: str
    type: SafeString


@dataclass(frozen=True)
class Operation:
    """One thing that the API does, with a command line that does it."""

    id: str
    method: str
    path: str
    summary: str
    about: SafeString
    parameters: list[Field]
    bodies: list[Shape]
    answers: list[Answer]
    curl: str


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Show what the API can do, each operation with its parameters, answers and an example."""
    document = api.get_openapi_schema()
    origin = request.build_absolute_uri("/").rstrip("/")
    schemas = document["components"]["schemas"]
    groups: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if told := methods.get(method):
                made = _operation(method, path, told, schemas, origin)
                groups.setdefault(told.get("tags", ["other"])[0], []).append(made)
    shapes = [_shape(name, schema, _anchor(name)) for name, schema in sorted(schemas.items())]
    return render(request, "jobs/api.html", {"groups": groups, "shapes": shapes, "origin": origin})


def _operation(
    method: str, path: str, told: dict[str, Any], schemas: dict[str, Any], origin: str
) -> Operation:
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return Operation(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        summary=told["summary"],
        about=prose(told.get("description", "")),
        parameters=[_parameter(one) for one in told["parameters"]],
        bodies=_bodies(body) if body is not None else [],
        answers=[answer for code, one in sorted(told["responses"].items()) for answer in _answers(code, one)],
        curl=_curl(method, path, told, _example(body, schemas) if body is not None else None, origin),
    )


def _parameter(told: dict[str, Any]) -> Field:
    about = told.get("description") or told["schema"].get("description", "")
    return Field(told["name"], typed(told["schema"]), told.get("required", False), prose(about), told["in"])


def _bodies(schema: dict[str, Any]) -> list[Shape]:
    """Give what a request may hold: one shape, or one for each way to say it."""
    ways = schema.get("oneOf") or [schema]
    return [_shape(way.get("title", ""), way) for way in ways]


def _answers(code: str, told: dict[str, Any]) -> Iterator[Answer]:
    contents = told.get("content") or {"": {"schema": {}}}
    for media, content in contents.items():
        yield Answer(code, prose(told.get("description", "")), media, typed(content["schema"]))


def _shape(name: str, schema: dict[str, Any], anchor: str = "") -> Shape:
    needed = schema.get("required", [])
    fields = [
        Field(field, typed(one), field in needed, prose(one.get("description", "")))
        for field, one in schema.get("properties", {}).items()
    ]
    return Shape(name, prose(schema.get("description", "")), fields, typed(schema), anchor)


def _anchor(name: str) -> str:
    return f"schema-{name}"


def prose(text: str) -> SafeString:
    """Give a text with what stands between backticks as code."""
    words = enumerate(text.split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", one) if at % 2 else one,) for at, one in words)
    )


def typed(schema: dict[str, Any]) -> SafeString:
    """Say in a few words what a value may be; a schema that has a name is a link to it."""
    if ref := schema.get("$ref"):
        name = ref.rsplit("/", 1)[-1]
        return format_html('<a href="#{}">{}</a>', _anchor(name), name)
    if some := schema.get("anyOf") or schema.get("oneOf"):
        return format_html_join(" or ", "{}", ((typed(one),) for one in some))
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if values:
        return format_html_join(" or ", "<code>{}</code>", ((json.dumps(value),) for value in values))
    kind = schema.get("type", "")
    if kind == "array":
        return format_html("list of {}{}", typed(schema.get("items", {})), _bounds(schema))
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), dict):
        return format_html("object of {}", typed(inner))
    form = f" ({schema['format']})" if "format" in schema else ""
    return format_html("{}{}{}", kind or "anything", form, _bounds(schema))


def _bounds(schema: dict[str, Any]) -> str:
    told = [words.format(schema[name]) for name, words in BOUNDS.items() if schema.get(name)]
    return "".join(f", {one}" for one in told)


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Give a value that a schema allows: its own example, or the least that it needs."""
    if ref := schema.get("$ref"):
        return _example(schemas[ref.rsplit("/", 1)[-1]], schemas)
    if examples := schema.get("examples"):
        return examples[0]
    if some := schema.get("anyOf") or schema.get("oneOf"):
        return _example(some[0], schemas)
    if values := schema.get("enum"):
        return values[0]
    if schema.get("type") == "object":
        needed, properties = schema.get("required", []), schema.get("properties", {})
        return {name: _example(properties[name], schemas) for name in needed if name in properties}
    return {"string": "...", "boolean": False, "integer": 1, "number": 1, "array": []}.get(
        schema.get("type", "")
    )


def _curl(method: str, path: str, told: dict[str, Any], example: Any, origin: str) -> str:
    """Give a command line that asks for this; $TOKEN, $JOB and the like are for the reader to set."""
    for one in told["parameters"]:
        if one["in"] == "path":
            known = next(iter(one.get("examples", {}).values()), {}).get("value")
            path = path.replace("{" + one["name"] + "}", known or SHELL.get(one["name"], "..."))
    words = ["curl"]
    if any("text/event-stream" in answer.get("content", {}) for answer in told["responses"].values()):
        words.append("-N")
    if told.get("security"):
        words.append('-H "Authorization: Bearer $TOKEN"')
    if method == "post" and not example:
        words.append("-X POST")
    elif method == "post":
        data = json.dumps(example, ensure_ascii=False).replace("'", "'\\''")
        words.append(f"-H \"Content-Type: application/json\" -d '{data}'")
    return " ".join([*words, f"{origin}{path}"])
