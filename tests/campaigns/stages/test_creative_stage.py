"""Landing page and creatives: exact sizes, designs, and what is left when a link of the chain breaks."""

import io
import os

import pytest
from PIL import Image

from campaigns.pictures.imaging import weight_limit_kb
from jobs.engine.results import JobStatus, Source, Status, Stopped
from jobs.tools.contract.errors import ServerUnavailable, ToolFailed, Unknown
from jobs.tools.contract.reply import ImageContent, Reply
from tests.campaigns.stages.stand import play, png


def images(result) -> dict[str, object]:
    return {artifact.name: artifact for artifact in result.artifacts}


async def test_the_landing_page_is_made_even_if_every_server_fails(brief, tools, files):
    tools.faults.add("google-docs", ServerUnavailable("down"))
    played = await play("landing", brief=brief, tools=tools, files=files)
    result = played.results["landing"]
    assert (result.status, result.made, result.total) == (Status.COMPLETED, 1, 1)
    page = played.artifact("landing-page.html")
    assert (page.source, page.mime) == (Source.LOCAL, "text/html") and not tools.calls
    assert files.read(page.file).lower().startswith("<!doctype html")
    assert brief.brand in files.read(page.file)


@pytest.mark.parametrize("inline", [False, True], ids=["as a file", "as content"])
async def test_every_creative_is_a_picture_of_its_exact_size_in_a_design(brief, tools, files, inline):
    tools.inline_images = inline
    played = await play("creative", brief=brief, tools=tools, files=files)
    result, count = played.results["creative"], len(brief.creative_sizes)
    assert (result.status, result.made, result.total) == (Status.COMPLETED, count, count)
    assert played.progress("creative")[-1] == (count, count)
    for size, artifact in zip(brief.creative_sizes, result.artifacts, strict=True):
        assert artifact.name in (f"creative-{size.slug}.png", f"creative-{size.slug}.jpg")
        data = files.path(artifact.file).read_bytes()
        assert Image.open(io.BytesIO(data)).size == (size.width, size.height)
        assert len(data) <= weight_limit_kb(size.width, size.height) * 1000
        assert artifact.source is Source.LOCAL and (artifact.width, artifact.height) == (
            size.width,
            size.height,
        )
        assert artifact.url == f"https://canva.example/creative.design.{size.slug}-id/view"
    for sent in tools.of("upload_asset"):
        assert len(sent.args["name"]) <= 50 and files.path(sent.args["path"]).is_file()
    for sent in tools.of("create_design"):
        assert sent.args["asset_id"] == sent.step.replace("design", "upload") + "-id"


async def test_pictures_of_an_outside_model_are_live_and_cut_to_size(aurora, tools, files):
    tools.live = ("image-gen",)
    tools.answers["generate_image"] = lambda sent: Reply(
        images=(ImageContent(png(512, 512), "image/png"),), source=Source.LIVE
    )
    played = await play("creative", brief=aurora, tools=tools, files=files)
    leaderboard = played.artifact("creative-leaderboard.png")
    assert leaderboard.source is Source.LIVE
    assert Image.open(files.path(leaderboard.file)).size == (728, 90)


async def test_without_images_the_designs_are_made_with_pictures_drawn_here(brief, tools, files):
    tools.faults.add("image-gen", ServerUnavailable("image-gen cannot be reached"))
    played = await play("creative", brief=brief, tools=tools, files=files)
    result, count = played.results["creative"], len(brief.creative_sizes)
    assert (result.status, result.made, result.total) == (Status.FAILED, 0, count)
    assert len(result.artifacts) == len(tools.of("create_design")) == count
    for size, artifact in zip(brief.creative_sizes, result.artifacts, strict=True):
        assert artifact.source is Source.FALLBACK and artifact.url.endswith("/view")
        assert "drawn locally: image-gen cannot be reached" in artifact.note
        assert Image.open(files.path(artifact.file)).size == (size.width, size.height)
    assert sorted(step for step, _ in played.fallbacks()) == sorted(
        f"creative.image.{size.slug}" for size in brief.creative_sizes
    )


