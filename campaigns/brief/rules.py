"""The planner's rules: the errors that prevent a launch, and the warnings that a planner should see."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from campaigns.brief.findings import Finding, InvalidBrief, faults
from campaigns.brief.kpis import Kpi, figure, implied, parse_figure, parse_kpis, unreadable
from campaigns.brief.schema import DSP_NAMES, Brief, Line, SearchSettings
from campaigns.brief.wording import check_wording
from campaigns.documents.text import count, money
from campaigns.documents.words import found_words

# --- Market figures from secondary sources: change them here ---
#: What each DSP sells.
DSP_CHANNELS: Mapping[str, frozenset[str]] = {
    "TTD": frozenset({"display", "native", "video", "audio", "ctv", "dooh"}),
    "DV360": frozenset({"display", "native", "video", "audio", "ctv", "dooh", "youtube"}),
    "Amazon DSP": frozenset({"display", "video", "audio", "ctv"}),
}
#: The usual minimum spend of one campaign.
DSP_MINIMUM: Mapping[str, Decimal] = {
    "TTD": Decimal(10_000),
    "DV360": Decimal(5_000),
    "Amazon DSP": Decimal(15_000),
}
#: The total from which each approval is recommended, highest first.
APPROVAL_TIERS: tuple[tuple[Decimal, str], ...] = (
    (Decimal(1_000_000), "VP"),
    (Decimal(250_000), "director"),
    (Decimal(50_000), "manager"),
)
#: The lowest and highest plausible figures; costs in the brief's currency, rates in percent.
PLAUSIBLE: Mapping[str, tuple[Decimal, Decimal]] = {
    "CPM": (Decimal("0.5"), Decimal(120)),
    "CPC": (Decimal("0.05"), Decimal(60)),
    "CPA": (Decimal(1), Decimal(2_000)),
    "CPCV": (Decimal("0.005"), Decimal(1)),
    "CTR": (Decimal("0.01"), Decimal(10)),
    "VCR": (Decimal(10), Decimal(100)),
    "LTR": (Decimal(10), Decimal(100)),
    "viewability": (Decimal(10), Decimal(100)),
    "ROAS": (Decimal("0.1"), Decimal(50)),
}
BIDDING_STRATEGIES = frozenset(
    {
        "MANUAL_CPC",
        "MAXIMIZE_CLICKS",
        "MAXIMIZE_CONVERSIONS",
        "MAXIMIZE_CONVERSION_VALUE",
        "TARGET_CPA",
        "TARGET_IMPRESSION_SHARE",
        "TARGET_ROAS",
    }
)
# -----------------------------------------------------------------------
MISREAD = "cannot be read at {}: write plain numbers above 0, such as 1.5, 0.4% or 25,000"


def parse_brief(raw: Any, *, today: date, include_search: bool) -> tuple[Brief, list[Finding]]:
    """Return the brief in a JSON object and the warnings about it. Raises only InvalidBrief."""
    if not isinstance(raw, Mapping):
        raise InvalidBrief([Finding("error", "", "a brief must be a JSON object")])
    try:
        brief = Brief.model_validate(dict(raw))
    except ValidationError as error:
        raise InvalidBrief(faults(error)) from error
    findings = check(brief, today=today, include_search=include_search)
    if any(finding.level == "error" for finding in findings):
        raise InvalidBrief(findings)
    return brief, findings


def check(brief: Brief, *, today: date, include_search: bool) -> list[Finding]:
    """Return every finding about a brief that starts today or later, errors first."""
    found = [*_dates(brief, today), *_money(brief, include_search), *_kpis(brief)]
    for index, line in enumerate(brief.media_plan):
        found += _line(brief, line, f"media_plan.{index}")
    if include_search:
        found += _search(brief)
    found += check_wording(brief, include_search)
    return sorted(found, key=lambda finding: finding.level != "error")


def _error(field: str, message: str) -> Finding:
    return Finding("error", field, message)


def _warning(field: str, message: str) -> Finding:
    return Finding("warning", field, message)


def _dates(brief: Brief, today: date) -> Iterator[Finding]:
    if brief.flight_end <= brief.flight_start:
        yield _error("flight_end", f"must be after the flight's start on {brief.flight_start}")
    if brief.flight_start < today:
        yield _error("flight_start", f"must not be in the past: today is {today}")
    if brief.year is not None and not brief.flight_start.year <= brief.year <= brief.flight_end.year:
        yield _warning("year", f"the flight does not include {brief.year}")
    for index, task in enumerate(brief.tasks):
        if (due := task.due(brief.flight_start)) < today:
            yield _warning(f"tasks.{index}", f"is due on {due}, before today")


def _money(brief: Brief, include_search: bool) -> Iterator[Finding]:
    lines, budget = brief.lines_total, brief.budget
    if lines != budget:
        apart = money(abs(lines - budget), brief.currency) + (" above" if lines > budget else " below")
        yield _error(
            "media_plan",
            f"the budgets of the lines sum to {money(lines, brief.currency)}, "
            f"{apart} the total budget of {money(budget, brief.currency)}",
        )
    search = brief.search_spend if include_search else Decimal(0)
    tier = next((who for amount, who in APPROVAL_TIERS if budget + search >= amount), None)
    if tier:
        total = money(budget + search, brief.currency) + (", search included," if search else "")
        yield _warning("budget", f"a total of {total} requires approval by a {tier}")


def _line(brief: Brief, line: Line, field: str) -> Iterator[Finding]:
    sold = DSP_CHANNELS.get(line.dsp)
    if sold is None:
        known = ", ".join(sorted(set(DSP_NAMES.values())))
        yield _error(f"{field}.dsp", f"{line.dsp} is not a known DSP; known are {known}")
    elif line.channel_key not in sold:
        sells = ", ".join(sorted(sold))
        yield _error(f"{field}.channel", f"{line.dsp} does not sell {line.channel}; it sells {sells}")
    minimum = DSP_MINIMUM.get(line.dsp, Decimal(0))
    if line.budget < minimum:
        usual = f"the usual minimum of {line.dsp}, {count(minimum)} a campaign"
        yield _warning(f"{field}.budget", f"{money(line.budget, brief.currency)} is below {usual}")
    for index, size in enumerate(line.sizes):
        if not brief.creatives([size]):
            yield _error(f"{field}.sizes.{index}", f"{size} is not among the creatives (creative_sizes)")
    if line.kpi_target:
        kpis = parse_kpis(line.kpi_target)
        if wrong := unreadable(line.kpi_target):
            yield _error(f"{field}.kpi_target", MISREAD.format(wrong))
        elif not kpis:
            yield _error(f"{field}.kpi_target", 'must be a KPI with a figure, such as "CTR 0.4%"')
        yield from _doubts(f"{field}.kpi_target", kpis, line.budget, brief.currency)


def _doubts(field: str, kpis: list[Kpi], budget: Decimal, currency: str) -> Iterator[Finding]:
    """Return warnings for implausible targets, and for targets that imply an implausible figure."""
    for kpi in kpis:
        if not _plausible(kpi):
            yield _warning(field, f"a {kpi.metric} of {figure(kpi, currency)} is implausible")
    for kpi in implied(budget, kpis):
        if not _plausible(kpi):
            told = f"{figure(kpi, currency)} on {money(budget, currency)}"
            yield _warning(field, f"implies a {kpi.metric} of {told}, which is implausible")


def _plausible(kpi: Kpi) -> bool:
    low, high = PLAUSIBLE.get(kpi.metric, (Decimal(0), kpi.value))
    return low <= kpi.value <= high


def _kpis(brief: Brief) -> Iterator[Finding]:
    """Check the campaign's own KPIs, which apply to the whole budget."""
    read = {name: parse_figure(name, text) for name, text in brief.kpis.items()}
    for name, kpi in read.items():
        if wrong := unreadable(brief.kpis[name]):
            yield _error(f"kpis.{name}", MISREAD.format(wrong))
        elif kpi is None:
            yield _error(f"kpis.{name}", "must contain a figure, such as 0.4% or 25,000")
    yield from _doubts("kpis", [kpi for kpi in read.values() if kpi], brief.budget, brief.currency)


