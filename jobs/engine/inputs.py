"""What a user sends to launch a workflow, once checked, and every fault found in it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an input, and the field it is about (dotted path, or "")."""

    field: str
    message: str


class InvalidInput(ValueError):
    """An input that cannot be launched, with every fault found."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Request:
    """A checked input: a title for people, the JSON-able parameters to store, what to warn about, and whether
    it is only a dry run."""

    title: str
    params: dict[str, Any]
    warnings: list[Fault] = field(default_factory=list)
    dry_run: bool = False
