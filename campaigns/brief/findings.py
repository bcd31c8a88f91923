"""Findings about a brief, each with its field; type errors in words that say what to write."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

MOST = 100


@dataclass(frozen=True)
class Finding:
    """An error or a warning; `field` is a path such as "media_plan.2.budget", "" for the whole brief."""

    level: Literal["error", "warning"]
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class InvalidBrief(ValueError):
    """The brief cannot be launched; `findings` contain at least one error."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(str(finding) for finding in findings if finding.level == "error"))
        self.findings = list(findings)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "error"]


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda ctx: "is required",
    "extra_forbidden": lambda ctx: "is not a field of the brief",
    "string_type": lambda ctx: "must be text",
    "string_too_long": lambda ctx: f"must have at most {ctx['max_length']} characters",
    "string_too_short": lambda ctx: _at_least(ctx["min_length"], "character"),
    "too_long": lambda ctx: f"must have at most {ctx['max_length']} entries",
    "too_short": lambda ctx: _at_least(ctx["min_length"], "entry"),
    "literal_error": lambda ctx: f"must be {ctx['expected']}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']}",
    "value_error": lambda ctx: str(ctx["error"]),
    "string_unicode": lambda ctx: "must be text",
    "tuple_type": lambda ctx: "must be a list",
    "dict_type": lambda ctx: "must be an object",
    "model_type": lambda ctx: "must be an object",
    "model_attributes_type": lambda ctx: "must be an object",
}


def faults(error: ValidationError) -> list[Finding]:
    """Return the type errors of a brief, at most a hundred."""
    found = error.errors(include_url=False, include_input=False)
    return [Finding("error", _path(fault["loc"]), _words(fault)) for fault in found[:MOST]]


def _at_least(least: int, what: str) -> str:
    return "must not be empty" if least == 1 else f"must have at least {least} {what}s"


def _path(location: Sequence[int | str]) -> str:
    """Return a dotted path without the marks that pydantic puts around a dictionary's key."""
    steps = [str(step) for step in location if step != "[key]"]
    return ".".join(re.sub(r"[^\w -]", "?", step, flags=re.ASCII)[:80] for step in steps)


def _words(fault: Mapping[str, Any]) -> str:
    kind = str(fault["type"])
    if kind in _WORDS:
        return _WORDS[kind](fault.get("ctx", {}))
    if kind.startswith("int_"):
        return "must be a whole number"
    return str(fault["msg"])[:300]
