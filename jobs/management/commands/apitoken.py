"""manage.py apitoken: creates a token for the API and shows it once."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.acts import actions
from jobs.cli.accounts import must_have_tables
from jobs.models import ApiToken

LONGEST = 3650


class Command(BaseCommand):
    """Creates an API token, of which only the hash is stored."""

    help = "Create an API token for a user and print it as the last word."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the user, the scopes and the lifetime."""
        parser.add_argument("user", metavar="USER", help="the user that the token acts as")
        parser.add_argument(
            "--scope", action="append", default=[], help=f"one of {', '.join(ApiToken.SCOPES)}; repeatable"
        )
        parser.add_argument("--days", type=int, default=90, help="days until the token expires (90)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the token. Raises CommandError that names an invalid argument, and then creates nothing."""
        must_have_tables()
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"USER: there is no user {options['user']}")
        if not user.is_active:
            raise CommandError(f"USER: {options['user']} is not active")
        if not options["scope"]:
            raise CommandError(f"--scope: needs at least one of {', '.join(ApiToken.SCOPES)}")
        for scope in options["scope"]:
            if scope not in ApiToken.SCOPES:
                raise CommandError(f"--scope: there is no scope {scope}; use {', '.join(ApiToken.SCOPES)}")
        if "spend" in options["scope"] and not actions.may_spend(user):
            raise CommandError(
                f"--scope: {user} doesn't have permission to spend, so their token can't either; first grant "
                "them jobs.spend (Can set prepared lines live) in the admin"
            )
        if not 1 <= options["days"] <= LONGEST:
            raise CommandError(f"--days: must be 1 to {LONGEST}")
        scopes = [scope for scope in ApiToken.SCOPES if scope in options["scope"]]
        plain = ApiToken.make(user, scopes, options["days"])
        self.stdout.write(
            f"Token of {user} for {options['days']} days ({', '.join(scopes)}), shown only now: {plain}"
        )
