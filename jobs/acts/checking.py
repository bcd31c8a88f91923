"""How a person finds out whether an unknown call took effect: where to look, and what tells it apart."""

from collections.abc import Mapping

from django.conf import settings
from django.utils.module_loading import import_string

from jobs.engine.events import call_fields
from jobs.models import CallAttempt, ToolCall
from jobs.tools.contract.calls import Call
from jobs.tools.contract.policy import Role, ToolPolicy, marker
from jobs.tools.lookup import Undecided, arguments, sent_name


def how_to_check(row: ToolCall) -> list[str]:
    """Give sentences for people, in the order in which to follow them."""
    roles: Mapping[str, Role] = import_string(settings.TOOL_ROLES)
    role = roles.get(row.server)
    policy = role.tools.get(row.tool) if role else None
    place = role.title if role and role.title else row.server
    call = _call(row)
    named = sent_name(call, policy) if policy else ""
    told = [f"Open {place} and look for “{named}”." if named else f"Open {place}."]
    told += _mark(row, policy) if policy else []
    if row.remote_id:
        told.append(f"An earlier answer named it {row.remote_id}.")
    if policy and not policy.money and _lost(row):
        told.append("Flightplan has not looked for it: the campaign was ended before it could.")
        return [*told, "Then answer here, or try the campaign again, and Flightplan looks for it first."]
    return [*told, _ask(call, policy), "Then answer here. Nothing is sent before you do."]


def _lost(row: ToolCall) -> bool:
    return row.pk is not None and row.tries.filter(outcome=CallAttempt.LOST).exists()


def _call(row: ToolCall) -> Call:
    return Call(job=str(row.job_id), order=0.0, args=row.args, key=row.key, **call_fields(row))


def _mark(row: ToolCall, policy: ToolPolicy) -> list[str]:
    """What the effect carries of its key."""
    if policy.note_argument:
        return [f"The last line of its {policy.note_argument} is “ref {marker(row.key)}”."]
    if policy.key_argument:
        return [f"Its {policy.key_argument} is {row.key}."]
    if policy.name_argument:
        return [f"Nothing else ends with “({marker(row.key)})”."]
    if folder := row.args.get("parentFolderId"):
        return [f"It would be in the job's own folder ({folder}), and nowhere else."]
    return ["It carries no mark of its own: its name, the time and its content must tell."]


def _ask(call: Call, policy: ToolPolicy | None) -> str:
    lookup = policy.lookup if policy else None
    try:
        asked = arguments(call, lookup) if lookup else None
    except Undecided as why:
        return f"Flightplan could not look it up: {why}."
    if lookup is None or asked is None:
        return "The service has no look-up for it, so Flightplan could not check by itself."
    words = ", ".join(f"{name}={value}" for name, value in asked.items())
    return f"Flightplan looks it up with {lookup.tool}({words}), and got no answer that settles it."
