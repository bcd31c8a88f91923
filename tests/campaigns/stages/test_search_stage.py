"""The search campaign: checked before anything is sent, built from the top, skipped when the top fails."""

from dataclasses import replace

import pytest

from campaigns.documents.search import Keyword, search_plan
from campaigns.stages import search
from jobs.engine.results import Source, Status, Stopped
from jobs.tools.contract.errors import ToolFailed, Unknown
from tests.campaigns.stages.stand import play


async def test_campaign_groups_keywords_and_ads_are_built_from_the_top(brief, tools, files):
    plan = search_plan(brief)
    played = await play("search", brief=brief, tools=tools, files=files)
    result = played.results["search"]
    assert (result.status, result.made, result.total) == (Status.COMPLETED, plan.effects, plan.effects)
    (campaign,) = tools.of("google_ads_create_campaign")
    assert campaign.args["status"] == "PAUSED"
    assert campaign.args["contains_eu_political_advertising"] is False
    assert campaign.args["negative_keywords"] == list(plan.negative_keywords) != []
    groups = tools.of("google_ads_create_ad_group")
    assert [one.args["name"] for one in groups] == [group.name for group in plan.ad_groups]
    assert {one.args["campaign_id"] for one in groups} == {"search.campaign-id"}
    for group in plan.ad_groups:
        parent = f"search.ad-group.{group.slug}-id"
        words = [one for one in tools.of("google_ads_create_keyword") if one.args["ad_group_id"] == parent]
        assert [one.args["text"] for one in words] == [keyword.text for keyword in group.keywords]
        ads = tools.of("google_ads_create_responsive_search_ad")
        assert len([one for one in ads if one.args["ad_group_id"] == parent]) == len(group.ads)
    assert len({sent.step for sent in tools.calls}) == len(tools.calls) == plan.effects


async def test_each_part_is_counted_as_it_is_made(aurora, tools, files):
    total = search_plan(aurora).effects
    played = await play("search", brief=aurora, tools=tools, files=files)
    assert played.progress("search") == [(made, total) for made in range(total + 1)]


async def test_the_artifact_and_the_data_name_the_campaign(aurora, tools, files):
    played = await play("search", brief=aurora, tools=tools, files=files)
    artifact = played.artifact("search-campaign.md")
    assert (artifact.kind, artifact.source) == ("search", Source.SIMULATED)
    assert artifact.remote_id == "search.campaign-id"
    campaign = played.results["search"].data["campaign"]
    assert (campaign["id"], campaign["status"], campaign["server"]) == (
        "search.campaign-id",
        "PAUSED",
        "google-ads",
    )
    assert (campaign["daily_budget"], campaign["currency"]) == (450, "USD")
    assert aurora.search.seed_keywords[0] in files.read(artifact.file)


async def test_a_failing_campaign_skips_the_stage_and_says_why(brief, tools, files):
    tools.faults.add("google_ads_create_campaign", ToolFailed("the account is suspended"))
    played = await play("search", brief=brief, tools=tools, files=files)
    result = played.results["search"]
    assert (result.status, result.made, result.total) == (Status.SKIPPED, 0, search_plan(brief).effects)
    assert result.error == "skipped: the account is suspended"
    assert len(tools.calls) == 1
    artifact = played.artifact("search-campaign.md")
    assert artifact.source is Source.FALLBACK and "the account is suspended" in files.read(artifact.file)
    assert played.fallbacks() == [("search.campaign", "the account is suspended")]


async def test_a_campaign_that_may_exist_is_skipped_as_unknown(aurora, tools, files):
    tools.faults.add("google_ads_create_campaign", Unknown("the answer was lost"))
    played = await play("search", brief=aurora, tools=tools, files=files)
    assert played.results["search"].data["unknown"] == ["search campaign"]
    assert "unknown" in files.read("search-campaign.md")


async def test_a_failing_ad_group_takes_its_own_parts_along_and_no_other(aurora, tools, files):
    plan = search_plan(aurora)
    lost = plan.ad_groups[1]
    tools.faults.add("google_ads_create_ad_group", ToolFailed("the name is taken"), lost.slug)
    played = await play("search", brief=aurora, tools=tools, files=files)
    result = played.results["search"]
    assert result.made == plan.effects - 1 - len(lost.keywords) - len(lost.ads)
    assert result.status is Status.PARTIAL and "the name is taken" in result.error
    assert [one["item"] for one in result.data["missed"]] == [f"ad group {lost.name}"]
    assert "the name is taken" in files.read("search-campaign.md")


async def test_a_few_missing_keywords_leave_the_stage_completed(aurora, tools, files):
    tools.faults.add("google_ads_create_keyword", ToolFailed("not allowed"), "sunrise-alarm-lamp")
    played = await play("search", brief=aurora, tools=tools, files=files)
    result = played.results["search"]
    assert (result.status, result.made) == (Status.COMPLETED, result.total - 1)
    assert result.data["missed"][0]["item"] == "keyword sunrise alarm lamp (Category)"
    assert played.progress("search")[-1][0] == result.total - 1


async def test_an_ad_beyond_the_limits_ends_the_stage_before_anything_is_sent(
    aurora, tools, files, monkeypatch
):
    plan = search_plan(aurora)
    long = replace(plan.ad_groups[0].ads[0], headlines=("x" * 31, "second", "third"))
    broken = replace(plan, ad_groups=(replace(plan.ad_groups[0], ads=(long,)), *plan.ad_groups[1:]))
    monkeypatch.setattr(search, "search_plan", lambda brief: broken)
    played = await play("search", brief=aurora, tools=tools, files=files)
    result = played.results["search"]
    assert (result.status, result.made, result.total) == (Status.FAILED, 0, plan.effects)
    assert f"ad_groups.{plan.ad_groups[0].slug}.ads.0: headline over 30 characters" in result.error
    assert not tools.calls


async def test_keywords_beyond_the_limits_are_named_by_their_field(aurora):
    plan = search_plan(aurora)
    group = replace(plan.ad_groups[0], keywords=(Keyword("w " * 11), Keyword("fine")))
    broken = replace(plan, ad_groups=(group,), negative_keywords=("x" * 81,))
    fields = [fault.split(":")[0] for fault in search.check_plan(broken)]
    assert fields == ["negative_keywords.0", f"ad_groups.{group.slug}.keywords.0"]
    assert search.check_plan(plan) == []


async def test_keywords_that_are_spelled_alike_are_steps_of_their_own(aurora, tools, files):
    settings = aurora.search.model_copy(update={"seed_keywords": ("café lamp", "cafe lamp", "灯", "燈")})
    brief = aurora.model_copy(update={"search": settings})
    played = await play("search", brief=brief, tools=tools, files=files)
    assert len({sent.step for sent in tools.calls}) == len(tools.calls) == played.results["search"].total


async def test_without_search_settings_the_stage_fails_and_names_them(aurora, tools, files):
    brief = aurora.model_copy(update={"search": None})
    played = await play("search", brief=brief, tools=tools, files=files)
    assert played.results["search"].status is Status.FAILED
    assert played.results["search"].error.startswith("search:") and not tools.calls


async def test_a_stop_deep_in_the_build_stops_the_stage(aurora, tools, files):
    tools.faults.add("google_ads_create_responsive_search_ad", Stopped("cancelled"))
    with pytest.raises(Stopped):
        await play("search", brief=aurora, tools=tools, files=files)
    assert not files.path("search-campaign.md").exists()
