"""Generate Summary Report: what all other stages made, missed and took, as one document."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from campaigns.documents.report import (
    ArtifactFact,
    FailureFact,
    LineFact,
    Moment,
    ReportFacts,
    StageFact,
    render_report,
)
from campaigns.stages.drive import DOCS, document
from jobs.workflow.context import StageContext
from jobs.workflow.results import Source, StageResult, Status


async def run(ctx: StageContext) -> StageResult:
    """Write the report on everything before it; our own report.md stands in where the server fails."""
    title = f"{ctx.brief.title}: launch report"
    told = facts(ctx)
    # a bundled server's documents are read on this site; a reader outside reaches none of our addresses
    here = f"/api/jobs/{ctx.job.id}/artifacts/" if ctx.source(DOCS) is Source.LOCAL else None
    text = render_report(ctx.brief, told, files_at=here)
    own = render_report(ctx.brief, told)
    return await document(ctx, title=title, text=text, copy=own, file="report.md", kind="report")


def facts(ctx: StageContext) -> ReportFacts:
    """All that the report tells, out of the results and the timings of the stages before it."""
    activated = ctx.results.get("activate")
    began = min((timing.began for timing in ctx.timings.values()), default=None)
    unknown = [name for result in ctx.results.values() for name in result.data.get("unknown", ())]
    return ReportFacts(
        job=ctx.job.id,
        stages=[_stage(ctx, id, result) for id, result in ctx.results.items()],
        artifacts=list(_artifacts(ctx)),
        lines=[_line(line) for line in activated.data.get("lines", ())] if activated else [],
        failures=[failure for id in ctx.results for failure in _failures(ctx, id)],
        timeline=sorted(_timeline(ctx), key=lambda moment: moment.at),
        seconds=(datetime.now(UTC) - began).total_seconds() if began else None,
        unknown=list(dict.fromkeys(unknown)),
    )


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


def _line(line: dict[str, str]) -> LineFact:
    return LineFact(
        line["name"], line["dsp"], line["status"], line["source"], line["id"], line.get("note", "")
    )


def _failures(ctx: StageContext, id: str) -> Iterator[FailureFact]:
    """What a stage missed, item by item, each with what stands in for it."""
    result = ctx.results[id]
    missed = result.data.get("missed", ())
    for one in missed:
        unsettled = one["item"] in result.data.get("unknown", ())
        yield FailureFact(f"{_name(ctx, id)}: {one['item']}", one["why"], one["standIn"], unsettled)
    if not missed and result.status is not Status.COMPLETED:
        yield FailureFact(_name(ctx, id), result.error)


def _timeline(ctx: StageContext) -> Iterator[Moment]:
    for id, timing in ctx.timings.items():
        result = ctx.results[id]
        yield Moment(timing.began, f"{_name(ctx, id)} began")
        counts = f"{result.made} of {result.total}"
        yield Moment(timing.ended, f"{_name(ctx, id)} {result.status}, {counts}")
