"""Generate Campaign Brief: one document."""

from __future__ import annotations

from campaigns.documents.brief import render_brief
from campaigns.documents.text import titled
from campaigns.stages.drive import document
from jobs.engine.context import StageContext
from jobs.engine.results import StageResult


async def run(ctx: StageContext) -> StageResult:
    """Write the brief document; the local brief.md is the fallback if the document server fails."""
    title = titled(ctx.brief.title, "campaign brief")
    return await document(ctx, title=title, text=render_brief(ctx.brief), file="brief.md", kind="document")
