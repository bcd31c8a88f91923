"""Generate Summary Report: what the other stages made and missed, and how long they took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from campaigns.documents.report import (
    ArtifactFact,
    FailureFact,
    LineFact,
    Moment,
    ReportFacts,
    StageFact,
    render_report,
    report_title,
)
from campaigns.stages.activate import live_status
from campaigns.stages.drive import DOCS, document
from campaigns.stages.outcome import left_out
from jobs.engine.context import StageContext
from jobs.engine.results import Source, StageResult, Status, Timing


async def run(ctx: StageContext) -> StageResult:
    """Write the report on all other stages; the local report.md is the fallback if the server fails.

    Each round has its own report, because its results differ.
    """
    title = report_title(ctx.brief, ctx.job.round)
    item = f"round-{ctx.job.round}" if ctx.job.round > 1 else ""
    told = facts(ctx, await _live(ctx))
    # The site serves a bundled server's document at local/ROLE/ID/FILE; the link leads from there to the API.
    # Readers of a document on any other server cannot reach the site's files.
    here = f"../../../api/jobs/{ctx.job.id}/artifacts/" if ctx.source(DOCS) is Source.LOCAL else None
    text = render_report(ctx.brief, told, files_at=here)
    own = render_report(ctx.brief, told)
    return await document(ctx, title=title, text=text, copy=own, file="report.md", kind="report", item=item)


async def _live(ctx: StageContext) -> dict[str, str]:
    """Return the status of each line that was set live since its creation, by slug."""
    activated = ctx.results.get("activate")
    slugs = [line["slug"] for line in activated.data.get("lines", ())] if activated else []
    return {slug: status for slug in slugs if (status := await live_status(ctx, slug))}


def facts(ctx: StageContext, live: Mapping[str, str] | None = None) -> ReportFacts:
    """Return the report's content from the results and timings of the other stages.

    `live` has the status of the lines that were set live since, by slug.
    """
    live = live or {}
    activated = ctx.results.get("activate")
    lines = activated.data.get("lines", ()) if activated else ()
    unknown = [name for result in ctx.results.values() for name in result.data.get("unknown", ())]
    return ReportFacts(
        job=ctx.job.id,
        stages=[_stage(ctx, id, result) for id, result in ctx.results.items()],
        artifacts=list(_artifacts(ctx)),
        lines=[_line(line | _now(line, live)) for line in lines],
        failures=[failure for id in ctx.results for failure in _failures(ctx, id)],
        timeline=sorted(_timeline(ctx), key=lambda moment: moment.at),
        # over several rounds the wall clock would include the time between them
        seconds=_seconds(list(ctx.timings.values())) if ctx.job.round == 1 else None,
        unknown=list(dict.fromkeys(unknown)),
        round=ctx.job.round,
        dry_run=ctx.job.dry_run,
    )


def _seconds(timings: list[Timing]) -> float | None:
    """Return the seconds from the first stage's start to the last one's end, by the log."""
    if not timings:
        return None
    first, last = min(one.began for one in timings), max(one.ended for one in timings)
    return (last - first).total_seconds()


def _name(ctx: StageContext, id: str) -> str:
    return ctx.names.get(id, id)


def _stage(ctx: StageContext, id: str, result: StageResult) -> StageFact:
    timing = ctx.timings.get(id)
    seconds = timing.seconds if timing else None
    return StageFact(_name(ctx, id), str(result.status), result.made, result.total, seconds, result.error)


def _artifacts(ctx: StageContext) -> Iterator[ArtifactFact]:
    for id, result in ctx.results.items():
        for one in result.artifacts:
            yield ArtifactFact(one.title, str(one.source), _name(ctx, id), one.url, one.file, one.note)


def _now(line: Mapping[str, str], live: Mapping[str, str]) -> dict[str, str]:
    return {"status": live[line["slug"]]} if line["slug"] in live else {}


def _line(line: dict[str, str]) -> LineFact:
    return LineFact(
        line["name"], line["dsp"], line["status"], line["source"], line["id"], line.get("note", "")
    )


def _failures(ctx: StageContext, id: str) -> Iterator[FailureFact]:
    """Return what a stage missed, each item with its fallback."""
    result = ctx.results[id]
    missed = result.data.get("missed", ())
    for one in missed:
        unsettled = one["item"] in result.data.get("unknown", ())
        left = left_out(one["why"])
        yield FailureFact(f"{_name(ctx, id)}: {one['item']}", one["why"], one["fallback"], unsettled, left)
    if not missed and result.status is not Status.COMPLETED:
        yield FailureFact(_name(ctx, id), result.error)


def _timeline(ctx: StageContext) -> Iterator[Moment]:
    for id, timing in ctx.timings.items():
        result = ctx.results[id]
        yield Moment(timing.began, f"{_name(ctx, id)} started")
        counts = f"{result.made} of {result.total}"
        yield Moment(timing.ended, f"{_name(ctx, id)} {result.status}, {counts}")
