"""Pictures have exactly their size and stay below their weight, whatever is to be shown."""

import io
import os
import struct
import zlib
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from campaigns.pictures.drawing import _plan, _stack, _strip
from campaigns.pictures.imaging import (
    Picture,
    PictureError,
    draw_creative,
    encode,
    fit_image,
    read_picture,
    weight_limit_kb,
)
from campaigns.pictures.palette import palette_of

SIZES = [
    (300, 250),
    (728, 90),
    (160, 600),
    (320, 50),
    (970, 250),
    (300, 1050),
    (1920, 1080),
    (1200, 628),
    (97, 31),
]
LONG = "Everything about this is longer than any designer would ever have wished it to be, " * 4
WORDS = {
    "usual": ("Aurora", "One", "Wake up with the sun, wherever you are"),
    "long": ("International Consolidated Widgets", LONG, LONG),
    "one long word": (
        "Donaudampfschifffahrtsgesellschaft",
        "",
        "Rindfleischetikettierungsüberwachungsaufgaben" * 3,
    ),
    "cyrillic": ("Волна", "Чайник", "Тёплый чай за минуту"),
    "japanese": ("日本茶", "玉露", "静けさの一杯"),
    "arabic and emoji": ("قهوة", "🙂🙂", "صباح\x00 الخير\n🙂"),
    "nothing": ("", "", ""),
}


def _words(brand, product="", tagline=""):
    return SimpleNamespace(brand=brand, product=product, tagline=tagline)


def _size(width, height, form="static"):
    return SimpleNamespace(width=width, height=height, format=form)


def _opened(picture: Picture) -> Image.Image:
    shown = Image.open(io.BytesIO(picture.data))
    assert shown.size == (picture.width, picture.height)
    assert shown.get_format_mimetype() == picture.mime
    assert len(picture.data) <= weight_limit_kb(*shown.size) * 1000
    return shown


def _bytes(picture: Image.Image, form: str = "PNG", **more) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **more)
    return out.getvalue()


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_creative_has_its_exact_size_and_weight_whatever_it_says(words):
    for width, height in SIZES[:6]:
        shown = _opened(draw_creative(_words(*words), _size(width, height)))
        assert shown.size == (width, height)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_no_text_leaves_the_picture_or_lies_on_other_text_or_on_the_button(words, size):
    plan = _plan(*size)
    pieces = (_strip if plan.shape == "strip" else _stack)(_words(*words), "Learn more", plan)
    boxes = [
        (x, y, x + block.width, y + block.height) for block, x, y, role in pieces.texts if role != "on_accent"
    ]
    boxes += [(b.left, b.top, b.right, b.bottom) for b in [pieces.button] if b]
    for left, top, right, bottom in boxes:
        assert left >= 0 and top >= -1 and right <= size[0] + 1 and bottom <= size[1] + 1
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = (
                one[2] <= other[0] + 1
                or other[2] <= one[0] + 1
                or one[3] <= other[1] + 1
                or other[3] <= one[1] + 1
            )
            assert apart, (one, other)


def test_a_large_creative_has_its_exact_size_and_weight():
    for width, height in SIZES[6:]:
        shown = _opened(draw_creative(_words(*WORDS["usual"]), _size(width, height)))
        assert shown.size == (width, height)


def test_the_same_words_give_the_same_picture_and_another_brand_another_one():
    first = draw_creative(_words("Aurora"), _size(300, 250))
    assert draw_creative(_words("Aurora"), _size(300, 250)) == first
    assert draw_creative(_words("Borealis"), _size(300, 250)).data != first.data
    assert len({palette_of(f"brand {number}").ground for number in range(40)}) > 30


def test_text_contrasts_with_its_background_for_every_brand():
    for number in range(200):
        colors = palette_of(f"brand {number}")
        for text, ground in [
            (colors.ink, colors.ground),
            (colors.ink, colors.glow),
            (colors.on_accent, colors.accent),
        ]:
            assert _contrast(text, ground) >= 4.5


