"""Documents in the job's Drive folder, which the first stage that needs it creates."""

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
    """Return the arguments that put a file into the job's folder, or none and a note that says why."""
    try:
        # always a step of the brief stage: its name, and so its key, must not depend on which stage is first
        return {"parentFolderId": await ctx.shared("folder", _create_folder, stage="brief")}, ""
    except StepError as error:
        misses.add_unknown("the folder of the documents", error)
        return {}, f"not in the campaign's folder: {error}"


async def placed(
    ctx: StageContext, args: dict[str, Any], misses: Misses, *, step: str, item: str = ""
) -> tuple[dict[str, Any], str]:
    """Return a new file's arguments including the job's folder, and a note if it is not in that folder.

    A file from an earlier round keeps the arguments it was created with.
    """
    inside, note = await folder(ctx, misses)
    made = await ctx.done(step, item)
    if made is None:
        return args | inside, note
    if inside and made.args.get("parentFolderId") != inside["parentFolderId"]:
        note = "not in the campaign's folder, which was created later"
    return dict(made.args), note


async def document(
    ctx: StageContext, *, title: str, text: str, file: str, kind: str, copy: str = "", item: str = ""
) -> StageResult:
    """Write a Markdown document on the server and keep a local copy, which is the fallback if that fails.

    `copy` is the text of the local copy if it differs from the server's. `item` distinguishes documents that
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
    misses.add_fallback(own.title, own.file)
    await ctx.fallback(DOCS, "createDocument", reason, step="document", item=item)
    empty = error.reply if isinstance(error, ToolFailed) else None
    if empty is None or not empty.remote_id:
        return misses.result(0, 1, [replace(own, note=reason)])
    where = address(empty.remote_url) or empty.remote_id
    note = f"the server has the document without its content: {where} ({reason})"
    return misses.result(0, 1, [replace(own, note=note, remote_id=place(empty)["remote_id"])])
