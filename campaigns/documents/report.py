"""The summary report in Markdown: what was made and where it is, what failed, and the fallbacks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from campaigns.brief.schema import Brief
from campaigns.documents.lines import ACTIVE
from campaigns.documents.text import DRY_RUN, day, file_link, is_web, link, md, money, table, titled


@dataclass(frozen=True)
class StageFact:
    """How a stage ended: `made` of `total` items, in `seconds` (`None` if it was not timed)."""

    name: str
    status: str
    made: int = 0
    total: int = 0
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True)
class ArtifactFact:
    """An artifact; `source` is live, local, simulated or fallback; `url` opens it, or is ""."""

    title: str
    source: str
    stage: str = ""
    url: str = ""
    file: str = ""
    note: str = ""


@dataclass(frozen=True)
class LineFact:
    """A media plan line on its DSP; `status` is for example paused, not created or unknown."""

    name: str
    dsp: str
    status: str
    source: str
    remote_id: str = ""
    note: str = ""


@dataclass(frozen=True)
class FailureFact:
    """What failed, why, and its fallback, or "" if there is none.

    `unknown`: it may exist; `skipped`: a user chose to leave it out.
    """

    what: str
    why: str
    fallback: str = ""
    unknown: bool = False
    skipped: bool = False


@dataclass(frozen=True)
class Moment:
    """A point of the timeline; `at` has a time zone."""

    at: datetime
    what: str


@dataclass(frozen=True)
class ReportFacts:
    """The content of the report besides the brief; `seconds` is the duration of the whole job.

    In a `dry_run` it lists what a launch would make, and the times are those of the checks.
    """

    job: str
    stages: Sequence[StageFact]
    artifacts: Sequence[ArtifactFact] = ()
    lines: Sequence[LineFact] = ()
    failures: Sequence[FailureFact] = ()
    timeline: Sequence[Moment] = ()
    seconds: float | None = None
    unknown: Sequence[str] = field(default=())
    round: int = 1
    dry_run: bool = False


def report_title(brief: Brief, round: int) -> str:
    """Return the title of a round's report; each round has its own report."""
    return titled(brief.title, "launch report" + (f", round {round}" if round > 1 else ""))


def render_report(brief: Brief, facts: ReportFacts, *, files_at: str | None = "") -> str:
    """Return the seven chapters: every artifact with its link and source, every failure with its fallback.

    `files_at` is the URL of the files for the reader: "" next to the report, otherwise a URL that ends with a
    slash; None if the reader can open neither the files nor other URLs of this site.
    """
    chapters = {
        "Executive summary": _summary(brief, facts),
        _would("Artifacts created", "Artifacts that would be created", facts): _artifacts(facts, files_at),
        "DSP activation status": _lines(facts),
        "Timeline": _timeline(brief, facts),
        "Failures and fallbacks": _failures(facts),
        "Timings": _timings(facts),
        "Next steps": _next_steps(brief, facts),
    }
    parts = [f"# {md(report_title(brief, facts.round))}"]
    if facts.dry_run:
        parts.append(
            f"{DRY_RUN} Every call was checked against its server. A launch would make the following."
        )
    for title, body in chapters.items():
        parts += [f"## {title}", body]
    return "\n\n".join(parts) + "\n"


def _would(said: str, instead: str, facts: ReportFacts) -> str:
    return instead if facts.dry_run else said


def _summary(brief: Brief, facts: ReportFacts) -> str:
    ran = [stage for stage in facts.stages if stage.status != "skipped"]
    done = sum(stage.status == "completed" for stage in ran)
    skipped = [stage.name for stage in facts.stages if stage.status == "skipped"]
    said = [
        f"{done} of {len(ran)} stages completed for {md(brief.title)}; {len(facts.artifacts)} artifacts.",
        f"The plan spends {md(money(brief.budget, brief.currency))} from {day(brief.flight_start)} to "
        f"{day(brief.flight_end)} ({md(brief.timezone)}).",
        _sources(facts),
    ]
    if skipped:
        said.append(f"Skipped: {md(', '.join(skipped))}.")
    if left := [failure.what for failure in facts.failures if failure.skipped]:
        said.append(f"Left out by a user: {md(', '.join(left))}.")
    failed = sum(not (failure.unknown or failure.skipped) for failure in facts.failures)
    if failed:
        said.append(f"Failed: {failed}; each is listed below with its fallback.")
    if facts.unknown:
        said.append(f"Unknown; check: {md(', '.join(facts.unknown))}.")
    table_of_stages = table(
        ["Stage", "Status", _would("Made", "Would be made", facts)],
        [[md(stage.name), md(stage.status), f"{stage.made} of {stage.total}"] for stage in facts.stages],
    )
    return " ".join(filter(None, said)) + f"\n\nJob `{_code(facts.job)}`\n\n{table_of_stages}"


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def _sources(facts: ReportFacts) -> str:
    tally: dict[str, int] = {}
    for artifact in facts.artifacts:
        tally[artifact.source] = tally.get(artifact.source, 0) + 1
    told = ", ".join(f"{number} {md(source)}" for source, number in sorted(tally.items()))
    return f"By source: {told}." if told else ""


