"""Activate on DSPs: a campaign for each line of the media plan, created paused."""

from __future__ import annotations

from typing import Any

from campaigns.brief.schema import Line
from campaigns.documents.lines import (
    ACTIVE,
    DSP_SERVERS,
    LIVE_STAGE,
    STATUS_STEP,
    is_live,
    line_arguments,
    line_slug,
    render_line,
    told_status,
)
from campaigns.documents.text import number, within
from campaigns.stages.outcome import Misses, keep, left_out, place, remark, reported_status
from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, Missed, Source, StageResult, StepError
from jobs.tools.contract.errors import Unknown

TOOL = "create_campaign"


class UnknownDsp(StepError):
    """No tool server is configured for the DSP of a line."""


async def run(ctx: StageContext) -> StageResult:
    """Create all lines concurrently, paused; the result lists them for the report and for activation."""
    misses = Misses()
    lines: dict[str, dict[str, Any]] = {}

    async def make(line: Line) -> Artifact | Missed:
        try:
            return await _created(ctx, line, lines)
        except StepError as error:
            return await _fallback(ctx, line, lines, error, misses)

    plan = ctx.brief.media_plan
    outcomes = await ctx.items(plan, make, name=lambda line: line.label)
    misses.outcomes(outcomes, lambda line: line.label)
    artifacts = [outcome.value for outcome in outcomes if outcome.value is not None]
    ordered = [lines[line_slug(line)] for line in plan if line_slug(line) in lines]
    made = sum(outcome.made for outcome in outcomes)
    return misses.result(made, len(plan), artifacts, {"lines": ordered})


async def _created(ctx: StageContext, line: Line, lines: dict[str, dict[str, Any]]) -> Artifact:
    server = DSP_SERVERS.get(line.dsp)
    if server is None:
        raise UnknownDsp(f"no tool server is configured for {line.dsp}")
    slug = line_slug(line)
    reply = await ctx.call(server, TOOL, line_arguments(ctx.brief, line), step="line", item=slug)
    # a later round of this stage must not report a line as paused that has been set live since
    live = await live_status(ctx, slug)
    status, ident = live or reported_status(reply), "" if reply.dry_run else reply.remote_id
    text = render_line(ctx.brief, line, ident, status, reply.source, dry_run=ctx.job.dry_run, live=bool(live))
    lines[slug] = _record(ctx, line, server, reply.source, id=ident, status=status)
    note = remark(reply, live or (status if reply.dry_run else f"created {status.lower()}"))
    return await line_page(ctx, line, text, reply.source, note, place(reply))


async def live_status(ctx: StageContext, slug: str) -> str:
    """Return the status of a line that was set live, or "" for any other line."""
    done = await ctx.done(STATUS_STEP, slug, stage=LIVE_STAGE)
    return (told_status(done.reply.data) or ACTIVE) if done and is_live(done.reply.data) else ""


async def _fallback(
    ctx: StageContext, line: Line, lines: dict[str, dict[str, Any]], error: StepError, misses: Misses
) -> Missed:
    """Return a simulated line in place of one that failed; with an unknown outcome the real one may exist."""
    reason, slug = misses.add(line.label, error), line_slug(line)
    server = DSP_SERVERS.get(line.dsp, "")
    await ctx.fallback(server or line.dsp, TOOL, reason, step="line", item=slug)
    status = "unknown" if isinstance(error, Unknown) else "not created"
    why = f"Simulated line; the real one could not be created: {reason}"
    if left_out(error):
        status, why = "skipped", f"Simulated line; the real one was {reason}"
    elif isinstance(error, Unknown):
        why = f"Simulated line; it is unknown whether the real one exists on {line.dsp}: {reason}"
    text = render_line(
        ctx.brief, line, status=status, source=Source.FALLBACK, why=why, dry_run=ctx.job.dry_run
    )
    lines[slug] = _record(ctx, line, server, Source.FALLBACK, status=status, note=reason)
    page = await line_page(ctx, line, text, Source.FALLBACK, why, {})
    misses.add_fallback(line.label, page.file)
    return Missed(reason, page)


def _record(ctx: StageContext, line: Line, server: str, source: Source, **more: str) -> dict[str, Any]:
    return {
        "slug": line_slug(line),
        "name": line.label,
        "dsp": line.dsp,
        "server": server,
        "id": "",
        "source": str(source),
        "budget": number(line.budget),
        "currency": ctx.brief.currency,
        **more,
    }


async def line_page(
    ctx: StageContext, line: Line, text: str, source: Source, note: str, where: dict[str, Any]
) -> Artifact:
    """Write the page about a line and return its artifact."""
    name = f"line-{line_slug(line)}.md"
    return Artifact(
        name=name,
        title=within(line.label, 200),
        kind="line",
        source=source,
        file=await keep(ctx, name, text),
        mime="text/markdown",
        note=note,
        **where,
    )
