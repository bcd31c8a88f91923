"""manage.py launch: launches a campaign from a file or a preset, and follows it if asked to."""

import json
import sys
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse
from django.utils import timezone
from rich.console import Console

from jobs import actions, feed, servers
from jobs.accounts import ADMIN, ensure_admin
from jobs.follow import Board, JobGone, clean, follow
from jobs.health import FRESH
from jobs.models import Job, WorkerBeat
from jobs.workflow.graph import Fault, InvalidInput
from jobs.workflow.results import JobStatus
from jobs.workflows import workflow

WORKFLOW = "campaign-lifecycle"
COMPLETED, FAILED, BAD_INPUT, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 130


class Command(BaseCommand):
    """Launches one campaign as the user admin. A worker, as `up` runs it, does the work."""

    help = (
        "Launch a campaign as user admin on the local database. Exit code: 0 completed (or launched, when it "
        "is not followed), 3 partial, 1 failed or cancelled, 2 bad input, 130 when you stop following."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what to launch and how to follow it."""
        parser.add_argument(
            "campaign", metavar="BRIEF.json|PRESET", help="a brief's file, or a preset's name"
        )
        parser.add_argument("--include-search", action="store_true", help="with the search campaign")
        parser.add_argument("--dry-run", action="store_true", help="only check the brief (not available yet)")
        watch = parser.add_mutually_exclusive_group()
        watch.add_argument("--watch", action="store_true", help="show bars until the campaign has ended")
        watch.add_argument(
            "--json", action="store_true", help="print every event as a line of JSON till then"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Launch and leave with the exit code that the help names."""
        try:
            job = self._launch(options)
        except InvalidInput as error:
            for fault in error.faults:
                self._tell(fault)
            sys.exit(BAD_INPUT)
        self._say(options, f"Launched {clean(job.title)}")
        self._say(options, f"Job      {job.pk}")
        self._say(options, f"Page     {reverse('job', args=[job.pk])}")
        if not WorkerBeat.objects.filter(seen_at__gt=timezone.now() - FRESH).exists():
            self.stderr.write("No worker is running; the campaign starts when one is (manage.py up).")
        if options["watch"] or options["json"]:
            sys.exit(self._follow(job, options))

    def _launch(self, options: dict[str, Any]) -> Job:
        """Check everything before the database is touched, then launch. Raises InvalidInput."""
        raw = {"campaign": read(options["campaign"]), "includeSearch": options["include_search"]}
        raw["dryRun"] = options["dry_run"]
        faults = servers.faults()
        try:
            workflow(WORKFLOW).parse(raw)
        except InvalidInput as error:
            faults = [*error.faults, *faults]
        if faults:
            raise InvalidInput(faults)
        self._prepare()
        launched = actions.launch(WORKFLOW, raw, get_user_model().objects.get(username=ADMIN))
        for fault in launched.warnings:
            self._tell(fault, "warning: ")
        return launched.job

    def _prepare(self) -> None:
        """Make sure of the tables and of the user admin, on a database that nobody has used yet."""
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
        made_up = ensure_admin()
        if made_up:
            self.stderr.write(f"User {ADMIN} was made with the password {made_up} (shown only now).")

    def _follow(self, job: Job, options: dict[str, Any]) -> int:
        try:
            status = self._lines(job) if options["json"] else self._board(job)
        except KeyboardInterrupt:
            self.stderr.write("No longer followed; the campaign goes on.")
            return INTERRUPTED
        except JobGone as gone:
            self.stderr.write(str(gone))
            return FAILED
        return {JobStatus.COMPLETED: COMPLETED, JobStatus.PARTIAL: PARTIAL}.get(JobStatus(status), FAILED)

    def _lines(self, job: Job) -> str:
        for one in follow(job.pk):
            self.stdout.write(json.dumps(feed.public(job.pk, one), ensure_ascii=False))
            self.stdout.flush()
        return str(one.event.status)

    def _board(self, job: Job) -> str:
        with Board(Console(file=self.stdout._out)) as board:
            for one in follow(job.pk):
                board.show(one)
        ended = board.progress
        for artifact in ended.artifacts:
            where = feed.public_artifact(job.pk, artifact).get("url", "")
            self.stdout.write(f"  {artifact.source:<10} {clean(artifact.title)}  {where}")
        self.stdout.write(f"Campaign {ended.status}: {len(ended.artifacts)} artifacts")
        return ended.status

    def _say(self, options: dict[str, Any], text: str) -> None:
        """Tell a person something; standard output belongs to the events when they are asked for."""
        (self.stderr if options["json"] else self.stdout).write(text)

    def _tell(self, fault: Fault, mark: str = "") -> None:
        """Write a fault or a warning; the file is the brief, so its fields are named from there."""
        field = fault.field.removeprefix("campaign.")
        self.stderr.write(clean(f"{mark}{field}: {fault.message}" if field else f"{mark}{fault.message}"))


def read(name: str) -> Any:
    """Give the brief of a file, or the name of a preset as it is. Raises InvalidInput with the place."""
    path = Path(name)
    if not (path.suffix == ".json" or "/" in name or path.is_file()):
        return name
    try:
        brief = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        why = f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise InvalidInput([Fault(name, why)])
    except UnicodeDecodeError:
        raise InvalidInput([Fault(name, "is not UTF-8 text")])
    except RecursionError:
        raise InvalidInput([Fault(name, "is nested too deeply")])
    except (OSError, ValueError) as error:
        raise InvalidInput([Fault(name, f"cannot be read: {getattr(error, 'strerror', '') or error}")])
    if not isinstance(brief, dict):
        raise InvalidInput([Fault(name, "must hold a brief: an object of named fields")])
    return brief