def _artifacts(facts: ReportFacts, files_at: str | None) -> str:
    def row(item: ArtifactFact) -> list[str]:
        reached = files_at is not None or is_web(item.url)
        title = link(item.title, item.url) if reached else md(item.title)
        file = md(item.file) if files_at is None else file_link(item.file, files_at)
        return [md(item.stage), title, md(item.source), file, md(item.note)]

    rows = [row(item) for item in facts.artifacts]
    return table(["Stage", "Artifact", "Source", "File", "Note"], rows) if rows else "None."


def _lines(facts: ReportFacts) -> str:
    rows = [
        [md(line.name), md(line.dsp), md(line.status), md(line.source), md(line.remote_id), md(line.note)]
        for line in facts.lines
    ]
    return (
        table(["Line", "DSP", "Status", "Source", "Identifier", "Note"], rows)
        if rows
        else _would("No line was created.", "No line would be created.", facts)
    )


def _timeline(brief: Brief, facts: ReportFacts) -> str:
    zone = ZoneInfo(brief.timezone)
    rows = [
        [moment.at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"), md(moment.what)]
        for moment in facts.timeline
    ]
    return table([f"Time ({md(brief.timezone)})", "What happened"], rows) if rows else "Nothing was recorded."


def _failures(facts: ReportFacts) -> str:
    rows = [[md(item.what), md(item.why), md(item.fallback) or "nothing"] for item in facts.failures]
    return table(["What failed", "Why", "Fallback"], rows) if rows else "Nothing failed."


def _timings(facts: ReportFacts) -> str:
    timed = [stage for stage in facts.stages if stage.seconds is not None]
    rows = [[md(stage.name), _seconds(stage.seconds)] for stage in timed]
    took = _would("Took", "The dry run took", facts)
    parts = [table(["Stage", took], rows)] if rows else ["No stage was timed."]
    if facts.dry_run:
        return "\n\n".join([*parts, "The page of this dry run shows how long a launch would take."])
    if facts.seconds is not None and rows:
        summed = sum(stage.seconds or 0 for stage in timed)
        parts.append(
            f"The launch took {_seconds(facts.seconds)}; the times of its stages add up to "
            f"{_seconds(summed)}."
        )
    return "\n\n".join(parts)


def _seconds(seconds: float | None) -> str:
    whole = seconds or 0.0
    if whole < 60:
        return f"{whole:.1f} s"
    return f"{int(whole // 60)} min {int(whole % 60)} s"


def _next_steps(brief: Brief, facts: ReportFacts) -> str:
    if facts.dry_run:
        mend = ["Fix what failed, then start another dry run."] if facts.failures else []
        ahead = [*mend, f"Launch the campaign well before {day(brief.flight_start)} ({md(brief.timezone)})."]
        return "\n".join(f"{number}. {step}" for number, step in enumerate(ahead, 1))
    steps = []
    if facts.unknown:
        steps.append(f"Resolve what is unknown before you retry anything: {md(', '.join(facts.unknown))}.")
    if facts.failures:
        steps.append("Retry what failed, or use its fallback.")
    if any(line.source == "simulated" for line in facts.lines):
        steps.append("Simulated lines spend nothing: create them on their DSPs before the flight.")
    if not facts.lines or any(line.status != ACTIVE for line in facts.lines):
        before = f"{day(brief.flight_start)} ({md(brief.timezone)})"
        steps.append(f"Check the paused lines and set them live before {before}.")
    steps.append("Assign an owner to each task of the project.")
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
