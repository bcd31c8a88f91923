"""The search campaign: ads and keywords within their limits whatever the brief says."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.brief.presets import preset_names
from campaigns.brief.schema import Brief
from campaigns.documents.copywriting import ad_length, fit
from campaigns.documents.search import Ad, check_ad, keyword_text, render_search, search_plan
from campaigns.documents.words import found_words
from tests.campaigns.briefs import brief_of, briefs, preset

CAMPAIGN = {
    "name", "daily_budget", "currency", "start_date", "end_date", "bidding_strategy", "target_cpa",
    "contains_eu_political_advertising", "negative_keywords", "status",
}  # fmt: skip
SOUND = Ad(("One", "Two", "Three"), ("First.", "Second."), "a", "b", "https://a.example/")


@settings(max_examples=50, deadline=None)
@given(briefs())
def test_ads_and_keywords_of_any_brief_are_within_the_limits(brief: Brief) -> None:
    plan = search_plan(brief)
    assert len(plan.ad_groups) >= 2
    for group in plan.ad_groups:
        assert [fault for ad in group.ads for fault in check_ad(ad)] == []
        assert all(ad.path1 for ad in group.ads)
        assert group.keywords
        assert len({keyword.slug for keyword in group.keywords}) == len(group.keywords)
        for keyword in group.keywords:
            assert 0 < len(keyword.text) <= 80 and len(keyword.text.split()) <= 10


@given(st.text(max_size=200), st.integers(1, 90))
@settings(max_examples=50, deadline=None)
def test_a_cut_text_fits_and_keeps_whole_words(text: str, limit: int) -> None:
    short = fit(text, limit)
    assert ad_length(short) <= limit
    if short and ad_length(text.split()[0]) <= limit:
        assert set(short.split()[:-1]) <= set(text.split())


@pytest.mark.parametrize("name", preset_names())
def test_the_copy_is_the_brands_own_and_reads_whole(name: str) -> None:
    brief = preset(name)
    own = " ".join(brief.model_dump_json().casefold().split())
    for group in search_plan(brief).ad_groups:
        for ad in group.ads:
            assert len(ad.headlines) >= 7 and len(ad.descriptions) == 4
            for text in ad.descriptions:
                assert text.casefold() in own
            for rival in brief.search.competitors:
                assert found_words("\n".join([*ad.headlines, *ad.descriptions]), [rival]) == []


def test_the_campaign_is_paused_and_always_says_whether_it_is_political() -> None:
    plan = search_plan(preset("aurora-one"))
    assert set(plan.campaign) == CAMPAIGN
    assert plan.campaign["contains_eu_political_advertising"] is False
    assert plan.campaign["status"] == "PAUSED"
    assert "target_cpa" not in search_plan(preset("casa-olmeda-early-harvest")).campaign


def test_negative_keywords_are_sent_with_the_campaign() -> None:
    plan = search_plan(
        brief_of(search={"daily_budget": 5, "negative_keywords": ["Free!", "free", "second-hand"]})
    )
    assert plan.campaign["negative_keywords"] == ["free", "second-hand"] == list(plan.negative_keywords)


def test_groups_are_brand_category_and_competitors_where_there_are_any() -> None:
    named = [group.name for group in search_plan(preset("aurora-one")).ad_groups]
    assert named == ["Brand and product", "Category", "Competitors"]
    assert [group.name for group in search_plan(brief_of(search={"daily_budget": 5})).ad_groups] == named[:2]


def test_a_brief_without_search_settings_has_no_search_plan() -> None:
    with pytest.raises(ValueError, match="no search settings"):
        search_plan(brief_of())


def test_words_to_avoid_are_left_out_of_the_ads() -> None:
    brief = brief_of(
        search={"daily_budget": 5},
        tagline="Work standing",
        brief={
            "message_pillars": ["Quiet motor", "Solid oak"],
            "compliance": {"words_to_avoid": ["discover", "details"]},
        },
    )
    for group in search_plan(brief).ad_groups:
        for ad in group.ads:
            assert found_words("\n".join([*ad.headlines, *ad.descriptions]), ["discover", "details"]) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"headlines": ("One", "Two")}, "2 headlines, not 3 to 15"),
        ({"headlines": ("One", "one", "Two")}, "headlines that repeat"),
        ({"headlines": ("x" * 31, "b", "c")}, "headline over 30 characters"),
        ({"headlines": ("東" * 16, "b", "c")}, "headline over 30 characters"),
        ({"headlines": tuple(map(str, range(16)))}, "16 headlines"),
        ({"descriptions": ("one",)}, "1 descriptions, not 2 to 4"),
        ({"descriptions": ("one", "x" * 91)}, "description over 90"),
        ({"descriptions": ("one", " ")}, "empty descriptions"),
        ({"path1": "x" * 16}, "path over 15"),
        ({"path1": ""}, "path2 without path1"),
        ({"final_url": "http://a.example"}, "no https final URL"),
    ],
)
def test_an_ad_outside_the_limits_is_refused_with_the_reason(change: dict[str, object], fault: str) -> None:
    assert check_ad(SOUND) == []
    assert fault in " ".join(check_ad(replace(SOUND, **change)))


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("  Stand-up DESK! ", "stand-up desk"),
        ("a@b*c", "a b c"),
        ("- & '", ""),
        ("w " * 12, "w w w w w w w w w w"),
    ],
)
def test_a_keyword_holds_what_keywords_may(text: str, keyword: str) -> None:
    assert keyword_text(text) == keyword


def test_the_page_shows_the_four_steps_and_what_was_made() -> None:
    brief = preset("aurora-one")
    plan = search_plan(brief)
    text = render_search(
        brief, plan, remote_id="s-1", status="paused", source="simulated", made=plan.effects - 1
    )
    assert [f"## {n}" in text for n in ("1. Keywords", "2. Ad copy", "3. Build", "4. Report")] == [True] * 4
    assert f"{plan.effects - 1} of {plan.effects} parts were made" in text
    assert plan.effects == 1 + 3 + 3 + 3 + 8 + 3
