"""The planner's rules: what stops a launch, what is only said, and the field each one names."""

from decimal import Decimal
from typing import Any

import pytest

from campaigns.brief.findings import InvalidBrief
from campaigns.brief.kpis import Kpi, implied, parse_figure, parse_kpis
from campaigns.brief.rules import check, parse_brief
from tests.campaigns.briefs import TODAY, brief_of, raw_brief

SEARCH: dict[str, Any] = {"daily_budget": 100, "seed_keywords": ["standing desk"]}


def found(level: str, include_search: bool = False, **changes: Any) -> dict[str, str]:
    findings = check(brief_of(**changes), today=TODAY, include_search=include_search)
    return {finding.field: finding.message for finding in findings if finding.level == level}


def line(**changes: Any) -> dict[str, Any]:
    return {"channel": "Display", "dsp": "TTD", "tactic": "x", "budget": 60000} | changes


def test_a_sound_brief_has_no_errors() -> None:
    assert found("error") == {}
    assert found("error", include_search=True, search=SEARCH) == {}


def test_lines_must_sum_to_the_budget_to_the_cent() -> None:
    assert found("error", budget="60000.01") == {
        "media_plan": "the budgets of the lines sum to $60,000, $0.01 below the total budget of $60,000.01"
    }


@pytest.mark.parametrize("end", ["2027-04-30", "2027-05-01"])
def test_the_flight_ends_after_it_starts(end: str) -> None:
    assert "flight_end" in found("error", flight_end=end)


def test_the_flight_does_not_start_in_the_past_but_may_today() -> None:
    assert "flight_start" in found("error", flight_start="2027-02-28")
    assert "flight_start" not in found("error", flight_start="2027-03-01")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"channel": "Native", "dsp": "Amazon DSP"}, "media_plan.0.channel", "does not sell Native"),
        ({"dsp": "Bidwell"}, "media_plan.0.dsp", "Bidwell is not a known DSP"),
        ({"sizes": ["300x250", "970x90"]}, "media_plan.0.sizes.1", "970x90 is not among the creatives"),
        ({"kpi_target": "as good as it gets"}, "media_plan.0.kpi_target", "must be a KPI"),
        ({"kpi_target": "CPC -1"}, "media_plan.0.kpi_target", "cannot be read at -1"),
        ({"kpi_target": "CPM 1e999"}, "media_plan.0.kpi_target", "cannot be read at 1e999"),
        ({"kpi_target": "CPM 1,5"}, "media_plan.0.kpi_target", "cannot be read at 1,5"),
    ],
)
def test_a_line_that_cannot_be_bought_is_an_error(change: dict[str, Any], field: str, words: str) -> None:
    assert words in found("error", media_plan=[line(**change)])[field]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        (
            {"dsp": "Amazon DSP", "budget": 14999},
            "media_plan.0.budget",
            "below the usual minimum of Amazon DSP, 15,000",
        ),
        (
            {"kpi_target": "40 impressions"},
            "media_plan.0.kpi_target",
            "implies a CPM of $1,500,000 on $60,000",
        ),
        ({"kpi_target": "5M clicks"}, "media_plan.0.kpi_target", "implies a CPC of $0.01"),
        ({"kpi_target": "CTR 40%"}, "media_plan.0.kpi_target", "a CTR of 40% is implausible"),
        ({"kpi_target": "10 orders"}, "media_plan.0.kpi_target", "implies a CPA of $6,000"),
    ],
)
def test_what_a_planner_doubts_is_a_warning(change: dict[str, Any], field: str, words: str) -> None:
    warnings = found("warning", media_plan=[line(**change)])
    assert words in warnings[field]


@pytest.mark.parametrize(
    ("budget", "who"), [(49999, None), (50000, "manager"), (250000, "director"), (1000000, "VP")]
)
def test_the_approval_tier_follows_the_amount(budget: int, who: str | None) -> None:
    said = found("warning", budget=budget, media_plan=[line(budget=budget)]).get("budget", "")
    assert (f"approval by a {who}" in said) if who else not said


def test_search_spend_is_shown_beside_the_total_and_counts_for_the_approval() -> None:
    said = found("warning", include_search=True, search=SEARCH)
    assert (
        "$100 x 30 days = $3,000 on top of the media plan; both together $63,000"
        in said["search.daily_budget"]
    )
    assert "$63,000, search included," in said["budget"]
    assert "search.daily_budget" not in found("warning", search=SEARCH)


def test_search_needs_its_settings_only_when_it_is_wanted() -> None:
    assert found("error", include_search=True) == {"search": "is needed for a search campaign"}
    assert found("error", include_search=False) == {}


