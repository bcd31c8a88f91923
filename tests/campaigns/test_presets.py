"""The sample campaigns: always ready to launch, complete, and strangers to each other."""

from collections import Counter
from datetime import date

import pytest

from campaigns.brief.presets import UnknownPreset, load_preset, preset_names
from campaigns.brief.rules import parse_brief
from campaigns.brief.schema import Brief
from tests.campaigns.briefs import TODAY, preset


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("today", [date(2026, 1, 1), date(2028, 2, 29), date(2031, 12, 31)])
def test_a_preset_can_be_launched_with_search_on_any_day(name: str, today: date) -> None:
    brief, warnings = parse_brief(load_preset(name, today), today=today, include_search=True)
    assert {finding.field for finding in warnings} == {"budget", "search.daily_budget"}
    assert brief.slug == name


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_leaves_no_field_empty(name: str) -> None:
    dumped = preset(name).model_dump()
    empty = [field for field, value in (dumped | dumped["brief"]).items() if value in ("", (), {}, None)]
    assert empty == []


def test_the_reference_campaign_has_its_exact_shape() -> None:
    brief = preset("aurora-one")
    lines = Counter((line.dsp, line.channel_key) for line in brief.media_plan)
    assert set(lines) == {
        ("TTD", "display"), ("TTD", "video"), ("TTD", "audio"), ("DV360", "ctv"), ("Amazon DSP", "display")
    }  # fmt: skip
    assert (brief.lines_total, brief.currency, len(brief.tasks)) == (750_000, "USD", 13)
    sizes = [(creative.size, creative.format) for creative in brief.creative_sizes]
    assert sizes == [
        ("300x250", "static"),
        ("728x90", "static"),
        ("160x600", "static"),
        ("1920x1080", "video"),
    ]


def test_the_presets_differ_in_brand_currency_and_time_zone() -> None:
    briefs = [preset(name) for name in preset_names()]
    assert len(briefs) >= 2
    for key in ("brand", "product", "currency", "timezone", "budget", "landing_url"):
        assert len({getattr(brief, key) for brief in briefs}) == len(briefs)


def test_an_unknown_preset_is_refused_with_the_known_names() -> None:
    with pytest.raises(UnknownPreset, match="aurora-one"):
        load_preset("../schema", TODAY)


def test_loading_twice_gives_two_briefs_of_ones_own() -> None:
    first = load_preset("aurora-one", TODAY)
    first["media_plan"].clear()
    assert len(Brief.model_validate(load_preset("aurora-one", TODAY)).media_plan) == 5
