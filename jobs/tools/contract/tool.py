"""One tool as its server lists it: the schemas of its arguments and of its structured answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import mcp_types as types
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from jobs.tools.contract.errors import InvalidArguments, one_line

LONGEST_FINDING = 120
_FAULTS = 6


@dataclass(frozen=True)
class Tool:
    """A listed tool. Its schemas come from the server; an invalid schema checks nothing.

    `may_repeat_hint` is False if the server states that a second call has a further effect: `idempotentHint`
    is false and the tool is not read-only. Hints are not trusted: False makes the policy stricter, True or a
    missing hint changes nothing.
    """

    server: str
    name: str
    input_schema: Mapping[str, Any] = field(repr=False)
    output_schema: Mapping[str, Any] | None = field(default=None, repr=False)
    may_repeat_hint: bool = True

    @classmethod
    def listed(cls, server: str, tool: types.Tool) -> Tool:
        """Return the tool of an entry of `tools/list`."""
        return cls(server, tool.name, tool.input_schema, tool.output_schema, _may_repeat(tool.annotations))

    def declares(self, argument: str) -> bool:
        """Return whether the tool takes an argument of this name."""
        return argument in self._properties

    def check(self, arguments: Mapping[str, Any], made_up: Collection[str] = ()) -> None:
        """Raise InvalidArguments for arguments that the server would refuse.

        The message names the missing and undeclared arguments or, if there are none, the first argument with
        an invalid value. The values of `made_up` arguments are not checked: a dry run does not know the real
        values.
        """
        required = self.input_schema.get("required") or ()
        faults = [f"{name} is required" for name in required if name not in arguments]
        if not self._open:
            faults += [
                f"{name} is not an argument of this tool" for name in arguments if not self.declares(name)
            ]
        if faults:
            raise InvalidArguments(f"{self.server} {self.name}: {_few(faults)}")
        if finding := _finding(self._input, dict(arguments), made_up):
            raise InvalidArguments(f"{self.server} {self.name}: {finding}")

    def check_answer(self, structured: object) -> str:
        """Return why a structured answer violates the tool's output schema; "" if it does not."""
        if self.output_schema is None:
            return ""
        if structured is None:
            return "no structured content, although its output schema requires it"
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


def _may_repeat(hints: types.ToolAnnotations | None) -> bool:
    # destructiveHint does not matter: deleting the same thing twice is destructive but harmless
    return hints is None or hints.idempotent_hint is not False or hints.read_only_hint is True


def _validator(schema: Mapping[str, Any]) -> Any:
    kind = validator_for(schema)
    try:
        kind.check_schema(dict(schema))
    except SchemaError:
        return None
    # an empty registry, so that no reference is fetched
    return kind(_without_patterns(schema), registry=Registry())


def _without_patterns(schema: Any) -> Any:
    """Return the schema without its regular expressions, any of which could keep the worker busy forever.

    The server still refuses what they do not match. If they decide which arguments are declared, all
    arguments count as declared.
    """
    if isinstance(schema, list):
        return [_without_patterns(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    loose = {"pattern"} if isinstance(schema.get("pattern"), str) else set()
    if "patternProperties" in schema:
        loose |= {"patternProperties", "additionalProperties", "unevaluatedProperties"}
    return {name: _without_patterns(one) for name, one in schema.items() if name not in loose}


def _few(faults: list[str]) -> str:
    """Return the first faults in one line; a server may declare any number of arguments."""
    more = [f"and {len(faults) - _FAULTS} more"] if len(faults) > _FAULTS else []
    return ", ".join(faults[:_FAULTS] + more)


def _finding(validator: Any, value: object, but: Collection[str] = ()) -> str:
    """Return the most relevant error as `path: reason`, or ""; errors below the keys `but` are ignored."""
    if validator is None:
        return ""
    try:
        errors = validator.iter_errors(value)
        error = best_match(one for one in errors if not {*list(one.absolute_path)[:1]} & {*but})
    except (Unresolvable, RecursionError):
        return ""
    if error is None:
        return ""
    path = ".".join(str(part) for part in error.absolute_path)
    return f"{path}: {one_line(error.message, LONGEST_FINDING)}".removeprefix(": ")
