"""The gateway where code of ours breaks in the middle of a call: the effect is in doubt, the job goes on."""

import pytest

from jobs.tools import gateway as door
from jobs.tools import lookup, server
from jobs.tools.contract.errors import Unknown
from jobs.tools.wire.connection import Connection
from tests.fakes import ledger
from tests.jobs.tools.conftest import task
from tests.jobs.tools.test_gateway import told
from tests.memory import MemoryJournal

pytestmark = pytest.mark.slow


def breaking(error: Exception, times: int = 1):
    """Return a function that raises `error` the first `times` times and returns None afterwards."""
    left = [error] * times

    def broken(real):
        def fallback(*args):
            if left:
                raise left.pop()
            return real(*args)

        return fallback

    return broken


async def test_an_answer_that_breaks_its_reader_is_looked_up_and_not_sent_again(
    gateway, tmp_path, monkeypatch
):
    monkeypatch.setattr(door, "read_result", breaking(ZeroDivisionError("ours"))(door.read_result))
    journal = MemoryJournal()
    reply = await gateway().call(task(), journal)
    [made] = ledger(tmp_path / "asana-v2.jsonl", "effect")
    assert reply.remote_id == made["gid"] and told(journal) == ["intent 1", "done"]
    assert "internal error (ZeroDivisionError); looked up: it was done" in journal.outcomes()[0].reason


async def test_a_look_up_that_breaks_leaves_the_effect_unknown_and_never_sends_it_twice(
    gateway, tmp_path, monkeypatch
):
    journal, breaks = MemoryJournal(), breaking(FileNotFoundError("/proc"), times=9)
    monkeypatch.setattr(lookup, "ours", breaks(lookup.ours))
    monkeypatch.setattr(server, "read_result", breaks(server.read_result))
    with pytest.raises(Unknown, match="it is not known whether it was done"):
        await gateway("asana_create_task:die-after@1").call(task(), journal)
    assert len(ledger(tmp_path / "asana-v2.jsonl", "effect")) == 1
    assert told(journal) == ["intent 1", "unknown"]


async def test_a_server_that_may_not_have_ended_is_watched_instead(gateway, tmp_path, monkeypatch):
    asked = []

    async def retire(connection):
        asked.append(connection)
        raise PermissionError("/proc")

    monkeypatch.setattr(Connection, "retire", retire)
    journal = MemoryJournal()
    reply = await gateway("asana_create_task:slow=1.0@1", asana_v2={"timeout": 0.5}).call(task(), journal)
    [made] = ledger(tmp_path / "asana-v2.jsonl", "effect")
    assert reply.remote_id == made["gid"] and told(journal) == ["intent 1", "done"] and asked