async def test_three_of_four_creatives_complete_the_stage(aurora, tools, files):
    tools.faults.add("generate_image", ToolFailed("the model refuses"), ".leaderboard")
    played = await play("creative", brief=aurora, tools=tools, files=files)
    result = played.results["creative"]
    assert (result.status, result.made, result.total, result.error) == (Status.COMPLETED, 3, 4, "")
    sources = [artifact.source for artifact in result.artifacts]
    assert sources == [Source.LOCAL, Source.FALLBACK, Source.LOCAL, Source.LOCAL]
    assert result.data["missed"] == [
        {"item": "Leaderboard", "why": "the model refuses", "fallback": result.artifacts[1].file}
    ]


async def test_without_a_design_the_picture_stays_what_it_is(aurora, tools, files):
    tools.faults.add("create_design", ToolFailed("too many designs"), ".leaderboard")
    tools.faults.add("upload_asset", ToolFailed("no room"), ".medium-rectangle")
    played = await play("creative", brief=aurora, tools=tools, files=files)
    result = played.results["creative"]
    assert (result.status, result.made, result.total) == (Status.PARTIAL, 2, 4)
    assert "too many designs" in result.error and "no room" in result.error
    rectangle, leaderboard = result.artifacts[:2]
    assert (rectangle.source, rectangle.url, rectangle.note) == (Source.LOCAL, "", "no design: no room")
    assert (leaderboard.source, leaderboard.url) == (Source.LOCAL, "")
    assert leaderboard.note == "no design: too many designs"
    assert not [sent for sent in tools.of("create_design") if "medium" in sent.step]
    assert sorted(step for step, _ in played.fallbacks()) == [
        "creative.design.leaderboard",
        "creative.upload.medium-rectangle",
    ]


async def test_with_neither_service_pictures_drawn_here_are_left(aurora, tools, files):
    tools.faults.add("image-gen", ServerUnavailable("image-gen is down"))
    tools.faults.add("canva", ServerUnavailable("canva is down"))
    played = await play("creative", brief=aurora, tools=tools, files=files)
    assert played.results["creative"].status is Status.FAILED
    for artifact in played.results["creative"].artifacts:
        assert (artifact.source, artifact.url) == (Source.FALLBACK, "")
        assert "image-gen is down" in artifact.note and "canva is down" in artifact.note


@pytest.mark.parametrize(
    "case", ["garbage", "a pipe", "a folder", "a huge file", "no file", "no path", "a bad path"]
)
async def test_what_is_no_readable_picture_counts_as_a_failed_image(aurora, tools, files, case, tmp_path):
    odd = tmp_path / "odd"

    def answer(sent):
        if case == "garbage":
            odd.write_bytes(b"not a picture")
        elif case == "a pipe" and not odd.exists():
            os.mkfifo(odd)
        elif case == "a folder":
            odd.mkdir(exist_ok=True)
        elif case == "a huge file":
            with odd.open("wb") as file:
                file.truncate(26_000_000)
        path = {"no path": None, "a bad path": "\0"}.get(case, str(odd))
        return Reply(data={"path": path}, source=Source.LIVE)

    tools.answers["generate_image"] = answer
    small = aurora.model_copy(update={"creative_sizes": aurora.creative_sizes[:1]})
    played = await play("creative", brief=small, tools=tools, files=files)
    (artifact,) = played.results["creative"].artifacts
    assert artifact.source is Source.FALLBACK and artifact.note.startswith("drawn locally")
    assert Image.open(files.path(artifact.file)).size == (300, 250)


async def test_a_later_run_finds_a_picture_whose_bytes_the_journal_has_not_kept(aurora, tools, files):
    tools.inline_images = True
    await play("creative", brief=aurora, tools=tools, files=files)
    tools.answers["generate_image"] = lambda sent: Reply(source=Source.LIVE)
    played = await play("creative", brief=aurora, tools=tools, files=files)
    assert {artifact.source for artifact in played.results["creative"].artifacts} == {Source.LIVE}


async def test_an_unknown_picture_keeps_the_job_from_being_completed(aurora, tools, files):
    tools.faults.add("generate_image", Unknown("nobody knows"), ".leaderboard")
    played = await play("creative", brief=aurora, tools=tools, files=files)
    assert played.results["creative"].data["unknown"] == ["Leaderboard"]
    assert played.status == JobStatus.PARTIAL


async def test_a_stop_draws_no_fallback(aurora, tools, files):
    tools.faults.add("image-gen", Stopped("cancelled"))
    with pytest.raises(Stopped):
        await play("creative", brief=aurora, tools=tools, files=files)
    assert not list(files.where.iterdir())
