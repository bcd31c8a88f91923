"""manage.py apitoken: makes a token for the API and shows it once."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.acts import actions
from jobs.cli.accounts import must_have_tables
from jobs.models import ApiToken

LONGEST = 3650


class Command(BaseCommand):
    """Makes an API token; only its hash is stored."""

    help = "Make an API token for a user and print it as the last word."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the user, the scopes and how long the token lives."""
        parser.add_argument("user", metavar="USER", help="who the token acts as")
        parser.add_argument(
            "--scope", action="append", default=[], help=f"one of {', '.join(ApiToken.SCOPES)}; repeatable"
        )
        parser.add_argument("--days", type=int, default=90, help="how many days it lives (90)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the token. Raises CommandError that names the argument at fault; then nothing was made."""
        must_have_tables()
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"USER: there is no user {options['user']}")
        if not user.is_active:
            raise CommandError(f"USER: {options['user']} is not active")
        if not options["scope"]:
            raise CommandError(f"--scope: at least one of {', '.join(ApiToken.SCOPES)} is needed")
        for scope in options["scope"]:
            if scope not in ApiToken.SCOPES:
                raise CommandError(f"--scope: there is no scope {scope}; use {', '.join(ApiToken.SCOPES)}")
        if "spend" in options["scope"] and not actions.may_spend(user):
            raise CommandError(
                f"--scope: {user} has no right to spend, so a token of theirs has none either; give them the "
                "right jobs.spend (Can set prepared lines live) in the admin first"
            )
        if not 1 <= options["days"] <= LONGEST:
            raise CommandError(f"--days: must be 1 to {LONGEST}")
        scopes = [scope for scope in ApiToken.SCOPES if scope in options["scope"]]
        plain = ApiToken.make(user, scopes, options["days"])
        self.stdout.write(
            f"Token of {user} for {options['days']} days ({', '.join(scopes)}), shown only now: {plain}"
        )
