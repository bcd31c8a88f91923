"""The user `admin`, which every start ensures exists."""

import secrets

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import connection

ADMIN = "admin"


def ensure_admin() -> str:
    """Ensure that the user `admin` exists, with ADMIN_PASSWORD if that is set.

    Without ADMIN_PASSWORD an existing account is not changed, and a new account gets a random password.
    Return that password if it was just generated, otherwise "".
    """
    users = User.objects
    user = users.filter(username=ADMIN).first()
    wanted = settings.ADMIN_PASSWORD
    if user is None:
        generated = "" if wanted else secrets.token_urlsafe(12)
        users.create_superuser(ADMIN, password=wanted or generated)
        return generated
    if wanted and not user.check_password(wanted):
        user.set_password(wanted)
        user.save(update_fields=["password"])
    return ""


def must_have_tables() -> None:
    """Raise CommandError, with the command that helps, if the database has no tables yet."""
    if User._meta.db_table not in connection.introspection.table_names():
        raise CommandError(
            "the database has no tables yet; create them with manage.py up or manage.py migrate"
        )
