"""Generate Creatives: a picture for each size, its upload and its design."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from campaigns.brief.schema import CreativeSize
from campaigns.documents.prompts import image_prompt
from campaigns.documents.text import within
from campaigns.pictures.imaging import Picture, PictureError, draw_creative, fit_image
from campaigns.stages.outcome import Misses, address, keep, place, remark
from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, Missed, Source, StageResult, StepError

IMAGES, CANVA = "image-gen", "canva"
#: The largest picture file, in bytes, that is read.
MOST_BYTES = 25_000_000
ASSET_NAME = 50
#: The suffix of the steps for a drawn fallback, and the mark in its name on the design server.
DRAWN, DRAWN_SAID = "-drawn", " (drawn fallback)"


@dataclass(frozen=True)
class Drawn:
    """A picture at its exact size.

    `lack` says why it is not the generated picture, "" if it is. `note` describes a dry run's preview.
    """

    picture: Picture
    source: Source
    lack: str = ""
    note: str = ""

    @property
    def suffix(self) -> str:
        """Return the suffix of this picture's steps, so that a fallback never uses the real one's."""
        return DRAWN if self.lack else ""


async def run(ctx: StageContext) -> StageResult:
    """Make all creatives concurrently; one counts as made if its picture, upload and design are all real."""
    misses = Misses()

    async def make(size: CreativeSize) -> Artifact | Missed:
        return await _creative(ctx, size, misses)

    outcomes = await ctx.items(ctx.brief.creative_sizes, make, name=lambda size: size.name)
    misses.outcomes(outcomes, lambda size: size.name)
    artifacts = [outcome.value for outcome in outcomes if outcome.value is not None]
    return misses.result(sum(outcome.made for outcome in outcomes), len(outcomes), artifacts)


async def _creative(ctx: StageContext, size: CreativeSize, misses: Misses) -> Artifact | Missed:
    drawn = await _drawn(ctx, size, misses)
    name = f"creative-{size.slug}.{drawn.picture.extension}"
    misses.add_fallback(size.name, name)
    artifact = Artifact(
        name=name,
        title=within(f"{size.name} {size.size}", 200),
        kind="image",
        source=drawn.source,
        file=await keep(ctx, name, drawn.picture.data),
        mime=drawn.picture.mime,
        width=size.width,
        height=size.height,
    )
    try:
        design = await _design(ctx, size, name, drawn.suffix)
    except StepError as error:
        lack = f"no design: {misses.add(size.name, error)}"
        return _missed(artifact, await _left_outside(ctx, size, drawn), drawn.lack, lack)
    seen = "" if design.dry_run else address(design.data.get("view_url"))
    artifact = replace(artifact, **(place(design) | ({"url": seen} if seen else {})))
    if drawn.lack:
        return _missed(artifact, "", drawn.lack)
    note = drawn.note or await _left_outside(ctx, size, drawn)
    return replace(artifact, note=remark(design, note))


def _missed(artifact: Artifact, outside: str, *lacks: str) -> Missed:
    why = "; ".join(filter(None, lacks))
    return Missed(why, replace(artifact, note="; ".join(filter(None, (why, outside)))))


async def _left_outside(ctx: StageContext, size: CreativeSize, drawn: Drawn) -> str:
    """Return a note about a drawn fallback left on the design server, or "" if none was left there."""
    design = None if drawn.lack else await ctx.done(f"design{DRAWN}", size.slug)
    left = design or await ctx.done(f"upload{DRAWN}", size.slug)
    if left is None or left.reply.dry_run:
        return ""
    where = place(left.reply)
    return f"a drawn fallback is still on {CANVA}: {where['url'] or where['remote_id']}"


async def _drawn(ctx: StageContext, size: CreativeSize, misses: Misses) -> Drawn:
    """Return the generated picture at its exact size, or a drawn fallback."""
    try:
        return await _generated(ctx, size)
    except (StepError, PictureError) as error:
        reason = misses.add(size.name, error)
    await ctx.fallback(IMAGES, "generate_image", reason, step="image", item=size.slug)
    picture = await asyncio.to_thread(draw_creative, ctx.brief, size)
    return Drawn(picture, Source.FALLBACK, f"drawn locally: {reason}")


async def _generated(ctx: StageContext, size: CreativeSize) -> Drawn:
    saved = ctx.files.path(f"generated-{size.slug}.png")
    args = {
        "prompt": image_prompt(ctx.brief, size),
        "width": size.width,
        "height": size.height,
        "save_path": str(saved),
    }
    reply = await ctx.call(IMAGES, "generate_image", args, step="image", item=size.slug)
    if reply.dry_run:
        preview = await asyncio.to_thread(draw_creative, ctx.brief, size)
        return Drawn(
            preview, reply.source, note=f"a preview drawn locally; {IMAGES} generates it in a launch"
        )
    if reply.images:
        # a later round reads it from here, because the journal keeps replies but no pictures
        await keep(ctx, saved.name, reply.images[0].data)
    picture = await asyncio.to_thread(_fitted, reply, saved, size)
    return Drawn(picture, reply.source)


def _fitted(reply: Any, saved: Path, size: CreativeSize) -> Picture:
    """Return the picture of a reply or of the file that it names. Raises PictureError if it is unusable."""
    if reply.images:
        return fit_image(reply.images[0].data, size.width, size.height)
    named = reply.data.get("path")
    paths = [Path(named)] if isinstance(named, str) and Path(named).is_absolute() else []
    return fit_image(_read([*paths, saved]), size.width, size.height)


def _read(paths: list[Path]) -> bytes:
    """Return the first regular file of an acceptable size. Raises PictureError if there is none."""
    for path in paths:
        try:
            about = path.stat()
            if stat.S_ISREG(about.st_mode) and about.st_size <= MOST_BYTES:
                return path.read_bytes()
        except (OSError, ValueError):
            continue
    raise PictureError("the picture that the server reported cannot be read")


async def _design(ctx: StageContext, size: CreativeSize, name: str, suffix: str) -> Any:
    """Upload the picture, create a design of its size and return the design's reply. Raises StepError."""
    label, said = f"{ctx.brief.title} {size.name} {size.size}", DRAWN_SAID if suffix else ""

    def called(limit: int) -> str:
        return within(label, limit - len(said)) + said

    upload = {"name": called(ASSET_NAME), "path": str(ctx.files.path(name))}
    design: dict[str, Any] = {"title": called(200), "width": size.width, "height": size.height}
    step, tool, item = f"upload{suffix}", "upload_asset", size.slug
    try:
        asset = await ctx.call(CANVA, tool, upload, step=step, item=item)
        step, tool = f"design{suffix}", "create_design"
        return await ctx.call(CANVA, tool, design | {"asset_id": asset.remote_id}, step=step, item=item)
    except StepError as error:
        await ctx.fallback(CANVA, tool, str(error), step=step, item=item)
        raise
