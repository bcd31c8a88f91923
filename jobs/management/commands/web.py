"""manage.py web: serves the pages, the API and the sockets."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.cli.accounts import ADMIN, ensure_admin, must_have_tables
from jobs.cli.supervisor import end_with_parent
from jobs.live.serving import serve


class Command(BaseCommand):
    """Serves the site."""

    help = "Serve the pages, the API and the sockets."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the address to listen on."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
        parser.add_argument("--fd", type=int, help="serve an inherited listening socket instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGTERM or Ctrl-C. Raises CommandError if the database has no tables."""
        must_have_tables()
        end_with_parent()
        if options["fd"] is not None:  # the process that bound it has created the account
            where = ["--fd", str(options["fd"])]
        else:
            if generated := ensure_admin():
                self.stdout.write(f"Created user {ADMIN} with the password {generated} (shown only now).")
            where = ["--bind", options["host"], "--port", str(options["port"])]
        serve(where)
