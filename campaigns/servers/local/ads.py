"""The role `google-ads`: search campaigns, ad groups, keywords, ads, within the service's limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from campaigns.servers.local.arguments import BOOLEAN, DATE, POSITIVE, choice, text, texts
from campaigns.servers.local.dsp import SIMULATED, check_address, check_currency, check_dates
from campaigns.servers.local.pages import facts, page, table, tag
from campaigns.servers.local.server import Call, Returned, Tool
from campaigns.servers.local.world import Record, Refused, World

MAX_KEYWORD, MAX_KEYWORD_WORDS = 80, 10
MAX_HEADLINE, MAX_DESCRIPTION, MAX_PATH = 30, 90, 15
HEADLINES, DESCRIPTIONS = (3, 15), (2, 4)

_CAMPAIGN = (
    "daily_budget",
    "currency",
    "start_date",
    "end_date",
    "bidding_strategy",
    "target_cpa",
    "negative_keywords",
    "contains_eu_political_advertising",
)
_AD = ("headlines", "descriptions", "final_url", "path1", "path2")


def check_campaign(args: Mapping[str, Any]) -> None:
    """Raise Refused for arguments that the service would not accept for a campaign."""
    _named(args["name"])
    if args.get("contains_eu_political_advertising") is None:
        raise Refused("contains_eu_political_advertising is required on a campaign")
    check_dates(args)
    check_currency(args)
    for keyword in args.get("negative_keywords") or ():
        check_keyword({"text": keyword})


def check_keyword(args: Mapping[str, Any]) -> None:
    """Raise Refused for a keyword that is blank, too long or has too many words."""
    words = args["text"].split()
    if not words or len(args["text"]) > MAX_KEYWORD or len(words) > MAX_KEYWORD_WORDS:
        raise Refused(f"A keyword has 1 to {MAX_KEYWORD} characters and at most {MAX_KEYWORD_WORDS} words")


def check_ad(args: Mapping[str, Any]) -> None:
    """Raise Refused for an invalid responsive search ad: counts, lengths, repeats, paths, final URL."""
    _lines("headlines", args["headlines"], HEADLINES, MAX_HEADLINE)
    _lines("descriptions", args["descriptions"], DESCRIPTIONS, MAX_DESCRIPTION)
    if not args.get("final_url"):
        raise Refused("final_url is required: an ad has at least one")
    check_address("final_url", args["final_url"], ("https", "http"))
    paths = [args.get("path1") or "", args.get("path2") or ""]
    if any(len(path) > MAX_PATH for path in paths):
        raise Refused(f"path1 and path2 have at most {MAX_PATH} characters each")
    if paths[1] and not paths[0]:
        raise Refused("path2 needs path1")


def _lines(name: str, lines: list[str], count: tuple[int, int], longest: int) -> None:
    if not count[0] <= len(lines) <= count[1]:
        raise Refused(f"{name}: {count[0]} to {count[1]} are needed, {len(lines)} are given")
    if any(not line.strip() or len(line) > longest for line in lines):
        raise Refused(f"{name}: each has 1 to {longest} characters")
    if len({line.casefold() for line in lines}) < len(lines):
        raise Refused(f"{name}: each must be unique")


def _named(name: str) -> None:
    if not name.strip():
        raise Refused("name must not be blank")


def create_campaign(call: Call) -> Returned:
    """Create a search campaign, paused or as a draft."""
    body = {name: call.get(name, None) for name in _CAMPAIGN}
    return _add(call, "campaign", call["name"], None, {"status": call.get("status") or "PAUSED", **body})


def create_ad_group(call: Call) -> Returned:
    """Create an ad group of a campaign."""
    return _add(call, "adgroup", call["name"], _parent(call, "campaign"), {})


def create_keyword(call: Call) -> Returned:
    """Create a keyword of an ad group."""
    kept = {"match_type": call.get("match_type") or "BROAD", "negative": call.get("negative", False)}
    return _add(call, "keyword", call["text"], _parent(call, "adgroup"), kept)


def create_ad(call: Call) -> Returned:
    """Create a responsive search ad of an ad group."""
    kept = {name: call.get(name) for name in _AD}
    return _add(call, "ad", call["headlines"][0], _parent(call, "adgroup"), kept)


def find(call: Call) -> Returned:
    """Return everything that was created with the caller's id."""
    found = call.world.referred(call["external_id"])
    return {"items": [{"id": r.id, "name": r.name, "kind": r.kind} for r in found]}


