"""manage.py follow: follows a launched job, on this or a remote installation."""

import sys
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from jobs.cli.installation import BAD_INPUT, Trouble
from jobs.cli.terminal import Follower, add_place, place, print_line


class Command(BaseCommand):
    """Follows one job from its start to its end."""

    help = (
        "Follow a job to its end. Exit code: 0 completed, 3 partial, 1 failed, cancelled or lost, 2 bad "
        "input, 130 when you stop following."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the job, the installation and the output format."""
        parser.add_argument("job", metavar="JOB", help="the job's id, as launch prints it")
        add_place(parser)
        parser.add_argument("--json", action="store_true", help="print every event as a line of JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Follow the job and exit with a code listed in the help."""
        try:
            installation = place(options, lambda text: print_line(self.stderr, text))
            job_id = _id(options["job"])
            installation.check(job_id)
            code = Follower(installation, self.stdout, self.stderr).follow(job_id, as_json=options["json"])
        except Trouble as trouble:
            print_line(self.stderr, str(trouble))
            code = trouble.code
        sys.exit(code)


def _id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Trouble(f"JOB: {text} is not a job id, which looks like {UUID(int=0)}", BAD_INPUT) from None
