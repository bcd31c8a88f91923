"""Lines on the DSPs: what is sent to create one, paused, and the page that tells how it went."""

from collections.abc import Mapping
from typing import Any

from campaigns.documents.links import tracked
from campaigns.documents.text import day, md, money, number, table, within
from campaigns.fields import slug_of
from campaigns.schema import Brief, CreativeSize, Line

#: The tool server's role that plays each DSP.
DSP_SERVERS: Mapping[str, str] = {"TTD": "ttd", "DV360": "dv360", "Amazon DSP": "amazon-dsp"}
_NAME_BYTES = 240


def line_slug(line: Line) -> str:
    """A key for the line, unique in its plan."""
    return line.slug


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
    brief: Brief, line: Line, remote_id: str = "", status: str = "", source: str = "", why: str = ""
) -> str:
    """Markdown on one line; `why` tells what went wrong or why a stand-in is used."""
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
    if why:
        parts.append(f"**What happened:** {md(why)}")
    made = brief.creatives(line.sizes)
    clicks = [[md(c.name), c.size, f"`{click_url(brief, line, c)}`"] for c in made]
    clicks = clicks or [["all", "", f"`{click_url(brief, line)}`"]]
    parts += ["## Click addresses", table(["Creative", "Size", "Address"], clicks)]
    parts.append("Nothing is spent before a person with the right to spend activates this line.")
    return "\n\n".join(parts)
