"""A locally drawn creative: background, motif, brand, text and call to action."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from PIL import Image, ImageDraw

from campaigns.pictures.lettering import Block, fit
from campaigns.pictures.palette import Color, Palette, dice, mix, palette_of


class Words(Protocol):
    """The words on a creative; a brief has these attributes."""

    @property
    def brand(self) -> str: ...
    @property
    def product(self) -> str: ...
    @property
    def tagline(self) -> str: ...


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; in a tiny picture its margins may cross, and it is empty."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return max(0.0, self.right - self.left)

    @property
    def height(self) -> float:
        return max(0.0, self.bottom - self.top)


@dataclass(frozen=True)
class Plan:
    """The layout: the text's box and the motif's center; `fade` is the direction in which it grows."""

    shape: str
    text: Box
    center: tuple[float, float]
    fade: str
    strength: float


def paint(words: Words, width: int, height: int, action: str, *, video: bool = False) -> Image.Image:
    """Draw the picture, exactly width x height, RGB. The same words make the same picture."""
    colors = palette_of(words.brand)
    plan = _plan(width, height)
    scale = 2 if width * height <= 3_000_000 else 1
    # In a strip, only the button may stand out behind the words.
    quiet = replace(colors, accent=mix(colors.glow, colors.tint, 0.9)) if plan.shape == "strip" else colors
    picture = _scene(words, quiet, plan, width * scale, height * scale)
    if video:
        _play(picture, colors, plan, scale)
    stack = _strip if plan.shape == "strip" else _stack
    pieces = stack(words, action, plan)
    if pieces.button:
        _pill(picture, pieces.button, colors, scale)
    picture = picture.resize((width, height), Image.Resampling.BOX) if scale > 1 else picture
    canvas = ImageDraw.Draw(picture)
    for block, x, y, role in pieces.texts:
        block.draw(canvas, x, y, getattr(colors, role))
    return picture


def _plan(width: int, height: int) -> Plan:
    pad = max(2.0, min(width, height) * (0.085 if min(width, height) > 120 else 0.12))
    whole = Box(pad, pad, width - pad, height - pad)
    if width / height >= 2.6 and height < 160:
        return Plan("strip", whole, (width * 0.74, height * 0.5), "right", 0.34)
    if height / width >= 1.5:
        return Plan("tower", whole, (width * 0.5, height * 0.72), "down", 1.0)
    share = 0.86 if width / height < 1.5 else 0.60
    text = Box(pad, pad, pad + (width - 2 * pad) * share, height - pad)
    across, down = (0.80, 0.74) if width / height < 1.5 else (0.79, 0.5)
    return Plan("wide", text, (width * across, height * down), "right", 1.0)


# The background and the motif: drawn at twice the size and scaled down, for smooth edges.


def _scene(words: Words, colors: Palette, plan: Plan, width: int, height: int) -> Image.Image:
    ground = _ground(colors, width, height)
    motif = ground.copy()
    scale = width / max(plan.text.right + plan.text.left, 1) if plan.shape != "wide" else 0
    factor = scale or height / (plan.text.bottom + plan.text.top)
    center = (plan.center[0] * factor, plan.center[1] * factor)
    motifs: tuple[Callable[..., None], ...] = (_sun, _hills, _bands, _tiles, _orbits)
    name = f"{words.brand} {words.product}"
    motifs[dice(name, len(motifs), "motif")](ImageDraw.Draw(motif), colors, center, width, height)
    return Image.composite(motif, ground, _fade(plan, width, height))


def _ground(colors: Palette, width: int, height: int) -> Image.Image:
    down = Image.linear_gradient("L").resize((width, height), Image.Resampling.BILINEAR)
    across = Image.linear_gradient("L").rotate(90).resize((width, height), Image.Resampling.BILINEAR)
    slope = Image.blend(down, across, 0.62)
    return Image.composite(
        Image.new("RGB", (width, height), colors.glow),
        Image.new("RGB", (width, height), colors.ground),
        slope,
    )


def _fade(plan: Plan, width: int, height: int) -> Image.Image:
    """Return the mask of the motif, which is faint under the text."""
    low, high = (0.34, 0.66) if plan.fade == "right" else (0.30, 0.62)
    least, most = 0.10 * plan.strength, plan.strength
    steps = [min(max((i / 255 - low) / (high - low), 0), 1) for i in range(256)]
    ramp = bytes(round(255 * (least + (most - least) * (s * s * (3 - 2 * s)))) for s in steps)
    line = (
        Image.frombytes("L", (256, 1), ramp) if plan.fade == "right" else Image.frombytes("L", (1, 256), ramp)
    )
    return line.resize((width, height), Image.Resampling.BILINEAR)


def _sun(draw: ImageDraw.ImageDraw, c: Palette, center: tuple[float, float], width: int, height: int) -> None:
    reach = _reach(width, height)
    for step, share in enumerate((0.20, 0.38, 0.58, 0.80)):
        radius = reach * (1.02 - step * 0.21)
        _disc(draw, center, radius, mix(c.glow, c.tint, share))
    _disc(draw, center, reach * 0.24, c.accent)


def _hills(
    draw: ImageDraw.ImageDraw, c: Palette, center: tuple[float, float], width: int, height: int
) -> None:
    reach = _reach(width, height)
    rising = center[0] + reach * 0.12
    for layer, share in enumerate((0.25, 0.55, 0.95)):
        base = height * (0.62 + 0.13 * layer) if width > height else height * (0.74 + 0.085 * layer)
        swing, wave = min(width, height) * (0.10 - 0.015 * layer), width * (0.52 + 0.17 * layer)
        ridge = [
            (x, base + swing * math.sin(2 * math.pi * (x / wave + 0.31 * layer + 0.08)))
            for x in range(0, width + 4, 4)
        ]
        if layer == 0:
            horizon = min(ridge, key=lambda point: abs(point[0] - rising))[1]
            _disc(draw, (rising, horizon - reach * 0.13), reach * 0.22, c.accent)
        draw.polygon([*ridge, (width, height), (0, height)], fill=mix(c.shade, c.tint, share))


def _bands(
    draw: ImageDraw.ImageDraw, c: Palette, center: tuple[float, float], width: int, height: int
) -> None:
    reach = _reach(width, height)
    thick = max(2, round(reach * 0.17))
    for number in range(-4, 5):
        color = c.accent if number == 1 else mix(c.glow, c.tint, 0.22 + 0.18 * ((number + 4) % 4))
        x, y = center[0] + number * thick * 1.62, center[1] + (number % 3 - 1) * reach * 0.22
        half = reach * (0.62 if number == 1 else 0.95 - 0.05 * abs(number))
        start, end = (x - half * 0.6, y + half * 0.8), (x + half * 0.6, y - half * 0.8)
        draw.line([start, end], fill=color, width=thick)
        for end_point in (start, end):
            _disc(draw, end_point, thick / 2 - 0.5, color)


def _tiles(
    draw: ImageDraw.ImageDraw, c: Palette, center: tuple[float, float], width: int, height: int
) -> None:
    side = max(6.0, _reach(width, height) * 0.44)
    left, top = center[0] - side * 4, center[1] - side * 2
    fills = (c.shade, c.tint, mix(c.glow, c.tint, 0.5), c.tint, c.shade)
    for row in range(7):
        for column in range(math.ceil((width - left) / side) + 1):
            x, y, turn = left + column * side, top + row * side, (row * 3 + column * 2 + row * column) % 4
            accent = (row, column) == (2, 4)
            corner = ((x, y), (x + side, y), (x + side, y + side), (x, y + side))[turn]
            draw.rectangle(
                [x, y, x + side, y + side], fill=mix(c.ground, c.glow, 0.35 + 0.5 * ((row + column) % 2))
            )
            frame = [corner[0] - side, corner[1] - side, corner[0] + side, corner[1] + side]
            fill = c.accent if accent else fills[(row * 2 + column) % 5]
            draw.pieslice(frame, (0, 90, 180, 270)[turn], (90, 180, 270, 360)[turn], fill=fill)


def _orbits(
    draw: ImageDraw.ImageDraw, c: Palette, center: tuple[float, float], width: int, height: int
) -> None:
    reach = _reach(width, height)
    _disc(draw, center, reach * 0.30, c.tint)
    for ring in range(5):
        radius, line = reach * (0.46 + 0.21 * ring), max(2, round(reach * 0.014))
        frame = [center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius]
        draw.ellipse(frame, outline=mix(c.tint, c.glow, 0.14 * ring), width=line)
        angle = math.radians(205 + ring * 77)
        spot = (center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle))
        _disc(draw, spot, reach * (0.085 - 0.009 * ring), c.accent if ring in (0, 2) else c.soft)


def _reach(width: int, height: int) -> float:
    """Return how far a motif extends from its center."""
    short, long = sorted((width, height))
    return min(short * 0.62, long * 0.40) if long < short * 2.6 else short * 0.62


def _disc(draw: ImageDraw.ImageDraw, center: tuple[float, float], radius: float, fill: Color | int) -> None:
    x, y = center
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)


def _play(picture: Image.Image, c: Palette, plan: Plan, scale: int) -> None:
    x, y = plan.center[0] * scale, plan.center[1] * scale
    radius = min(picture.size) * 0.105
    layer = Image.new("L", picture.size, 0)
    _disc(ImageDraw.Draw(layer), (x, y), radius, 225)
    picture.paste(c.ink, (0, 0), layer)
    side = radius * 0.46
    corners = [(x - side * 0.72, y - side), (x - side * 0.72, y + side), (x + side, y)]
    ImageDraw.Draw(picture).polygon(corners, fill=c.ground)


def _pill(picture: Image.Image, box: Box, c: Palette, scale: int) -> None:
    frame = [side * scale for side in (box.left, box.top, box.right, box.bottom)]
    ImageDraw.Draw(picture).rounded_rectangle(frame, radius=(frame[3] - frame[1]) / 2, fill=c.accent)


# The text: sizes follow from the space, top down.


@dataclass
class Pieces:
    """The text blocks to draw (block, x, y, color role) and the box of the button."""

    texts: list[tuple[Block, float, float, str]]
    button: Box | None = None

    def put(self, block: Block | None, x: float, y: float, role: str) -> float:
        """Add a block, if any, and return its height."""
        if block is None:
            return 0
        self.texts.append((block, x, y, role))
        return block.height

    def call(
        self, action: str, x: float, y: float, width: float, height: float, *, right: bool = False
    ) -> float:
        """Add the button with centered words and return its width, 0 if there is no room."""
        side = height * (0.45 if height > 30 else 0.36)
        block = fit(action, width - 2 * side, height * 0.66, height * 0.46, bold=True)
        if block is None or "…" in "".join(block.lines):
            return 0
        wide = block.width + 2 * side
        left = x - wide if right else x
        self.button = Box(left, y, left + wide, y + height)
        self.put(block, left + side, y + (height - block.height) / 2, "on_accent")
        return wide


def _said(words: Words) -> tuple[str, str, str]:
    """Return brand, headline and subline; there is always a headline, and nothing is repeated."""
    headline = words.tagline or words.product or words.brand
    brand = words.brand if headline != words.brand else ""
    return brand, headline, words.product if headline != words.product else ""


def _stack(words: Words, action: str, plan: Plan) -> Pieces:
    """Place the brand on top, then headline, product, and the button at the bottom."""
    brand, headline, product = _said(words)
    box, pieces = plan.text, Pieces([])
    tower, unit = plan.shape == "tower", math.sqrt(plan.text.width * plan.text.height)
    foot = (
        max(16, min(box.height * (0.17 if box.height > 220 else 0.2), unit * 0.17, box.width * 0.34))
        if action
        else 0
    )
    button_room = box.width if tower else box.width * 0.75
    if not (box.height >= 60 and pieces.call(action, box.left, box.bottom - foot, button_room, foot)):
        foot = 0
    y, gap = box.top, unit * 0.045
    mark = fit(brand, box.width, box.height * 0.14, unit * (0.15 if tower else 0.105), lines=2, bold=True)
    y += pieces.put(mark, box.left, y, "accent") + (gap if mark else 0)
    room = (box.height * 0.58 if tower else box.bottom - foot - gap) - y + (box.top if tower else 0)
    under = room * 0.20 if product else 0
    largest = unit * (0.25 if tower else 0.20)
    head = fit(headline, box.width, room - under - gap, largest, lines=9 if tower else 5, bold=True)
    y += pieces.put(head, box.left, y, "ink") + gap
    largest = min(unit * 0.085, head.size * 0.72) if head else 0
    below = fit(product, box.width, max(0, box.bottom - foot - gap / 2 - y), largest, lines=2)
    pieces.put(below, box.left, y, "soft")
    return pieces


def _strip(words: Words, action: str, plan: Plan) -> Pieces:
    """Place brand and product left, the headline in the middle, the button right."""
    brand, headline, product = _said(words)
    box, pieces = plan.text, Pieces([])
    high = min(box.height * (0.62 if box.height > 45 else 0.8), 46)
    used = pieces.call(
        action, box.right, box.top + (box.height - high) / 2, box.width * 0.3, high, right=True
    )
    left, right, gap = box.left, box.right - used, max(8, box.width * 0.025)
    if brand:
        side = box.width * 0.24
        mark = fit(
            brand, side, box.height * (0.55 if product else 0.8), 34, lines=1 if product else 2, bold=True
        )
        below = fit(product, side, box.height * 0.36, mark.size * 0.62 if mark else 14) if product else None
        top = box.top + (box.height - sum(block.height for block in (mark, below) if block)) / 2
        top += pieces.put(mark, left, top, "accent")
        pieces.put(below, left, top, "soft")
        left += max((block.width for block in (mark, below) if block), default=0) + gap * 1.4
    head = fit(
        headline,
        right - gap - left,
        box.height,
        box.height * 0.5,
        lines=2 if box.height < 70 else 3,
        bold=True,
    )
    if head:
        pieces.put(head, left, box.top + (box.height - head.height) / 2, "ink")
    return pieces
