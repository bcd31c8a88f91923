"""What the settings name by dotted path: the workflows and the tool servers for their roles."""

from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.engine.graph import Workflow
from jobs.engine.inputs import Fault
from jobs.engine.results import Source
from jobs.tools.contract.config import BrokenServersFile, ServerSpec, load_servers

# The id under which clients of the first system launch the default workflow.
ALIASES = {"campaign-lifecycle-demo": "campaign-lifecycle"}


class UnknownWorkflow(LookupError):
    """There is no workflow with that id."""


@cache
def workflows() -> dict[str, Workflow]:
    """Return all workflows by id, in the order of the settings."""
    found = [import_string(path) for path in settings.WORKFLOWS]
    return {workflow.id: workflow for workflow in found}


def workflow(id: str) -> Workflow:
    """Return one workflow. Raises UnknownWorkflow."""
    try:
        return workflows()[ALIASES.get(id, id)]
    except KeyError:
        raise UnknownWorkflow(
            f"there is no workflow {id}; the workflows are: {', '.join(workflows())}"
        ) from None


def tool_servers() -> dict[str, ServerSpec]:
    """Return the servers of all roles. Raises BrokenServersFile, which names each faulty field."""
    bundled = import_string(settings.BUNDLED_SERVERS)(
        local_dir=settings.DATA_DIR / "local",
        latency=settings.LOCAL_LATENCY,
        url=f"{settings.BASE_PATH}local/",
    )
    path = Path(settings.TOOL_SERVERS) if settings.TOOL_SERVERS else None
    return load_servers(path, import_string(settings.TOOL_ROLES), bundled)


def source_of(server: str) -> Source:
    """Return the source that a success on a server counts as; live if the server is not known."""
    try:
        spec = tool_servers().get(server)
    except BrokenServersFile:
        return Source.LIVE
    return spec.source if spec else Source.LIVE


def faults() -> list[Fault]:
    """Return what is wrong with the tool servers file, as faults of a launch; empty if it is valid."""
    try:
        tool_servers()
    except BrokenServersFile as broken:
        return [Fault(f"TOOL_SERVERS {field}".strip(), message) for field, message in broken.problems]
    return []
