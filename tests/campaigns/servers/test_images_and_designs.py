"""Pictures drawn from a prompt, and designs that show them at their exact size."""

import asyncio

import pytest
from PIL import Image

from campaigns.pictures.imaging import weight_limit_kb
from campaigns.servers.local.images import words_of
from tests.campaigns.servers.play import playing

PROMPT = "Photograph for a display advertisement for Aurora One. The idea: Wake up with the sun. No letters."


async def test_pictures_have_their_exact_size_and_weight_and_lie_where_asked(tmp_path):
    sizes = [(300, 250), (728, 90), (160, 600), (1920, 1080)]
    async with playing("image-gen", tmp_path / "world") as player:
        made = await asyncio.gather(
            *(
                player.do(
                    "generate_image",
                    prompt=PROMPT,
                    width=width,
                    height=height,
                    save_path=str(tmp_path / "job" / f"{width}.png"),
                    reference=f"ref-{width}",
                )
                for width, height in sizes
            )
        )
        found = await player.do("find_images", reference="ref-300")
        nothing = await player.do("find_images", reference="other")
    for (width, height), answer in zip(sizes, made, strict=True):
        path = tmp_path / "job" / f"{width}.png"
        assert answer == {
            "path": str(path),
            "width": width,
            "height": height,
            "mime_type": "image/png",
            "model": "local-draw",
            "cost_usd": 0,
        }
        with Image.open(path) as picture:
            assert picture.size == (width, height) and picture.format == "PNG"
        assert path.stat().st_size <= weight_limit_kb(width, height) * 1000
    assert found["items"][0] | made[0] == found["items"][0] and nothing == {"items": []}


async def test_without_a_path_the_picture_lies_in_the_world_and_has_a_page(tmp_path):
    async with playing("image-gen", tmp_path) as player:
        made = await player.do(
            "generate_image", prompt='A banner that says "Tea <now>"', width=320, height=50
        )
    [path] = tmp_path.glob("image-gen/*/image.png")
    assert made["path"] == str(path)
    assert "Tea &lt;now&gt;" in (path.parent / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"prompt": " ", "width": 300, "height": 250}, "prompt must not be blank"),
        ({"prompt": "Tea", "width": 0, "height": 250}, "width must be between 1 and 8000"),
        ({"prompt": "Tea", "width": 8000, "height": 8000}, "at most 25000000 px"),
        ({"prompt": "Tea", "width": 9, "height": 9, "save_path": "/dev/null/x.png"}, "save_path"),
    ],
)
async def test_what_cannot_be_drawn_is_refused(arguments, reason, tmp_path):
    async with playing("image-gen", tmp_path) as player:
        assert reason in await player.refusal("generate_image", **arguments)
    assert not list(tmp_path.glob("image-gen/*/*.html"))


@pytest.mark.parametrize(
    ("prompt", "brand", "tagline"),
    [
        (PROMPT, "Aurora One", "Wake up with the sun"),
        (
            "Brand: Kite & Co\nTagline: Pay day, every day\nCall to action: Try it",
            "Kite & Co",
            "Pay day, every day",
        ),
        ('Poster with "Northwind" and "Stays cold"', "Northwind", "Stays cold"),
        ("a red fox jumping over snow", "a red fox jumping", ""),
        (
            "Opening frame of a film for St. Ives & Co. The idea: Rise. Shine. Composition: a wide strip.",
            "St. Ives & Co",
            "Rise. Shine",
        ),
    ],
)
def test_the_words_of_a_picture_come_from_its_prompt(prompt, brand, tagline):
    words = words_of(prompt)
    assert (words.brand, words.tagline) == (brand, tagline)


async def test_a_design_shows_its_asset_at_the_exact_size_with_pages_to_view_and_edit(tmp_path):
    source = tmp_path / "source.jpg"
    Image.new("RGB", (640, 480), "teal").save(source)
    async with playing("canva", tmp_path) as player:
        asset = await player.do("upload_asset", name="Banner", path=str(source), reference="a")
        design = await player.do(
            "create_design", title="Banner", width=300, height=250, asset_id=asset["id"], reference="d"
        )
        assert (await player.do("find_assets", reference="a"))["items"] == [{**asset, "name": "Banner"}]
        assert (await player.do("find_designs", reference="d"))["items"] == [{**design, "name": "Banner"}]
        assert (await player.do("find_designs", reference="a"))["items"] == []
    assert set(asset) == {"id"} and set(design) == {"id", "edit_url", "view_url"}
    folder = tmp_path / "canva" / design["id"]
    assert design["view_url"] == f"/local/canva/{design['id']}/index.html"
    assert design["edit_url"] == f"/local/canva/{design['id']}/edit.html" and (folder / "edit.html").exists()
    with Image.open(next(folder.glob("design.*"))) as picture:
        assert picture.size == (300, 250)
    assert 'width="300" height="250"' in (folder / "index.html").read_text()


async def test_a_design_can_be_made_without_an_asset(tmp_path):
    async with playing("canva", tmp_path) as player:
        design = await player.do("create_design", title="Aurora", width=160, height=600)
    with Image.open(tmp_path / "canva" / design["id"] / "design.png") as picture:
        assert picture.size == (160, 600)


async def test_canva_refuses_what_the_service_would(tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    async with playing("canva", tmp_path) as player:
        assert "not a PNG" in await player.refusal("upload_asset", name="A", path=str(text))
        assert "cannot be read" in await player.refusal("upload_asset", name="A", path="/nowhere.png")
        assert "1 to 50" in await player.refusal("upload_asset", name="A" * 51, path=str(text))
        assert "40 to 8000" in await player.refusal("create_design", title="A", width=39, height=90)
        assert "Asset not found" in await player.refusal(
            "create_design", title="A", width=90, height=90, asset_id="asset-1"
        )
