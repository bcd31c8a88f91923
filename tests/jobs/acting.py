"""A job of three stages for tests of user actions: its calls, its stage ends, and its state afterwards."""

from typing import Any

from jobs.engine import events as ev
from jobs.engine.results import Artifact, Source
from jobs.models import CallAttempt, Job, ToolCall
from jobs.store import feed
from jobs.worker import leases
from tests.jobs import story

PLAN = [
    ["brief", "Generate Campaign Brief", []],
    ["creative", "Generate Creatives", []],
    ["report", "Generate Summary Report", ["brief", "creative"]],
]


def made(name: str, source: Source = Source.LIVE) -> Artifact:
    """Return an artifact with this name."""
    return Artifact(name=name, title=name, kind="doc", source=source)


def place(stage: str) -> dict[str, Any]:
    """Return a stage's position among the three."""
    index = [id for id, *_ in PLAN].index(stage)
    return {"stage": stage, "stage_name": PLAN[index][1], "stage_index": index, "total_stages": len(PLAN)}


def end(stage: str, status: str = "completed", *artifacts: Artifact, **data: Any) -> ev.StageEnd:
    """Return the end of a stage."""
    kind = ev.StageError if status == "failed" else ev.StageComplete
    return kind(**place(stage), status=status, current=1, total=1, artifacts=artifacts, data=data)


def over(status: str = "partial") -> ev.WorkflowComplete:
    """Return the end of the job's round."""
    return ev.WorkflowComplete(status=status, total_stages=len(PLAN))


def call(job: Job, step: str, state: str, **values: Any) -> ToolCall:
    """Create a call of the job in this state, with its attempt."""
    stage = step.split(".")[0]
    values = {"server": "docs", "tool": "create", "key": "k", "args": {"a": 1}, "args_hash": "h"} | values
    ended = {} if state in ("waiting", "sent", "retry") else {"ended_at": job.created_at}
    row = ToolCall.objects.create(job=job, step=step, stage=stage, state=state, **ended, **values)
    where = {"stage": stage, "step": step, "server": row.server, "tool": row.tool}
    told: list[ev.Event] = [] if state == "waiting" else [ev.CallStart(**where, attempt=1)]
    if state in ("done", "failed"):
        told.append(ev.CallComplete(**where, state=state, attempt=1, waited=0, took=0, error=row.error))
    if state in ("unknown", "skipped"):
        told.append(ev.CallUnknown(**where, attempt=1, reason=row.error))
    if state == "skipped":
        told.append(ev.JobResolved(by="mara", step=step, outcome="skip"))
    if told:
        CallAttempt.objects.create(call=row, number=1, epoch=job.epoch)
    feed.append(job.pk, told)
    return row


def running(**values: Any) -> Job:
    """Return a job that a worker has claimed and started."""
    job = leases.claim(story.job(plan=PLAN, **values).pk, "worker-a")
    assert job is not None
    feed.append(job.pk, [ev.StageStart(**place("brief"))], epoch=job.epoch)
    return job


def ended(*ends: ev.StageEnd, status: str = "partial", calls: dict[str, str] | None = None) -> Job:
    """Return a finished job whose stages ended like this; the others completed."""
    job = running()
    for step, state in (calls or {}).items():
        call(job, step, state, error="it broke" if state in ("failed", "unknown", "skipped") else "")
    given = {one.stage: one for one in ends}
    feed.append(job.pk, [given.get(id) or end(id) for id, *_ in PLAN] + [over(status)], epoch=job.epoch)
    job.refresh_from_db()
    return job


def states(job: Job) -> dict[str, str]:
    """Return the state of each call, and check that the projection shows the same."""
    rows = {row.step: str(row.state) for row in ToolCall.objects.filter(job=job)}
    shown = {step: view.state for step, view in feed.progress(job.pk).calls.items()}
    assert {step: shown.get(step, "waiting") for step in rows} == rows
    return rows


def types(job: Job, after: int = 0) -> list[str]:
    """Return the types of the job's events after this seq."""
    return [one.event.type for one in feed.after(job.pk, after)]


def last_round(job: Job) -> ev.JobRetrying:
    """Return the event that started the last round."""
    found = [one.event for one in feed.whole(job.pk) if isinstance(one.event, ev.JobRetrying)]
    return found[-1]
