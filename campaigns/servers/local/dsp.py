"""The roles `ttd`, `dv360`, `amazon-dsp`: lines as validated records; no ad is bought."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from campaigns.servers.local.arguments import DATE, POSITIVE, as_date, choice, text
from campaigns.servers.local.pages import facts, page
from campaigns.servers.local.server import Call, Returned, Tool
from campaigns.servers.local.wire import JSON
from campaigns.servers.local.world import Record, Refused, World

NAMES = {"ttd": "The Trade Desk", "dv360": "Display & Video 360", "amazon-dsp": "Amazon DSP"}
MAX_NAME_BYTES = 240
SIMULATED = "Simulated: no ad is bought and no money moves."

_FIELDS = (
    "channel",
    "tactic",
    "budget",
    "currency",
    "start_date",
    "end_date",
    "kpi_target",
    "sizes",
    "landing_url",
)


def check_campaign(args: Mapping[str, Any]) -> None:
    """Raise Refused for arguments that the service would not accept for a campaign."""
    if not args["name"].strip() or len(args["name"].encode()) > MAX_NAME_BYTES:
        raise Refused(f"name must have 1 to {MAX_NAME_BYTES} bytes")
    check_dates(args)
    check_currency(args)
    check_address("landing_url", args.get("landing_url"), ("https",))


def check_dates(args: Mapping[str, Any]) -> None:
    """Raise Refused for dates that are not ISO 8601 and for an end before the start."""
    dates = [as_date(name, args[name]) for name in ("start_date", "end_date") if args.get(name)]
    if len(dates) == 2 and dates[1] < dates[0]:
        raise Refused("end_date must not be before start_date")


def check_currency(args: Mapping[str, Any]) -> None:
    """Raise Refused for a currency that is not an ISO 4217 code."""
    currency = args.get("currency")
    if currency and not (
        len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()
    ):
        raise Refused("currency must be an ISO 4217 code, e.g. EUR")


def check_address(name: str, address: str | None, schemes: tuple[str, ...]) -> None:
    """Raise Refused for a URL that has another scheme; an empty one is accepted."""
    parts = urlsplit(address or "")
    if address and (parts.scheme not in schemes or not parts.hostname):
        raise Refused(f"{name} must be an address that begins with {' or '.join(schemes)}://")


def campaign_creator(role: str) -> Any:
    """Return the `create_campaign` tool of a DSP."""

    def create_campaign(call: Call) -> Returned:
        kept = {name: call.get(name, None) for name in _FIELDS if call.get(name, None) is not None}
        body = {"dsp": role, "status": call.get("status") or "PAUSED", **kept}
        made = Record(f"line-{call.ident}", "campaign", call["name"], "", call.get("external_id"), body=body)
        _show(call.world, role, call.world.add(made))
        return _said(made)

    return create_campaign


def status_setter(role: str) -> Any:
    """Return the `set_campaign_status` tool of a DSP; archived campaigns cannot change."""

    def set_campaign_status(call: Call) -> Returned:
        found = call.world.get(call["id"], "campaign")
        if found is None:
            raise Refused(f"Campaign not found: {call['id'][:80]}")
        if found.body["status"] == "ARCHIVED" != call["status"]:
            raise Refused("An archived campaign cannot be changed")
        changed = Record(**{**vars(found), "body": {**found.body, "status": call["status"]}})
        call.world.change(found.id, changed.body)
        _show(call.world, role, changed)
        return _said(changed)

    return set_campaign_status


def find_campaigns(call: Call) -> Returned:
    """Return the campaigns with the caller's id."""
    return {"items": [_said(record) for record in call.world.referred(call["external_id"], "campaign")]}


def _said(record: Record) -> JSON:
    return {"id": record.id, "name": record.name, "status": record.body["status"]}


def _show(world: World, role: str, record: Record) -> None:
    kept = {"id": record.id, "name": record.name, "external_id": record.reference, **record.body}
    world.write(record.id, "record.json", json.dumps(kept, ensure_ascii=False, indent=2) + "\n")
    rows = [("Status", record.body["status"]), ("Id", record.id)]
    rows += [(name.replace("_", " ").capitalize(), record.body.get(name)) for name in _FIELDS]
    rows += [("External id", record.reference), ("Created", record.made_at)]
    body = page(record.name, f"Campaign on {NAMES[role]}", facts(rows), note=SIMULATED)
    world.write(record.id, "index.html", body)


def tools(role: str) -> list[Tool]:
    """Return the tools of one DSP."""
    external = {"external_id": text("The caller's own id; the same one never makes a second")}
    fields = {
        "name": text(f"At most {MAX_NAME_BYTES} bytes"),
        "budget": POSITIVE,
        "channel": text(),
        "tactic": text(),
        "currency": text("ISO 4217"),
        "start_date": DATE,
        "end_date": DATE,
        "kpi_target": text(),
        "sizes": {"type": ["array", "string"], "items": {"type": "string"}},
        "landing_url": text("https"),
        "status": choice("PAUSED", "DRAFT"),
    }
    statuses = {"id": text(), "status": choice("PAUSED", "ACTIVE", "ARCHIVED")}
    return [
        Tool(
            "create_campaign",
            "Creates a campaign, paused or as a draft.",
            fields | external,
            campaign_creator(role),
            ("name", "budget"),
            reference="external_id",
            prepare=check_campaign,
        ),
        Tool("find_campaigns", "Finds campaigns.", external, find_campaigns, ("external_id",), reads=True),
        Tool(
            "set_campaign_status",
            "Makes a campaign live, pauses or archives it.",
            statuses,
            status_setter(role),
            ("id", "status"),
            replaces=True,
        ),
    ]
