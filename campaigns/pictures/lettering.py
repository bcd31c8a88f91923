"""Text in pictures: fonts that can draw it, and the largest size at which it fits."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont

#: Tried in this order if the built-in font lacks a letter.
FALLBACKS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "Arial Unicode.ttf",
    "arialuni.ttf",
    "PingFang.ttc",
    "msyh.ttc",
)
LINE_HEIGHT = 1.18


@dataclass(frozen=True)
class Block:
    """Lines of text at one size; width and height in pixels."""

    lines: tuple[str, ...]
    font: Font
    size: int
    bold: bool

    @property
    def stroke(self) -> float:
        # The built-in font has only one weight; a thin outline makes it bold.
        return self.size * 0.022 if self.bold else 0

    @property
    def line_height(self) -> int:
        return max(1, round(self.size * LINE_HEIGHT))

    @property
    def height(self) -> int:
        return self.line_height * len(self.lines)

    @property
    def width(self) -> float:
        return max((self.font.getlength(line) + 2 * self.stroke for line in self.lines), default=0)

    def draw(self, canvas: ImageDraw.ImageDraw, x: float, y: float, fill: tuple[int, int, int]) -> None:
        """Draw the block with its top left corner at x, y."""
        for number, line in enumerate(self.lines):
            middle = y + self.line_height * (number + 0.5)
            # Text looks centered by the middle of its capitals, not of its line box.
            baseline = middle + self.size * 0.355
            place = (x + self.stroke, baseline)
            canvas.text(
                place,
                line,
                fill=fill,
                font=self.font,
                anchor="ls",
                stroke_width=self.stroke,
                stroke_fill=fill,
            )


def fit(
    text: str,
    width: float,
    height: float,
    largest: float,
    smallest: float = 7,
    lines: int = 1,
    bold: bool = False,
) -> Block | None:
    """Return the text at the largest size that fits into the space, wrapped to a number of lines.

    At the smallest size it is cut with an ellipsis. None if nothing can be drawn there.
    """
    words = drawable(text)
    if not words or width < 4 or height < smallest:
        return None
    low, high = round(smallest), max(round(smallest), int(min(largest, height / LINE_HEIGHT)))
    while low < high:
        middle = (low + high + 1) // 2
        wrapped = _wrap(words, _block((), words, middle, bold), width)
        fits = (
            wrapped is not None
            and len(wrapped) <= lines
            and len(wrapped) * round(middle * LINE_HEIGHT) <= height
        )
        low, high = (middle, high) if fits else (low, middle - 1)
    return _cut(words, low, width, height, lines, bold)


def drawable(text: str) -> str:
    """Return the text on one line, without letters that no installed font can draw."""
    flat = " ".join(
        "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", text)).split()
    )
    have = _coverage(_font_name(flat))
    return " ".join("".join(letter for letter in flat if letter == " " or have(letter)).split())


def _block(lines: tuple[str, ...], text: str, size: int, bold: bool) -> Block:
    return Block(lines, _font(_font_name(text), size), size, bold)


def _cut(words: str, size: int, width: float, height: float, lines: int, bold: bool) -> Block | None:
    empty = _block((), words, size, bold)
    wrapped = _wrap(words, empty, width) or _wrap(words, empty, width, split=True) or []
    most = max(1, min(lines, int(height // empty.line_height)))
    if len(wrapped) > most:
        wrapped = [*wrapped[: most - 1], _shorten(" ".join(wrapped[most - 1 :]), empty, width)]
    return Block(tuple(wrapped), empty.font, size, bold) if any(wrapped) else None


def _shorten(text: str, block: Block, width: float) -> str:
    while text and block.font.getlength(text + "…") + 2 * block.stroke > width:
        text = text[:-1].rstrip(" ,.;:-")
    return text + "…" if text else ""


def _wrap(text: str, block: Block, width: float, *, split: bool = False) -> list[str] | None:
    """Return evenly filled lines of at most this width, or None if a word is wider and must not be split."""
    words = [
        piece for word in text.split(" ") for piece in (_pieces(word, block, width) if split else [word])
    ]
    lengths = [block.font.getlength(word) + 2 * block.stroke for word in words]
    if max(lengths) > width:
        return None
    lines = _greedy(words, block, width)
    # The narrowest width with the same number of lines, so that the last line is not a single word.
    narrow = width
    while len(lines) > 1 and narrow > max(lengths):
        closer = _greedy(words, block, narrow := max(narrow * 0.94, max(lengths)))
        if len(closer) > len(lines):
            break
        lines = closer
    return lines


def _greedy(words: list[str], block: Block, width: float) -> list[str]:
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and block.font.getlength(longer) + 2 * block.stroke <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _pieces(word: str, block: Block, width: float) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and block.font.getlength(pieces[-1] + letter) + 2 * block.stroke > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


@lru_cache(maxsize=256)
def _font(name: str, size: int) -> Font:
    font = ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    assert isinstance(font, Font), "Pillow is built without FreeType"  # noqa: S101
    return font


@lru_cache(maxsize=512)
def _font_name(text: str) -> str:
    """Return the first font that has every letter, or "" for the built-in font."""
    for name in ("", *FALLBACKS):
        try:
            have = _coverage(name)
        except OSError:
            continue
        if all(letter == " " or have(letter) for letter in set(text)):
            return name
    return ""


@lru_cache(maxsize=32)
def _coverage(name: str) -> Callable[[str], bool]:
    """Return a function that tests whether a font has a letter. Raises OSError if the font is missing."""
    font = _font(name, 24)
    # A font draws every missing letter as the same box; this code point is never a letter.
    box = _drawn(font, "\U0010fffd")

    @lru_cache(maxsize=4096)
    def have(letter: str) -> bool:
        return _drawn(font, letter) != box

    return have


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
