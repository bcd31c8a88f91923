"""Every bundled server speaks the contract of its role, as the SDK's own client sees it."""

import json
import subprocess
import sys

import pytest
from mcp.shared.exceptions import MCPError

from campaigns.roles import ROLES, bundled_servers
from tests.campaigns.servers.play import playing

DSP = {
    "create_campaign": "name* budget* channel tactic currency start_date end_date kpi_target sizes "
    "landing_url status external_id",
    "find_campaigns": "external_id*",
    "set_campaign_status": "id* status*",
}
CONTRACT = {
    "google-docs": {
        "createFolder": "name* parentFolderId",
        "createDocument": "title* parentFolderId initialContent contentFormat",
        "createSpreadsheet": "title* parentFolderId initialData",
        "writeSpreadsheet": "spreadsheetId* range* values* valueInputOption",
        "listFolderContents": "folderId*",
        "searchDriveFiles": "query* searchIn mimeType folderId maxResults",
    },
    "asana-v2": {
        "asana_list_workspaces": "",
        "asana_create_project": "workspace* name* team notes color privacy_setting default_view",
        "asana_create_task": "project_id* name* notes due_on assignee",
        "asana_search_projects": "workspace* name_pattern*",
        "asana_get_tasks_for_project": "project_id* opt_fields limit offset",
    },
    "image-gen": {
        "generate_image": "prompt* width* height* save_path model reference",
        "find_images": "reference*",
    },
    "canva": {
        "upload_asset": "name* path* reference",
        "create_design": "title* width* height* asset_id reference",
        "find_assets": "reference*",
        "find_designs": "reference*",
    },
    "ttd": DSP,
    "dv360": DSP,
    "amazon-dsp": DSP,
    "google-ads": {
        "google_ads_create_campaign": "name* daily_budget currency start_date end_date bidding_strategy "
        "target_cpa contains_eu_political_advertising negative_keywords status external_id",
        "google_ads_create_ad_group": "campaign_id* name* external_id",
        "google_ads_create_keyword": "ad_group_id* text* match_type negative external_id",
        "google_ads_create_responsive_search_ad": "ad_group_id* headlines* descriptions* final_url path1 "
        "path2 external_id",
        "google_ads_find": "external_id*",
    },
}


@pytest.mark.parametrize("role", CONTRACT)
async def test_a_role_lists_the_contracts_tools_and_arguments(role, tmp_path):
    async with playing(role, tmp_path) as player:
        tools = (await player.client.list_tools()).tools
    assert {tool.name: _arguments(tool.input_schema) for tool in tools} == {
        name: sorted(arguments.split()) for name, arguments in CONTRACT[role].items()
    }
    for tool in tools:
        policy = ROLES[role].tools[tool.name]
        assert tool.input_schema["additionalProperties"] is False
        assert tool.annotations.read_only_hint is not policy.writes
        assert tool.annotations.idempotent_hint is policy.repeatable


def _arguments(schema: dict) -> list[str]:
    return sorted(f"{name}*" if name in schema["required"] else name for name in schema["properties"])


async def test_a_client_that_asks_for_the_newest_protocol_falls_back_and_is_served(tmp_path):
    async with playing("google-docs", tmp_path, mode="auto") as player:
        assert player.client.server_info.name == "google-docs"
        assert (await player.do("createFolder", name="Launch"))["name"] == "Launch"


async def test_an_unknown_tool_is_a_protocol_error(tmp_path):
    async with playing("canva", tmp_path) as player:
        with pytest.raises(MCPError, match="Unknown tool: paint"):
            await player.raw("paint")


async def test_wrong_arguments_are_named_and_nothing_is_made(tmp_path):
    async with playing("google-docs", tmp_path) as player:
        refused = await player.refusal("createDocument", title=7, color="red")
        assert "unknown argument 'color'" in refused and "title must be string" in refused
        assert "missing argument 'name'" in await player.refusal("createFolder")
        assert await player.do("listFolderContents", folderId="root") == {"files": []}


async def test_asana_says_a_failure_as_an_error_key_without_the_error_flag(tmp_path):
    async with playing("asana-v2", tmp_path) as player:
        wrong = await player.raw("asana_create_project", name="No workspace")
        missing = await player.raw("asana_create_task", project_id="1", name="Kick-off")
    assert not wrong.is_error and not missing.is_error
    assert "missing argument 'workspace'" in json.loads(wrong.content[0].text)["error"]
    assert "Not a recognized ID" in json.loads(missing.content[0].text)["error"]


def test_bytes_that_are_no_request_are_answered_and_survived(tmp_path):
    lines = [b"{", b"[1]", b'{"jsonrpc":"2.0","id":1,"method":"ping"}', b'{"id":2,"method":"resources/list"}']
    done = _run("ttd", tmp_path, b"\n".join(lines) + b"\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("error", {}).get("code") for answer in answers] == [-32700, -32600, None, -32601]
    assert done.returncode == 0


def test_a_server_that_cannot_start_says_why():
    entry = bundled_servers("unused")["ttd"]
    args = [sys.executable, "-m", "campaigns.servers.local", "facebook"]
    done = subprocess.run(args, cwd=entry["cwd"], capture_output=True, timeout=20, check=False)
    assert done.returncode == 2 and b"name one of these roles" in done.stderr and done.stdout == b""


def test_a_pace_that_is_none_is_refused_at_the_start(tmp_path):
    done = _run("ttd", tmp_path, b"", latency="slow")
    assert done.returncode == 2 and b"LOCAL_LATENCY" in done.stderr


def test_starting_imports_neither_the_sdk_nor_a_drawing_or_sheet_library():
    heavy = ["mcp", "pydantic", "django", "PIL", "openpyxl", "markdown_it"]
    code = (
        "import sys; from campaigns.servers.local.__main__ import MODULES, import_module\n"
        "for name in MODULES.values(): import_module(f'campaigns.servers.local.{name}')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    cwd = bundled_servers("unused")["ttd"]["cwd"]
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, timeout=20, check=True)
    assert done.stdout.strip() == b"[]"


def _run(role, folder, data, latency=""):
    entry = bundled_servers(folder, latency)[role]
    command = [entry["command"], *entry["args"]]
    return subprocess.run(
        command, cwd=entry["cwd"], env=entry["env"], input=data, capture_output=True, timeout=20, check=False
    )
