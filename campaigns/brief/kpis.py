"""KPI targets as people write them ("CTR 0.4%, CPM 12"), as numbers, and what they imply for a budget."""

import re
from dataclasses import dataclass
from decimal import Decimal

from campaigns.documents.text import count, money

#: The spellings of each metric that can be calculated with, and its short name.
METRICS = {
    "ctr": "CTR",
    "click-through rate": "CTR",
    "click through rate": "CTR",
    "vcr": "VCR",
    "vtr": "VCR",
    "video completion rate": "VCR",
    "completion rate": "VCR",
    "ltr": "LTR",
    "acr": "LTR",
    "listen-through rate": "LTR",
    "audio completion rate": "LTR",
    "viewability": "viewability",
    "roas": "ROAS",
    "cpm": "CPM",
    "ecpm": "CPM",
    "vcpm": "CPM",
    "cpc": "CPC",
    "cpcv": "CPCV",
    "cpv": "CPCV",
    "cpa": "CPA",
    "cost per acquisition": "CPA",
    "impressions": "impressions",
    "imps": "impressions",
    "clicks": "clicks",
    "visits": "clicks",
    "completed views": "completed views",
    "conversions": "conversions",
    "orders": "conversions",
    "sales": "conversions",
    "purchases": "conversions",
    "acquisitions": "conversions",
    "leads": "conversions",
    "sign-ups": "conversions",
}
RATES = frozenset({"CTR", "VCR", "LTR", "viewability"})
_SCALE = {"k": 1_000, "m": 1_000_000, "mm": 1_000_000, "bn": 1_000_000_000, "b": 1_000_000_000}
_NUMBER = re.compile(
    r"(?P<digits>\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,6})?|\d{1,15}(?:\.\d{1,6})?)"
    r"\s*(?P<scale>(?:k|mm|m|bn|b)\b)?\s*(?P<percent>%)?",
    re.ASCII | re.IGNORECASE,
)
#: A sign, an exponent or a decimal comma: reading only the first digits would change the number.
_MISREAD = re.compile(r"(?<![\w.,])[-−]\d[\d.,]*|\d[\d.]*e[+-]?\d+|(?<![\d,.])\d+,\d{1,2}(?![\d])", re.ASCII)
_NAMES = re.compile(
    r"(?<![\w-])("
    + "|".join(re.escape(name) for name in sorted(METRICS, key=len, reverse=True))
    + r")(?![\w-])"
)


@dataclass(frozen=True)
class Kpi:
    """One target. A rate's value is in percent, a cost's in the brief's currency."""

    metric: str
    value: Decimal


def parse_kpis(text: str) -> list[Kpi]:
    """Return the targets in a text, each a name with a number; empty if there are none."""
    pieces = re.split(r";|\||/| \+ | and | & |,(?!\d{3}(?!\d))", text.casefold())
    return [kpi for piece in pieces if (kpi := _one(piece)) is not None]


def unreadable(text: str) -> str:
    """Return the first number in a text that would be misread ("-1", "1e9", "1,5"), or ""."""
    match = _MISREAD.search(text.casefold())
    return match.group().strip() if match else ""


def parse_figure(metric: str, text: str) -> Kpi | None:
    """Return the target of a KPI with its name, as in `kpis`, or None without a number."""
    named = METRICS.get(re.sub(r"[\s_]+", " ", metric.casefold()).strip(), metric)
    match = _NUMBER.search(text.casefold())
    return Kpi(named, _value(match, named)) if match else None


def _one(piece: str) -> Kpi | None:
    number = _NUMBER.search(piece)
    if number is None:
        return None
    words = piece[: number.start()] + " " + piece[number.end() :]
    if known := _NAMES.search(words):
        return Kpi(METRICS[known[1]], _value(number, METRICS[known[1]]))
    other = re.sub(r"[^\w\s-]|\d", " ", words).strip()
    return Kpi(" ".join(other.split()), _value(number, other)) if re.search(r"[^\W\d_]{2,}", other) else None


def _value(match: re.Match[str], metric: str) -> Decimal:
    value = Decimal(match["digits"].replace(",", "")) * _SCALE.get(match["scale"] or "", 1)
    # A rate below 1 without a percent sign is a share: 0.7 of all views, not 0.7 %; not so a CTR.
    if metric in RATES - {"CTR"} and not match["percent"] and value <= 1:
        return value * 100
    return value


def implied(budget: Decimal, kpis: list[Kpi]) -> list[Kpi]:
    """Return what the targets imply for the budget: costs for volumes, and volumes for costs."""
    have = {kpi.metric: kpi.value for kpi in kpis if kpi.value > 0}
    found: dict[str, Decimal] = {}
    if "CPM" not in have and "impressions" in have:
        found["CPM"] = budget * 1000 / have["impressions"]
    cpm = have.get("CPM", found.get("CPM"))
    if "CPM" in have and "impressions" not in have:
        found["impressions"] = budget * 1000 / have["CPM"]
    if "CPC" not in have:
        if "clicks" in have:
            found["CPC"] = budget / have["clicks"]
        elif cpm is not None and "CTR" in have:
            found["CPC"] = cpm / (10 * have["CTR"])
    elif "clicks" not in have:
        found["clicks"] = budget / have["CPC"]
    if "CPA" not in have and "conversions" in have:
        found["CPA"] = budget / have["conversions"]
    elif "CPA" in have and "conversions" not in have:
        found["conversions"] = budget / have["CPA"]
    if "CPCV" not in have and "completed views" in have:
        found["CPCV"] = budget / have["completed views"]
    return [Kpi(metric, value) for metric, value in found.items()]


def figure(kpi: Kpi, currency: str) -> str:
    """Format a KPI's value: money for a cost, percent for a rate, otherwise a number."""
    if kpi.metric in RATES:
        return f"{kpi.value.quantize(Decimal('0.01')).normalize():f}%"
    if kpi.metric.startswith("CP"):
        return money(kpi.value.quantize(Decimal("0.01")), currency)
    return f"{kpi.value.normalize():f}" if kpi.value < 100 else count(kpi.value)
