"""The record of an activation: who set which lines live, when, and what they come to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from campaigns.brief.schema import Brief
from campaigns.documents.text import bullets, md, money, table
from jobs.engine.results import SpendLine

SEARCH_STAYS = (
    "Flightplan has no tool for the status of one: it stays paused until it is set live in Google Ads itself."
)
TITLE = "Activation: which lines are live"


def render_activation(
    brief: Brief,
    lines: Sequence[SpendLine],
    states: Mapping[str, str],
    *,
    live: Sequence[str],
    by: str,
    at: datetime | None,
    why: Mapping[str, str],
) -> str:
    """Markdown on an activation.

    `states` gives the status of each item of which there is something to say, `live` the items that are live,
    `why` what kept a line (by name) from it; `at` is when it was confirmed, in UTC.
    """
    reached = [line for line in lines if line.item in live]
    facts = [
        ["Campaign", md(brief.title)],
        ["Confirmed by", md(by)],
        ["Confirmed at", f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""],
        ["Lines live", f"{len(reached)} of {len(lines)}"],
        *(["Budget live", md(total)] for total in sums(reached)),
        *(["Budget confirmed", md(total)] for total in sums(lines)),
    ]
    parts = ["# Activation", table(["Item", "Value"], facts), "## Lines"]
    head = ["Line", "DSP", "Identifier", "Status", "Source", "Budget", "Flight"]
    parts.append(table(head, [_row(line, states) for line in lines]))
    if any(line.source == "simulated" for line in lines):
        parts.append("Simulated lines buy no ad: no money moves, whatever their status.")
    if why:
        parts += ["## Not live, or unknown", bullets(f"{name}: {reason}" for name, reason in why.items())]
    if brief.search:
        parts.append(f"No search campaign is part of this. {SEARCH_STAYS}")
    return "\n\n".join(parts)


def sums(lines: Sequence[SpendLine]) -> list[str]:
    """The sum of the budgets for each currency, as money."""
    found: dict[str, Decimal] = {}
    for line in lines:
        found[line.currency] = found.get(line.currency, Decimal(0)) + Decimal(line.budget)
    return [f"{money(found[currency], currency)} {currency}" for currency in sorted(found)]


def _row(line: SpendLine, states: Mapping[str, str]) -> list[str]:
    budget = f"{money(Decimal(line.budget), line.currency)} {line.currency}"
    flight = f"{line.start} to {line.end} ({line.timezone})"
    cells = [line.name, line.server, line.remote_id, states.get(line.item, "not live"), line.source]
    return [*map(md, cells), md(budget), md(flight)]
