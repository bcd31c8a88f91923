"""Documents in the job's own Drive folder, which is made once a job by whichever stage needs it first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from campaigns.documents.text import within
from campaigns.stages.outcome import Misses, address, keep, place, remark
from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, Source, StageResult, StepError
from jobs.tools.contract.errors import ToolFailed

DOCS = "google-docs"


async def _create_folder(ctx: StageContext) -> str:
    reply = await ctx.call(
        DOCS, "createFolder", {"name": within(f"{ctx.brief.title} campaign", 200)}, step="folder"
    )
    return str(reply.remote_id)


async def folder(ctx: StageContext, misses: Misses) -> tuple[dict[str, str], str]:
    """The arguments that put a file into the job's folder; without one none, and a note that says why."""
    try:
        # the step is the brief's whoever asks: its name, and so its key, must not depend on a race
        return {"parentFolderId": await ctx.shared("folder", _create_folder, stage="brief")}, ""
    except StepError as error:
        misses.doubt("the folder of the documents", error)
        return {}, f"not in a folder of its own: {error}"


async def placed(
    ctx: StageContext, args: dict[str, Any], misses: Misses, *, step: str, item: str = ""
) -> tuple[dict[str, Any], str]:
    """The arguments of a new file with the job's folder, and a note where it lies elsewhere.

    A file that stands since an earlier round keeps the arguments it was made with.
    """
    inside, note = await folder(ctx, misses)
    made = await ctx.done(step, item)
    if made is None:
        return args | inside, note
    if inside and made.args.get("parentFolderId") != inside["parentFolderId"]:
        note = "not in the folder of this job, which was made later"
    return dict(made.args), note


async def document(
    ctx: StageContext, *, title: str, text: str, file: str, kind: str, copy: str = "", item: str = ""
) -> StageResult:
    """Write a Markdown document on the server; our own copy is kept, and stands in where that fails.

    `copy` is the text of our own copy, where it differs from the server's; `item` tells apart documents that
    one stage writes in several rounds.
    """
    misses = Misses()
    await ctx.progress(0, 1)
    await keep(ctx, file, copy or text)
    own = Artifact(
        name=file,
        title=within(title, 200),
        kind=kind,
        source=Source.FALLBACK,
        file=file,
        mime="text/markdown",
    )
    content = {"title": own.title, "initialContent": text, "contentFormat": "markdown"}
    args, note = await placed(ctx, content, misses, step="document", item=item)
    try:
        reply = await ctx.call(DOCS, "createDocument", args, step="document", item=item)
    except StepError as error:
        return await _fallback(ctx, own, error, misses, item)
    await ctx.progress(1, 1, own.title)
    return misses.result(1, 1, [replace(own, source=reply.source, note=remark(reply, note), **place(reply))])


async def _fallback(
    ctx: StageContext, own: Artifact, error: StepError, misses: Misses, item: str
) -> StageResult:
    reason = misses.add(own.title, error)
    misses.stands_in(own.title, own.file)
    await ctx.fallback(DOCS, "createDocument", reason, step="document", item=item)
    empty = error.reply if isinstance(error, ToolFailed) else None
    if empty is None or not empty.remote_id:
        return misses.result(0, 1, [replace(own, note=reason)])
    where = address(empty.remote_url) or empty.remote_id
    note = f"on the server stands a document without its content: {where} ({reason})"
    return misses.result(0, 1, [replace(own, note=note, remote_id=place(empty)["remote_id"])])
