"""The workflows of this installation, found by their dotted paths in the settings."""

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.workflow.graph import Workflow

# The address under which the first system's clients launch the default workflow.
ALIASES = {"campaign-lifecycle-demo": "campaign-lifecycle"}


class UnknownWorkflow(LookupError):
    """No workflow of this installation has that id."""


@cache
def workflows() -> dict[str, Workflow]:
    """Give all workflows by id, in the order of the settings."""
    found = [import_string(path) for path in settings.WORKFLOWS]
    return {workflow.id: workflow for workflow in found}


def workflow(id: str) -> Workflow:
    """Give one workflow. Raises UnknownWorkflow."""
    try:
        return workflows()[ALIASES.get(id, id)]
    except KeyError:
        raise UnknownWorkflow(f"there is no workflow {id}; there are: {', '.join(workflows())}") from None
