"""Find an effect again by its key: the arguments of the look-up, and the item that belongs to the call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.tools.contract.calls import Call
from jobs.tools.contract.policy import Lookup, ToolPolicy, marker
from jobs.tools.contract.reply import Reply


class Undecided(Exception):
    """The look-up cannot show whether the effect exists; the message says why."""


def arguments(call: Call, lookup: Lookup) -> dict[str, Any]:
    """Return the arguments of the look-up for this call.

    Raises Undecided if they need an argument that the call did not send.
    """
    return {name: _argument(call, source) for name, source in lookup.arguments.items()}


def _argument(call: Call, source: str | int) -> Any:
    if source == "$key":
        return call.key
    if source == "$marker":
        return marker(call.key)
    if not isinstance(source, str) or source[:1] not in ("$", "~"):
        return source
    sent = call.args.get(source[1:])
    if sent in (None, ""):
        raise Undecided(f"the call was sent without {source[1:]}, which the look-up needs")
    return re.escape(str(sent)) if source[0] == "~" else sent


def next_page(reply: Reply, lookup: Lookup) -> Any:
    """Return the offset of the next page, or None on the last page."""
    page = reply.data.get("next_page") if lookup.page_argument else None
    return page.get("offset") if isinstance(page, Mapping) else None


def ours(reply: Reply, call: Call, policy: ToolPolicy, lookup: Lookup) -> Mapping[str, Any] | None:
    """Return the item of an answer that is the effect of this call, or None.

    Raises Undecided for an answer without a list, and for items without the fields that identify the effect.
    """
    items = _items(reply, lookup)
    if lookup.match == "answer":
        return _answered(items, call, lookup)
    return next((item for item in items if _matches(item, call, policy, lookup)), None)


def _answered(items: Sequence[Mapping[str, Any]], call: Call, lookup: Lookup) -> Mapping[str, Any] | None:
    """Return the first item, as the server has searched by key. Raises Undecided if all show another key."""
    asked = [name for name, source in lookup.arguments.items() if source == "$key"]
    for item in items:
        if all(item.get(name) in (None, "", call.key) for name in asked):
            return item
    if items:
        raise Undecided(f"{lookup.tool} returned only items with another key")
    return None


def _items(reply: Reply, lookup: Lookup) -> Sequence[Mapping[str, Any]]:
    for key in lookup.items:
        found = reply.data.get(key)
        if isinstance(found, list):
            return [item for item in found if isinstance(item, Mapping)]
    raise Undecided(f"the answer of {lookup.tool} contains no list")


def _matches(item: Mapping[str, Any], call: Call, policy: ToolPolicy, lookup: Lookup) -> bool:
    name = sent_name(call, policy)
    if lookup.match == "name":
        return bool(name) and item.get("name") == name
    shown = [str(item[field]) for field in lookup.fields if item.get(field) is not None]
    if any(marker(call.key) in text for text in shown):
        return True
    if not any(field in item for field in lookup.fields) and item.get("name") == name:
        # it has the name that was sent but not the field with the marker: it may be the effect
        raise Undecided(f"{lookup.tool} does not show {' or '.join(lookup.fields)}")
    return False


def sent_name(call: Call, policy: ToolPolicy) -> str:
    """Return the name under which the effect was sent, or "" if it has none."""
    name = str(call.args.get("name") or call.args.get("title") or "")
    return f"{name} ({marker(call.key)})" if name and policy.name_argument else name
