"""The brief document: its chapters, its sums, and honest gaps."""

import re

import pytest

from campaigns.brief.presets import preset_names
from campaigns.documents.brief import render_brief
from tests.campaigns.briefs import brief_of, preset

CHAPTERS = [
    "1. Metadata",
    "2. Executive summary",
    "3. Business context",
    "4. Objectives and KPIs",
    "5. Audience and targeting",
    "6. Offer, proposition and proof",
    "7. Messaging framework",
    "8. Creative requirements",
    "9. Channels and media plan",
    "10. Experience and funnel",
    "Next steps",
]


def test_it_has_the_ten_chapters_and_the_next_steps_in_order() -> None:
    assert re.findall(r"^## (.+)$", render_brief(brief_of()), re.MULTILINE) == CHAPTERS


@pytest.mark.parametrize("name", preset_names())
def test_a_full_brief_leaves_no_gap(name: str) -> None:
    text = render_brief(preset(name))
    assert "Not given" not in text
    for sentence in (preset(name).brief.value_proposition, preset(name).brief.why_now, preset(name).tagline):
        assert sentence in text


def test_a_brief_without_text_says_so_instead_of_inventing() -> None:
    assert render_brief(brief_of()).count("_Not given in the brief._") > 8


def test_the_plan_shows_its_total_its_implications_and_search_beside_it() -> None:
    text = render_brief(preset("aurora-one"))
    assert "| **TOTAL** | – | – | **$750,000** |" in text
    assert "impressions 20,000,000, CPC $2.14" in text
    assert "$450 a day over 42 days: $18,900 on top of this total, $768,900 in total" in text
    assert "these targets imply CPM $12, CPC $1.67, CPA $125" in text


def test_dates_are_iso_with_the_time_zone_named() -> None:
    text = render_brief(brief_of())
    assert "2027-05-01 to 2027-05-30 (Europe/Berlin), 30 days including both end dates" in text


def test_the_funnel_puts_every_line_on_one_step() -> None:
    text = render_brief(preset("aurora-one")).partition("## 10.")[2]
    for line in preset("aurora-one").media_plan:
        assert text.count(line.label) == 1
