"""The pages for cancelling, retrying and resolving: what they show, do and refuse."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.engine import events as ev
from jobs.models import AuditEntry, CallAttempt, Job, ToolCall
from jobs.store import feed
from tests.jobs import story
from tests.pages import browser, policy, text

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>"
PLAN = [["project", "Setup Project Management"], ["landing", "Generate Landing Page"], ["report", "Report"]]
LONG = "First line of the notes\n" + "words " * 80


def place(index: int) -> dict[str, Any]:
    """Return the fields that identify a stage in its events."""
    id, name = PLAN[index]
    return {"stage": id, "stage_name": name, "stage_index": index, "total_stages": len(PLAN)}


def named(item: str) -> dict[str, str]:
    """Return the fields that identify a task's call."""
    tool = {"server": "asana-v2", "tool": "asana_create_task"}
    return {"stage": "project", "step": f"project.task.{item}", "item": item} | tool


def call(job: Job, item: str, state: str = "done", **values: Any) -> ToolCall:
    """Store a task's call with its one attempt, and tell its events."""
    where = named(item)
    args = {"project_id": "p-1", "notes": LONG, "tags": ["a", "b"], "sizes": [{"width": 300}]}
    row = ToolCall.objects.create(
        job=job, **where, key="ab" * 16, args=args, args_hash="", state=state, attempts=1, **values
    )
    CallAttempt.objects.create(call=row, number=1, epoch=1, outcome="" if state == "sent" else state)
    feed.append(job.pk, [ev.CallStart(**where, attempt=1)])
    if state == "unknown":
        feed.append(job.pk, [ev.CallUnknown(**where, attempt=1, reason=row.error)])
    elif state in ("done", "failed"):
        seconds = {"waited": 0, "took": 1}
        more = {"remote_id": row.remote_id, "remote_url": row.remote_url, "error": row.error}
        feed.append(job.pk, [ev.CallComplete(**where, state=state, attempt=1, **seconds, **more)])
    return row


def running(owner: Any = None) -> Job:
    """Create a job whose first stage runs, with one finished and one unknown task."""
    job = story.job(owner, plan=PLAN)
    feed.append(job.pk, [ev.StageStart(**place(0))])
    call(job, "kickoff", remote_id="t-1", remote_url="https://tasks.example/t-1", source="live")
    call(job, "visuals", "unknown", error="the connection closed before the answer")
    return job


def partial(owner: Any = None, *, failed: bool = True) -> Job:
    """End that job, optionally with a third task that failed."""
    job = running(owner)
    if failed:
        call(job, "budget", "failed", error="out of order")
    ends: list[ev.Event] = [ev.StageError(**place(0), status="failed", current=1, total=3, error="1 of 3")]
    for n in (1, 2):
        ends += [ev.StageStart(**place(n))]
        ends += [ev.StageComplete(**place(n), status="completed", current=1, total=1)]
    feed.append(job.pk, [*ends, ev.WorkflowComplete(status="partial", total_stages=3)])
    return job


def at(name: str, job: Job, *more: str) -> str:
    """Return the address of a page of this job."""
    return reverse(name, args=[job.pk, *more])


def answer(job: Job, client: Client | None = None, item: str = "visuals", **form: str) -> Any:
    """Send an answer for a task's call."""
    return (client or browser()).post(at("step", job, f"project.task.{item}"), form)


def after(response: Any, job: Job, client: Client) -> str:
    """Return the job's page to which an action has redirected."""
    assert (response.status_code, response.url) == (302, at("job", job))
    return text(client.get(response.url))


