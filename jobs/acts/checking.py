"""How a person finds out whether an unknown call took effect: where to look, and how to recognize it."""

from collections.abc import Mapping

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.engine.events import call_fields
from jobs.models import CallAttempt, ToolCall
from jobs.tools.contract.calls import Call
from jobs.tools.contract.policy import Role, ToolPolicy, marker
from jobs.tools.lookup import Undecided, arguments, sent_name


def how_to_check(row: ToolCall) -> list[str]:
    """Return the instructions for a person, one sentence each, in order."""
    roles: Mapping[str, Role] = import_string(settings.TOOL_ROLES)
    role = roles.get(row.server)
    policy = role.tools.get(row.tool) if role else None
    place = role.title if role and role.title else row.server
    call = _call(row)
    named = sent_name(call, policy) if policy else ""
    steps = [f"Open {place} and look for “{named}”." if named else f"Open {place}."]
    steps += _mark(row, policy) if policy else []
    if row.remote_id:
        steps.append(f"An earlier response gave its id as {row.remote_id}.")
    if policy and not policy.money and _lost(row):
        steps.append("Flightplan has not looked it up, because the campaign ended first.")
        return [*steps, "Then resolve it here, or retry the campaign: Flightplan looks it up first."]
    return [*steps, _lookup(call, policy), "Then resolve it here. Nothing is sent before you do."]


def _lost(row: ToolCall) -> bool:
    if row._state.adding:  # a call that is not stored has no attempts
        return False
    return row.tries.filter(outcome=CallAttempt.LOST).exists()


def _call(row: ToolCall) -> Call:
    return Call(job=str(row.job_id), order=0.0, args=row.args, key=row.key, **call_fields(row))


def _mark(row: ToolCall, policy: ToolPolicy) -> list[str]:
    """Return how the effect can be recognized by its key."""
    if policy.note_argument:
        return [f"The last line of its {policy.note_argument} is “ref {marker(row.key)}”."]
    if policy.key_argument:
        return [f"Its {policy.key_argument} is {row.key}."]
    if policy.name_argument:
        return [f"Only its name ends with “({marker(row.key)})”."]
    if folder := row.args.get("parentFolderId"):
        return [f"It would be in the job's folder ({folder}) and nowhere else."]
    return ["It has no marker: identify it by its name, time and content."]


def _lookup(call: Call, policy: ToolPolicy | None) -> str:
    lookup = policy.lookup if policy else None
    try:
        asked = arguments(call, lookup) if lookup else None
    except Undecided as why:
        return f"Flightplan could not look it up: {why}."
    if lookup is None or asked is None:
        return "The service has no way to look it up, so Flightplan could not check automatically."
    words = ", ".join(f"{name}={value}" for name, value in asked.items())
    return f"Flightplan looked it up with {lookup.tool}({words}) but got no conclusive answer."
