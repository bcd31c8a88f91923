"""Lines on the DSPs: the arguments that create one, paused, and the page about its result."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from campaigns.brief.fields import slug_of
from campaigns.brief.schema import Brief, CreativeSize, Line
from campaigns.documents.links import tracked
from campaigns.documents.text import DRY_RUN, day, md, money, number, table, within
from jobs.engine.results import SpendLine

#: The role of the tool server for each DSP.
DSP_SERVERS: Mapping[str, str] = {"TTD": "ttd", "DV360": "dv360", "Amazon DSP": "amazon-dsp"}
#: The stage that sets lines live, and its step for each line.
LIVE_STAGE, STATUS_STEP = "live", "status"
ACTIVE = "ACTIVE"
_LIVE = frozenset({ACTIVE, "LIVE", "ENABLED", "ENTITY_STATUS_ACTIVE"})
_NAME_BYTES = 240


def line_slug(line: Line) -> str:
    """Return a key for the line, unique in its plan."""
    return line.slug


def told_status(data: Mapping[str, Any]) -> str:
    """Return the status in a server's answer, in capitals, or "" if it has none."""
    told = data.get("status")
    return told.upper()[:40] if isinstance(told, str) else ""


def is_live(data: Mapping[str, Any]) -> bool:
    """Return whether the answer to setting a line live reports it live; no status counts as live."""
    return told_status(data) in {"", *_LIVE}


def spend_lines(params: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]]) -> list[SpendLine]:
    """Return the lines that exist on their DSPs and can be set live, from a launch and its results."""
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
    """Return a sentence for each item that an activation does not set live or that is live already."""
    lines = data.get("activate", {}).get("lines", ())
    told = [
        f"{line['name']} on {line['dsp']} is {line['status']}, so it is not set live."
        for line in lines
        if not _exists(line)
    ]
    ours = data.get(LIVE_STAGE, {}).get("live", ())
    told += [
        f"{line['name']} on {line['dsp']} is {line['status']} already according to its DSP, although it "
        "was to be created paused. Check it there."
        for line in lines
        if _exists(line) and told_status(line) in _LIVE and line["slug"] not in ours
    ]
    if search := data.get("search", {}).get("campaign"):
        named = f"The search campaign {search['name']} ({search['id']})"
        if search.get("source") == "simulated":
            told.append(
                f"{named} is simulated: it does not exist in Google Ads, so there is nothing to set live."
            )
        else:
            told.append(
                f"{named} stays {search['status'].lower()}: "
                "Flightplan cannot change its status, so set it live in Google Ads."
            )
    return told


def _exists(line: Mapping[str, Any]) -> bool:
    return bool(line["id"] and line["server"]) and line["source"] != "fallback"


def line_name(brief: Brief, line: Line) -> str:
    """Return the line's name on its DSP: at most 240 bytes, the lowest limit of all DSPs."""
    name = f"{within(brief.title, 80)} | {within(line.label, 140)}"
    return name.encode()[:_NAME_BYTES].decode(errors="ignore").strip()


def click_url(brief: Brief, line: Line, creative: CreativeSize | None = None) -> str:
    """Return the click URL of a line; it names the creative."""
    return tracked(
        brief.landing_url,
        source=DSP_SERVERS.get(line.dsp, line.dsp),
        medium=line.channel_key,
        campaign=brief.slug,
        content=creative.slug if creative else slug_of(line.tactic or line.channel),
    )


def line_arguments(brief: Brief, line: Line) -> dict[str, Any]:
    """Return the arguments of `create_campaign` without the key; a line is always created paused."""
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
    """Return the page about a line as Markdown; `why` says what went wrong or why there is a fallback."""
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
        parts.insert(1, f"{DRY_RUN} A launch would create this, paused.")
    if why:
        parts.append(f"**What happened:** {md(why)}")
    made = brief.creatives(line.sizes)
    clicks = [[md(c.name), c.size, f"`{click_url(brief, line, c)}`"] for c in made]
    clicks = clicks or [["all", "", f"`{click_url(brief, line)}`"]]
    parts += ["## Click addresses", table(["Creative", "Size", "Address"], clicks)]
    spent = "This line was set live: it spends its budget during its flight."
    if live and source == "simulated":
        spent = "This line was set live. It is simulated: it buys no ads and spends no money."
    waits = "Nothing is spent until a user with permission to spend sets this line live."
    parts.append(spent if live else waits)
    return "\n\n".join(parts)
