"""Pictures of an exact size within the limits of ad servers: drawn locally or fitted from another picture."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageFilter, ImageOps

from campaigns.pictures.drawing import Words, paint

#: IAB 2017, initial load in kB (1 kB = 1,000 bytes).
WEIGHT_LIMITS_KB = {
    (300, 250): 150,
    (728, 90): 150,
    (160, 600): 150,
    (970, 250): 250,
    (300, 1050): 250,
    (970, 90): 200,
    (320, 50): 50,
    (300, 50): 50,
}
MAX_SIDE, MAX_PIXELS = 8000, 25_000_000
MAX_SOURCE_PIXELS, MAX_SOURCE_BYTES = 50_000_000, 40_000_000
READABLE = ("PNG", "JPEG", "WEBP", "GIF")
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}

#: The least share of a picture that cropping must keep; otherwise it is shown whole on a blurred background.
_KEPT_SHARE = 0.4


class PictureError(ValueError):
    """The bytes are no usable picture, or no picture can have this size."""


class Size(Protocol):
    """Width and height in pixels; a creative size of a brief is one."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


@dataclass(frozen=True)
class Picture:
    """A picture's bytes, its MIME type, and its size in pixels."""

    data: bytes
    mime: str
    width: int
    height: int

    @property
    def extension(self) -> str:
        """Return the file extension without the dot."""
        return EXTENSIONS[self.mime]


def weight_limit_kb(width: int, height: int) -> int:
    """Return the largest file size of a creative in kilobytes (1,000 bytes).

    The IAB's figure, or for other sizes 1 kB for each 4,096 pixels, at least 150 and at most 2,000.
    """
    return WEIGHT_LIMITS_KB.get((width, height)) or min(2000, max(150, width * height // 4096))


def draw_creative(words: Words, size: Size, *, call_to_action: str = "Learn more", mime: str = "") -> Picture:
    """Draw a creative with brand, product and tagline; the same words make the same picture.

    A size whose `format` is `video` gets a play mark. `mime` selects PNG or JPEG; the default is the better
    one that fits. Raises PictureError for an impossible size.
    """
    _check_size(size.width, size.height)
    video = getattr(size, "format", "") == "video"
    return encode(paint(words, size.width, size.height, call_to_action, video=video), mime)


def fit_image(data: bytes, width: int, height: int, *, mime: str = "") -> Picture:
    """Fit a picture to exactly this size within its file size limit.

    It is cropped if that loses little, otherwise shown whole on a blurred copy of itself. Raises PictureError
    for bytes that are no PNG, JPEG, WebP or GIF, are broken, or have too many pixels to be safe.
    """
    _check_size(width, height)
    picture = _decoded(data)
    ours, theirs = width / height, picture.width / picture.height
    if min(ours, theirs) / max(ours, theirs) >= _KEPT_SHARE:
        return encode(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS), mime)
    ground = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    ground = ground.filter(ImageFilter.GaussianBlur(max(width, height) / 24)).point(lambda value: value * 0.7)
    whole = ImageOps.contain(picture, (width, height), Image.Resampling.LANCZOS)
    ground.paste(whole, ((width - whole.width) // 2, (height - whole.height) // 2))
    return encode(ground, mime)


def read_picture(data: bytes) -> Picture:
    """Return the bytes unchanged as a picture. Raises PictureError if they are not a whole picture."""
    picture = _opened(data)
    _load(picture)
    return Picture(data, f"image/{(picture.format or '').lower()}", *picture.size)


def encode(picture: Image.Image, mime: str = "") -> Picture:
    """Encode the picture within its file size limit: as PNG if it fits, otherwise as the best JPEG that does.

    `mime` selects one of the two; a PNG then has fewer colors. Detail may be lost, the size never changes.
    Raises PictureError for another type.
    """
    if mime not in ("", "image/png", "image/jpeg"):
        raise PictureError(f"{mime} is not supported; image/png and image/jpeg are")
    limit = weight_limit_kb(*picture.size) * 1000
    detail = picture
    for shrink in (1, 2, 4, 8, 16, 32):
        if shrink > 1:
            small = picture.resize((max(1, picture.width // shrink), max(1, picture.height // shrink)))
            detail = small.resize(picture.size, Image.Resampling.BICUBIC)
        for kind, data in _attempts(detail, mime):
            if len(data) <= limit:
                return Picture(data, kind, *picture.size)
    raise PictureError(f"A picture of {picture.width}x{picture.height} cannot weigh less than {limit} bytes")


def _attempts(picture: Image.Image, mime: str) -> Iterator[tuple[str, bytes]]:
    """Yield encodings of a picture, the best first."""
    if mime != "image/jpeg":
        yield "image/png", _png(picture)
    if mime == "image/png":
        yield "image/png", _png(picture.quantize(256))
        for colors in (128, 48, 16):
            # Without dithering: its grain takes more bytes than more colors would.
            yield "image/png", _png(picture.quantize(colors, dither=Image.Dither.NONE))
        return
    for quality in (92, 85, 76, 66, 55, 42, 30, 20):
        yield "image/jpeg", _jpeg(picture, quality)


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=picture.width * picture.height <= 200_000)
    return out.getvalue()


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    sampling = "4:4:4" if quality >= 85 else "4:2:0"
    # Neither optimized nor progressive: for those Pillow uses a buffer that a noisy picture can overflow.
    picture.save(out, "JPEG", quality=quality, subsampling=sampling)
    return out.getvalue()


def _check_size(width: int, height: int) -> None:
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise PictureError(
            f"A picture has 1 to {MAX_SIDE} px a side and at most {MAX_PIXELS} px, not {width}x{height}"
        )


def _opened(data: bytes) -> Image.Image:
    if len(data) > MAX_SOURCE_BYTES:
        raise PictureError(f"The picture has more than {MAX_SOURCE_BYTES // 1_000_000} MB")
    try:
        with warnings.catch_warnings():
            # Pillow only warns about a slightly too large picture; the check below refuses it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=READABLE)
    except Exception as error:
        # Decoders raise many kinds of errors for broken bytes; they all mean the same here.
        raise PictureError("These bytes are not a PNG, JPEG, WebP or GIF picture") from error
    if picture.width * picture.height > MAX_SOURCE_PIXELS:
        raise PictureError(f"The picture claims {picture.width}x{picture.height} pixels, too many to be safe")
    return picture


def _load(picture: Image.Image) -> None:
    try:
        picture.load()
    except Exception as error:
        raise PictureError("The picture is broken or cut short") from error


def _decoded(data: bytes) -> Image.Image:
    """Return the first frame, upright, without transparency, RGB."""
    picture = _opened(data)
    _load(picture)
    turned = ImageOps.exif_transpose(picture).convert("RGBA")
    white = Image.new("RGBA", turned.size, "white")
    return Image.alpha_composite(white, turned).convert("RGB")