def _search(brief: Brief) -> Iterator[Finding]:
    search = brief.search
    if search is None:
        yield _error("search", "is needed for a search campaign")
        return
    if search.bidding_strategy not in BIDDING_STRATEGIES:
        yield _error("search.bidding_strategy", f"must be one of {', '.join(sorted(BIDDING_STRATEGIES))}")
    if search.bidding_strategy == "TARGET_CPA" and search.target_cpa is None:
        yield _error("search.target_cpa", "is needed for the bidding strategy TARGET_CPA")
    for name in ("competitors", "seed_keywords", "negative_keywords"):
        for index, keyword in enumerate(getattr(search, name)):
            if len(keyword) > 80 or len(keyword.split()) > 10:
                yield _error(f"search.{name}.{index}", "must be at most 80 characters and 10 words")
    yield from _blocked(search)
    yield _warning(
        "search.daily_budget",
        f"search spends {money(search.daily_budget, brief.currency)} x {brief.flight_days} days = "
        f"{money(brief.search_spend, brief.currency)} on top of the media plan; both together "
        f"{money(brief.budget + brief.search_spend, brief.currency)}",
    )


def _blocked(search: SearchSettings) -> Iterator[Finding]:
    """Return errors for negative keywords that block a keyword of the campaign."""
    for index, negative in enumerate(search.negative_keywords):
        held = next((seed for seed in search.seed_keywords if found_words(seed, [negative])), None)
        if held:
            yield _warning(f"search.negative_keywords.{index}", f"blocks the keyword {held}")
