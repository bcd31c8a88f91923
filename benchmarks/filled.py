"""A database filled with events: one small job that is measured, and many other jobs beside it."""

import os
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

from benchmarks.common import demand
from benchmarks.story import endless, places_of

if TYPE_CHECKING:
    from jobs.models import Job

SMALL = 10  # events of the measured job
EACH = 10  # of each of the other jobs
GIGABYTES = 3.0  # free space for a million events with their indexes and the write-ahead log
MEMORY = ("tmpfs", "ramfs")

MOMENT = "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', job.created_at, n || ' seconds')"  # as Django writes it
JOBS = """
INSERT INTO jobs_job ({columns})
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %s)
SELECT {values} FROM jobs_job AS job, n WHERE job.id = %s
"""
EVENTS = """
INSERT INTO jobs_workflowevent (job_id, seq, type, payload, at)
SELECT job.id, event.seq, event.type, event.payload, event.at FROM jobs_job AS job
JOIN jobs_workflowevent AS event ON event.job_id = %s
WHERE job.title = 'Filling' AND job.id != event.job_id
AND NOT EXISTS (SELECT 1 FROM jobs_workflowevent AS there WHERE there.job_id = job.id)
ORDER BY job.created_at, event.seq
"""
LONGER = """
INSERT INTO jobs_workflowevent (job_id, seq, type, payload, at)
WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < %s)
SELECT %s, %s + 1 + n.n, event.type, event.payload, event.at FROM n
JOIN jobs_workflowevent AS event ON event.job_id = %s AND event.seq = 2 + n.n %% %s
"""


def open_database(folder: Path) -> None:
    """Create this process's own SQLite database in a folder.

    Raises Unmet where the folder is in memory or its disk has too little room: commits must wait for a disk.
    """
    kind = file_system(folder)
    demand(kind not in MEMORY, f"{folder} is {kind}, where nothing is written: set TMPDIR to a real disk")
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize / 2**30
    demand(free >= GIGABYTES, f"{free:.1f} GB are free on {folder}: {GIGABYTES:g} are needed")
    os.environ |= {"DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings"}
    os.environ.pop("DATABASE_URL", None)
    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)


def file_system(path: Path) -> str:
    """Return the kind of the file system that a path is on."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kinds = line.partition(" - ")
        if fields.split()[2] == number:
            return kinds.split()[0]
    return "unknown"


def durable() -> dict[str, Any]:
    """Return the durability settings of this thread's connection, and the `bytes` of its file."""
    from django.db import connection

    with connection.cursor() as cursor:
        told = {}
        for name in ("journal_mode", "synchronous"):
            cursor.execute(f"PRAGMA {name}")
            told[name] = cursor.fetchone()[0]
        cursor.execute("PRAGMA database_list")
        return told | {"bytes": Path(cursor.fetchone()[2]).stat().st_size}


@dataclass
class Filled:
    """The measured job, the job that the others are copied from, and how many events are stored in all."""

    job: "Job"
    template: "Job | None"
    events: int

    @classmethod
    def begin(cls) -> "Filled":
        """Write the small job of ten events alone; it is older than all others."""
        job = campaign("Measured", SMALL, days=200)
        return cls(job, None, SMALL)

    def fill(self, events: int) -> None:
        """Copy whole jobs of real events in the database until it holds `events` of them."""
        from django.db import connection

        from jobs.models import Job, WorkflowEvent

        if self.template is None and events > self.events:
            self.template = campaign("Filling", EACH, days=100)
            self.events += EACH
        jobs = (events - self.events) // EACH
        if jobs > 0 and (template := self.template) is not None:
            with connection.cursor() as cursor:
                names = [field.column for field in Job._meta.concrete_fields if field.column]
                own = {"id": "lower(hex(randomblob(16)))", "created_at": MOMENT}
                values = ", ".join(own.get(name, f"job.{name}") for name in names)
                many = JOBS.format(columns=", ".join(names), values=values)
                cursor.execute(many, [jobs, template.pk.hex])
                cursor.execute(EVENTS, [template.pk.hex])
        self.events = WorkflowEvent.objects.count()
        demand(abs(self.events - events) <= EACH, f"{self.events} events are stored, not {events}")


def campaign(title: str, length: int, days: int) -> "Job":
    """Write a job, launched `days` ago with a log of `length` events, as a worker writes them; return it."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from jobs.engine import events as ev
    from jobs.models import Job
    from jobs.registry import workflows
    from jobs.store import feed

    flow = next(iter(workflows().values()))
    owner, _ = get_user_model().objects.get_or_create(
        username="admin", defaults={"is_staff": True, "is_superuser": True}
    )
    plan = [[stage.id, stage.name, list(stage.needs)] for stage in flow.stages]
    begun = timezone.now() - timedelta(days=days)
    row = {"owner": owner, "workflow": flow.id, "title": title, "params": {}, "plan": plan}
    job = Job.objects.create(created_at=begun, **row)
    named = [[stage.id, stage.name] for stage in flow.stages]
    queued = ev.JobQueued(workflow=flow.id, version=flow.version, title=title, stages=named)
    feed.append(job.pk, [queued, *islice(endless(places_of(flow)[:2], calls=True), length - 1)])
    Job.objects.filter(pk=job.pk).update(status="completed")
    job.refresh_from_db()
    demand(job.last_seq == length, f"the job has {job.last_seq} events, not {length}")
    return job


def lengthen(job: "Job", length: int) -> None:
    """Extend a job's log to `length` events by repeating its own calls and steps."""
    from django.db import connection

    from jobs.models import Job

    with connection.cursor() as cursor:
        more, own = length - job.last_seq, job.last_seq - 1
        cursor.execute(LONGER, [more - 1, job.pk.hex, job.last_seq, job.pk.hex, own])
    Job.objects.filter(pk=job.pk).update(last_seq=length)
    job.refresh_from_db()
