"""Setup Project Management: a project and its tasks."""

from __future__ import annotations

from typing import Any

from campaigns.documents.tasks import PlannedTask, render_tasks, task_list
from campaigns.documents.text import day, within
from campaigns.stages.outcome import Misses, keep, place, remark
from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, Missed, Source, StageResult, StepError

ASANA = "asana-v2"
FILE = "project-tasks.md"


class NoWorkspace(StepError):
    """The project server lists no workspace for the project."""


async def run(ctx: StageContext) -> StageResult:
    """Create the project, then its tasks concurrently; a local list holds those that could not be created."""
    tasks, misses = task_list(ctx.brief), Misses()
    title = within(f"{ctx.brief.title} campaign", 200)
    await ctx.progress(0, len(tasks))
    step, tool = "workspaces", "asana_list_workspaces"
    try:
        args = _project(ctx, title, await _workspace(ctx))
        step, tool = "project", "asana_create_project"
        project = await ctx.call(ASANA, tool, args, step=step)
    except StepError as error:
        misses.add_fallback(title, FILE)
        await ctx.fallback(ASANA, tool, misses.add(title, error), step=step)
        listed = await _listed(ctx, {}, str(misses))
        return misses.result(0, len(tasks), [listed])
    made: dict[str, str] = {}

    async def create(task: PlannedTask) -> Missed | None:
        try:
            reply = await ctx.call(
                ASANA, "asana_create_task", _arguments(task, project.remote_id), step="task", item=task.slug
            )
        except StepError as error:
            reason = misses.add(task.name, error)
            misses.add_fallback(task.name, FILE)
            await ctx.fallback(ASANA, "asana_create_task", reason, step="task", item=task.slug)
            return Missed(reason)
        made[task.slug] = place(reply)["url"]
        return None

    outcomes = await ctx.items(tasks, create, name=lambda task: task.name)
    misses.outcomes(outcomes, lambda task: task.name)
    board = Artifact(
        name="project",
        title=title,
        kind="project",
        source=project.source,
        note=remark(project),
        **place(project),
    )
    return misses.result(len(made), len(tasks), [board, await _listed(ctx, made, str(misses))])


def _project(ctx: StageContext, title: str, workspace: str) -> dict[str, str]:
    brief = ctx.brief
    notes = (
        f"{brief.title}: flight from {day(brief.flight_start)} to {day(brief.flight_end)} ({brief.timezone})."
    )
    return {"workspace": workspace, "name": title, "notes": notes}


async def _workspace(ctx: StageContext) -> str:
    """Return the workspace for the project, the same in every round. Raises StepError if there is none.

    If an earlier round found none, a later round asks again.
    """
    rounds = ["", *(f"round-{number}" for number in range(2, ctx.job.round + 1))]
    for item in rounds[:-1]:
        earlier = await ctx.done("workspaces", item)
        if earlier is not None and (gid := _first_workspace(earlier.reply)):
            return gid
    item = rounds[-1] if await ctx.done("workspaces") else ""
    seen = await ctx.call(ASANA, "asana_list_workspaces", {}, step="workspaces", item=item)
    if gid := _first_workspace(seen):
        return gid
    raise NoWorkspace(f"{ASANA} lists no workspace")


def _first_workspace(reply: Any) -> str:
    """Return the gid of the first workspace in a reply, whatever key its list has, or ""."""
    for row in next((rows for rows in reply.data.values() if isinstance(rows, list)), []):
        gid = row.get("gid") if isinstance(row, dict) else None
        if isinstance(gid, str | int) and gid:
            return str(gid)
    return ""


def _arguments(task: PlannedTask, project_id: str) -> dict[str, str]:
    given = {"project_id": project_id, "name": task.name, "due_on": day(task.due_on)}
    return given | ({"notes": task.notes} if task.notes else {})


async def _listed(ctx: StageContext, made: dict[str, str], missed: str) -> Artifact:
    """Return the local list of all tasks, the fallback for those that are not in the project."""
    return Artifact(
        name=FILE,
        title=within(f"{ctx.brief.title}: project tasks", 200),
        kind="table",
        source=Source.FALLBACK if missed else Source.LOCAL,
        file=await keep(ctx, FILE, render_tasks(ctx.brief, made, ctx.job.dry_run)),
        mime="text/markdown",
        note=missed,
    )
