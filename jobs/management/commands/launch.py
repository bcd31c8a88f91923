"""manage.py launch: launches a campaign from a file or a preset, locally or remotely, and follows it."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.cli.board import clean
from jobs.cli.installation import BAD_INPUT, COMPLETED, Installation, LaunchedJob, Trouble
from jobs.cli.terminal import Follower, add_place, place, print_fault, print_line
from jobs.engine.inputs import Fault, InvalidInput


class Command(BaseCommand):
    """Launches one campaign. A worker, such as `up` starts, runs it."""

    help = (
        "Launch a campaign as user admin on the local database, or with --server on a remote installation. "
        "Exit code: 0 completed (or launched, if it is not followed), 3 partial, 1 failed, cancelled or "
        "unreachable, 2 bad input, 130 when you stop following."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what to launch, where, and how to follow it."""
        parser.add_argument(
            "campaign", metavar="BRIEF.json|PRESET", help="the file of a brief, or the name of a preset"
        )
        parser.add_argument("--include-search", action="store_true", help="include the search campaign")
        parser.add_argument(
            "--dry-run", action="store_true", help="send nothing; print the calls that a launch would make"
        )
        add_place(parser)
        watch = parser.add_mutually_exclusive_group()
        watch.add_argument("--watch", action="store_true", help="show bars until the campaign has ended")
        watch.add_argument(
            "--json", action="store_true", help="print every event as a line of JSON until then"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Launch, follow if requested, and exit with a code listed in the help."""
        try:
            installation = place(options, lambda text: print_line(self.stderr, text))
            launched = self._launch(installation, options)
            code = self._follow(installation, launched, options)
        except InvalidInput as error:
            for fault in error.faults:
                print_fault(self.stderr, fault)
            code = BAD_INPUT
        except Trouble as trouble:
            print_line(self.stderr, str(trouble))
            code = trouble.code
        if code != COMPLETED or self._followed(options):
            sys.exit(code)

    def _launch(self, installation: Installation, options: dict[str, Any]) -> LaunchedJob:
        """Launch and print the result, to standard error if standard output carries JSON events."""
        launched = installation.launch(
            read(options["campaign"]), include_search=options["include_search"], dry_run=options["dry_run"]
        )
        for fault in launched.warnings:
            print_fault(self.stderr, fault, "warning: ")
        out = self.stderr if options["json"] else self.stdout
        what = "Dry run of" if options["dry_run"] else "Launched"
        out.write(clean(f"{what} {launched.title or options['campaign']}"))
        out.write(clean(f"Job      {launched.job_id}"))
        out.write(clean(f"Page     {launched.page}"))
        if launched.held:
            print_line(self.stderr, launched.held)
        return launched

    def _follow(self, installation: Installation, launched: LaunchedJob, options: dict[str, Any]) -> int:
        if not self._followed(options):
            return COMPLETED
        follower = Follower(installation, self.stdout, self.stderr)
        quiet = not options["watch"]
        return follower.follow(launched.job_id, as_json=options["json"], quiet=quiet)

    def _followed(self, options: dict[str, Any]) -> bool:
        """Return whether to wait for the end, which a dry run always does because it is quick."""
        return bool(options["watch"] or options["json"] or options["dry_run"])


def read(name: str) -> Any:
    """Return the brief in a file, or the name of a preset unchanged. Raises InvalidInput."""
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
        raise InvalidInput([Fault(name, "must be a brief: a JSON object")])
    return brief
