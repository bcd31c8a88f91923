"""The gateway when our own code fails during a call: the effect is unknown, and the job continues."""

import pytest

from jobs.tools import gateway as door
from jobs.tools import lookup, server
from jobs.tools.contract.errors import Unknown
from jobs.tools.wire.connection import Connection
from tests.fakes import ledger
from tests.jobs.tools.conftest import task
from tests.jobs.tools.test_gateway import history
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


async def test_an_effect_whose_answer_cannot_be_processed_is_looked_up_and_not_repeated(
    gateway, tmp_path, monkeypatch
):
    monkeypatch.setattr(door, "read_result", breaking(ZeroDivisionError("ours"))(door.read_result))
    journal = MemoryJournal()
    reply = await gateway().call(task(), journal)
    [made] = ledger(tmp_path / "asana-v2.jsonl", "effect")
    assert reply.remote_id == made["gid"] and history(journal) == ["intent 1", "done"]
    assert "internal error (ZeroDivisionError); a look-up found its effect" in journal.outcomes()[0].reason


async def test_a_crashing_look_up_leaves_the_effect_unknown_and_sends_nothing_again(
    gateway, tmp_path, monkeypatch
):
    journal, breaks = MemoryJournal(), breaking(FileNotFoundError("/proc"), times=9)
    monkeypatch.setattr(lookup, "ours", breaks(lookup.ours))
    monkeypatch.setattr(server, "read_result", breaks(server.read_result))
    with pytest.raises(Unknown, match="it is unknown whether it took effect"):
        await gateway("asana_create_task:die-after@1").call(task(), journal)
    assert len(ledger(tmp_path / "asana-v2.jsonl", "effect")) == 1
    assert history(journal) == ["intent 1", "unknown"]


async def test_a_server_that_may_still_be_running_is_watched_until_the_deadline(
    gateway, tmp_path, monkeypatch
):
    asked = []

    async def retire(connection):
        asked.append(connection)
        raise PermissionError("/proc")

    monkeypatch.setattr(Connection, "retire", retire)
    journal = MemoryJournal()
    reply = await gateway("asana_create_task:slow=1.0@1", asana_v2={"timeout": 0.5}).call(task(), journal)
    [made] = ledger(tmp_path / "asana-v2.jsonl", "effect")
    assert reply.remote_id == made["gid"] and history(journal) == ["intent 1", "done"] and asked
