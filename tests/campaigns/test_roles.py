"""The roles as data: limits as measured for the reference campaign, and a way back to every effect."""

import sys
from pathlib import Path

import pytest

from campaigns.roles import ROLES, bundled_servers
from jobs.engine.results import Source
from jobs.tools.contract.config import load_servers

SIMULATED = {"ttd", "dv360", "amazon-dsp", "google-ads"}


def test_each_role_has_the_reference_limits():
    assert {name: (role.concurrency, role.per_minute) for name, role in ROLES.items()} == {
        "google-docs": (3, 60),
        "asana-v2": (5, 150),
        "image-gen": (2, None),
        "canva": (2, {"create_design": 20, "upload_asset": 30}),
        "ttd": (4, None),
        "dv360": (4, 150),
        "amazon-dsp": (2, None),
        "google-ads": (2, None),
    }
    assert {name: role.timeout for name, role in ROLES.items() if role.timeout != 120} == {"image-gen": 300}


def test_a_success_is_called_live_outside_and_local_or_simulated_when_bundled():
    assert {role.source for role in ROLES.values()} == {Source.LIVE}
    simulated = {name for name, role in ROLES.items() if role.bundled_source is Source.SIMULATED}
    assert simulated == SIMULATED
    assert {ROLES[name].bundled_source for name in set(ROLES) - SIMULATED} == {Source.LOCAL}


@pytest.mark.parametrize("role", ROLES)
def test_every_effect_is_keyed_or_may_be_sent_again_and_its_look_up_is_a_reading_tool_of_the_role(role):
    tools = ROLES[role].tools
    for name, policy in tools.items():
        if policy.writes:
            assert policy.lookup or policy.idempotent, name
        if policy.lookup:
            assert not tools[policy.lookup.tool].writes, name


def test_every_role_gives_its_index_time_to_show_a_new_effect():
    assert all(role.lag >= 2 for role in ROLES.values())


def test_a_document_in_another_folder_and_a_picture_at_another_path_are_the_same_ones():
    placed = {name: policy.placing for role in ROLES.values() for name, policy in role.tools.items()}
    assert {name: placing for name, placing in placed.items() if placing} == {
        "createDocument": ("parentFolderId",),
        "createSpreadsheet": ("parentFolderId",),
        "generate_image": ("save_path",),
        "upload_asset": ("path",),
    }


def test_only_setting_a_status_spends_money():
    spending = {tool for role in ROLES.values() for tool, policy in role.tools.items() if policy.money}
    assert spending == {"set_campaign_status"}


def test_the_bundled_servers_play_every_role_over_one_world():
    entries = bundled_servers(Path("var") / "local", "realistic", "/local/")
    assert set(entries) == set(ROLES)
    entry = entries["canva"]
    assert entry["command"] == sys.executable and entry["args"][-1] == "canva"
    assert Path(entry["env"]["LOCAL_DIR"]).is_absolute() and entry["env"]["LOCAL_LATENCY"] == "realistic"
    servers = load_servers(None, ROLES, entries)
    assert all(spec.bundled and spec.per_minute is None for spec in servers.values())
    assert {name for name, spec in servers.items() if spec.source is Source.SIMULATED} == SIMULATED
