"""A scripted job for tests: the job, its events, and a minimal renderer of their projection."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model

from jobs.engine import events as ev
from jobs.engine.progress import Progress
from jobs.engine.results import Artifact, Source
from jobs.models import Job
from jobs.store import feed

PLAN = [["brief", "Generate Campaign Brief"], ["creative", "Generate Creatives"]]
STAGE = {"stage": "creative", "stage_name": "Generate Creatives", "stage_index": 1, "total_stages": 2}
CALL = {"stage": "creative", "step": "creative/image/a", "server": "image-gen", "tool": "generate_image"}


def user(name: str = "mara", **values: Any) -> Any:
    """Return the user with this name; create it if missing."""
    found, _ = get_user_model().objects.get_or_create(username=name, defaults=values)
    return found


def job(owner: Any = None, **values: Any) -> Job:
    """Return a new job with its first event."""
    values = {"workflow": "campaign-lifecycle", "title": "Aurora One", "params": {}, "plan": PLAN} | values
    made = Job.objects.create(owner=owner or user(), **values)
    queued = ev.JobQueued(
        workflow=made.workflow, version=1, title=made.title, stages=made.plan, dry_run=made.dry_run
    )
    feed.append(made.pk, [queued])
    return made


def begin() -> ev.StageStart:
    """Return the start of the creative stage."""
    return ev.StageStart(**STAGE)


def step(current: int, total: int = 1000) -> ev.StageProgress:
    """Return a step of the creative stage."""
    return ev.StageProgress(**STAGE, current=current, total=total, detail=f"image {current}")


def end(status: str = "completed") -> list[ev.Event]:
    """Return the end of the creative stage and of the job."""
    artifact = Artifact(
        name="creative-1x1.png", title="Square", kind="image", source=Source.LOCAL, file="creative-1x1.png"
    )
    stage = ev.StageComplete(
        **STAGE, status=status, current=4, total=4, artifacts=(artifact,), data={"secret": "inside"}
    )
    return [stage, ev.WorkflowComplete(status=status, total_stages=2, artifacts=(artifact,))]


def ended_job(owner: Any = None, **values: Any) -> Job:
    """Return a job that has ended, with six events, one of them for a call."""
    made = job(owner, **values)
    feed.append(made.pk, [begin(), step(1, 4), ev.CallStart(**CALL, attempt=1), *end()])
    return made


def plain(job: Job, progress: Progress) -> dict[str, str]:
    """Render a job as two pieces: its status, and how many items the creative stage has made."""
    return {
        "head": f"<p id=head>{progress.status}</p>",
        "stage": f"<p id=stage>{progress.stage('creative').current}</p>",
    }


def seqs(recorded: Iterable[ev.Recorded]) -> list[int]:
    """Return the seq of each event."""
    return [one.seq for one in recorded]
