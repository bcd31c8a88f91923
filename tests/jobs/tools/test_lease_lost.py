"""The gateway of a worker that slept past its lease: it sends no more calls and stops no server."""

import asyncio

import pytest

from jobs.tools.contract.calls import Earlier
from jobs.tools.contract.errors import Stopped
from jobs.tools.wire.fence import process_of
from jobs.tools.wire.process import started_at
from tests.fakes import ledger
from tests.jobs.tools.conftest import task
from tests.jobs.tools.test_gateway import history
from tests.jobs.tools.test_settling import sent, until_started
from tests.memory import MemoryJournal

pytestmark = pytest.mark.slow


class Slept(MemoryJournal):
    """The journal of a worker that sleeps during its first attempt and wakes up without its lease."""

    def may_send(self) -> bool:
        good, self.lease_good = self.lease_good, False
        return good


async def test_a_worker_that_lost_its_lease_makes_no_look_up(gateway, tmp_path):
    journal = Slept()
    with pytest.raises(Stopped, match="lease"):
        await gateway("asana_create_task:die-after@1").call(task(), journal)
    assert history(journal) == ["intent 1"]
    [start] = ledger(tmp_path / "asana-v2.jsonl", "start")
    assert start["tool"] == "asana_create_task"


@pytest.mark.parametrize("lookups", [True, False])
async def test_a_worker_that_lost_its_lease_does_not_disturb_another_workers_call(gateway, tmp_path, lookups):
    theirs, ours = gateway("asana_create_task:slow=1@1"), gateway(lookups=lookups)
    one, journal = task(), MemoryJournal()
    going = asyncio.create_task(theirs.call(one, MemoryJournal()))
    [start] = await until_started(tmp_path)
    journal.lease_good = False
    process = process_of(start["pid"], started_at(start["pid"]))
    with pytest.raises(Stopped, match="lease"):
        await ours.call(one, journal, Earlier(1, sent(process)))
    assert (await going).remote_id
    assert {one["pid"] for one in ledger(tmp_path / "asana-v2.jsonl", "start")} == {start["pid"]}
    assert journal.events == []
