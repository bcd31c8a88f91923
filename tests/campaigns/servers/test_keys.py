"""An effect happens once a key: asked twice, side by side, by two servers, after a restart, after a kill."""

import asyncio

import pytest

from campaigns.servers.local.pace import SECONDS, Pace
from tests.campaigns.servers.play import playing, said

DOCUMENT = {"title": "Brief", "initialContent": "# Brief"}


async def _files(player):
    return (await player.do("listFolderContents", folderId="root"))["files"]


async def test_the_same_key_answers_the_first_result_again(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        first = await player.do("createDocument", "k1", **DOCUMENT)
        assert await player.do("createDocument", "k1", **DOCUMENT) == first
        assert await player.do("createDocument", "k2", **DOCUMENT) != first
        assert len(await _files(player)) == 2


async def test_calls_without_a_key_are_effects_of_their_own(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        await player.do("createDocument", **DOCUMENT)
        await player.do("createDocument", **DOCUMENT)
        assert len(await _files(player)) == 2


async def test_a_key_belongs_to_its_tool(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        await player.do("createFolder", "k", name="Launch")
        assert (await player.do("createDocument", "k", **DOCUMENT))["name"] == "Brief"


async def test_a_key_is_honored_after_a_restart(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        first = await player.do("createDocument", "k", **DOCUMENT)
    async with playing("google-docs", tmp_path) as player:
        assert await player.do("createDocument", "k", **DOCUMENT) == first
        assert [file["id"] for file in await _files(player)] == [first["id"]]


async def test_the_same_key_side_by_side_makes_one_thing(tmp_path):
    async with playing("google-docs", tmp_path, latency="0.01") as player:
        made = await asyncio.gather(*(player.do("createDocument", "k", **DOCUMENT) for _ in range(8)))
        assert all(one == made[0] for one in made)
        assert len(await _files(player)) == 1


async def test_two_processes_of_a_role_make_one_thing_of_one_key(tmp_path):
    async with playing("ttd", tmp_path) as one, playing("ttd", tmp_path) as other:
        line = {"name": "Display", "budget": 1000, "external_id": "ref"}
        made = await asyncio.gather(
            *(player.do("create_campaign", f"k{n}", **line) for n in range(6) for player in (one, other))
        )
        assert {campaign["id"] for campaign in made} == {made[0]["id"]}
        assert len((await other.do("find_campaigns", external_id="ref"))["items"]) == 1


@pytest.mark.parametrize(
    ("role", "tool", "argument", "fields"),
    [
        ("amazon-dsp", "create_campaign", "external_id", {"name": "Retargeting", "budget": 5}),
        ("canva", "create_design", "reference", {"title": "Banner", "width": 300, "height": 250}),
        (
            "google-ads",
            "google_ads_create_campaign",
            "external_id",
            {"name": "Search", "contains_eu_political_advertising": False},
        ),
    ],
)
async def test_the_callers_reference_is_a_key_too(role, tool, argument, fields, tmp_path):
    async with playing(role, tmp_path) as player:
        first = await player.do(tool, "k1", **fields, **{argument: "mine"})
        assert await player.do(tool, "k2", **fields, **{argument: "mine"}) == first


async def test_a_refusal_is_not_kept_under_the_key(tmp_path):
    async with playing("ttd", tmp_path) as player:
        wrong = await player.raw("create_campaign", "k", name="Line", budget=5, currency="euro")
        assert wrong.is_error
        assert (await player.do("create_campaign", "k", name="Line", budget=5))["status"] == "PAUSED"


async def test_a_status_set_twice_under_one_key_is_set_once(tmp_path):
    async with playing("dv360", tmp_path) as player:
        ident = (await player.do("create_campaign", name="Line", budget=5))["id"]
        live = await player.do("set_campaign_status", "k", id=ident, status="ACTIVE")
        await player.do("set_campaign_status", "other", id=ident, status="PAUSED")
        assert await player.do("set_campaign_status", "k", id=ident, status="ACTIVE") == live
        again = await player.do("set_campaign_status", "last", id=ident, status="PAUSED")
        assert again["status"] == "PAUSED"


async def test_an_effect_whose_answer_was_lost_is_found_and_not_made_again(tmp_path):
    """The client gives up between the effect and its answer, as after a timeout."""
    async with playing("google-docs", tmp_path, latency="0.2") as player:
        lost = asyncio.create_task(player.raw("createDocument", "k", **DOCUMENT))
        async with asyncio.timeout(10):
            while not list(tmp_path.glob("google-docs/*/document.md")):
                await player.client.list_tools(cache_mode="bypass")
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        found = await _files(player)
        assert [file["name"] for file in found] == ["Brief"]
        assert (await player.do("createDocument", "k", **DOCUMENT))["id"] == found[0]["id"]


async def test_a_cancelled_call_that_had_no_effect_yet_has_none(tmp_path):
    async with playing("google-docs", tmp_path, latency="30") as player:
        waiting = asyncio.create_task(player.raw("createDocument", "k", **DOCUMENT))
        # Requests are read in order: once this one is answered, the call is under way.
        await player.client.list_tools()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not list(tmp_path.glob("google-docs/*"))


async def test_calls_of_one_server_overlap(tmp_path):
    """Five calls of 1 s each would take 5 s one after the other."""
    scale = 1.0 / SECONDS["asana_list_workspaces"]
    async with playing("asana-v2", tmp_path, latency=str(scale)) as player:
        clock = asyncio.get_running_loop().time
        start = clock()
        answers = await asyncio.gather(*(player.raw("asana_list_workspaces") for _ in range(5)))
        took = clock() - start
    assert all("1200000000000001" in said(answer) for answer in answers)
    assert 0.8 < took < 4.0


def test_a_realistic_pace_is_the_tables_and_the_same_each_time():
    assert Pace.named("") == Pace(0.0)
    pace = Pace.named("realistic")
    assert pace.of("generate_image", "k") == pace.of("generate_image", "k")
    assert 0.85 <= sum(pace.of("generate_image", "k")) / SECONDS["generate_image"] <= 1.15
    assert sum(Pace.named("0.5").of("createFolder", "k")) == sum(pace.of("createFolder", "k")) / 2
    with pytest.raises(ValueError, match="LOCAL_LATENCY"):
        Pace.named("-1")
