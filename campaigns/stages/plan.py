"""Create Media Plan: a sheet and its cells."""

from __future__ import annotations

import asyncio
from typing import Any

from campaigns.documents.plan import plan_csv, plan_table, plan_xlsx
from campaigns.documents.text import titled, within
from campaigns.stages.drive import DOCS, placed
from campaigns.stages.outcome import Misses, keep, place, remark
from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, Source, StageResult, StepError

SHEET, CELLS = "sheet", "cells"
COPIES = "media-plan.xlsx, media-plan.csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


async def run(ctx: StageContext) -> StageResult:
    """Create the sheet and fill it; local XLSX and CSV files are the fallback if either fails."""
    await ctx.progress(0, 2)
    await keep(ctx, "media-plan.xlsx", await asyncio.to_thread(plan_xlsx, ctx.brief))
    await keep(ctx, "media-plan.csv", plan_csv(ctx.brief))
    title = titled(ctx.brief.title, "media plan")
    misses = Misses()
    args, note = await placed(ctx, {"title": title}, misses, step=SHEET)
    try:
        sheet = await ctx.call(DOCS, "createSpreadsheet", args, step=SHEET)
    except StepError as error:
        misses.add_fallback(title, COPIES)
        await ctx.fallback(DOCS, "createSpreadsheet", misses.add(title, error), step=SHEET)
        return misses.result(0, 2, _copies(title, Source.FALLBACK, str(misses)))
    await ctx.progress(1, 2, title)
    filled = await _fill(ctx, sheet.remote_id, misses)
    made = Artifact(
        name="media-plan",
        title=title,
        kind="sheet",
        source=sheet.source,
        note=remark(sheet, note if filled else f"without its cells: {misses}"),
        **place(sheet),
    )
    copies = _copies(title, Source.LOCAL) if filled else _copies(title, Source.FALLBACK, str(misses))
    return misses.result(1 + filled, 2, [made, *copies])


async def _fill(ctx: StageContext, sheet_id: str, misses: Misses) -> bool:
    rows = plan_table(ctx.brief)
    cells: dict[str, Any] = {
        "spreadsheetId": sheet_id,
        "range": f"A1:{chr(ord('A') + len(rows[0]) - 1)}{len(rows)}",
        "values": rows,
        "valueInputOption": "RAW",
    }
    try:
        await ctx.call(DOCS, "writeSpreadsheet", cells, step=CELLS)
    except StepError as error:
        misses.add_fallback("cells of the sheet", COPIES)
        await ctx.fallback(DOCS, "writeSpreadsheet", misses.add("cells of the sheet", error), step=CELLS)
        return False
    await ctx.progress(2, 2, "cells written")
    return True


def _copies(title: str, source: Source, note: str = "") -> list[Artifact]:
    """Return the local copies: plain copies of the sheet, or its fallback."""
    return [
        Artifact(
            name=f"media-plan.{kind}",
            title=within(f"{title} ({kind.upper()})", 200),
            kind="table",
            source=source,
            file=f"media-plan.{kind}",
            mime=mime,
            note=note,
        )
        for kind, mime in (("xlsx", XLSX), ("csv", "text/csv"))
    ]