def _parent(call: Call, kind: str) -> Record:
    ident = call["campaign_id" if kind == "campaign" else "ad_group_id"]
    if found := call.world.get(ident, kind):
        return found
    raise Refused(f"No such {'campaign' if kind == 'campaign' else 'ad group'}: {ident[:80]}")


def _add(call: Call, kind: str, name: str, parent: Record | None, body: dict[str, Any]) -> Returned:
    ident, above = f"{kind}-{call.ident}", parent.id if parent else ""
    made = call.world.add(Record(ident, kind, name, above, call.get("external_id"), body=body))
    kept = {"id": made.id, "kind": kind, "name": name, "parent": above, "external_id": made.reference, **body}
    call.world.write(made.id, "record.json", json.dumps(kept, ensure_ascii=False, indent=2) + "\n")
    campaign = made
    while campaign.parent and (up := call.world.get(campaign.parent)):
        campaign = up
    _show(call.world, campaign)
    return {"id": made.id}


def _show(world: World, campaign: Record) -> None:
    rows = [("Status", campaign.body["status"]), ("Id", campaign.id)]
    rows += [(name.replace("_", " ").capitalize(), campaign.body.get(name)) for name in _CAMPAIGN]
    groups = "".join(_group(world, group) for group in world.children(campaign.id))
    body = page(campaign.name, "Search campaign", facts(rows) + groups, note=SIMULATED)
    world.write(campaign.id, "index.html", body)


def _group(world: World, group: Record) -> str:
    inside = world.children(group.id)
    words = [
        [escape(r.name), tag(r.body["match_type"].lower()), "negative" if r.body["negative"] else ""]
        for r in inside
        if r.kind == "keyword"
    ]
    shown = table(("Keyword", "Match", ""), words) if words else ""
    for ad in (r for r in inside if r.kind == "ad"):
        shown += f"<h3>{escape(ad.name)}</h3>" + facts(
            [(n.replace("_", " ").capitalize(), ad.body[n]) for n in _AD]
        )
    return f"<h2>{escape(group.name)}</h2>{shown or '<p>Empty.</p>'}"


_EXTERNAL = {"external_id": text("The caller's own id; the same one never makes a second")}
_POLITICAL = {"type": ["boolean", "string"], "description": "Required by the service; true or false"}
_CAMPAIGN_FIELDS = {
    "name": text(),
    "daily_budget": POSITIVE,
    "currency": text("ISO 4217"),
    "start_date": DATE,
    "end_date": DATE,
    "bidding_strategy": text(),
    "target_cpa": POSITIVE,
    "contains_eu_political_advertising": _POLITICAL,
    "negative_keywords": texts(),
    "status": choice("PAUSED", "DRAFT"),
}


def tools(role: str) -> list[Tool]:
    """Return the tools of the role."""
    group = {"campaign_id": text(), "name": text()}
    keyword = {"ad_group_id": text(), "text": text(), "match_type": choice("EXACT", "PHRASE", "BROAD")}
    ad = {"ad_group_id": text(), "headlines": texts(), "descriptions": texts()}
    ad |= {"final_url": text(), "path1": text(), "path2": text()}

    def writer(
        name: str, what: str, fields: dict[str, Any], run: Any, required: tuple[str, ...], prepare: Any
    ) -> Tool:
        said = f"Creates {what}."
        return Tool(name, said, fields | _EXTERNAL, run, required, reference="external_id", prepare=prepare)

    return [
        writer(
            "google_ads_create_campaign",
            "a search campaign, paused or as a draft",
            _CAMPAIGN_FIELDS,
            create_campaign,
            ("name",),
            check_campaign,
        ),
        writer(
            "google_ads_create_ad_group",
            "an ad group",
            group,
            create_ad_group,
            ("campaign_id", "name"),
            lambda args: _named(args["name"]),
        ),
        writer(
            "google_ads_create_keyword",
            "a keyword",
            keyword | {"negative": BOOLEAN},
            create_keyword,
            ("ad_group_id", "text"),
            check_keyword,
        ),
        writer(
            "google_ads_create_responsive_search_ad",
            "a responsive search ad",
            ad,
            create_ad,
            ("ad_group_id", "headlines", "descriptions"),
            check_ad,
        ),
        Tool("google_ads_find", "Finds what was made.", _EXTERNAL, find, ("external_id",), reads=True),
    ]
