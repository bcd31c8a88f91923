"""This installation, for the command line: launches on its database and follows its log."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse
from django.utils import timezone

from jobs import registry
from jobs.acts import actions
from jobs.cli.accounts import ADMIN, ensure_admin
from jobs.cli.follow import JobRemoved, follow
from jobs.cli.installation import WORKFLOW, EventLine, LaunchedJob, Say, Trouble
from jobs.engine.inputs import InvalidInput
from jobs.engine.results import Artifact
from jobs.models import FRESH, Job, WorkerBeat
from jobs.registry import workflow
from jobs.store import feed
from jobs.store.calls import planned_arguments

NO_WORKER = "No worker is running; the campaign starts when one is (manage.py up)."


class Local:
    """The installation whose settings these are. `say` reports of what is made on the way."""

    again = ""

    def __init__(self, say: Say) -> None:
        self.status = ""
        self._say = say

    def launch(self, campaign: Any, *, include_search: bool, dry_run: bool) -> LaunchedJob:
        """Check everything before the database is touched, then launch as admin. Raises InvalidInput."""
        raw = {"campaign": campaign, "includeSearch": include_search, "dryRun": dry_run}
        faults = registry.faults()
        try:
            workflow(WORKFLOW).parse(raw)
        except InvalidInput as error:
            faults = [*error.faults, *faults]
        if faults:
            raise InvalidInput(faults)
        self._prepare()
        launched = actions.launch(WORKFLOW, raw, get_user_model().objects.get(username=ADMIN))
        working = WorkerBeat.objects.filter(seen_at__gt=timezone.now() - FRESH).exists()
        id = str(launched.job.pk)
        return LaunchedJob(
            id, self.page(id), launched.job.title, launched.warnings, "" if working else NO_WORKER
        )

    def _prepare(self) -> None:
        """Make sure of the tables and of the user admin, on a database that nobody has used yet."""
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
        if made_up := ensure_admin():
            self._say(f"User {ADMIN} was made with the password {made_up} (shown only now).")

    def check(self, job_id: str) -> None:
        """Make sure that there is such a job. Raises Trouble."""
        try:
            if not Job.objects.filter(pk=UUID(job_id)).exists():
                raise Trouble(f"there is no job {job_id} here; one of another installation needs --server")
        except (OperationalError, ProgrammingError) as error:
            raise Trouble("the database here holds no jobs yet; one elsewhere needs --server") from error

    def follow(self, job_id: str, say: Say) -> Iterator[EventLine]:
        """Give each event once and in order, as it is committed, up to the job's end. Raises Trouble."""
        try:
            for one in follow(job_id):
                yield EventLine(feed.line(job_id, one), one)
                self.status = str(getattr(one.event, "status", ""))
        except JobRemoved as gone:
            raise Trouble(str(gone)) from gone

    def page(self, job_id: str) -> str:
        """Give the path of the job's page; the host is whatever `up` listens on."""
        return reverse("job", args=[job_id])

    def link(self, job_id: str, artifact: Artifact) -> str:
        """Give the address that opens an artifact, or ""."""
        return str(feed.public_artifact(job_id, artifact).get("url", ""))

    def arguments(self, job_id: str) -> dict[str, dict[str, Any]]:
        """Give what each planned call of a dry run would send, by step."""
        return planned_arguments(Job.objects.get(pk=job_id))
