"""What a brief says of how often calls are made, held against the brief itself."""

import pytest

from campaigns.brief.presets import preset_names
from campaigns.workflow import LIFECYCLE, load, parse


@pytest.mark.parametrize("preset", preset_names())
def test_the_paths_tell_how_many_calls_a_brief_makes(preset: str):
    brief = load(parse({"campaign": preset, "includeSearch": True}).params)
    times = {
        (stage.id, hop.server, hop.tool): hop.times(brief) for stage in LIFECYCLE.stages for hop in stage.path
    }
    assert times["project", "asana-v2", "asana_create_task"] == (len(brief.tasks) or 13)
    assert times["creative", "canva", "create_design"] == len(brief.creative_sizes)
    lines = [count for (stage, _, _), count in times.items() if stage == "activate"]
    assert sum(lines) == len(brief.media_plan)
    assert (
        times["search", "google-ads", "google_ads_create_keyword"]
        > times["search", "google-ads", "google_ads_create_ad_group"]
    )
