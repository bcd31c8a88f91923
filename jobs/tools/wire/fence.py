"""Fencing: end a server process of a dead worker for certain, or report that this is not possible."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import psutil

from jobs.tools.contract.calls import ServerProcess
from jobs.tools.wire.process import Stat, descendants, kill_all, send_signal, stat

log = logging.getLogger(__name__)
BOOT = Path("/proc/sys/kernel/random/boot_id")
PIDS = Path("/proc/self/ns/pid")
LONGEST = 2.0  # seconds for killed processes to disappear
FIRST_POLL, LONGEST_POLL = 0.01, 0.1


def process_of(pid: int, start: int) -> ServerProcess:
    """Return the identity of a process on this machine by its pid and start time (in the kernel's ticks).

    Parts that the machine does not provide are ""; such a process is never fenced.
    """
    return ServerProcess(socket.gethostname(), _boot(), _pids(), pid, start)


def as_json(process: ServerProcess) -> dict[str, str | int]:
    """Return the process as it is stored."""
    return asdict(process)


def from_json(stored: object) -> ServerProcess | None:
    """Return the stored process; None for anything else."""
    if not isinstance(stored, Mapping):
        return None
    host, boot, pids = (stored.get(name) for name in ("host", "boot", "pids"))
    pid, start = stored.get("pid"), stored.get("start")
    if not (isinstance(host, str) and isinstance(boot, str) and isinstance(pids, str)):
        return None
    if type(pid) is not int or type(start) is not int or pid <= 1 or start < 0:
        return None
    return ServerProcess(host, boot, pids, pid, start)


async def fence(process: ServerProcess) -> bool:
    """End a server process with its group and descendants. Return whether all are certainly dead.

    Start times ensure that no other process is killed. False if the process is on another host or in another
    pid namespace, or still lives about 2 s after SIGKILL. Processes that left its session after it died are
    not found. Never raises.
    """
    try:
        if (certain := _known_without_check(process)) is not None:
            return certain
        return await _end(process)
    except Exception:
        log.exception("process %s could not be fenced", process.pid)
        return False


def _known_without_check(process: ServerProcess) -> bool | None:
    """Return what follows from where the process ran; None if it ran on this machine and must be checked."""
    boot, pids = _boot(), _pids()
    if process.pid <= 1 or not (boot and pids and process.boot and process.pids):
        return False
    if process.host != socket.gethostname():
        return False
    if process.boot != boot:
        return True  # the machine has restarted since: all its processes are gone
    return None if process.pids == pids else False


async def _end(process: ServerProcess) -> bool:
    """Kill the process and what it has started since, until nothing is left."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + LONGEST, FIRST_POLL
    # kept, as a process outside the group cannot be found once its parent has died
    family: set[tuple[int, int]] = set()
    while True:
        own = _own(process)
        family = {(pid, start) for pid, start in family if _lives(pid, start)} | own
        if not family:
            return True
        if own:
            send_signal(os.killpg, process.pid, signal.SIGKILL)
        kill_all(family)
        if loop.time() >= deadline:
            log.warning("tool server process %d is still alive after SIGKILL", process.pid)
            return False
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_POLL)


def _own(process: ServerProcess) -> set[tuple[int, int]]:
    """Return pid and start time of the living process, its group, its session and its descendants.

    The kernel does not reuse a pid while a group or session with that number has members. A leader with
    another start time, an older member, or this process itself as a member therefore means that none is left.
    """
    leader = stat(process.pid)
    if leader is not None and leader.started != process.start:
        return set()
    members = _members(process.pid)
    if any(seen.started < process.start or seen.pid == os.getpid() for seen in members):
        return set()
    found = {(seen.pid, seen.started) for seen in members}
    found |= {one for member in members for one in descendants(member.pid)}
    return {(pid, start) for pid, start in found if _lives(pid, start)}


def _members(number: int) -> list[Stat]:
    """Return all living processes that have this pid, or are in the group or session of this number."""
    found = [seen for pid in psutil.pids() if _belongs(pid, number) and (seen := stat(pid)) is not None]
    return [seen for seen in found if not seen.dead and number in (seen.pid, seen.group, seen.session)]


def _belongs(pid: int, number: int) -> bool:
    try:
        return number in (pid, os.getpgid(pid), os.getsid(pid))
    except ProcessLookupError:
        return False


def _lives(pid: int, start: int) -> bool:
    seen = stat(pid)
    return seen is not None and seen.started == start and not seen.dead


def _boot() -> str:
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def _pids() -> str:
    try:
        return os.readlink(PIDS)
    except OSError:
        return ""
