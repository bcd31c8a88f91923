"""Set Lines Live: exactly the lines, by id, that a user with permission to spend has confirmed."""

from __future__ import annotations

from dataclasses import replace

from campaigns.brief.schema import Line
from campaigns.documents.activation import TITLE, render_activation
from campaigns.documents.lines import ACTIVE, STATUS_STEP, is_live, line_slug, render_line, told_status
from campaigns.stages.activate import line_page
from campaigns.stages.outcome import Misses, address, keep
from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, Source, SpendLine, StageResult, Status, StepError
from jobs.tools.contract.errors import Unknown

TOOL = "set_campaign_status"
FILE = "activation.md"
DOUBT = "unknown: it may be live"


class NotLive(StepError):
    """The DSP accepted the call but answered that the line is not live."""


class OtherServer(StepError):
    """The DSP's server is now of another kind than when the line was created; nothing was sent."""


async def run(ctx: StageContext) -> StageResult:
    """Set the confirmed lines live concurrently and report the status of each.

    Lines that are already live are read from the journal. A round without a confirmation sets nothing live.
    """
    plan = {line_slug(line): line for line in ctx.brief.media_plan}
    states: dict[str, str] = {}
    doubts: dict[str, str] = {}
    misses = Misses()

    async def set_live(line: SpendLine) -> Artifact | None:
        try:
            states[line.item] = await _set(ctx, line)
        except StepError as error:
            misses.add(line.name, error)
            if isinstance(error, Unknown):
                doubts[line.item] = DOUBT
            raise
        return await _page(ctx, plan.get(line.item), line, states[line.item])

    outcomes = await ctx.items(ctx.job.confirmed, set_live, name=lambda line: line.name)
    misses.outcomes(outcomes, lambda line: line.name)
    pages = [outcome.value for outcome in outcomes if outcome.made and outcome.value is not None]
    pages.append(await _record(ctx, states, doubts, misses))
    return _result(len(ctx.job.confirmed), states, pages, misses)


async def _set(ctx: StageContext, line: SpendLine) -> str:
    """Set a line live and return its status. Raises StepError if it is not live."""
    plays = ctx.source(line.server)
    if plays != line.source and await ctx.done(STATUS_STEP, line.item) is None:
        # The user confirmed that money is spent, or that none is; here it would be the other way around. The
        # same id may also be another line there.
        raise OtherServer(f"the line is {line.source}, but {line.server} is now {plays}: nothing was sent")
    args = {"id": line.remote_id, "status": ACTIVE}
    reply = await ctx.call(line.server, TOOL, args, step=STATUS_STEP, item=line.item)
    status = told_status(reply.data) or ACTIVE
    if not is_live(reply.data):
        raise NotLive(f"{line.server} answered that the line is {status}")
    return status


async def _page(ctx: StageContext, plan: Line | None, line: SpendLine, status: str) -> Artifact | None:
    if plan is None:  # the brief of a job does not change; without its line there is no page to update
        return None
    source, created = Source(line.source), await ctx.done("line", line.item, stage="activate")
    where = {"remote_id": line.remote_id, "url": address(created.reply.remote_url) if created else ""}
    text = render_line(ctx.brief, plan, line.remote_id, status, source, live=True)
    return await line_page(ctx, plan, text, source, status, where)


async def _record(
    ctx: StageContext, states: dict[str, str], doubts: dict[str, str], misses: Misses
) -> Artifact:
    job = ctx.job
    text = render_activation(
        ctx.brief,
        job.confirmed,
        doubts | states,
        live=list(states),
        by=job.confirmed_by,
        at=job.confirmed_at,
        why=misses.items,
    )
    return Artifact(
        name=FILE,
        title=TITLE,
        kind="activation",
        source=Source.LOCAL,
        file=await keep(ctx, FILE, text),
        mime="text/markdown",
        note=f"confirmed by {job.confirmed_by}: {len(states)} of {len(job.confirmed)} lines live",
    )


def _result(total: int, states: dict[str, str], pages: list[Artifact], misses: Misses) -> StageResult:
    result = misses.result(len(states), total, pages, {"live": list(states)})
    if not misses.items:
        return result
    # every confirmed line must be live: the rule of three quarters does not apply here
    status = Status.PARTIAL if states else Status.FAILED
    return replace(result, status=status, error=str(misses))