def test_search_settings_that_the_service_would_refuse_name_their_field() -> None:
    wrong = SEARCH | {"bidding_strategy": "target cpa", "seed_keywords": ["ok", "one two " * 6, "x" * 81]}
    errors = found("error", include_search=True, search=wrong)
    assert set(errors) == {"search.target_cpa", "search.seed_keywords.1", "search.seed_keywords.2"}
    assert "search.bidding_strategy" in found(
        "error", include_search=True, search=SEARCH | {"bidding_strategy": "luck"}
    )


def test_a_negative_keyword_that_blocks_a_keyword_is_reported() -> None:
    said = found("warning", include_search=True, search=SEARCH | {"negative_keywords": ["free", "desk"]})
    assert "standing desk" in said["search.negative_keywords.1"]


def text_with(avoid: list[str], **more: Any) -> dict[str, Any]:
    return {"compliance": {"words_to_avoid": avoid}} | more


def test_words_to_avoid_are_found_where_they_stand() -> None:
    brief = text_with(
        ["cheapest"], value_proposition="The\nCheapest desk.", message_pillars=["fine", "cheapest!"]
    )
    errors = found("error", brief=brief, tasks=[{"name": "Say cheapest", "due_offset_days": 0}])
    assert set(errors) == {"brief.value_proposition", "brief.message_pillars.1", "tasks.0.name"}


def test_words_to_avoid_are_whole_words() -> None:
    assert found("error", brief=text_with(["cure"], value_proposition="A secure manicure.")) == {}


@pytest.mark.parametrize("word", ["Discover", "Highlights", "Offer", "See", "About"])
def test_our_own_phrases_give_way_to_words_to_avoid(word: str) -> None:
    assert (
        found("error", include_search=True, search=SEARCH, brief=text_with([word], message_pillars=["A: b"]))
        == {}
    )


def test_a_word_that_cannot_be_avoided_is_an_error_at_the_word() -> None:
    errors = found("error", brief=text_with(["zebra", "photograph"]))
    assert "so remove it from the words to avoid" in errors["brief.compliance.words_to_avoid.1"]


def test_a_claim_with_a_note_needs_its_disclosure() -> None:
    assert "tagline" in found("error", tagline="Rated best in class*")["brief.compliance.disclosures"]
    given = {"compliance": {"disclosures": "* By 40 testers & <three> judges."}}
    assert found("error", tagline="Rated best in class*", brief=given) == {}
    assert found("error", tagline="A *fine* desk") == {}


def test_errors_come_first_and_all_findings_travel_with_the_exception() -> None:
    with pytest.raises(InvalidBrief) as caught:
        parse_brief(raw_brief(budget=60001), today=TODAY, include_search=False)
    assert [finding.level for finding in caught.value.findings] == ["error", "warning"]
    assert str(caught.value).startswith("media_plan: the budgets of the lines")


@pytest.mark.parametrize(
    ("text", "kpis"),
    [
        ("CTR 0.4%", [("CTR", "0.4")]),
        ("≥ 70% VCR", [("VCR", "70")]),
        ("VCR 0.7", [("VCR", "70")]),
        ("CPM $12.50, CTR: 0.3 %", [("CPM", "12.50"), ("CTR", "0.3")]),
        ("2.5M impressions", [("impressions", "2500000")]),
        ("impressions 12,500,000", [("impressions", "12500000")]),
        ("CPA < €45; 1,200 orders", [("CPA", "45"), ("conversions", "1200")]),
        ("ROAS 4.0x", [("ROAS", "4.0")]),
        ("brand lift +5 pts", [("brand lift pts", "5")]),
        ("0.4%", []),
        ("very good CTR", []),
    ],
)
def test_kpis_are_read_as_people_write_them(text: str, kpis: list[tuple[str, str]]) -> None:
    assert [(kpi.metric, kpi.value) for kpi in parse_kpis(text)] == [(name, Decimal(v)) for name, v in kpis]


def test_a_figure_of_any_length_is_judged_without_a_crash() -> None:
    endless = "9" + ",999" * 25
    for text in (f"CPM {endless}", f"{endless} impressions", "CPC 0.000001, CTR 0.000001%, CPM 999999999bn"):
        assert found("error", media_plan=[line(kpi_target=text)]) == {}
    assert found("error", kpis={"CPM": endless, "clicks": "0", "ROAS": "0.000001"}) == {}


def test_a_campaign_kpi_needs_a_figure_and_shows_what_it_implies() -> None:
    assert "kpis.reach" in found("error", kpis={"reach": "a lot"})
    assert "implies a CPM of $60,000" in found("warning", kpis={"impressions": 1000})["kpis"]
    assert parse_figure("click_through_rate", "0.5 %") == Kpi("CTR", Decimal("0.5"))
    assert implied(brief_of().budget, parse_kpis("CPM 10, CTR 0.5%"))[1] == Kpi("CPC", 2)
