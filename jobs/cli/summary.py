"""The summary at a job's end: the artifacts, the unknown calls, or the plan of a dry run."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from jobs.cli.board import UNKNOWN, clean, elapsed
from jobs.cli.installation import Installation, Trouble
from jobs.engine.log import span
from jobs.engine.progress import CallView, Progress
from jobs.engine.results import Source

LONGEST = 60  # characters of an argument; longer texts are on the page and in the API


def summary(
    progress: Progress, installation: Installation, job_id: str, console: Console
) -> Iterator[RenderableType]:
    """Yield the lines about a job that has ended. The last line says how it ended."""
    if progress.dry_run:
        yield from _plan(progress, boxed=console.is_terminal)
        yield from _arguments(progress, installation, job_id)
        yield from _total(progress)
    else:
        yield from _made(progress, installation, job_id)
    yield from _unknown(progress, installation, job_id)
    time = elapsed(progress.started_at or progress.queued_at, progress.ended_at, None)
    what = "Dry run" if progress.dry_run else "Campaign"
    came = (
        "nothing was sent" if progress.dry_run else f"{len(progress.artifacts)} artifacts{_sources(progress)}"
    )
    why = f", {progress.error}" if progress.error else ""
    yield _text(f"{what} {progress.status} in {time or '0:00'}: {came}{why}")


def _made(progress: Progress, installation: Installation, job_id: str) -> Iterator[RenderableType]:
    for artifact in progress.artifacts:
        link = installation.link(job_id, artifact)
        yield _text(f"  {artifact.source:<10} {artifact.title}  {link}".rstrip())


def _sources(progress: Progress) -> str:
    counts = Counter(artifact.source for artifact in progress.artifacts)
    words = [f"{counts[source]} {source}" for source in Source if counts[source]]
    return f" ({', '.join(words)})" if words else ""


def _unknown(progress: Progress, installation: Installation, job_id: str) -> Iterator[RenderableType]:
    calls = [call for call in progress.calls.values() if call.state == "unknown"]
    if not calls:
        return
    yield _text(f"Calls with an unknown outcome: {len(calls)}", UNKNOWN)
    for call in calls:
        yield _text(f"  {call.step}  {_where(call)}: {call.error}", UNKNOWN)
    yield _text(f"  Check the service, then resolve them on {installation.page(job_id)}", UNKNOWN)


def _plan(progress: Progress, *, boxed: bool) -> Iterator[RenderableType]:
    table = Table(box=box.SIMPLE if boxed else None, header_style="bold", pad_edge=boxed)
    for name in ("stage", "what", "where", "permits", "expected"):
        table.add_column(name, justify="right" if name == "expected" else "left", overflow="fold")
    for stage in progress.stages:
        for call in progress.calls_of(stage.id):
            cells = (stage.id, call.item or call.step, _where(call), _permits(call), _expected(call))
            table.add_row(
                *(Text(clean(cell)) for cell in cells), style="" if call.state == "planned" else "red"
            )
    if table.row_count:
        yield table


def _arguments(progress: Progress, installation: Installation, job_id: str) -> Iterator[RenderableType]:
    """Yield what each call would send, one line each."""
    if all(call.state != "planned" for call in progress.calls.values()):
        return
    try:
        arguments = installation.arguments(job_id)
    except Trouble as trouble:
        yield _text(f"Could not read what would be sent: {trouble}", UNKNOWN)
        return
    yield _text(f"What would be sent (in full on {installation.page(job_id)})", "bold")
    for stage in progress.stages:
        for call in progress.calls_of(stage.id):
            if call.step in arguments:
                values = ", ".join(f"{name}={_value(value)}" for name, value in arguments[call.step].items())
                yield _text(f"  {call.step}: {values or 'no arguments'}")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _total(progress: Progress) -> Iterator[RenderableType]:
    for stage in progress.stages:
        if stage.error:
            yield _text(f"  {stage.name} {stage.status}: {stage.error}", "red")
    if total := progress.planned:
        failing = sum(call.state == "failed" for call in progress.calls.values())
        if failing:
            calls, reasons = ("call", "reason") if failing == 1 else ("calls", "reasons")
            yield _text(f"{failing} {calls} would fail; see the {reasons} above", "red")
        servers = ", ".join(f"{server} {calls}" for server, calls in sorted(total.servers.items()))
        yield _text(f"{total.calls} calls would be made" + (f": {servers}" if servers else ""))
        yield _text(f"About {span(total.seconds)} in total; best possible time: {span(total.bound)}")


def _where(call: CallView) -> str:
    return f"{call.server} {call.tool}"


def _permits(call: CallView) -> str:
    words = [f"{call.limit} at a time"] if call.limit else []
    words += [f"{call.per_minute} per minute"] if call.per_minute else []
    return ", ".join(words)


def _expected(call: CallView) -> str:
    if call.state == "planned":
        return f"{call.expected:.1f} s"
    return f"{call.state}: {call.error}" if call.error else call.state


def _text(text: str, style: str = "") -> Text:
    return Text(clean(text), style=style)
