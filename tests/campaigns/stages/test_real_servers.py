"""Every stage against the bundled servers: real processes, real pipes, the real gateway."""

import asyncio
import csv
import hashlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from campaigns.brief.presets import load_preset
from campaigns.brief.schema import Brief
from campaigns.documents.search import search_plan
from campaigns.documents.tasks import task_list
from campaigns.roles import ROLES, bundled_servers
from jobs.engine.results import JobStatus, Source, Status
from jobs.tools.contract.calls import Call
from jobs.tools.contract.config import load_servers
from jobs.tools.gateway import Gateway
from tests.campaigns.briefs import TODAY
from tests.campaigns.stages.conftest import PRESETS
from tests.campaigns.stages.stand import Folder, Played, play
from tests.memory import MemoryJournal

pytestmark = pytest.mark.slow

#: A server that cannot be started.
ABSENT = {"command": sys.executable, "args": ["-c", "raise SystemExit('no license')"]}


class GatewayTools:
    """The engine's door to a gateway, with a journal in memory."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.journal = gateway, MemoryJournal()

    def source(self, server: str) -> Source:
        return self.gateway.source(server)

    async def done(self, step: str) -> None:
        return None

    async def call(self, server, tool, args, *, stage, step, item) -> Any:
        key = hashlib.sha256(step.encode()).hexdigest()[:32]
        call = Call("job", 0.0, stage, step, server, tool, dict(args), key)
        return await self.gateway.call(call, self.journal)


@dataclass
class World:
    """A job that was played, and the folder of the world in which its effects are."""

    brief: Brief
    played: Played
    files: Folder
    folder: Path

    def page(self, url: str) -> str:
        """What a link of the world opens."""
        assert url.startswith("/local/")
        return (self.folder / url.removeprefix("/local/")).read_text(encoding="utf-8")

    def records(self, role: str) -> list[dict[str, Any]]:
        """What was made on a DSP or in the search account."""
        return [json.loads(path.read_text()) for path in sorted((self.folder / role).glob("*/record.json"))]


async def _played(brief: Brief, where: Path, without: tuple[str, ...]) -> World:
    world, own = where / "world", where / "job"
    own.mkdir()
    entries = bundled_servers(world, url="/local/") | dict.fromkeys(without, ABSENT)
    gateway = Gateway(load_servers(None, ROLES, entries, {}), ROLES, backoff=0)
    gateway.start()
    try:
        files = Folder(own)
        return World(brief, await play(brief=brief, tools=GatewayTools(gateway), files=files), files, world)
    finally:
        await gateway.aclose()


def launch(preset: str, where: Path, without: tuple[str, ...] = ()) -> World:
    brief = Brief.model_validate(load_preset(preset, TODAY))
    return asyncio.run(_played(brief, where, without))


@pytest.fixture(scope="module", params=PRESETS)
def world(request, tmp_path_factory) -> World:
    """A whole job of each preset, with all servers up."""
    return launch(request.param, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def outage(tmp_path_factory) -> World:
    """The reference campaign while half of the servers cannot be started."""
    gone = ("google-docs", "image-gen", "dv360", "google-ads")
    return launch("aurora-one", tmp_path_factory.mktemp("outage"), gone)


def test_a_whole_job_completes(world):
    assert {id: (r.status, r.error) for id, r in world.played.results.items()} == dict.fromkeys(
        world.played.results, (Status.COMPLETED, "")
    )
    assert world.played.status == JobStatus.COMPLETED


def test_the_brief_document_is_in_the_folder_of_its_job(world):
    artifact = world.played.artifact("brief.md")
    assert artifact.source is Source.LOCAL and world.brief.brand in world.page(artifact.url)
    folders = list((world.folder / "google-docs").glob("folder-*/index.html"))
    assert len(folders) == 1
    text = folders[0].read_text(encoding="utf-8")
    assert "(fp-" in text and artifact.remote_id in text
    assert world.played.artifact("media-plan").remote_id in text
    assert world.played.artifact("report.md").remote_id in text


def test_the_sheet_holds_the_cells_of_the_plan(world):
    artifact = world.played.artifact("media-plan")
    assert world.page(artifact.url)
    sheet = world.folder / artifact.url.removeprefix("/local/")
    rows = list(csv.reader(io.StringIO((sheet.parent / "sheet.csv").read_text(encoding="utf-8"))))
    assert rows == list(csv.reader(io.StringIO(world.files.read("media-plan.csv"))))


def test_the_board_shows_every_task_under_its_marker(world):
    board = world.page(world.played.artifact("project").url)
    tasks = task_list(world.brief)
    assert f"{len(tasks)} tasks" in board and "ref fp-" in board
    assert all(task.due_on.isoformat() in board for task in tasks)


def test_the_designs_show_pictures_of_their_exact_size(world):
    for size, artifact in zip(
        world.brief.creative_sizes, world.played.results["creative"].artifacts, strict=True
    ):
        assert Image.open(world.files.path(artifact.file)).size == (size.width, size.height)
        assert f'width="{size.width}"' in world.page(artifact.url)
    assert artifact.source is Source.LOCAL


def test_the_lines_are_paused_and_named_by_their_ids(world):
    records = [record for role in ("ttd", "dv360", "amazon-dsp") for record in world.records(role)]
    assert {record["status"] for record in records} == {"PAUSED"}
    artifacts = world.played.results["activate"].artifacts
    assert {record["id"] for record in records} == {artifact.remote_id for artifact in artifacts}
    assert {artifact.source for artifact in artifacts} == {Source.SIMULATED}
    assert sum(record["budget"] for record in records) == world.brief.budget


def test_the_search_campaign_is_built_whole(world):
    plan = search_plan(world.brief)
    kinds = [record["kind"] for record in world.records("google-ads")]
    assert len(kinds) == plan.effects == world.played.results["search"].made
    assert kinds.count("adgroup") == len(plan.ad_groups)


def test_the_report_is_a_document_with_all_links(world):
    artifact = world.played.artifact("report.md")
    assert artifact.source is Source.LOCAL and world.page(artifact.url)
    text = world.files.read("report.md")
    assert world.files.path("landing-page.html").is_file()
    assert all(record["id"] in text.replace("\\", "") for record in world.records("ttd"))


def test_every_link_of_a_job_opens(world):
    artifacts = [artifact for result in world.played.results.values() for artifact in result.artifacts]
    assert all(world.page(artifact.url) for artifact in artifacts if artifact.url)
    assert all(world.files.path(artifact.file).is_file() for artifact in artifacts if artifact.file)


def test_servers_that_cannot_be_started_leave_fallbacks_and_the_rest_succeeds(outage):
    statuses = {id: str(result.status) for id, result in outage.played.results.items()}
    assert statuses == {
        "brief": "failed",
        "plan": "failed",
        "project": "completed",
        "landing": "completed",
        "creative": "failed",
        "activate": "completed",
        "search": "skipped",
        "report": "failed",
    }
    assert outage.played.status == JobStatus.PARTIAL
    designs = outage.played.results["creative"].artifacts
    assert {one.source for one in designs} == {Source.FALLBACK}
    assert all(outage.page(one.url) for one in designs)
    lines = outage.played.results["activate"].data["lines"]
    assert [line["source"] for line in lines].count("fallback") == 1
    assert outage.files.path("report.md").is_file()
