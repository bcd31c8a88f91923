"""One tool as its server lists it: which arguments it takes, and what its structured answers must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import mcp_types as types
from jsonschema.exceptions import SchemaError, best_match  # type: ignore[import-untyped]
from jsonschema.validators import validator_for  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable

from jobs.tools.errors import InvalidArguments, one_line

LONGEST_FINDING = 120


@dataclass(frozen=True)
class Tool:
    """A listed tool. Its schemas are the server's word; broken ones check nothing."""

    server: str
    name: str
    input_schema: Mapping[str, Any] = field(repr=False)
    output_schema: Mapping[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def listed(cls, server: str, tool: types.Tool) -> Tool:
        """From an entry of `tools/list`."""
        return cls(server, tool.name, tool.input_schema, tool.output_schema)

    def declares(self, argument: str) -> bool:
        """Whether the tool takes an argument of this name."""
        return argument in self._properties

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise InvalidArguments, naming the first argument at fault, for what the server would refuse."""
        required = self.input_schema.get("required") or ()
        if missing := [name for name in required if name not in arguments]:
            raise InvalidArguments(f"{self.server} {self.name}: {missing[0]} is required")
        if not self._open and (undeclared := [name for name in arguments if not self.declares(name)]):
            raise InvalidArguments(
                f"{self.server} {self.name}: {undeclared[0]} is not an argument of this tool"
            )
        if finding := _finding(self._input, dict(arguments)):
            raise InvalidArguments(f"{self.server} {self.name}: {finding}")

    def check_answer(self, structured: object) -> str:
        """Why a structured answer breaks the tool's own promise; "" when it does not."""
        if self.output_schema is None:
            return ""
        if structured is None:
            return "no structured content, which the tool promises"
        return _finding(self._output, structured)

    @property
    def _properties(self) -> Mapping[str, Any]:
        properties = self.input_schema.get("properties")
        return properties if isinstance(properties, dict) else {}

    @property
    def _open(self) -> bool:
        return not self._properties and bool(self.input_schema.get("additionalProperties"))

    @cached_property
    def _input(self) -> Any:
        return _validator(self.input_schema)

    @cached_property
    def _output(self) -> Any:
        return _validator(self.output_schema or {})


def _validator(schema: Mapping[str, Any]) -> Any:
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError:
        return None
    return kind(dict(schema), registry=Registry())  # an empty registry: nothing is fetched


def _finding(validator: Any, value: object) -> str:
    """The most telling fault as `path: reason`, or ""."""
    if validator is None:
        return ""
    try:
        error = best_match(validator.iter_errors(value))
    except (Unresolvable, RecursionError):
        return ""
    if error is None:
        return ""
    path = ".".join(str(part) for part in error.absolute_path)
    return f"{path}: {one_line(error.message, LONGEST_FINDING)}".removeprefix(": ")
