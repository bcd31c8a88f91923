"""The interface of an installation, local or remote, as the commands use it."""

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
    """The command cannot do what it should. The message says why and what to do."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class LaunchedJob:
    """A launched job: its page, warnings, and in `held` what keeps it from starting, or ""."""

    job_id: str
    page: str
    title: str = ""
    warnings: list[Fault] = field(default_factory=list)
    held: str = ""


@dataclass(frozen=True)
class EventLine:
    """One event of a job: the line of JSON from the API's stream, and the event itself.

    The event is None if this version does not know its type, because the installation is newer.
    """

    line: str
    recorded: Recorded | None


class Installation(Protocol):
    """Where jobs are launched and followed. `status`: how the followed job ended."""

    status: str
    again: str  # the options that a command needs to use this installation again

    def launch(self, campaign: Any, *, include_search: bool, dry_run: bool) -> LaunchedJob:
        """Launch a brief, or a preset by its name. Raises InvalidInput with every error, and Trouble."""
        ...

    def check(self, job_id: str) -> None:
        """Raise Trouble if there is no such job."""
        ...

    def follow(self, job_id: str, say: Say) -> Iterator[EventLine]:
        """Yield each event once and in order until the job has ended. `say` reports lost connections."""
        ...

    def page(self, job_id: str) -> str:
        """Return the address of the job's page."""
        ...

    def link(self, job_id: str, artifact: Artifact) -> str:
        """Return the address that opens an artifact, or ""."""
        ...

    def arguments(self, job_id: str) -> dict[str, dict[str, Any]]:
        """Return the arguments that each planned call of a dry run would send, by step. Raises Trouble."""
        ...
