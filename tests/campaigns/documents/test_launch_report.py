"""The summary report: its chapters, links with their source, failures with their fallback."""

import re
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
from tests.campaigns.briefs import brief_of

STAGES = [
    StageFact("Brief", "completed", 1, 1, 30.0),
    StageFact("Creatives", "failed", 0, 4, 90.0, "no images"),
    StageFact("Search", "skipped"),
]


def report(**facts: object) -> str:
    return render_report(brief_of(), ReportFacts(job="0123abcd", stages=STAGES, **facts))


def test_it_has_its_seven_chapters_even_when_nothing_happened() -> None:
    text = render_report(brief_of(), ReportFacts(job="x", stages=[]))
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Executive summary",
        "Artifacts created",
        "DSP activation status",
        "Timeline",
        "Failures and fallbacks",
        "Timings",
        "Next steps",
    ]
    assert "Nothing failed." in text


def test_skipped_stages_are_named_and_not_counted() -> None:
    text = report()
    assert "1 of 2 stages completed" in text
    assert "Skipped: Search." in text


def test_every_artifact_is_listed_with_its_link_and_source() -> None:
    text = report(
        artifacts=[
            ArtifactFact("Brief", "live", "Brief", "https://docs.example/1"),
            ArtifactFact("Trick", "fallback", "Brief", "javascript:alert(1)", "trick.md"),
        ]
    )
    assert "[Brief](https://docs.example/1) | live" in text
    assert "| Trick | fallback | [trick.md](trick.md) |" in text and "javascript" not in text
    assert "By source: 1 fallback, 1 live." in text


def test_lines_failures_and_unknowns_are_listed() -> None:
    text = report(
        lines=[LineFact("Display", "TTD", "paused", "simulated", "c-1")],
        failures=[FailureFact("Creatives", "no images", "local designs"), FailureFact("Search", "refused")],
        unknown=["image 300x250"],
    )
    assert "| Display | TTD | paused | simulated | c-1 |" in text
    assert "| Creatives | no images | local designs |" in text
    assert "| Search | refused | nothing |" in text
    assert "Unknown; check: image 300x250." in text
    assert "Simulated lines spend nothing" in text


def test_times_are_those_of_the_campaigns_zone() -> None:
    text = report(timeline=[Moment(datetime(2027, 7, 1, 22, 30, tzinfo=UTC), "Started")], seconds=95.0)
    assert "| Time (Europe/Berlin) |" in text
    assert "| 2027-07-02 00:30:00 | Started |" in text
    assert "took 1 min 35 s; the times of its stages add up to 2 min 0 s" in text


def test_files_are_linked_where_the_reader_finds_them_and_not_for_one_outside() -> None:
    artifacts = [
        ArtifactFact("Brief", "live", "Brief", "https://docs.example/1", "brief.md"),
        ArtifactFact("Page", "local", "Landing", "/local/x/1", "page.html"),
    ]
    facts = ReportFacts(job="x", stages=STAGES, artifacts=artifacts)
    beside = render_report(brief_of(), facts)
    assert "[brief.md](brief.md)" in beside and "[Page](/local/x/1)" in beside
    here = render_report(brief_of(), facts, files_at="/api/jobs/x/artifacts/")
    assert "[brief.md](/api/jobs/x/artifacts/brief.md)" in here
    outside = render_report(brief_of(), facts, files_at=None)
    assert "[Brief](https://docs.example/1)" in outside
    assert "](/" not in outside and "](brief.md)" not in outside


def test_what_is_unknown_is_not_counted_as_failed() -> None:
    text = report(failures=[FailureFact("Tasks: Kick-off", "no answer", "", True)], unknown=["Kick-off"])
    assert "Failed:" not in text and "Unknown; check: Kick-off" in text


def test_what_a_person_skipped_is_named_and_not_counted_as_failed() -> None:
    text = report(failures=[FailureFact("Lines: CTV", "skipped by ann", "line-ctv.md", skipped=True)])
    assert "Failed:" not in text and "Left out by a user: Lines: CTV." in text
    assert "| Lines: CTV | skipped by ann | line-ctv.md |" in text
