"""What a command line needs of an installation, whether it is this one or one far away."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobs.engine.events import Recorded
from jobs.engine.inputs import Fault
from jobs.engine.results import Artifact, JobStatus

WORKFLOW = "campaign-lifecycle"
COMPLETED, FAILED, BAD_INPUT, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 130
EXITS = {JobStatus.COMPLETED.value: COMPLETED, JobStatus.PARTIAL.value: PARTIAL}

Say = Callable[[str], None]


class Trouble(Exception):
    """What was asked for cannot be done; the message is for people and names the way out."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class LaunchedJob:
    """A launched job: where its page is, what to warn about, and whether something keeps it from starting."""

    job_id: str
    page: str
    title: str = ""
    warnings: list[Fault] = field(default_factory=list)
    held: str = ""


@dataclass(frozen=True)
class EventLine:
    """One event of a job: the line of JSON that the API's stream gives, and the event itself.

    The event is None when this version does not know it: a newer installation may tell of more.
    """

    line: str
    recorded: Recorded | None


class Installation(Protocol):
    """Where jobs are launched and followed. `status`: how the job that was followed has ended."""

    status: str
    again: str  # what a command needs to come back here, behind its own words

    def launch(self, campaign: Any, *, include_search: bool, dry_run: bool) -> LaunchedJob:
        """Launch a brief, or a preset by its name. Raises InvalidInput with every fault, and Trouble."""
        ...

    def check(self, job_id: str) -> None:
        """Make sure that there is such a job. Raises Trouble."""
        ...

    def follow(self, job_id: str, say: Say) -> Iterator[EventLine]:
        """Give each event once and in order up to the job's end; `say` reports of cuts. Raises Trouble."""
        ...

    def page(self, job_id: str) -> str:
        """Give the address of the job's page."""
        ...

    def link(self, job_id: str, artifact: Artifact) -> str:
        """Give the address that opens an artifact, or ""."""
        ...

    def arguments(self, job_id: str) -> dict[str, dict[str, Any]]:
        """Give what each planned call of a dry run would send, by step. Raises Trouble."""
        ...
