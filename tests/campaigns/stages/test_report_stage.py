"""The report at the end, and whole jobs: every step under its own name, every failure told."""

import re
from collections import Counter

import pytest

from campaigns.workflow import LIFECYCLE
from jobs.engine.results import JobStatus, Source, Status, Stopped
from jobs.tools.contract.errors import ServerUnavailable, ToolFailed, Unknown
from tests.campaigns.stages.stand import ToolBox, play


async def test_a_whole_job_completes_and_its_report_names_all_that_was_made(brief, tools, files):
    played = await play(brief=brief, tools=tools, files=files)
    assert played.status == JobStatus.COMPLETED
    assert list(played.results) and {r.status for r in played.results.values()} == {Status.COMPLETED}
    text = files.read("report.md")
    for stage in LIFECYCLE.stages[:-1]:
        assert stage.name in text
    for id, result in played.results.items():
        for artifact in result.artifacts if id != "report" else ():
            assert not artifact.url or artifact.url in text
    report = played.artifact("report.md")
    assert (report.kind, report.source) == ("report", Source.LOCAL)
    assert report.url == "https://google-docs.example/report.document-id"
    assert "Nothing failed." in text
    assert "The launch took" in text
    (document,) = [sent for sent in tools.of("createDocument") if sent.stage == "report"]
    # the bundled document, read on this site, links our files by address; our own copy links its neighbors
    linked = re.sub(r"\.\./\.\./\.\./api/jobs/[0-9a-f-]{36}/artifacts/", "", document.args["initialContent"])
    assert linked == text != document.args["initialContent"]


async def test_every_step_of_a_job_has_a_name_of_its_own_that_is_the_same_in_every_run(light, tools, files):
    again = ToolBox()
    await play(brief=light, tools=tools, files=files)
    await play(brief=light, tools=again, files=files)
    steps = [sent.step for sent in tools.calls]
    assert len(set(steps)) == len(steps)
    assert sorted(steps) == sorted(sent.step for sent in again.calls)
    assert all(len(step) <= 200 and step.isascii() and "/" not in step for step in steps)
    assert all(step.startswith(f"{sent.stage}.") for step, sent in zip(steps, tools.calls, strict=True))


async def test_every_call_of_a_job_is_on_the_declared_path_of_its_stage(light, tools, files):
    await play(brief=light, tools=tools, files=files)
    paths = {stage.id: {(hop.server, hop.tool) for hop in stage.path} for stage in LIFECYCLE.stages}
    assert {
        (sent.server, sent.tool) for sent in tools.calls if (sent.server, sent.tool) not in paths[sent.stage]
    } == set()
    left = [LIFECYCLE.remaining(sent.stage, sent.server, sent.tool) for sent in tools.calls]
    assert min(left) >= 30
    images = LIFECYCLE.remaining("creative", "image-gen", "generate_image")
    assert images == max(left) == 180


async def test_the_paths_tell_how_often_each_call_of_the_reference_campaign_is_made(aurora, tools, files):
    await play(brief=aurora, tools=tools, files=files)
    made = Counter((sent.stage, sent.server, sent.tool) for sent in tools.calls)
    told = {
        (stage.id, hop.server, hop.tool): hop.times(aurora)
        for stage in LIFECYCLE.stages
        for hop in stage.path
    }
    assert made == told


async def test_the_reference_campaign_takes_the_calls_it_is_known_for(aurora, tools, files):
    played = await play(brief=aurora, tools=tools, files=files)
    counts = {id: result.total for id, result in played.results.items() if id != "search"}
    assert counts == {
        "brief": 1,
        "plan": 2,
        "project": 13,
        "landing": 1,
        "creative": 4,
        "activate": 5,
        "report": 1,
    }
    assert len([sent for sent in tools.calls if sent.stage != "search"]) == 1 + 1 + 2 + 15 + 12 + 5 + 1


async def test_with_everything_down_the_job_ends_as_partial_with_a_fallback_for_all(light, tools, files):
    for server in (
        "google-docs",
        "asana-v2",
        "image-gen",
        "canva",
        "ttd",
        "dv360",
        "amazon-dsp",
        "google-ads",
    ):
        tools.faults.add(server, ServerUnavailable(f"{server} cannot be reached"))
    played = await play(brief=light, tools=tools, files=files)
    assert played.status == JobStatus.PARTIAL  # the landing page is made here
    statuses = {id: str(result.status) for id, result in played.results.items()}
    assert statuses.pop("landing") == "completed" and statuses.pop("search") == "skipped"
    assert set(statuses.values()) == {"failed"}
    artifacts = [artifact for result in played.results.values() for artifact in result.artifacts]
    assert {a.source for a in artifacts if a.name != "landing-page.html"} == {Source.FALLBACK}
    assert all(files.path(artifact.file).is_file() for artifact in artifacts)
    text = files.read("report.md")
    for fallback in ("brief.md", "media-plan.xlsx", "project-tasks.md", "search-campaign.md"):
        assert fallback in text.replace("\\", "")
    assert "ttd cannot be reached" in text and "Skipped: Search Campaign" in text


async def test_the_report_lists_each_missed_item_with_its_reason_and_what_is_unknown(aurora, tools, files):
    tools.faults.add("asana_create_task", ToolFailed("the project is full"), ".launch")
    tools.faults.add("dv360", Unknown("the answer was lost"))
    played = await play(brief=aurora, tools=tools, files=files)
    assert played.status == JobStatus.PARTIAL
    text = files.read("report.md")
    assert "Setup Project Management: Launch | the project is full | project-tasks.md" in text
    assert "Activate on DSPs: DV360 CTV" in text and "the answer was lost" in text
    assert "Unknown; check: DV360 CTV" in text


async def test_the_local_report_is_the_fallback_when_only_the_last_document_fails(aurora, tools, files):
    tools.faults.add("createDocument", ToolFailed("the quota is used up"), "report.")
    played = await play(brief=aurora, tools=tools, files=files)
    assert played.results["brief"].status is Status.COMPLETED
    assert played.results["report"].status is Status.FAILED
    assert played.artifact("report.md").source is Source.FALLBACK
    assert files.path("report.md").is_file()


async def test_artifact_names_are_unique_in_a_job_and_fit_where_they_are_stored(light, tools, files):
    long = light.model_copy(update={"product": "p" * 120, "brand": "b" * 120})
    played = await play(brief=long, tools=tools, files=files)
    artifacts = [artifact for result in played.results.values() for artifact in result.artifacts]
    assert len({artifact.name for artifact in artifacts}) == len(artifacts)
    assert all(len(a.name) <= 120 and len(a.title) <= 200 and len(a.mime) <= 100 for a in artifacts)


async def test_a_stopped_job_has_no_report(aurora, tools, files):
    tools.faults.add("canva", Stopped("cancelled"))
    with pytest.raises(Stopped):
        await play(brief=aurora, tools=tools, files=files)
    assert not files.path("report.md").exists()
