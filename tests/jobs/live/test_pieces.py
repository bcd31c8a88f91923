"""The pieces of a job's page: computed from events, escaped, the same for page, poll and socket."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.template import Node
from django.template.base import FilterExpression, Template, Variable
from django.template.loader import get_template
from django.template.loader_tags import IncludeNode

from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import Artifact, Source
from jobs.live import asks, pieces
from jobs.models import Job

ID = uuid.UUID("11111111-2222-4333-8444-555555555555")
AT = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
STAGES = [["brief", "Generate Campaign Brief"], ["project", "Setup Project Management"]]
HOSTILE = '<script>alert("x")</script>'


def where(index: int) -> dict:
    """Return the fields that identify a stage in its events."""
    id, name = STAGES[index]
    return {"stage": id, "stage_name": name, "stage_index": index, "total_stages": len(STAGES)}


def call(step: str, **more: object) -> dict:
    """Return the fields that every event of a call has."""
    return {
        "stage": "project",
        "step": f"project.{step}",
        "server": "asana-v2",
        "tool": "asana_create_task",
    } | more


def told(*events: ev.Event, title: str = "Aurora One") -> Progress:
    """Return the progress of a queued job after these events, one second apart."""
    queued = ev.JobQueued(workflow="campaign-lifecycle", version=1, title=title, stages=STAGES)
    recorded = enumerate((queued, *events), 1)
    return Progress.from_events(
        ev.Recorded(seq, AT + timedelta(seconds=seq), event) for seq, event in recorded
    )


def rendered(*events: ev.Event, title: str = "Aurora One") -> dict[str, str]:
    """Return the pieces after these events."""
    return pieces.pieces(Job(pk=ID, title=title, plan=STAGES), told(*events, title=title))


def test_there_is_a_header_a_row_per_stage_a_summary_the_calls_and_the_log():
    assert list(rendered()) == [
        "job-header",
        "stage-brief",
        "stage-project",
        "job-summary",
        "job-calls",
        "calls-brief",
        "calls-project",
        "job-log",
    ]


def test_each_piece_is_one_element_that_carries_its_id():
    for id, html in rendered(ev.StageStart(**where(0))).items():
        assert re.match(rf'<(header|li|section|div|details) id="{id}"', html), html[:80]
        assert html.endswith(("</header>", "</li>", "</section>", "</div>", "</details>"))


def test_the_same_events_give_the_same_text_whatever_the_time():
    started = ev.StageStart(**where(0))
    assert rendered(started) == rendered(started)


def test_an_event_changes_only_the_pieces_it_is_about():
    before = rendered(ev.StageStart(**where(1)))
    after = rendered(ev.StageStart(**where(1)), ev.StageProgress(**where(1), current=7, total=13))
    assert [id for id in after if after[id] != before[id]] == ["stage-project"]


def test_a_call_changes_the_calls_of_its_stage_and_no_others():
    before = rendered(ev.StageStart(**where(1)), ev.CallStart(**call("task.1"), attempt=1))
    done = ev.CallComplete(**call("task.1"), state="done", attempt=1, waited=0.5, took=1.5)
    after = rendered(ev.StageStart(**where(1)), ev.CallStart(**call("task.1"), attempt=1), done)
    changed = [id for id in after if after[id] != before[id]]
    assert changed == ["job-calls", "calls-project", "job-log"]
    assert 'width="25.0%"' in after["calls-project"]


def test_a_stage_shows_its_count_its_status_word_and_its_bar():
    row = rendered(ev.StageStart(**where(1)), ev.StageProgress(**where(1), current=7, total=13))[
        "stage-project"
    ]
    assert "7/13" in row
    assert ">running</span>" in row
    assert '<progress max="100" value="53"' in row


def test_a_waiting_call_shows_the_server_and_its_permits():
    waiting = [ev.CallWaiting(**call(f"task.{n}"), in_use=5, limit=5) for n in range(3)]
    row = rendered(ev.StageStart(**where(1)), *waiting)["stage-project"]
    assert "waiting: asana-v2 5/5, 3 calls" in row


def test_a_retry_is_shown_with_its_reason_until_the_call_has_ended():
    retry = ev.CallRetry(**call("task.1"), attempt=1, delay=2, reason="429 Too Many Requests")
    done = ev.CallComplete(**call("task.1"), state="done", attempt=2, waited=0, took=1)
    assert "429 Too Many Requests" in rendered(ev.StageStart(**where(1)), retry)["stage-project"]
    assert "retry after" not in rendered(ev.StageStart(**where(1)), retry, done)["stage-project"]


def test_an_unknown_call_is_shown_at_the_top_and_at_its_stage():
    unknown = ev.CallUnknown(**call("task.1"), attempt=1, reason="the connection closed")
    parts = rendered(ev.StageStart(**where(1)), unknown)
    assert "1 unknown:" in parts["job-header"]
    assert "the connection closed" in parts["stage-project"]


def test_names_and_errors_from_outside_are_escaped_in_every_piece():
    artifact = Artifact(name="a.md", title=HOSTILE, kind="document", source=Source.FALLBACK, note=HOSTILE)
    parts = rendered(
        ev.StageStart(**where(1)),
        ev.StageProgress(**where(1), current=0, total=1, detail=HOSTILE),
        ev.CallUnknown(**call("task.1", item=HOSTILE), attempt=1, reason=HOSTILE),
        ev.StageError(**where(1), status="failed", current=0, total=1, artifacts=(artifact,), error=HOSTILE),
        ev.WorkflowComplete(status="failed", total_stages=2, error=HOSTILE),
        title=HOSTILE,
    )
    for html in parts.values():
        assert "<script" not in html
    assert all(
        "&lt;script&gt;" in parts[id] for id in ("job-header", "job-summary", "calls-project", "job-log")
    )


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/\\evil.example"]
)
def test_an_unsafe_address_is_not_linked(url: str):
    artifact = Artifact(name="a", title="A", kind="page", source=Source.LIVE, url=url)
    done = ev.StageComplete(**where(0), status="completed", current=1, total=1, artifacts=(artifact,))
    assert "<a" not in rendered(done)["job-summary"]


def test_a_picture_is_shown_at_its_exact_size_and_a_fallback_is_marked():
    artifact = Artifact(
        name="creative-728x90.png",
        title="Leaderboard",
        kind="image",
        source=Source.FALLBACK,
        file="creative-728x90.png",
        width=728,
        height=90,
    )
    done = ev.StageError(**where(0), status="failed", current=0, total=1, artifacts=(artifact,), error="no")
    html = rendered(done)["job-summary"]
    assert 'width="728" height="90" alt="Leaderboard"' in html
    assert "1 fallback" in html
    assert '<span class="badge b-fallback"' in html


def test_a_document_links_to_its_service_and_to_our_copy():
    live = Artifact(
        name="brief.md",
        title="Brief",
        kind="document",
        source=Source.LIVE,
        url="https://docs.example/1",
        file="brief.md",
    )
    html = rendered(ev.StageComplete(**where(0), status="completed", current=1, total=1, artifacts=(live,)))[
        "job-summary"
    ]
    assert 'href="https://docs.example/1" target="_blank"' in html
    assert "/artifacts/brief.md" in html


def test_a_local_markdown_document_opens_as_a_page():
    local = Artifact(name="brief.md", title="Brief", kind="document", source=Source.LOCAL, file="brief.md")
    html = rendered(ev.StageComplete(**where(0), status="completed", current=1, total=1, artifacts=(local,)))[
        "job-summary"
    ]
    assert "/documents/brief.md" in html


def test_the_fragment_replaces_every_piece_by_its_id_with_a_morph():
    fragment = pieces.fragment({"stage-brief": '<li id="stage-brief"></li>'})
    assert fragment == (
        '<hx-partial hx-target="#stage-brief" hx-swap="outerMorph"><li id="stage-brief"></li></hx-partial>\n'
    )


def names_in(template: Template) -> set[str]:
    """Return the names that a template reads from its context."""
    found: set[str] = set()
    bound: set[str] = {"forloop", "None"}
    for node in nodes_of(template.nodelist):
        assert not isinstance(node, IncludeNode)
        bound |= set(getattr(node, "loopvars", ()))
        found |= {str(variable).split(".")[0] for variable in variables_of(node)}
    return found - bound


def nodes_of(nodelist: object) -> Iterator[Node]:
    """Yield all nodes of a template, nested nodes included."""
    for node in nodelist:
        yield node
        for name in ("nodelist", "nodelist_loop", "nodelist_empty"):
            yield from nodes_of(getattr(node, name, ()))
        for _, inner in getattr(node, "conditions_nodelists", ()):
            yield from nodes_of(inner)


def variables_of(node: Node) -> Iterator[Variable]:
    """Yield the variables that one node reads."""
    todo = [value for value in vars(node).values() if not isinstance(value, list)]
    todo += [condition for condition, _ in getattr(node, "conditions_nodelists", ()) if condition]
    todo += list(getattr(node, "args", ()))
    while todo:
        one = todo.pop()
        if isinstance(one, FilterExpression):
            todo.append(one.var)
            todo += [value for _, arguments in one.filters for is_var, value in arguments if is_var]
        elif isinstance(one, Variable):
            if one.literal is None:
                yield one
        elif hasattr(one, "first") or hasattr(one, "value"):
            todo += [getattr(one, name, None) for name in ("first", "second", "value")]


@pytest.mark.parametrize(("name", "context"), pieces.PARTIALS.items())
def test_a_partial_reads_exactly_what_its_context_holds(name: str, context: type):
    assert names_in(get_template(name).template) == {field.name for field in fields(context)}


def test_templates_hold_no_inline_script_and_no_inline_style():
    forbidden = re.compile(r"<style|\sstyle=|\son\w+=|hx-on|javascript:|js:|<script(?![^>]*\ssrc=)")
    templates = list(Path(settings.BASE_DIR, "templates").rglob("*.html"))
    assert len(templates) > 10
    assert [path.name for path in templates if forbidden.search(path.read_text())] == []


def outcome(step: str, state: str, **more: object) -> list[ev.Event]:
    """Return the events of a call that is sent and ends in this state."""
    start = ev.CallStart(**call(step), attempt=1)
    if state == "unknown":
        return [start, ev.CallUnknown(**call(step), attempt=1, reason="the connection closed")]
    return [start, ev.CallComplete(**call(step), state=state, attempt=1, waited=0, took=1, **more)]


def ended(index: int, status: str, **more: object) -> ev.Event:
    """Return the event that ends a stage."""
    kind = ev.StageError if status == "failed" else ev.StageComplete
    return kind(**where(index), status=status, current=1, total=2, **more)


def over(status: str) -> ev.WorkflowComplete:
    """Return the event that ends the job."""
    return ev.WorkflowComplete(status=status, total_stages=2)


def test_a_running_job_can_be_cancelled_but_not_retried():
    parts = rendered(ev.StageStart(**where(1)), *outcome("task.1", "failed", error="no"))
    assert f'href="/jobs/{ID}/cancel"' in parts["job-header"]
    assert not any("/retry" in html for html in parts.values())


def test_a_job_being_cancelled_shows_what_exists_and_no_cancel_button():
    made = outcome("task.1", "done", remote_id="t-1", remote_url="https://tasks.example/t-1", source="live")
    parts = rendered(ev.StageStart(**where(1)), *made, ev.JobCancelling(by="mara"))
    assert "/cancel" not in parts["job-header"]
    assert 'data-cancelling="yes"' in parts["job-header"]
    assert '<details id="outside" class="outside" open>' in parts["job-summary"]
    assert 'href="https://tasks.example/t-1"' in parts["job-summary"]


@pytest.mark.parametrize("status", ["partial", "failed"])
def test_an_ended_job_offers_to_retry_everything_a_stage_or_a_call(status: str):
    events = [
        ev.StageStart(**where(1)),
        *outcome("task.1", "failed", error="no"),
        ended(1, status, error="no"),
    ]
    parts = rendered(*events, over(status))
    assert f'href="/jobs/{ID}/retry"' in parts["job-header"]
    assert f'href="/jobs/{ID}/retry?stage=project"' in parts["stage-project"]
    assert f'href="/jobs/{ID}/retry?step=project.task.1"' in parts["calls-project"]
    assert "/cancel" not in parts["job-header"]


def test_a_completed_job_offers_neither_cancel_nor_retry():
    done = [
        ev.StageStart(**where(0)),
        ended(0, "completed"),
        ev.StageStart(**where(1)),
        ended(1, "completed"),
    ]
    parts = rendered(*done, *outcome("task.1", "done", remote_id="t-1"), over("completed"))
    assert not any("/retry" in html or "/cancel" in html or 'id="outside"' in html for html in parts.values())


def test_a_completed_stage_with_a_missing_item_can_be_retried():
    done = [ended(0, "completed"), *outcome("task.1", "failed", error="no"), ended(1, "completed")]
    assert "stage=project" in rendered(*done, over("completed"))["stage-project"]


def test_a_stage_with_only_unknown_calls_cannot_be_retried():
    parts = rendered(
        ended(0, "completed"), *outcome("task.1", "unknown"), ended(1, "failed"), over("partial")
    )
    assert "/retry" not in parts["job-header"]
    assert "/retry" not in parts["stage-project"]


def test_a_skipped_call_can_only_be_retried_by_itself():
    skip = ev.JobResolved(by="mara", step="project.task.1", outcome="skip")
    events = [ended(0, "completed"), *outcome("task.1", "unknown"), skip, ended(1, "failed", error="no")]
    parts = rendered(*events, over("partial"))
    assert "step=project.task.1" in parts["calls-project"]
    assert "/retry" not in parts["stage-project"]


def test_an_unknown_call_shows_when_it_was_sent_and_links_to_its_page():
    parts = rendered(ev.StageStart(**where(1)), *outcome("task.1", "unknown"))
    for id in ("job-header", "stage-project", "calls-project"):
        assert f'href="/jobs/{ID}/steps/project.task.1/">Resolve…' in parts[id]
    for id in ("job-header", "stage-project"):
        assert "asana-v2, create task, sent 1 Mar 2027, 09:30:03 UTC" in parts[id]


def test_many_unknown_calls_take_a_few_lines_at_the_top():
    events = [event for n in range(13) for event in outcome(f"task.{n}", "unknown")]
    header = rendered(ev.StageStart(**where(1)), *events)["job-header"]
    assert header.count("Resolve…") == 5
    assert "and 8 more, listed under their stages" in header


def test_a_server_with_paused_calls_has_one_banner():
    down = ev.JobServerDown(server="asana-v2", reason="9 of its last 10 calls failed")
    failed = [event for n in range(13) for event in outcome(f"task.{n}", "failed", error="left alone")]
    header = rendered(ev.StageStart(**where(1)), down, *failed)["job-header"]
    assert header.count("asana-v2 is failing; calls to it are paused:") == 1


def test_stages_that_a_cancelled_job_never_reached_say_so():
    events = [ev.StageStart(**where(1)), ev.StageProgress(**where(1), current=1, total=3), over("cancelled")]
    parts = rendered(*events)
    assert "Never started: the campaign was cancelled." in parts["stage-brief"]
    assert "Stopped before it was done: the campaign was cancelled." in parts["stage-project"]
    assert f'href="/jobs/{ID}/retry"' in parts["job-header"]


def test_a_second_round_is_shown():
    retrying = ev.JobRetrying(by="mara", round=2, stages=["project"])
    header = rendered(ended(1, "failed", error="no"), over("failed"), retrying)["job-header"]
    assert "<span>round 2</span>" in header
    assert 'data-ended="no"' in header


@pytest.mark.parametrize(
    ("tool", "said", "made"),
    [
        ("asana_create_task", "create task", "task"),
        ("createDocument", "create document", "document"),
        ("google_ads_create_responsive_search_ad", "create responsive search ad", "responsive search ad"),
        ("upload_asset", "upload asset", "asset"),
        ("send", "send", "send"),
    ],
)
def test_tools_are_named_in_plain_words(tool: str, said: str, made: str):
    server = "google-ads" if "ads" in tool else "asana-v2"
    assert asks.words(server, tool) == said
    assert asks.thing_made(server, tool) == made


def test_the_header_shows_the_expected_end_only_while_the_job_runs():
    running = (ev.StageStart(**where(0)), ev.JobExpected(seconds=285.0))
    head = rendered(*running)["job-header"]
    # told by the third event, three seconds after the launch; the page's script counts down to it
    assert 'data-left="2027-03-01T09:34:48.000Z"' in head and "expected to end at about" in head
    for end in (ev.JobCancelling(by="mara"), ev.WorkflowComplete(status="completed", total_stages=2)):
        assert "data-left" not in rendered(*running, end)["job-header"]
    assert "data-left" not in rendered(ev.StageStart(**where(0)))["job-header"]