def _contrast(one, other):
    """WCAG 2: 4.5 is readable."""

    def luminance(color):
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_a_video_thumbnail_has_a_play_mark():
    still, opening = (draw_creative(_words("Aurora"), _size(640, 360, form)) for form in ("static", "video"))
    assert still.data != opening.data


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (8001, 10), (8000, 8000)])
def test_a_size_that_no_picture_has_is_refused(size):
    with pytest.raises(PictureError, match="px"):
        draw_creative(_words("A"), _size(*size))
    with pytest.raises(PictureError, match="px"):
        fit_image(_bytes(Image.new("RGB", (9, 9))), *size)


@settings(max_examples=15, deadline=None)
@example(1, 5, "", "")  # the margins are wider than the picture
@given(st.integers(1, 400), st.integers(1, 400), st.text(max_size=40), st.text(max_size=80))
def test_odd_sizes_and_odd_texts_are_drawn(width, height, brand, tagline):
    assert _opened(draw_creative(_words(brand, "", tagline), _size(width, height))).size == (width, height)


@pytest.mark.parametrize(
    ("source", "size"), [((1024, 1024), (300, 250)), ((1024, 1024), (728, 90)), ((60, 900), (320, 50))]
)
def test_an_outside_picture_is_brought_to_the_exact_size(source, size):
    assert _opened(fit_image(_bytes(Image.new("RGB", source, "teal")), *size)).size == size


def test_a_picture_of_pure_noise_still_comes_below_the_limit():
    noise = Image.frombytes("RGB", (728, 90), os.urandom(728 * 90 * 3)).resize((1456, 180))
    for mime in ("", "image/png", "image/jpeg"):
        for size in [(320, 50), (728, 90), (640, 360)]:
            picture = fit_image(_bytes(noise), *size, mime=mime)
            assert _opened(picture).size == size and mime in ("", picture.mime)


def test_transparency_becomes_white_and_a_turned_photograph_is_upright():
    clear = fit_image(_bytes(Image.new("RGBA", (50, 50), (0, 0, 0, 0))), 50, 50)
    assert _opened(clear).convert("RGB").getpixel((25, 25)) == (255, 255, 255)
    photograph = Image.new("RGB", (80, 40), "black")
    photograph.paste("white", (0, 0, 40, 40))
    turned = photograph.getexif()
    turned[274] = 6
    upright = _opened(fit_image(_bytes(photograph, "JPEG", exif=turned), 40, 80)).convert("L")
    assert upright.getpixel((20, 10)) > 200 and upright.getpixel((20, 70)) < 50


def _claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose head claims a size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html>error</html>",
        _bytes(Image.new("RGB", (200, 200), "red"))[:120],
        _bytes(Image.new("RGB", (9, 9)), "BMP"),
        _claiming(9000, 9000),
        _claiming(60000, 60000),
    ],
    ids=["empty", "svg", "html", "cut short", "bmp", "too many pixels", "bomb"],
)
def test_bytes_that_are_no_safe_picture_are_refused(data):
    for use in (read_picture, lambda data: fit_image(data, 300, 250)):
        with pytest.raises(PictureError):
            use(data)


def test_a_readable_picture_is_kept_as_it_is():
    data = _bytes(Image.new("RGB", (12, 34)), "JPEG")
    assert read_picture(data) == Picture(data, "image/jpeg", 12, 34)
    assert read_picture(data).extension == "jpg"


def test_a_type_that_is_not_written_here_is_refused():
    with pytest.raises(PictureError, match="image/tiff"):
        encode(Image.new("RGB", (9, 9)), "image/tiff")


def test_weight_limits_are_those_of_the_table_and_else_grow_with_the_picture():
    assert [weight_limit_kb(*size) for size in [(300, 250), (970, 250), (970, 90), (320, 50)]] == [
        150,
        250,
        200,
        50,
    ]
    assert [weight_limit_kb(*size) for size in [(468, 60), (1920, 1080), (5000, 5000)]] == [150, 506, 2000]
