"""The brief document in Markdown: ten chapters and the next steps."""

from campaigns.brief.kpis import figure, implied, parse_figure, parse_kpis
from campaigns.brief.schema import Brief, CreativeSize, Line
from campaigns.documents.links import tracked
from campaigns.documents.tasks import task_list
from campaigns.documents.text import NOT_GIVEN, bullets, day, md, money, para, price, table

#: The part of each channel on the way from first contact to purchase; retargeting and search come last.
_STEPS = ("Notice", "Consider", "Act")
_NOTICE = frozenset({"ctv", "video", "audio", "dooh", "youtube"})


def render_brief(brief: Brief) -> str:
    """Return the whole document; it says where the brief leaves something open."""
    chapters = {
        "Metadata": _metadata(brief),
        "Executive summary": para(brief.brief.executive_summary),
        "Business context": _context(brief),
        "Objectives and KPIs": _objectives(brief),
        "Audience and targeting": _audience(brief),
        "Offer, proposition and proof": _offer(brief),
        "Messaging framework": _messages(brief),
        "Creative requirements": _creatives(brief),
        "Channels and media plan": _plan(brief),
        "Experience and funnel": _funnel(brief),
    }
    parts = [f"# {md(brief.title)}: campaign brief"]
    for number, (title, body) in enumerate(chapters.items(), 1):
        parts += [f"## {number}. {title}", body]
    return "\n\n".join([*parts, "## Next steps", _next_steps(brief)]) + "\n"


def _text(label: str, text: str) -> str:
    return f"### {label}\n\n{para(text)}"


def _flight(brief: Brief) -> str:
    days = f"{brief.flight_days} days including both end dates"
    return f"{day(brief.flight_start)} to {day(brief.flight_end)} ({md(brief.timezone)}), {days}"


def _metadata(brief: Brief) -> str:
    facts = [
        ["Brand", md(brief.brand)],
        ["Product", md(brief.product)],
        ["Tagline", md(brief.tagline)],
        ["Year", str(brief.year or brief.flight_start.year)],
        ["Flight", _flight(brief)],
        ["Media budget", f"{md(money(brief.budget, brief.currency))} ({brief.currency})"],
        ["Channels", md(", ".join(brief.channel_names))],
        ["Landing page", f"`{brief.landing_url}`"],
    ]
    return table(["Item", "Value"], facts)


def _context(brief: Brief) -> str:
    parts = [_text("Why now", brief.brief.why_now), _text("Primary outcome", brief.brief.primary_outcome)]
    if brief.launch_event:
        parts.append(_text("Launch event", brief.launch_event))
    return "\n\n".join(parts)


def _objectives(brief: Brief) -> str:
    parts = ["### Objectives", bullets(brief.objectives), "### KPIs"]
    if not brief.kpis:
        return "\n\n".join([*parts, NOT_GIVEN])
    parts.append(table(["KPI", "Target"], [[md(name), md(target)] for name, target in brief.kpis.items()]))
    read = [kpi for name, target in brief.kpis.items() if (kpi := parse_figure(name, target))]
    told = [f"{kpi.metric} {figure(kpi, brief.currency)}" for kpi in implied(brief.budget, read)]
    if told:
        parts.append(
            f"On {md(money(brief.budget, brief.currency))} these targets imply {md(', '.join(told))}."
        )
    return "\n\n".join(parts)


def _audience(brief: Brief) -> str:
    who = brief.brief.audience
    parts = [para(brief.target_audience)] if brief.target_audience else []
    for label in ("Primary", "Secondary", "Targeting", "Exclusions"):
        parts.append(_text(label, getattr(who, label.lower())))
    parts.append(_text("Privacy", brief.brief.compliance.privacy_stance))
    return "\n\n".join(parts)


def _offer(brief: Brief) -> str:
    cost = price(brief.price, brief.currency) if brief.price else ""
    return "\n\n".join(
        [
            _text("Product and price", ", ".join(filter(None, (brief.title, cost)))),
            _text("Value proposition", brief.brief.value_proposition),
            _text("Reason to believe", brief.brief.reason_to_believe),
        ]
    )


