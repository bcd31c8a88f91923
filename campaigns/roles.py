"""The roles of tool servers: limits, how effects are keyed and found, and the source of results."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.engine.results import Source
from jobs.tools.contract.policy import Lookup, Role, ToolPolicy

ROOT = Path(__file__).resolve().parent.parent

_READS = ToolPolicy(writes=False)
_PLAIN_SECONDS = 120.0

# google-docs: no key argument, so the name of the job's folder has the marker, and names inside are unique

#: The folder may be created between two rounds; the document is the same in either place.
_PLACING = ("parentFolderId",)
_IN_FOLDER = Lookup("listFolderContents", {"folderId": "$parentFolderId"}, match="name", fields=("name",))
_BY_NAME = Lookup(
    "searchDriveFiles", {"query": "$marker", "searchIn": "name"}, match="marker", fields=("name",)
)

_GOOGLE_DOCS = {
    "createFolder": ToolPolicy(name_argument="name", lookup=_BY_NAME),
    "createDocument": ToolPolicy(
        lookup=_IN_FOLDER, error_may_name_effect=True, placing=_PLACING, sized_by=("initialContent",)
    ),
    "createSpreadsheet": ToolPolicy(lookup=_IN_FOLDER, placing=_PLACING),
    # Writing the same values into the same cells twice makes no difference.
    "writeSpreadsheet": ToolPolicy(idempotent=True, plain_text=True, sized_by=("values",)),
    "listFolderContents": _READS,
    "searchDriveFiles": _READS,
}

# asana-v2: no key argument; the marker is the last line of the notes

_PROJECTS = Lookup(
    "asana_search_projects",
    {"workspace": "$workspace", "name_pattern": "~name"},
    match="marker",
    fields=("notes",),
)
_TASKS = Lookup(
    "asana_get_tasks_for_project",
    {"project_id": "$project_id", "opt_fields": "gid,name,notes,permalink_url", "limit": 100},
    match="marker",
    fields=("notes",),
    page_argument="offset",
)
_ASANA = {
    # A dry run does not request the list either; it assumes that there is a workspace.
    "asana_list_workspaces": ToolPolicy(
        writes=False, dry_run_data={"data": [{"gid": "$id", "name": "the first workspace"}]}
    ),
    "asana_create_project": ToolPolicy(note_argument="notes", lookup=_PROJECTS),
    "asana_create_task": ToolPolicy(note_argument="notes", lookup=_TASKS),
    "asana_search_projects": _READS,
    "asana_get_tasks_for_project": _READS,
}

# roles with a contract defined by Flightplan: every effect has the key as an argument


def _keyed(argument: str, lookup_tool: str, **more: Any) -> ToolPolicy:
    return ToolPolicy(key_argument=argument, lookup=Lookup(lookup_tool, {argument: "$key"}), **more)


_PIXELS = ("width", "height")
# Paths are local: a picture stays the same if the data folder moves.
_IMAGE_GEN = {
    "generate_image": _keyed(
        "reference", "find_images", image=True, placing=("save_path",), sized_by=_PIXELS
    ),
    "find_images": _READS,
}
_CANVA = {
    "upload_asset": _keyed("reference", "find_assets", placing=("path",)),
    "create_design": _keyed(
        "reference", "find_designs", url_keys=("edit_url", "view_url", "url"), sized_by=_PIXELS
    ),
    "find_assets": _READS,
    "find_designs": _READS,
}
_DSP = {
    # Created paused: nothing is spent until the line is set live by a separate call.
    "create_campaign": _keyed("external_id", "find_campaigns", careful=True),
    "set_campaign_status": ToolPolicy(money=True, idempotent=True),
    "find_campaigns": _READS,
}
_GOOGLE_ADS = {
    **{
        f"google_ads_create_{what}": _keyed("external_id", "google_ads_find", careful=True)
        for what in ("campaign", "ad_group", "keyword", "responsive_search_ad")
    },
    "google_ads_find": _READS,
}


def _simulated(name: str, title: str, concurrency: int, tools: Mapping[str, ToolPolicy], **more: Any) -> Role:
    return Role(
        name,
        concurrency,
        tools,
        timeout=_PLAIN_SECONDS,
        bundled_source=Source.SIMULATED,
        title=title,
        lag=2.0,
        **more,
    )


#: Every role by name. Rates apply to outside servers only. Lags are estimates of how long an index
#: may not show a new effect; a look-up waits that long only after an ambiguous end.
ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role(
            "google-docs",
            3,
            _GOOGLE_DOCS,
            per_minute=60,
            timeout=_PLAIN_SECONDS,
            lag=3.0,
            title="Google Docs",
        ),
        Role("asana-v2", 5, _ASANA, per_minute=150, timeout=_PLAIN_SECONDS, lag=3.0, title="Asana"),
        Role("image-gen", 2, _IMAGE_GEN, timeout=300.0, lag=2.0, title="Image generation"),
        Role(
            "canva",
            2,
            _CANVA,
            per_minute={"create_design": 20, "upload_asset": 30},
            timeout=_PLAIN_SECONDS,
            lag=2.0,
            title="Canva",
        ),
        _simulated("ttd", "The Trade Desk", 4, _DSP),
        _simulated("dv360", "Display & Video 360", 4, _DSP, per_minute=150),
        _simulated("amazon-dsp", "Amazon DSP", 2, _DSP),
        _simulated("google-ads", "Google Ads", 2, _GOOGLE_ADS),
    )
}


def bundled_servers(local_dir: Path | str, latency: str = "", url: str = "") -> dict[str, dict[str, Any]]:
    """Return an `mcpServers` entry for the bundled server of each role, all on one folder.

    `local_dir` is the folder; `latency` is empty (at once), `realistic` or a number; `url` is where the web
    process serves the folder, empty for `file://` links.
    """
    env = {
        "PYTHONPATH": str(ROOT),
        "LOCAL_DIR": str(Path(local_dir).resolve()),
        "LOCAL_LATENCY": latency,
        "LOCAL_URL": url,
    }
    return {
        role: {
            "command": sys.executable,
            "args": ["-m", "campaigns.servers.local", role],
            "env": dict(env),
            "cwd": str(ROOT),
        }
        for role in ROLES
    }
