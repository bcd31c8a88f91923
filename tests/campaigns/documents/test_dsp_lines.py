"""What is sent to a DSP: declared arguments only, always paused, click URLs that can be distinguished."""

from urllib.parse import parse_qs, urlsplit

import pytest

from campaigns.brief.presets import preset_names
from campaigns.documents.lines import DSP_SERVERS, click_url, line_arguments, line_slug, render_line
from campaigns.documents.prompts import image_prompt
from tests.campaigns.briefs import brief_of, preset

DECLARED = {
    "name", "budget", "channel", "tactic", "currency", "start_date", "end_date", "kpi_target", "sizes",
    "landing_url", "status", "external_id",
}  # fmt: skip


@pytest.mark.parametrize("name", preset_names())
def test_only_declared_arguments_are_sent_and_the_line_is_paused(name: str) -> None:
    brief = preset(name)
    for line in brief.media_plan:
        arguments = line_arguments(brief, line)
        assert set(arguments) <= DECLARED - {"external_id"}
        assert arguments["status"] == "PAUSED"
        assert all(value not in ("", [], None) for value in arguments.values())
        assert line.dsp in DSP_SERVERS


def test_the_arguments_of_a_line_are_plain_json_values() -> None:
    brief = preset("aurora-one")
    assert line_arguments(brief, brief.media_plan[4]) == {
        "name": "Aurora One | Amazon DSP Retargeting display, "
        "Viewers of sunrise lamps and of the product page",
        "budget": 100000,
        "channel": "display",
        "tactic": "Viewers of sunrise lamps and of the product page",
        "currency": "USD",
        "start_date": "2027-04-15",
        "end_date": "2027-05-26",
        "kpi_target": "CPA 60, CTR 0.5%",
        "sizes": ["300x250", "728x90", "160x600"],
        "landing_url": "https://www.aurora.example/one?utm_source=amazon-dsp&utm_medium=display"
        "&utm_campaign=aurora-one&utm_content=viewers-of-sunrise-lamps-and-of-the-product-page",
        "status": "PAUSED",
    }


def test_a_name_stays_within_240_bytes_and_names_the_line() -> None:
    plan = [{"channel": "Display", "dsp": "TTD", "tactic": "é" * 200, "budget": 1}]
    brief = brief_of(brand="日" * 120, product="本" * 120, media_plan=plan)
    name = line_arguments(brief, brief.media_plan[0])["name"]
    assert len(name.encode()) <= 240
    assert line_slug(brief.media_plan[0]).startswith("ttd-display-")


def test_clicks_carry_lower_case_utm_parameters_one_content_a_creative() -> None:
    brief = brief_of(
        brand="TESSEL",
        landing_url="https://a.example/p?id=7&UTM_Medium=Mail#top",
        creative_sizes=[
            {"name": "Big One", "width": 300, "height": 250},
            {"name": "Tall", "width": 300, "height": 600},
        ],
    )
    line = brief.media_plan[0]
    urls = [click_url(brief, line, creative) for creative in brief.creative_sizes]
    query = parse_qs(urlsplit(urls[0]).query)
    assert query == {
        "id": ["7"], "utm_source": ["ttd"], "utm_medium": ["display"],
        "utm_campaign": ["tessel-desk"], "utm_content": ["big-one"],
    }  # fmt: skip
    assert len(set(urls)) == 2
    assert urls[0].endswith("#top")


def test_the_page_of_a_line_shows_its_status_source_and_reason() -> None:
    brief = brief_of()
    text = render_line(brief, brief.media_plan[0], "c-9", "paused", "fallback", "the DSP did not answer")
    for told in ("| Status | paused |", "| Source | fallback |", "c-9", "the DSP did not answer", "$40,000"):
        assert told in text
    assert "| Status | not created |" in render_line(brief, brief.media_plan[0])


def test_a_prompt_knows_the_shape_of_its_creative() -> None:
    brief = preset("aurora-one")
    prompts = {creative.size: image_prompt(brief, creative) for creative in brief.creative_sizes}
    assert "very wide strip" in prompts["728x90"] and "tall narrow column" in prompts["160x600"]
    assert "Opening frame" in prompts["1920x1080"] and "1920 by 1080 pixels" in prompts["1920x1080"]
    assert all(brief.tagline in prompt for prompt in prompts.values())
