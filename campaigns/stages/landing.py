"""Generate Landing Page: one page, written locally."""

from __future__ import annotations

from campaigns.documents.landing import render_landing
from campaigns.documents.text import within
from campaigns.stages.outcome import Misses, keep
from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, Source, StageResult

FILE = "landing-page.html"


async def run(ctx: StageContext) -> StageResult:
    """Write the landing page into the job's folder; no tool is called."""
    await ctx.progress(0, 1)
    page = Artifact(
        name=FILE,
        title=within(f"{ctx.brief.title}: landing page", 200),
        kind="page",
        source=Source.LOCAL,
        file=await keep(ctx, FILE, render_landing(ctx.brief)),
        mime="text/html",
    )
    await ctx.progress(1, 1, page.title)
    return Misses().result(1, 1, [page])
