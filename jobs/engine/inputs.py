"""The validated input of a launch, and the errors found in it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One error in an input, and the field that has it (a dotted path, or "")."""

    field: str
    message: str


class InvalidInput(ValueError):
    """An input that cannot be launched, with every error found in it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Request:
    """A validated input: the job's title, its parameters as JSON, warnings, and whether it is a dry run."""

    title: str
    params: dict[str, Any]
    warnings: list[Fault] = field(default_factory=list)
    dry_run: bool = False
