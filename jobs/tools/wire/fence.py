"""The fence: makes sure that a server process of a dead worker acts no more, or says that it cannot."""

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
LONGEST = 2.0  # seconds for killed processes to be gone
FIRST_POLL, LONGEST_POLL = 0.01, 0.1


def process_of(pid: int, start: int) -> ServerProcess:
    """The process of this pid and start time (the kernel's ticks), on this machine as it runs now.

    What the machine does not tell is "" and never fenced.
    """
    return ServerProcess(socket.gethostname(), _boot(), _pids(), pid, start)


def as_json(process: ServerProcess) -> dict[str, str | int]:
    """The process as it is stored."""
    return asdict(process)


def from_json(stored: object) -> ServerProcess | None:
    """The process that was stored; None for anything that is none."""
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
    """End a server process with its group and descendants; True when it is certain that all are dead.

    Killed is only what is surely its own, by start time. False when it cannot be reached from here (another
    host or pid namespace), or lives on for some 2 s after SIGKILL. Not seen: what left its session after the
    process itself had died. Never raises.
    """
    try:
        if (certain := _without_a_look(process)) is not None:
            return certain
        return await _end(process)
    except Exception:
        log.exception("process %s could not be fenced", process.pid)
        return False


def _without_a_look(process: ServerProcess) -> bool | None:
    """What follows from where the process ran; None when it ran right here."""
    boot, pids = _boot(), _pids()
    if process.pid <= 1 or not (boot and pids and process.boot and process.pids):
        return False
    if process.host != socket.gethostname():
        return False
    if process.boot != boot:
        return True  # the machine was restarted since: all its processes are gone
    return None if process.pids == pids else False


async def _end(process: ServerProcess) -> bool:
    """Kill, look, and kill again what has come since, until nothing is left."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + LONGEST, FIRST_POLL
    family: set[tuple[int, int]] = set()  # kept: who left the group is not found again once its parent died
    while True:
        own = _own(process)
        family = {(pid, start) for pid, start in family if _lives(pid, start)} | own
        if not family:
            return True
        if own:
            send_signal(os.killpg, process.pid, signal.SIGKILL)
        kill_all(family)
        if loop.time() >= deadline:
            log.warning("tool server process %d is still there after SIGKILL", process.pid)
            return False
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_POLL)


def _own(process: ServerProcess) -> set[tuple[int, int]]:
    """Pid and start time of all that live of the process: itself, its group, its session, its descendants.

    The kernel gives a number to no new process while a group or session of that number has members. So a
    stranger that leads it, a member older than the process, or we ourselves show that nothing is left.
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
