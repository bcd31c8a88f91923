"""The cache of a job's call rows: it holds what was committed, never what may be rolled back."""

from datetime import UTC, datetime

import pytest

from jobs.models import ToolCall
from jobs.store.calls import CallRows, Place
from jobs.tools.contract.calls import Call
from tests.jobs import story

pytestmark = [pytest.mark.django_db, pytest.mark.storage]
NEW, UNKNOWN = Place(None, new=True), Place(None, new=False)


def call(step: str = "s.1") -> Call:
    return Call("j", 1.0, "s", step, "ttd", "create_campaign", {"name": "A"}, "k" * 32)


@pytest.fixture
def known() -> CallRows:
    return CallRows(story.job())


def test_no_step_is_new_before_the_rows_were_read(known):
    assert not known.is_new("s.1")
    assert known.place("s.1") == UNKNOWN


def test_a_step_is_new_until_its_first_write(known):
    known.begin(["s.old"])
    assert (known.is_new("s.1"), known.is_new("s.old")) == (True, False)
    assert known.place("s.1") == NEW
    # that write may not be committed yet, so the next one has to look
    assert not known.is_new("s.1")
    assert known.place("s.1") == UNKNOWN


def test_a_row_is_known_once_it_is_committed(known):
    known.begin([])
    place = known.place("s.1")
    row = known.keep(call(), place)
    assert known.place("s.1") == UNKNOWN
    known.committed("s.1", row)
    assert known.place("s.1") == Place(row, new=False)


def test_a_write_without_a_known_row_finds_or_creates_it(known):
    row = known.keep(call(), UNKNOWN, state="sent")
    assert known.keep(call(), UNKNOWN, 2.5, state="done", ended_at=datetime.now(UTC)) == row
    kept = ToolCall.objects.get()
    assert (kept.state, kept.waited, kept.args, kept.stage) == ("done", 2.5, {"name": "A"}, "s")


def test_asking_for_a_row_does_not_change_it(known):
    row = known.keep(call(), UNKNOWN, 1.0, state="retry")
    assert known.keep(call(), Place(row, new=False)) == row
    assert ToolCall.objects.get().state == "retry"
