"""The fence, with real processes: it is certain only if nothing survives, and kills no other process."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from jobs.tools.contract.calls import ServerProcess
from jobs.tools.wire import fence as module
from jobs.tools.wire.fence import as_json, fence, from_json, process_of
from jobs.tools.wire.process import kill_all, started_at, stat

pytestmark = pytest.mark.slow
SLEEP = "exec sleep 600"


def alive(pid: int) -> bool:
    """Return whether a process still runs; a zombie does not."""
    seen = stat(pid)
    return seen is not None and not seen.dead


class Started:
    """Starts shell commands, each in its own session; all are killed when the test ends."""

    def __init__(self) -> None:
        self.servers: list[subprocess.Popen] = []
        self.pids: list[int] = []

    def __call__(self, command: str, lines: int = 0) -> tuple[ServerProcess, list[int]]:
        """Return the process and the pids on its first `lines` lines of output."""
        server = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, start_new_session=True)
        self.servers.append(server)
        start = stat(server.pid).started
        said = [int(server.stdout.readline()) for _ in range(lines)]
        self.pids += said
        return process_of(server.pid, start), said

    def bury(self) -> None:
        """Wait for the newest leader to exit, so that its pid is free."""
        self.servers[-1].wait(10)

    def kill_and_not_bury(self) -> None:
        """Make the newest leader a zombie."""
        self.servers[-1].send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, self.servers[-1].pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        for server in self.servers:
            server.kill()
            server.wait(10)
            server.stdout.close()
        for pid in filter(alive, self.pids):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start() -> Iterator[Started]:
    started = Started()
    yield started
    started.end()


async def test_a_living_server_is_killed_even_one_that_ignores_sigterm(start):
    process, [child] = start("trap '' TERM; sleep 600 & echo $!; wait", 1)
    assert await fence(process)
    assert not alive(process.pid)
    assert not alive(child)


async def test_fencing_twice_is_equally_certain(start):
    process, _ = start(SLEEP)
    assert await fence(process)
    assert await fence(process)
    start.bury()
    assert await fence(process)


async def test_an_orphan_in_the_group_is_killed_though_its_leader_is_gone(start):
    process, [orphan] = start("sleep 600 & echo $!", 1)
    start.bury()
    assert stat(process.pid) is None
    assert alive(orphan)
    assert await fence(process)
    assert not alive(orphan)


async def test_a_descendant_in_its_own_session_is_killed_with_its_living_ancestor(start):
    process, [child] = start("setsid sh -c 'echo $$; exec sleep 600' & wait", 1)
    assert stat(child).session != process.pid
    assert await fence(process)
    assert not alive(child)


async def test_a_detached_descendant_is_not_forgotten_when_its_ancestor_dies_first(start, monkeypatch):
    process, [child] = start("setsid sh -c 'echo $$; exec sleep 600' & wait", 1)
    rounds = []

    def second_round_on(family):
        rounds.append(family)
        if len(rounds) > 1:
            kill_all(family)

    monkeypatch.setattr(module, "kill_all", second_round_on)
    assert await fence(process)
    assert not alive(child)


async def test_a_zombie_counts_as_gone(start):
    process, _ = start(SLEEP)
    start.kill_and_not_bury()
    assert stat(process.pid).dead
    assert await fence(process)


async def test_a_reused_pid_counts_as_gone_and_its_new_process_survives(start):
    stranger, [child] = start("sleep 600 & echo $!; wait", 1)
    assert await fence(replace(stranger, start=stranger.start - 1))
    assert alive(stranger.pid)
    assert alive(child)


async def test_a_group_with_a_member_older_than_the_process_is_not_killed(start):
    stranger, [orphan] = start("sleep 600 & echo $!", 1)
    start.bury()
    assert await fence(replace(stranger, start=stat(orphan).started + 1))
    assert alive(orphan)


async def test_our_own_group_is_never_signaled():
    group = os.getpgrp()
    oldest = min(one.started for one in module._members(group))
    leader = stat(group)
    began = leader.started if leader else oldest
    assert await fence(process_of(group, began)) is (group > 1)


async def test_a_process_that_exits_during_the_listing_is_not_a_member(start, monkeypatch):
    process, _ = start(SLEEP)
    listed = module.psutil.pids()
    assert await fence(process)
    start.bury()
    monkeypatch.setattr(module.psutil, "pids", lambda: listed)
    assert process.pid in listed
    assert module._members(process.pid) == []


async def test_a_start_time_does_not_change_with_the_wall_clock(start, monkeypatch):
    process, _ = start(SLEEP)
    created, boot, moved = psutil.Process.create_time, psutil.boot_time, iter([0.0, 3600.0])
    monkeypatch.setattr(psutil, "boot_time", lambda: boot() + next(moved, 3600.0))
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) + 3600.0)
    assert started_at(process.pid) == process.start


async def test_a_process_of_an_earlier_boot_counts_as_gone(start):
    process, _ = start(SLEEP)
    assert await fence(replace(process, boot="another"))
    assert alive(process.pid)


@pytest.mark.parametrize(
    "where", [{"host": "another"}, {"host": "another", "boot": "x"}, {"pids": "pid:[1]"}]
)
async def test_a_process_on_another_machine_or_in_another_namespace_is_never_certain(start, where):
    process, _ = start(SLEEP)
    assert not await fence(replace(process, **where))
    assert alive(process.pid)


@pytest.mark.parametrize("broken", [{"boot": ""}, {"pids": ""}, {"pid": 0}, {"pid": -1}, {"pid": 1}])
async def test_an_incomplete_identity_is_never_certain(start, broken):
    process, _ = start(SLEEP)
    assert not await fence(replace(process, **broken))
    assert alive(process.pid)


async def test_a_machine_without_a_known_identity_is_never_certain(start, tmp_path, monkeypatch):
    process, _ = start(SLEEP)
    monkeypatch.setattr(module, "BOOT", tmp_path / "none")
    monkeypatch.setattr(module, "PIDS", tmp_path / "none")
    assert process_of(5, 6) == ServerProcess(process.host, "", "", 5, 6)
    assert not await fence(process)


async def test_a_process_that_outlives_the_timeout_is_not_certain(start, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 0.0)  # SIGKILL is sent, and the fence does not wait for the exit
    process, [child] = start("sleep 600 & echo $!; wait", 1)
    assert not await fence(process)
    monkeypatch.undo()
    assert await fence(process)
    assert not alive(child)


async def test_an_error_in_the_fence_is_not_certain_and_not_raised(start):
    process, _ = start(SLEEP)
    assert not await fence(replace(process, pid="what"))  # type: ignore[arg-type]


def test_a_process_survives_a_round_trip_through_storage():
    process = process_of(os.getpid(), stat(os.getpid()).started)
    assert from_json(json.loads(json.dumps(as_json(process)))) == process


GOOD = {"host": "h", "boot": "b", "pids": "p", "pid": 7, "start": 0}


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        {},
        [],
        "text",
        7,
        *({name: value for name, value in GOOD.items() if name != gone} for gone in GOOD),
        *({**GOOD, name: None} for name in GOOD),
        {**GOOD, "pid": True},
        {**GOOD, "pid": 1},
        {**GOOD, "pid": -7},
        {**GOOD, "pid": "7"},
        {**GOOD, "start": -1},
        {**GOOD, "start": 0.5},
    ],
)
def test_invalid_stored_data_is_not_a_process(garbage):
    assert from_json(garbage) is None


def test_extra_stored_fields_are_ignored():
    assert from_json({**GOOD, "more": 1}) == ServerProcess("h", "b", "p", 7, 0)
