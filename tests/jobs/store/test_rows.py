"""Rows written in plain SQL are what the ORM would have written, on any database."""

from datetime import UTC, datetime

import pytest

from jobs.models import CallAttempt, ToolCall, WorkflowEvent
from jobs.store import rows
from tests.jobs import story

pytestmark = [pytest.mark.django_db, pytest.mark.storage]
AT = datetime(2031, 5, 14, 12, 30, 15, 250_000, tzinfo=UTC)


def call(**values) -> dict:
    named = {"step": "s.1", "stage": "s", "server": "ttd", "tool": "t", "key": "k", "args_hash": "h"}
    return {"job_id": story.job().pk, **named, "args": {"name": "Größe 'x' %s", "sizes": [1, None]}, **values}


def test_a_row_equals_the_row_that_the_orm_would_have_written():
    values = call()
    mine = ToolCall.objects.get(pk=rows.insert(ToolCall, **values))
    theirs = ToolCall.objects.create(**(values | {"step": "s.2"}))
    theirs.refresh_from_db()
    same = {field.attname for field in ToolCall._meta.concrete_fields} - {"id", "step", "created_at"}
    assert {name: getattr(mine, name) for name in same} == {name: getattr(theirs, name) for name in same}
    assert abs((theirs.created_at - mine.created_at).total_seconds()) < 60


def test_a_time_keeps_its_zone_and_a_json_field_its_null():
    row = rows.insert(CallAttempt, call_id=rows.insert(ToolCall, **call()), number=1, epoch=2, sent_at=AT)
    attempt = CallAttempt.objects.get(pk=row)
    assert (attempt.sent_at, attempt.ended_at, attempt.process) == (AT, None, None)
    assert CallAttempt.objects.filter(process__isnull=True).count() == 1


def test_only_named_fields_change_and_some_are_incremented():
    row = rows.insert(ToolCall, **call(waited=1.5))
    rows.update(ToolCall, row, {"waited": 2.0}, state="done", ended_at=AT, reply={"data": {"id": "7"}})
    changed = ToolCall.objects.get(pk=row)
    assert (changed.waited, changed.state, changed.ended_at) == (3.5, "done", AT)
    assert (changed.reply, changed.args["sizes"], changed.step) == ({"data": {"id": "7"}}, [1, None], "s.1")


def test_the_columns_of_these_tables_have_the_names_of_their_fields():
    # an update names columns by their fields
    for model in (ToolCall, CallAttempt, WorkflowEvent):
        assert all(field.column == field.attname for field in model._meta.concrete_fields)
