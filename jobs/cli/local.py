"""The local installation: launches on its database and follows its log."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse
from django.utils import timezone

from jobs import public, registry
from jobs.acts import actions
from jobs.cli.accounts import ADMIN, ensure_admin
from jobs.cli.follow import JobRemoved, follow
from jobs.cli.installation import WORKFLOW, EventLine, LaunchedJob, Say, Trouble
from jobs.engine.inputs import InvalidInput
from jobs.engine.results import Artifact
from jobs.models import FRESH, Job, WorkerBeat
from jobs.registry import workflow
from jobs.store.calls import planned_arguments

NO_WORKER = "No worker is running; the campaign starts when one runs (manage.py up)."


class Local:
    """The installation whose settings these are. `say` reports of what is made on the way."""

    again = ""

    def __init__(self, say: Say) -> None:
        self.status = ""
        self._say = say

    def launch(self, campaign: Any, *, include_search: bool, dry_run: bool) -> LaunchedJob:
        """Validate everything before using the database, then launch as admin. Raises InvalidInput."""
        raw = {"campaign": campaign, "includeSearch": include_search, "dryRun": dry_run}
        faults = registry.faults()
        try:
            workflow(WORKFLOW).parse(raw)
        except InvalidInput as error:
            faults = [*error.faults, *faults]
        if faults:
            raise InvalidInput(faults)
        self._prepare()
        launched = actions.launch(WORKFLOW, raw, User.objects.get(username=ADMIN))
        working = WorkerBeat.objects.filter(seen_at__gt=timezone.now() - FRESH).exists()
        id = str(launched.job.pk)
        return LaunchedJob(
            id, self.page(id), launched.job.title, launched.warnings, "" if working else NO_WORKER
        )

    def _prepare(self) -> None:
        """Create missing tables and the user admin."""
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
        if generated := ensure_admin():
            self._say(f"Created user {ADMIN} with the password {generated} (shown only now).")

    def check(self, job_id: str) -> None:
        """Raise Trouble if there is no such job."""
        try:
            if not Job.objects.filter(pk=UUID(job_id)).exists():
                raise Trouble(f"there is no job {job_id} here; for another installation, use --server")
        except (OperationalError, ProgrammingError) as error:
            raise Trouble("this database has no jobs yet; for another installation, use --server") from error

    def follow(self, job_id: str, say: Say) -> Iterator[EventLine]:
        """Yield each event once and in order, as it is committed, until the job has ended. Raises Trouble."""
        id = UUID(job_id)
        try:
            for one in follow(id):
                yield EventLine(public.line(id, one), one)
                self.status = str(getattr(one.event, "status", ""))
        except JobRemoved as gone:
            raise Trouble(str(gone)) from gone

    def page(self, job_id: str) -> str:
        """Return the path of the job's page, without the host, which `up` determines."""
        return reverse("job", args=[job_id])

    def link(self, job_id: str, artifact: Artifact) -> str:
        """Return the address that opens an artifact, or ""."""
        return str(public.artifact(job_id, artifact).get("url", ""))

    def arguments(self, job_id: str) -> dict[str, dict[str, Any]]:
        """Return the arguments that each planned call of a dry run would send, by step."""
        return planned_arguments(Job.objects.get(pk=job_id))
