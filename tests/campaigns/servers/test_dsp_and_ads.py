"""Lines and search campaigns: paused records after the services' own checks; a second act sets a status."""

import json

import pytest

from tests.campaigns.servers.play import playing

LINE = {
    "name": "Aurora One | TTD Display",
    "budget": 150000,
    "channel": "display",
    "currency": "USD",
    "start_date": "2031-05-01",
    "end_date": "2031-05-31",
    "sizes": ["300x250"],
    "landing_url": "https://aurora.example/one",
}


@pytest.mark.parametrize("role", ["ttd", "dv360", "amazon-dsp"])
async def test_a_line_is_a_paused_record_that_is_found_and_made_live_by_a_second_act(role, tmp_path):
    async with playing(role, tmp_path) as player:
        made = await player.do("create_campaign", **LINE, external_id="ref")
        assert made == {"id": made["id"], "name": LINE["name"], "status": "PAUSED"}
        live = await player.do("set_campaign_status", id=made["id"], status="ACTIVE")
    async with playing(role, tmp_path) as player:
        assert (await player.do("find_campaigns", external_id="ref"))["items"] == [live]
        assert (await player.do("find_campaigns", external_id=""))["items"] == []
    record = json.loads((tmp_path / role / made["id"] / "record.json").read_text())
    assert record["status"] == "ACTIVE" and record["budget"] == 150000 and record["external_id"] == "ref"
    assert "no money moves" in (tmp_path / role / made["id"] / "index.html").read_text()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"budget": 0}, "budget must be above 0"),
        ({"budget": "150000"}, "budget must be number"),
        ({"budget": True}, "budget must be number"),
        ({"name": " "}, "name must have 1 to 240 bytes"),
        ({"name": "é" * 121}, "name must have 1 to 240 bytes"),
        ({"currency": "usd"}, "ISO 4217"),
        ({"start_date": "01/05/2031"}, "start_date must be a date"),
        ({"end_date": "2031-04-30"}, "end_date must not be before"),
        ({"landing_url": "http://aurora.example"}, "landing_url"),
        ({"status": "ACTIVE"}, "status must be one of PAUSED, DRAFT"),
    ],
)
async def test_a_line_that_breaks_a_rule_is_refused_and_nothing_is_made(change, reason, tmp_path):
    async with playing("ttd", tmp_path) as player:
        assert reason in await player.refusal("create_campaign", **{**LINE, **change})
    assert not list(tmp_path.glob("ttd/*"))


async def test_a_status_must_be_one_and_what_is_archived_stays_so(tmp_path):
    async with playing("ttd", tmp_path) as player:
        ident = (await player.do("create_campaign", name="Line", budget=5))["id"]
        assert "one of" in await player.refusal("set_campaign_status", id=ident, status="RUNNING")
        assert "not found" in await player.refusal("set_campaign_status", id="line-0", status="ACTIVE")
        await player.do("set_campaign_status", id=ident, status="ARCHIVED")
        assert "archived" in await player.refusal("set_campaign_status", id=ident, status="ACTIVE")


async def test_a_search_campaign_is_built_from_groups_keywords_and_ads(tmp_path):
    async with playing("google-ads", tmp_path) as player:
        campaign = await player.do(
            "google_ads_create_campaign",
            name="Aurora search",
            daily_budget=400,
            contains_eu_political_advertising=False,
            negative_keywords=["free"],
            external_id="c",
        )
        group = await player.do("google_ads_create_ad_group", campaign_id=campaign["id"], name="Brand")
        word = await player.do(
            "google_ads_create_keyword", ad_group_id=group["id"], text="sunrise lamp", match_type="PHRASE"
        )
        ad = await player.do("google_ads_create_responsive_search_ad", ad_group_id=group["id"], **_ad())
        assert all(set(made) == {"id"} for made in (campaign, group, word, ad))
        found = (await player.do("google_ads_find", external_id="c"))["items"]
    assert found == [{"id": campaign["id"], "name": "Aurora search", "kind": "campaign"}]
    page = (tmp_path / "google-ads" / campaign["id"] / "index.html").read_text()
    assert all(
        text in page for text in ("PAUSED", "Brand", "sunrise lamp", "phrase", "Wake with light", "free")
    )


def _ad(**change):
    return {
        "headlines": ["Wake with light", "A lamp like the sun", "Thirty days to try"],
        "descriptions": ["It gets light before it gets loud.", "Set it once and wake rested."],
        "final_url": "https://aurora.example/one",
        **change,
    }


@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("campaign", {"name": "A"}, "contains_eu_political_advertising is required"),
        ("campaign", {"name": "A", "daily_budget": -1}, "daily_budget must be above 0"),
        ("campaign", {"name": "A", "status": "ENABLED"}, "one of PAUSED, DRAFT"),
        (
            "campaign",
            {"name": "A", "contains_eu_political_advertising": False, "negative_keywords": ["x " * 11]},
            "at most 10 words",
        ),
        ("ad_group", {"campaign_id": "campaign-0", "name": "A"}, "No such campaign"),
        ("keyword", {"ad_group_id": "adgroup-0", "text": "x" * 81}, "1 to 80 characters"),
        (
            "keyword",
            {"ad_group_id": "adgroup-0", "text": "tea", "match_type": "NEAR"},
            "match_type must be one of",
        ),
        ("responsive_search_ad", _ad(headlines=["a", "b"]), "3 to 15 are needed, 2 are given"),
        ("responsive_search_ad", _ad(headlines=["a", "A", "b"]), "each must be unique"),
        ("responsive_search_ad", _ad(headlines=["a", "b", "c" * 31]), "1 to 30 characters"),
        ("responsive_search_ad", _ad(descriptions=["a", "b" * 91]), "1 to 90 characters"),
        ("responsive_search_ad", _ad(final_url=""), "final_url is required"),
        ("responsive_search_ad", _ad(path2="tea"), "path2 needs path1"),
        ("responsive_search_ad", _ad(path1="p" * 16), "at most 15 characters"),
        ("responsive_search_ad", _ad(), "No such ad group"),
    ],
)
async def test_what_the_ads_service_would_refuse_is_refused(tool, arguments, reason, tmp_path):
    more = {"ad_group_id": "adgroup-0"} if tool == "responsive_search_ad" else {}
    async with playing("google-ads", tmp_path) as player:
        assert reason in await player.refusal(f"google_ads_create_{tool}", **{**arguments, **more})
    assert not list(tmp_path.glob("google-ads/*"))


async def test_links_are_files_when_no_web_serves_the_world(tmp_path):
    async with playing("google-docs", tmp_path, url="") as player:
        made = await player.do("createFolder", name="Launch")
    assert made["url"] == (tmp_path / "google-docs" / made["id"] / "index.html").as_uri()
