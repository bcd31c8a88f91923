"""Lines on the DSPs: what is sent to create one, paused, and the page that tells how it went."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from campaigns.brief.fields import slug_of
from campaigns.brief.schema import Brief, CreativeSize, Line
from campaigns.documents.links import tracked
from campaigns.documents.text import DRY_RUN, day, md, money, number, table, within
from jobs.engine.results import SpendLine

#: The tool server's role that plays each DSP.
DSP_SERVERS: Mapping[str, str] = {"TTD": "ttd", "DV360": "dv360", "Amazon DSP": "amazon-dsp"}
#: The stage that sets lines live, and its step for each of them.
LIVE_STAGE, STATUS_STEP = "live", "status"
ACTIVE = "ACTIVE"
_LIVE = frozenset({ACTIVE, "LIVE", "ENABLED", "ENTITY_STATUS_ACTIVE"})
_NAME_BYTES = 240


def line_slug(line: Line) -> str:
    """A key for the line, unique in its plan."""
    return line.slug


def told_status(data: Mapping[str, Any]) -> str:
    """The status that a server's answer names, in capitals, "" where it names none."""
    told = data.get("status")
    return told.upper()[:40] if isinstance(told, str) else ""


def is_live(data: Mapping[str, Any]) -> bool:
    """Whether the answer to setting a line live says so; silence is consent."""
    return told_status(data) in {"", *_LIVE}


def spend_lines(params: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]]) -> list[SpendLine]:
    """The lines that exist on their DSPs and can be set live, from a launch and what its stages gave."""
    brief = params.get("brief", {})
    return [
        SpendLine(
            item=line["slug"],
            name=line["name"],
            server=line["server"],
            remote_id=line["id"],
            budget=f"{Decimal(str(line['budget'])):f}",
            currency=line["currency"],
            start=brief.get("flight_start", ""),
            end=brief.get("flight_end", ""),
            timezone=brief.get("timezone", ""),
            source=line["source"],
        )
        for line in data.get("activate", {}).get("lines", ())
        if _exists(line)
    ]


def stays_paused(params: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What an activation does not set live, and why, a sentence each; and what is live before its time."""
    lines = data.get("activate", {}).get("lines", ())
    told = [
        f"{line['name']} on {line['dsp']} is {line['status']}: it is not set live."
        for line in lines
        if not _exists(line)
    ]
    ours = data.get(LIVE_STAGE, {}).get("live", ())
    told += [
        f"{line['name']} on {line['dsp']} is {line['status']} already by its DSP's own word, though it was "
        "to be created paused: look at it there."
        for line in lines
        if _exists(line) and told_status(line) in _LIVE and line["slug"] not in ours
    ]
    if search := data.get("search", {}).get("campaign"):
        named = f"The search campaign {search['name']} ({search['id']})"
        if search.get("source") == "simulated":
            told.append(
                f"{named} is simulated: nothing of it exists in Google Ads, so there is nothing to set live."
            )
        else:
            told.append(
                f"{named} stays {search['status'].lower()}: "
                "Flightplan has no tool for its status, so it is set live in Google Ads itself."
            )
    return told


def _exists(line: Mapping[str, Any]) -> bool:
    return bool(line["id"] and line["server"]) and line["source"] != "fallback"


def line_name(brief: Brief, line: Line) -> str:
    """The name the line has on its DSP: at most 240 bytes, which is the least that any of them takes."""
    name = f"{within(brief.title, 80)} | {within(line.label, 140)}"
    return name.encode()[:_NAME_BYTES].decode(errors="ignore").strip()


def click_url(brief: Brief, line: Line, creative: CreativeSize | None = None) -> str:
    """Where a click on the line goes, told apart by creative."""
    return tracked(
        brief.landing_url,
        source=DSP_SERVERS.get(line.dsp, line.dsp),
        medium=line.channel_key,
        campaign=brief.slug,
        content=creative.slug if creative else slug_of(line.tactic or line.channel),
    )


def line_arguments(brief: Brief, line: Line) -> dict[str, Any]:
    """The arguments of `create_campaign`, without the key; a line is always created paused."""
    arguments: dict[str, Any] = {
        "name": line_name(brief, line),
        "budget": number(line.budget),
        "channel": line.channel_key,
        "currency": brief.currency,
        "start_date": day(brief.flight_start),
        "end_date": day(brief.flight_end),
        "landing_url": click_url(brief, line),
        "status": "PAUSED",
    }
    sizes = [creative.size for creative in brief.creatives(line.sizes)]
    optional = {"tactic": line.tactic, "kpi_target": line.kpi_target, "sizes": list(dict.fromkeys(sizes))}
    return arguments | {name: value for name, value in optional.items() if value}


def render_line(
    brief: Brief,
    line: Line,
    remote_id: str = "",
    status: str = "",
    source: str = "",
    why: str = "",
    dry_run: bool = False,
    live: bool = False,
) -> str:
    """Markdown on one line; `why` tells what went wrong or why a fallback is used."""
    facts = [
        ["Status", md(status) or "not created"],
        ["Source", md(source)],
        ["Identifier on the DSP", md(remote_id)],
        ["DSP", md(line.dsp)],
        ["Channel", md(line.channel)],
        ["Tactic", md(line.tactic)],
        ["Budget", md(money(line.budget, brief.currency))],
        ["Flight", f"{day(brief.flight_start)} to {day(brief.flight_end)} ({md(brief.timezone)})"],
        ["KPI target", md(line.kpi_target)],
        ["Creative sizes", md(", ".join(line.sizes))],
    ]
    parts = [f"# {md(line_name(brief, line))}", table(["Item", "Value"], facts)]
    if dry_run:
        parts.insert(1, f"{DRY_RUN} It is what a launch would create, paused.")
    if why:
        parts.append(f"**What happened:** {md(why)}")
    made = brief.creatives(line.sizes)
    clicks = [[md(c.name), c.size, f"`{click_url(brief, line, c)}`"] for c in made]
    clicks = clicks or [["all", "", f"`{click_url(brief, line)}`"]]
    parts += ["## Click addresses", table(["Creative", "Size", "Address"], clicks)]
    spent = "This line was set live: its budget is spent within its flight."
    if live and source == "simulated":
        spent = "This line was set live. It is simulated: no ad is bought and no money moves."
    waits = "Nothing is spent before a person with the right to spend activates this line."
    parts.append(spent if live else waits)
    return "\n\n".join(parts)
