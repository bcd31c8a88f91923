"""The project's tasks, with due dates that are relative to the flight."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from campaigns.brief.fields import slug_of
from campaigns.brief.schema import Brief
from campaigns.documents.text import DRY_RUN, day, link, md, table

#: The standard tasks up to the launch: name, days from the flight's start, notes.
_BEFORE = (
    (
        "Kick-off",
        -35,
        "Review the brief, the roles and the calendar for {title}; agree who approves what.",
    ),
    (
        "Audience, KPI and measurement plan",
        -30,
        "Define the audiences and exclusions, the KPI of each line and the events to measure on {url}.",
    ),
    ("Creative production", -16, "Produce the {creatives}."),
    ("Landing page build and QA", -14, "Build {url}; test it on phone and desktop."),
    (
        "Legal and privacy review",
        -12,
        "Check claims, disclosures and words to avoid, and the consent behind every audience.",
    ),
)
_SETUP = (("TTD", -9), ("DV360", -9), ("Amazon DSP", -8))
_AFTER = (
    (
        "Trafficking, tags and QA",
        -5,
        "Upload the creatives; check dimensions, file sizes, click URLs with UTM parameters, and the tags.",
    ),
    ("Pre-launch tease", -3, "Prepare the audience for the launch on {start}{event}."),
    ("Launch", 0, "Set the lines live after approval; monitor delivery through the first day."),
    (
        "Week-1 review",
        7,
        "Compare delivery and KPIs with the targets of each line; move budget where it works.",
    ),
)


@dataclass(frozen=True)
class PlannedTask:
    """A task with its due date; `slug` is unique in its brief and the same for the same task."""

    name: str
    slug: str
    notes: str
    due_on: date


def task_list(brief: Brief) -> list[PlannedTask]:
    """Return the brief's own tasks, or the thirteen standard tasks if it has none."""
    if not brief.tasks:
        return list(_standard(brief))
    return [
        PlannedTask(task.name, slug_of(task.name), task.notes, task.due(brief.flight_start))
        for task in brief.tasks
    ]


def render_tasks(brief: Brief, made: Mapping[str, str], dry_run: bool = False) -> str:
    """Return all tasks by due date as Markdown; `made` maps slugs of tasks in the project to a link or "".

    In a dry run these are the tasks that a launch would create.
    """
    tasks = sorted(task_list(brief), key=lambda task: task.due_on)
    done = sum(task.slug in made for task in tasks)
    rows = [[day(task.due_on), md(task.name), md(task.notes), _place(task, made, dry_run)] for task in tasks]
    counted = f"{done} of {len(tasks)} tasks are in the project."
    if dry_run:
        counted = f"{DRY_RUN} A launch would create {done} of {len(tasks)} tasks in the project."
    return "\n\n".join(
        [
            f"# {md(brief.title)}: project tasks",
            f"{counted} Dates are in the time zone {md(brief.timezone)}; "
            f"the flight runs from {day(brief.flight_start)} to {day(brief.flight_end)}.",
            table(["Due", "Task", "Notes", "Where"], rows),
        ]
    )


def _place(task: PlannedTask, made: Mapping[str, str], dry_run: bool) -> str:
    if task.slug not in made:
        return "listed here only"
    if dry_run:
        return "would be created in the project"
    return link("in the project", made[task.slug])


def _standard(brief: Brief) -> Iterator[PlannedTask]:
    words = {
        "title": brief.title,
        "url": brief.landing_url,
        "start": day(brief.flight_start),
        "event": f": {brief.launch_event}" if brief.launch_event else "",
        "creatives": ", ".join(f"{c.name} ({c.size}, {c.format})" for c in brief.creative_sizes),
    }
    for name, offset, notes in _BEFORE:
        yield _planned(brief, name, offset, notes.format_map(words))
    for dsp, offset in _SETUP:
        yield _planned(brief, f"Set-up on {dsp}", offset, _setup_notes(brief, dsp))
    for name, offset, notes in _AFTER:
        yield _planned(brief, name, offset, notes.format_map(words))
    last = (brief.flight_end - brief.flight_start).days + 7
    yield _planned(brief, "Post-mortem", last, "Report results against the objectives; note what to repeat.")


def _setup_notes(brief: Brief, dsp: str) -> str:
    lines = [line for line in brief.media_plan if line.dsp == dsp]
    if not lines:
        return f"The media plan has no lines on {dsp}: confirm and close."
    named = "; ".join(", ".join(filter(None, (line.channel, line.tactic))) for line in lines)
    return f"Set up and leave paused: {named}."


def _planned(brief: Brief, name: str, offset: int, notes: str) -> PlannedTask:
    return PlannedTask(name, slug_of(name), notes, brief.flight_start + timedelta(days=offset))
