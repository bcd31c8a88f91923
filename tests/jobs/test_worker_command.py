"""manage.py worker: what it refuses before it takes a job."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

pytestmark = pytest.mark.django_db


def test_on_a_database_that_nobody_has_used_it_names_the_way_out(monkeypatch):
    monkeypatch.setattr(connection.introspection, "table_names", lambda: [])
    with pytest.raises(CommandError, match="no tables yet; manage.py up makes them"):
        call_command("worker")