@pytest.mark.parametrize("name", ["job-cancel", "job-retry", "step"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_another_users_job_cannot_be_acted_on(name: str, method: str):
    job = partial(story.user("other"))
    more = ["project.task.visuals"] if name == "step" else []
    assert getattr(browser(), method)(at(name, job, *more)).status_code == 404
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("name", ["job-cancel", "job-retry"])
def test_a_post_without_a_csrf_token_is_refused(name: str):
    job, client = partial(), Client(enforce_csrf_checks=True)
    client.force_login(story.user())
    assert client.post(at(name, job)).status_code == 403


def test_the_action_pages_allow_no_inline_script():
    job = partial()
    for where in (at("job-cancel", job), at("job-retry", job), at("step", job, "project.task.visuals")):
        assert "unsafe-inline" not in policy(browser().get(where))


def test_the_cancel_page_shows_what_exists_and_changes_nothing():
    job = running()
    html = text(browser().get(at("job-cancel", job)))
    assert "task “kickoff”" in html
    assert 'href="https://tasks.example/t-1"' in html
    assert "Nothing new is sent once you confirm" in html
    job.refresh_from_db()
    assert job.cancel_asked_at is None


def test_cancelling_redirects_to_the_job_which_lists_what_exists():
    job, client = running(), browser()
    html = after(client.post(at("job-cancel", job)), job, client)
    assert "Nothing new will be sent" in html
    assert '<details id="outside" class="outside" open>' in html
    job.refresh_from_db()
    assert job.status == "cancelled"


def test_a_job_that_has_ended_cannot_be_cancelled_and_the_page_says_so():
    job = partial()
    html = text(browser().get(at("job-cancel", job)))
    assert "already ended" in html
    assert '<button class="danger"' not in html
    refused = browser().post(at("job-cancel", job))
    assert refused.status_code == 409
    assert "Nothing was changed:" in refused.content.decode()


def test_the_retry_page_shows_what_would_be_retried_and_changes_nothing():
    job = partial()
    seq = feed.heads([job.pk])[job.pk]
    html = text(browser().get(at("job-retry", job)))
    assert "asana-v2, create task “budget”" in html
    assert "create task “kickoff”" not in html
    assert "1 call stays unchanged" in html
    assert "1 unknown call is not sent again" in html
    job.refresh_from_db()
    assert (job.status, feed.heads([job.pk])[job.pk]) == ("partial", seq)
    assert ToolCall.objects.get(item="budget").state == "failed"
    assert not AuditEntry.objects.exists()


def test_the_retry_page_says_what_is_looked_up_first():
    job = story.job(plan=PLAN)
    feed.append(job.pk, [ev.StageStart(**place(0))])
    call(job, "kickoff", "unknown", error="the job was cancelled")
    call(job, "visuals", "unknown", error="the connection closed before the answer")
    CallAttempt.objects.filter(call__item="kickoff").update(outcome=CallAttempt.LOST)
    feed.append(job.pk, [ev.WorkflowComplete(status="cancelled", total_stages=len(PLAN))])
    html = text(browser().get(at("job-retry", job)))
    assert "1 call was in progress when the campaign ended: it is looked up at its service" in html
    assert "1 unknown call is not sent again" in html


def test_a_retry_reopens_the_job_and_redirects_to_it():
    job, client = partial(), browser()
    html = after(client.post(at("job-retry", job)), job, client)
    assert "Retrying." in html
    assert "<span>round 2</span>" in html
    assert ToolCall.objects.get(item="budget").state == "waiting"
    assert ToolCall.objects.get(item="visuals").state == "unknown"


def test_a_single_call_can_be_retried():
    job, client = partial(), browser()
    query = {"step": "project.task.budget"}
    assert "“budget”?" in text(client.get(at("job-retry", job), query))
    after(client.post(at("job-retry", job), query), job, client)
    assert AuditEntry.objects.get().step == "project.task.budget"


def test_an_unknown_call_cannot_be_retried_before_it_is_resolved():
    job, query = partial(), {"step": "project.task.visuals"}
    assert "resolve it first" in text(browser().get(at("job-retry", job), query))
    assert browser().post(at("job-retry", job), query).status_code == 409


@pytest.mark.parametrize("query", [{"stage": "nonsense"}, {"step": "nonsense"}])
def test_a_missing_stage_or_step_cannot_be_retried(query: dict[str, str]):
    job = partial()
    assert browser().get(at("job-retry", job), query).status_code == 404
    assert browser().post(at("job-retry", job), query).status_code == 404


def test_a_running_job_cannot_be_retried():
    assert "still running" in text(browser().get(at("job-retry", running())))


def test_an_unknown_call_shows_what_was_sent_when_why_and_three_options():
    job = running()
    html = text(browser().get(at("step", job, "project.task.visuals")))
    for words in ("project_id", "the connection closed", "fp-abababababab", "attempt 1, sent", " UTC"):
        assert words in html
    assert "<td>a, b</td>" in html
    assert "[{&quot;width&quot;: 300}]" in html
    assert html.count('type="radio"') == 3
    assert '<pre class="long">First line of the notes' in html


def test_a_call_that_is_not_unknown_shows_the_same_without_a_form():
    html = text(browser().get(at("step", running(), "project.task.kickoff")))
    assert "project_id" in html
    assert "https://tasks.example/t-1" in html
    assert 'type="radio"' not in html


def test_a_step_that_the_job_does_not_have_is_404():
    assert browser().get(at("step", running(), "project.task.none")).status_code == 404


def test_it_exists_needs_an_id_and_says_so_beside_the_field():
    job = running()
    refused = answer(job, outcome="exists")
    html = refused.content.decode()
    assert refused.status_code == 422
    assert 'aria-invalid="true" aria-describedby="remoteId-error" autofocus' in html
    assert 'value="exists" checked' in html
    assert "<title>Error: " in html


@pytest.mark.parametrize("outcome", ["", "maybe"])
def test_an_invalid_outcome_is_refused(outcome: str):
    refused = answer(running(), outcome=outcome)
    assert refused.status_code == 422
    assert "Choose one of the three options" in refused.content.decode()


@pytest.mark.parametrize(
    ("form", "state"),
    [
        ({"outcome": "exists", "remoteId": " t-77 "}, "done"),
        ({"outcome": "absent", "remoteId": "typed and then chosen otherwise"}, "waiting"),
        ({"outcome": "skip"}, "skipped"),
    ],
)
@pytest.mark.parametrize("make", [running, partial])
def test_resolving_a_call_redirects_to_the_job(form: dict, state: str, make: Any):
    job, client = make(), browser()
    html = after(answer(job, client, **form), job, client)
    assert "Resolved: create task “visuals”" in html
    call = ToolCall.objects.get(item="visuals")
    assert call.state == state
    assert call.remote_id == ("t-77" if state == "done" else "")
    told = text(client.get(at("step", job, call.step)))
    assert "User actions" in told
    assert "mara, resolve" in told


def test_a_second_resolution_is_refused_with_the_reason():
    job = running()
    answer(job, outcome="skip")
    refused = answer(job, outcome="absent")
    assert refused.status_code == 409
    assert "needs no resolution" in refused.content.decode()


def test_a_servers_text_is_escaped_on_the_page_of_a_step():
    job = story.job(plan=PLAN)
    row = call(job, "hostile", "unknown", error=HOSTILE)
    row.args = {HOSTILE: HOSTILE, "notes": HOSTILE + "\n"}
    row.save()
    html = text(browser().get(at("step", job, row.step)))
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
