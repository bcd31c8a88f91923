"""Generated brand colors: even in lightness, and the same for the same name."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colors of a picture: `ground` to `glow` for the background, `tint` and `shade` for shapes.

    `accent` is for the button and `ink` for text.
    """

    ground: Color
    glow: Color
    tint: Color
    shade: Color
    accent: Color
    on_accent: Color
    ink: Color
    soft: Color


def dice(name: str, sides: int, throw: str = "") -> int:
    """Return a number from 0 to sides - 1, the same for the same name and throw."""
    digest = hashlib.sha256(f"{throw} {name.strip().casefold()}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % sides


def palette_of(name: str) -> Palette:
    """Return the palette of a name: one of many hues, dark or light, with a contrasting accent."""
    hue = dice(name, 360, "hue")
    # Far enough from the background hue that the button stays visible.
    turn = (150, 180, 210, 75)[dice(name, 4, "turn")]
    if dice(name, 3, "light") == 0:
        return _light(hue, hue + turn)
    return _dark(hue, hue + turn)


def _dark(hue: int, other: int) -> Palette:
    return Palette(
        ground=color(0.24, 0.055, hue),
        glow=color(0.42, 0.115, hue + 24),
        tint=color(0.56, 0.125, hue + 34),
        shade=color(0.33, 0.09, hue + 8),
        accent=color(0.82, 0.14, other),
        on_accent=color(0.22, 0.04, hue),
        ink=color(0.985, 0.006, hue),
        soft=color(0.86, 0.03, hue + 20),
    )


def _light(hue: int, other: int) -> Palette:
    return Palette(
        ground=color(0.97, 0.014, hue),
        glow=color(0.90, 0.045, hue + 20),
        tint=color(0.78, 0.10, hue + 10),
        shade=color(0.86, 0.065, hue + 30),
        accent=color(0.50, 0.16, other),
        on_accent=color(0.985, 0.006, other),
        ink=color(0.24, 0.045, hue),
        soft=color(0.43, 0.04, hue),
    )


def color(lightness: float, chroma: float, hue: float) -> Color:
    """Convert an OKLCH color to sRGB, with less chroma if sRGB has no such color."""
    while True:
        linear = _linear(lightness, chroma, math.radians(hue % 360))
        if chroma <= 0 or all(-0.0005 <= part <= 1.0005 for part in linear):
            return (_byte(linear[0]), _byte(linear[1]), _byte(linear[2]))
        chroma -= 0.005


def mix(first: Color, second: Color, share: float) -> Color:
    """Return the color at a position (0 to 1) between the first and the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def _linear(lightness: float, chroma: float, angle: float) -> tuple[float, float, float]:
    # The constants are those of the OKLab definition (Björn Ottosson, 2020).
    a, b = chroma * math.cos(angle), chroma * math.sin(angle)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )


def _byte(linear: float) -> int:
    part = min(max(linear, 0.0), 1.0)
    encoded = 12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055
    return round(encoded * 255)
