"""The inputs of the launch form. Each is named by its dotted path in the brief, as in error messages.

They only hold text; the types and rules of the brief validate it.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from django import forms

from campaigns.brief.rules import BIDDING_STRATEGIES, DSP_CHANNELS

Chars = TypeVar("Chars", bound=forms.CharField)


class Lines(forms.CharField):
    """A list of texts, one per line."""

    widget = forms.Textarea(attrs={"rows": 3})


def text(
    label: str, width: int = 4, help: str = "", *, needed: bool = False, **attrs: Any
) -> forms.CharField:
    """Return a one-line field; `width` is in twelfths of the form's width."""
    return _labeled(forms.CharField(widget=forms.TextInput(attrs=attrs)), label, width, help, needed)


def area(label: str, width: int = 6, help: str = "", *, rows: int = 3) -> forms.CharField:
    """Return a field for longer text."""
    return _labeled(forms.CharField(widget=forms.Textarea(attrs={"rows": rows})), label, width, help, False)


def lines(label: str, width: int = 6, help: str = "One per line.") -> Lines:
    """Return a field for a list, one entry per line."""
    return _labeled(Lines(), label, width, help, False)


def choice(
    label: str, options: Iterable[tuple[str, str]], width: int = 4, help: str = "", *, needed: bool = False
) -> forms.CharField:
    """Return a field with a fixed list of options."""
    return _labeled(forms.CharField(widget=forms.Select(choices=list(options))), label, width, help, needed)


def day(label: str, width: int = 3, help: str = "", *, needed: bool = False) -> forms.CharField:
    """Return a field for a date."""
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return _labeled(forms.CharField(widget=widget), label, width, help, needed)


def _labeled(field: Chars, label: str, width: int, help: str, needed: bool) -> Chars:
    """Set what the templates read from a field; `width` and `needed` are attributes of our own."""
    field.label, field.help_text, field.required = label, help, False
    field.__dict__ |= {"width": f"w{width}", "needed": needed}
    return field


class DottedForm(forms.Form):
    """A part of the form; its inputs are named by their dotted path in the brief."""

    use_required_attribute = False

    def add_prefix(self, field_name: str) -> str:
        return f"{self.prefix}.{field_name}" if self.prefix else field_name

    def raw(self) -> dict[str, Any]:
        """Return the input in the form of a raw brief, without empty values."""
        values = {}
        for bound in self:
            value = (bound.value() or "").strip()
            if isinstance(bound.field, Lines):
                value = [line.strip() for line in value.splitlines() if line.strip()]
            if value:
                values[bound.name] = _whole(value) if bound.name in WHOLE else value
        return values


#: The brief's whole numbers; other text is passed on, so that the brief reports it.
WHOLE = {"year", "width", "height", "due_offset_days"}


def _whole(value: str) -> int | str:
    return int(value) if re.fullmatch(r"[+-]?\d{1,9}", value, re.ASCII) else value


class BasicsForm(DottedForm):
    """What is advertised, for how much, when and to whom."""

    brand = text("Brand", 4, needed=True)
    product = text("Product", 4, needed=True)
    price = text("Price", 4, "An amount in the currency below, or words.", inputmode="decimal")
    tagline = text("Tagline", 8)
    year = text("Campaign year", 4, inputmode="numeric")
    budget = text(
        "Total media budget",
        4,
        "The budgets of all lines must add up to it.",
        needed=True,
        inputmode="decimal",
    )
    currency = text("Currency", 2, "ISO 4217.", needed=True, placeholder="USD", maxlength=3)
    landing_url = text("Landing page", 6, "https only.", needed=True, type="url")
    flight_start = day("Flight start", needed=True)
    flight_end = day("Flight end", 3, "Includes this day.", needed=True)
    timezone = text("Time zone", 6, "All dates are in this time zone.", needed=True, list="zones")
    launch_event = text("Launch event", 12)
    target_audience = area("Target audience", 12)
    objectives = lines("Objectives")
    channels = lines("Channels")


class KpiForm(DottedForm):
    """A target of the whole campaign."""

    name = text("KPI", 6, placeholder="impressions")
    value = text("Target", 6, placeholder="62,500,000")


class LineForm(DottedForm):
    """One line of the media plan."""

    channel = text("Channel", 3, needed=True, list="channel-names")
    dsp = choice("DSP", [("", "Choose a DSP"), *((name, name) for name in DSP_CHANNELS)], 3, needed=True)
    budget = text("Budget", 3, needed=True, inputmode="decimal")
    kpi_target = text("KPI target", 3, placeholder="CTR 0.35%, CPM 7.50")
    tactic = text("Tactic", 6)
    sizes = text("Creative sizes", 6, placeholder="300x250, 728x90")


class SizeForm(DottedForm):
    """One creative to be made."""

    name = text("Name", 5)
    width = text("Width, pixels", 2, needed=True, inputmode="numeric")
    height = text("Height, pixels", 2, needed=True, inputmode="numeric")
    format = choice("Format", [("static", "static"), ("video", "video")], 3)


class SearchForm(DottedForm):
    """The search campaign."""

    daily_budget = text("Daily budget", 3, "On top of the media plan.", inputmode="decimal")
    bidding_strategy = choice(
        "Bidding strategy",
        [("", "Default (maximize conversions)"), *((name, name) for name in sorted(BIDDING_STRATEGIES))],
        6,
    )
    target_cpa = text("Target CPA", 3, "For TARGET_CPA.", inputmode="decimal")
    seed_keywords = lines("Seed keywords", 4)
    negative_keywords = lines("Negative keywords", 4)
    competitors = lines("Competitors", 4)


class TextForm(DottedForm):
    """The written brief."""

    executive_summary = area("Executive summary", 6, rows=4)
    why_now = area("Why now", 6, rows=4)
    primary_outcome = area("Primary outcome", 6)
    message_pillars = lines("Message pillars", 6)
    value_proposition = area("Value proposition")
    reason_to_believe = area("Reason to believe")


class AudienceForm(DottedForm):
    """The audience of the campaign."""

    primary = area("Primary audience")
    secondary = area("Secondary audience")
    targeting = area("Targeting")
    exclusions = area("Exclusions")


class ComplianceForm(DottedForm):
    """Legal and brand requirements."""

    privacy_stance = area("Privacy stance", 6)
    disclosures = area("Disclosures", 6)
    words_to_avoid = lines("Words to avoid", 12)


class TaskForm(DottedForm):
    """One task of the project."""

    name = text("Task", 6, needed=True)
    due_offset_days = text(
        "Due, days from flight start", 3, "Negative: before the start.", inputmode="numeric"
    )
    due_on = day("Or due on")
    notes = area("Notes", 12, rows=2)
