"""The record of an activation: who set which lines live, when, and their total budget."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from campaigns.brief.schema import Brief
from campaigns.documents.text import bullets, md, money, table
from jobs.engine.results import SpendLine

SEARCH_STAYS = "Flightplan cannot change its status: it stays paused until you set it live in Google Ads."
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
    """Return an activation's record as Markdown.

    `states` maps items to their status where one is known, `live` are the items that are live, `why` maps
    line names to the reason why a line is not live; `at` is the time of the confirmation in UTC.
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
        parts.append("Simulated lines buy no ads and spend no money, whatever their status.")
    if why:
        parts += ["## Not live, or unknown", bullets(f"{name}: {reason}" for name, reason in why.items())]
    if brief.search:
        parts.append(f"The search campaign is not included. {SEARCH_STAYS}")
    return "\n\n".join(parts)


def sums(lines: Sequence[SpendLine]) -> list[str]:
    """Return the sum of the budgets in each currency, formatted."""
    found: dict[str, Decimal] = {}
    for line in lines:
        found[line.currency] = found.get(line.currency, Decimal(0)) + Decimal(line.budget)
    return [f"{money(found[currency], currency)} {currency}" for currency in sorted(found)]


def _row(line: SpendLine, states: Mapping[str, str]) -> list[str]:
    budget = f"{money(Decimal(line.budget), line.currency)} {line.currency}"
    flight = f"{line.start} to {line.end} ({line.timezone})"
    cells = [line.name, line.server, line.remote_id, states.get(line.item, "not live"), line.source]
    return [*map(md, cells), md(budget), md(flight)]
