"""The brief's fields: what is read, what is refused, and in which words."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.brief.findings import InvalidBrief
from campaigns.brief.rules import parse_brief
from campaigns.brief.schema import Brief
from tests.campaigns.briefs import TODAY, brief_of, briefs, raw_brief


def faults_of(raw: Any, include_search: bool = False) -> dict[str, str]:
    with pytest.raises(InvalidBrief) as caught:
        parse_brief(raw, today=TODAY, include_search=include_search)
    return {finding.field: finding.message for finding in caught.value.errors}


def test_the_least_brief_is_read_with_neutral_defaults() -> None:
    brief = brief_of()
    assert (brief.tagline, brief.objectives, brief.search, brief.tasks) == ("", (), None, ())
    assert brief.budget == Decimal(60000)
    assert brief.flight_days == 30


def test_a_brief_survives_the_way_through_json() -> None:
    brief = brief_of(price=12.5, kpis={"CTR": 0.4})
    assert Brief.model_validate_json(brief.model_dump_json()) == brief
    assert Brief.model_validate(brief.model_dump(mode="json")) == brief


@pytest.mark.parametrize(
    "field",
    [
        "brand",
        "product",
        "currency",
        "budget",
        "flight_start",
        "flight_end",
        "timezone",
        "landing_url",
        "media_plan",
        "creative_sizes",
    ],
)
def test_what_a_launch_needs_is_asked_for_by_name(field: str) -> None:
    assert faults_of(raw_brief(**{field: None})) == {field: "is required"}


def test_ten_fields_are_needed_and_no_more() -> None:
    assert sum(field.is_required() for field in Brief.model_fields.values()) == len(raw_brief()) == 10


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"budget": 0}, "budget", "must be a number above 0"),
        ({"budget": True}, "budget", "must be a number above 0"),
        ({"budget": "lots"}, "budget", "must be a number above 0"),
        ({"budget": float("nan")}, "budget", "must be a number above 0"),
        ({"budget": 10**400}, "budget", "must be a number above 0"),
        ({"budget": "1e5"}, "budget", "must be a number above 0"),
        ({"budget": 10.005}, "budget", "must have at most 2 decimals"),
        ({"currency": "DEM"}, "currency", "must be a currency code of ISO 4217, such as USD or EUR"),
        ({"timezone": "Mars/Base"}, "timezone", "must be a time zone name, such as Europe/Berlin"),
        ({"timezone": "../etc/passwd"}, "timezone", "must be a time zone name, such as Europe/Berlin"),
        ({"flight_start": "01.05.2027"}, "flight_start", "must be a date written YYYY-MM-DD"),
        ({"flight_start": "2027-02-30"}, "flight_start", "must be a valid date"),
        ({"flight_start": 1798761600}, "flight_start", "must be a date written YYYY-MM-DD"),
        ({"brand": " \n "}, "brand", "must not be empty"),
        ({"brand": "x" * 121}, "brand", "must have at most 120 characters"),
        ({"brand": 7}, "brand", "must be text"),
        ({"brand": b"x"}, "brand", "must be text"),
        ({"brand": "\ud800"}, "brand", "must not contain control characters or line breaks here"),
        ({"objectives": ["a"] * 51}, "objectives", "must have at most 50 entries"),
        ({"brand": "a\x00b"}, "brand", "must not contain control characters or line breaks here"),
        ({"brand": "a\u202eb"}, "brand", "must not contain control characters or line breaks here"),
        (
            {"target_audience": "a\x1bb"},
            "target_audience",
            "must not contain control characters or line breaks",
        ),
        ({"media_plan": []}, "media_plan", "must not be empty"),
        ({"media_plan": "all"}, "media_plan", "must be a list"),
        ({"flightStart": "2027-05-01"}, "flightStart", "is not a field of the brief"),
        (
            {"creative_sizes": [{"name": "x", "width": 8, "height": 90}]},
            "creative_sizes.0.width",
            "must be at least 40",
        ),
        ({"tasks": [{"name": "x"}]}, "tasks.0", "must have either due_on or due_offset_days, and not both"),
        ({"kpis": {"CTR": ["0.4%"]}}, "kpis.CTR", "must be text"),
    ],
)
def test_a_fault_names_its_field_in_human_words(change: dict[str, Any], field: str, message: str) -> None:
    assert faults_of(raw_brief(**change))[field] == message


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "https://",
        "https://localhost",
        "https://user:pw@a.example/",
        "javascript:alert(1)",
        "https://a.example/ b",
        "https://[::1",
        'https://a.example/"onload="x',
        "https://a.example:99999999/",
    ],
)
def test_a_landing_url_is_an_https_address_of_a_named_host(url: str) -> None:
    assert "landing_url" in faults_of(raw_brief(landing_url=url))


def test_a_fault_in_a_line_is_found_by_its_number() -> None:
    plan = [*raw_brief()["media_plan"], {"channel": "Audio", "dsp": "TTD", "budget": -1}]
    assert faults_of(raw_brief(media_plan=plan)) == {"media_plan.2.budget": "must be a number above 0"}


@pytest.mark.parametrize(
    ("field", "item"),
    [
        ("media_plan", {"channel": "display", "dsp": "The Trade Desk", "tactic": "prospecting", "budget": 1}),
        ("creative_sizes", {"name": "rectangle!", "width": 728, "height": 90}),
    ],
)
def test_what_would_share_one_key_is_refused_as_repeated(field: str, item: dict[str, Any]) -> None:
    assert "numbers 1 and" in faults_of(raw_brief(**{field: [*raw_brief()[field], item]}))[field]


def test_names_of_dsps_and_channels_are_understood_as_people_write_them() -> None:
    plan = [
        {
            "channel": "Connected TV",
            "dsp": "the trade desk",
            "budget": "60,000",
            "sizes": "300 × 250, Rectangle",
        }
    ]
    line = brief_of(media_plan=plan).media_plan[0]
    assert (line.dsp, line.channel_key, line.budget) == ("TTD", "ctv", Decimal(60000))
    assert [creative.size for creative in brief_of().creatives(line.sizes)] == ["300x250"]


@pytest.mark.parametrize(
    ("brand", "product", "slug"),
    [
        ("Aurora", "One", "aurora-one"),
        ("Aurora", "Aurora One", "aurora-one"),
        ("Jaén", "Öl", "jaen-ol"),
    ],
)
def test_the_slug_is_brand_and_product_once(brand: str, product: str, slug: str) -> None:
    assert brief_of(brand=brand, product=product).slug == slug


def test_names_with_equal_latin_spellings_get_different_slugs() -> None:
    slugs = {brief_of(product=name).slug for name in ("茶", "查", "cha")}
    assert len(slugs) == 3


def test_a_name_without_letters_still_gets_a_slug_of_its_own() -> None:
    assert brief_of(brand="🎉", product="🎈").slug != brief_of(brand="🎉", product="🎁").slug != ""


def test_a_task_is_due_on_its_day_or_so_many_days_from_the_start() -> None:
    tasks = [{"name": "a", "due_offset_days": -3}, {"name": "b", "due_on": "2027-05-09"}]
    first, second = brief_of(tasks=tasks).tasks
    assert first.due(date(2027, 5, 1)) == date(2027, 4, 28)
    assert second.due(date(2027, 5, 1)) == date(2027, 5, 9)


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_fields = st.sampled_from(sorted(Brief.model_fields))


@settings(max_examples=50, deadline=None)
@given(st.one_of(_json, st.dictionaries(_fields, _json).map(lambda wild: raw_brief() | wild)), st.booleans())
def test_wild_json_is_a_brief_or_an_invalid_one_and_nothing_else(raw: Any, include_search: bool) -> None:
    try:
        brief, findings = parse_brief(raw, today=TODAY, include_search=include_search)
    except InvalidBrief as error:
        assert error.errors
        assert all(finding.message for finding in error.findings)
    else:
        assert all(finding.level == "warning" for finding in findings)
        assert brief.budget == brief.lines_total


@settings(max_examples=50, deadline=None)
@given(briefs(), st.booleans())
def test_any_brief_its_types_allow_is_judged_and_kept_whole(brief: Brief, include_search: bool) -> None:
    raw = brief.model_dump(mode="json")
    assert Brief.model_validate(raw) == brief
    try:
        parse_brief(raw, today=TODAY, include_search=include_search)
    except InvalidBrief as error:
        assert error.errors
