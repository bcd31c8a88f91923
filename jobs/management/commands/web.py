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
        """Declare where to listen."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
        parser.add_argument("--fd", type=int, help="a listening socket that was handed down instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGTERM or Ctrl-C. Raises CommandError on a database that has no tables."""
        must_have_tables()
        end_with_parent()
        if options["fd"] is not None:  # whoever bound it has seen to the account
            where = ["--fd", str(options["fd"])]
        else:
            if made_up := ensure_admin():
                self.stdout.write(f"User {ADMIN} was made with the password {made_up} (shown only now).")
            where = ["--bind", options["host"], "--port", str(options["port"])]
        serve(where)