def _messages(brief: Brief) -> str:
    rules = brief.brief.compliance
    return "\n\n".join(
        [
            _text("Lead message", brief.tagline),
            "### Message pillars",
            bullets(brief.brief.message_pillars),
            _text("Disclosures", rules.disclosures),
            "### Words to avoid",
            bullets(rules.words_to_avoid, "None."),
        ]
    )


def _creatives(brief: Brief) -> str:
    rows = [[md(c.name), c.size, c.format, md(_used_by(brief, c)) or "no line"] for c in brief.creative_sizes]
    ask = (
        f"Every creative shows the name {md(brief.brand)}, one message and one call to action; "
        "it is exactly the size listed and stays within the file size limit of its format."
    )
    return f"{table(['Creative', 'Pixels', 'Format', 'Used by'], rows)}\n\n{ask}"


def _used_by(brief: Brief, creative: CreativeSize) -> str:
    return "; ".join(line.label for line in brief.media_plan if creative in brief.creatives(line.sizes))


def _plan(brief: Brief) -> str:
    rows = [_plan_row(brief, line) for line in brief.media_plan]
    rows.append(["**TOTAL**", "", "", f"**{md(money(brief.lines_total, brief.currency))}**", "", "", ""])
    header = ["Channel", "DSP", "Tactic", "Budget", "Share", "KPI target", "Implies"]
    parts = [table(header, rows)]
    if brief.search:
        daily = md(money(brief.search.daily_budget, brief.currency))
        spend = md(money(brief.search_spend, brief.currency))
        parts.append(
            f"If search is included, it spends {daily} a day over {brief.flight_days} days: "
            f"{spend} on top of this total, "
            f"{md(money(brief.lines_total + brief.search_spend, brief.currency))} in total."
        )
    return "\n\n".join(parts)


def _plan_row(brief: Brief, line: Line) -> list[str]:
    told = implied(line.budget, parse_kpis(line.kpi_target))
    return [
        md(line.channel),
        md(line.dsp),
        md(line.tactic),
        md(money(line.budget, brief.currency)),
        f"{line.budget / brief.lines_total:.0%}",
        md(line.kpi_target),
        md(", ".join(f"{kpi.metric} {figure(kpi, brief.currency)}" for kpi in told)),
    ]


def _funnel(brief: Brief) -> str:
    rows = [[step, md("; ".join(_lines_of(brief, step))), _leads_to(brief, step)] for step in _STEPS]
    example = tracked(
        brief.landing_url, source="source", medium="medium", campaign=brief.slug, content="creative"
    )
    return "\n\n".join(
        [
            table(["Step", "What people see", "Where it takes them"], rows),
            "Every click from outside has UTM parameters in lower case, one `utm_content` per creative; "
            "links between your own pages have none:",
            f"`{example}`",
        ]
    )


def _step(line: Line) -> str:
    if "retarget" in f"{line.channel} {line.tactic}".casefold():
        return "Act"
    return "Notice" if line.channel_key in _NOTICE else "Consider"


def _lines_of(brief: Brief, step: str) -> list[str]:
    lines = [line.label for line in brief.media_plan if _step(line) == step]
    return [*lines, "Search"] if step == "Act" and brief.search else lines


def _leads_to(brief: Brief, step: str) -> str:
    if step == "Act":
        return md(brief.brief.primary_outcome) or f"`{brief.landing_url}`"
    return f"`{brief.landing_url}`"


def _next_steps(brief: Brief) -> str:
    tasks = sorted(task_list(brief), key=lambda task: task.due_on)
    rows = [
        [day(task.due_on), md(task.name), md(task.notes)]
        for task in tasks
        if task.due_on <= brief.flight_start
    ]
    gate = (
        "All lines are created paused or as drafts. A user with permission to spend sets them live "
        f"before {day(brief.flight_start)}."
    )
    return f"{gate}\n\n{table(['Due', 'Task', 'Notes'], rows)}" if rows else gate
