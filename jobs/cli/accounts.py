"""The first account: the user `admin`, made sure of at every start."""

import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import connection

ADMIN = "admin"


def ensure_admin() -> str:
    """Make sure that the user `admin` exists with ADMIN_PASSWORD.

    Without ADMIN_PASSWORD an existing account is left as it is and a new one gets a made-up password.
    Gives that password when it was made up just now, else "".
    """
    users = get_user_model().objects
    user = users.filter(username=ADMIN).first()
    wanted = settings.ADMIN_PASSWORD
    if user is None:
        made_up = "" if wanted else secrets.token_urlsafe(12)
        users.create_superuser(ADMIN, password=wanted or made_up)
        return made_up
    if wanted and not user.check_password(wanted):
        user.set_password(wanted)
        user.save(update_fields=["password"])
    return ""


def must_have_tables() -> None:
    """Raise CommandError, with the way out, for a command on a database that nobody has used yet."""
    if get_user_model()._meta.db_table not in connection.introspection.table_names():
        raise CommandError(
            "the database here has no tables yet; manage.py up makes them, or manage.py migrate"
        )
