"""The landing page: self-contained, without scripts, with its disclosure and without UTM parameters."""

import re

import pytest

from campaigns.brief.presets import preset_names
from campaigns.documents.landing import render_landing
from tests.campaigns.briefs import brief_of, preset


@pytest.mark.parametrize("name", preset_names())
def test_it_is_whole_and_needs_nothing_from_elsewhere(name: str) -> None:
    page = render_landing(preset(name))
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "<script" not in page and "@import" not in page and "url(" not in page and "src=" not in page
    targets = re.findall(r'href="([^"]*)"', page)
    assert {target for target in targets if not target.startswith("#")} == {preset(name).landing_url}
    for anchor in (target[1:] for target in targets if target.startswith("#")):
        assert f'id="{anchor}"' in page


@pytest.mark.parametrize("name", preset_names())
def test_it_speaks_in_the_public_words_and_keeps_the_internal_ones(name: str) -> None:
    brief, page = preset(name), render_landing(preset(name))
    for public in (brief.tagline, brief.brief.message_pillars[0].partition(":")[0], brief.launch_event):
        assert public in page
    for internal in (brief.brief.why_now, brief.brief.executive_summary, brief.brief.audience.exclusions):
        assert internal not in page


def test_the_disclosure_is_on_it_line_by_line_and_escaped() -> None:
    page = render_landing(brief_of(brief={"compliance": {"disclosures": "A & B.\nOnly <here>."}}))
    assert "<p>A &amp; B.</p>" in page and "<p>Only &lt;here&gt;.</p>" in page


def test_its_own_links_never_carry_utm_parameters() -> None:
    page = render_landing(brief_of(landing_url="https://a.example/p?q=1&UTM_Source=X&utm_medium=y#z"))
    assert "utm" not in page.casefold()
    assert 'href="https://a.example/p?q=1#z"' in page


def test_two_brands_do_not_wear_the_same_color_and_one_always_wears_its_own() -> None:
    hues = {re.search(r"--accent: hsl\((\d+)", render_landing(preset(name)))[1] for name in preset_names()}
    assert len(hues) == len(preset_names())
    assert render_landing(brief_of()) == render_landing(brief_of())
