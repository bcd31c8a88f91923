"""A server process in its own group, and how it is ended with all its descendants."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psutil

from jobs.tools.contract.spec import ServerSpec
from jobs.tools.wire.stderr import CappedLog

log = logging.getLogger(__name__)
INHERITED = ("PATH", "HOME", "USER", "LANG")
GRACE = 1.0  # seconds after stdin is closed, and again after SIGTERM
REAP = 2.0  # seconds for the kernel to report a killed process
LAST_WORDS = 0.2  # seconds to read what a dead process left in its pipe
MOST_UNREAD = 1 << 20
FLOOD = 1 << 15
BREATH = 0.01
TICKS = os.sysconf("SC_CLK_TCK")  # a second


def environment(spec: ServerSpec) -> dict[str, str]:
    """Return the environment of a server process: PATH, HOME, USER, LANG if set, and its entry's env."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, **spec.env}


@dataclass(frozen=True, slots=True)
class Stat:
    """A process as the kernel shows it. `started` is in the kernel's ticks since boot; `dead`: a zombie."""

    pid: int
    dead: bool
    group: int
    session: int
    started: int


def stat(pid: int) -> Stat | None:
    """Return what the kernel shows of a process, or None when it is gone."""
    try:
        process = psutil.Process(pid)
        dead = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        found = Stat(pid, dead, os.getpgid(pid), os.getsid(pid), _ticks(process))
        # a reused pid would mix the facts of two processes
        return found if process.is_running() else stat(pid)
    except (psutil.Error, ProcessLookupError):
        return None


def started_at(pid: int) -> int | None:
    """Return when a process was started, in the kernel's ticks since boot, or None when it is gone.

    Together with the pid this identifies the process for as long as the machine runs.
    """
    try:
        return _ticks(psutil.Process(pid))
    except psutil.Error:
        return None


def _ticks(process: psutil.Process) -> int:
    """Return the start time of a process in ticks since boot. Raises psutil.Error when it is gone.

    `create_time` adds the time of the boot by the wall clock, which moves whenever the clock is set.
    """
    while True:
        boot = psutil.boot_time()
        created = process.create_time()
        if psutil.boot_time() == boot:
            return round((created - boot) * TICKS)


def descendants(pid: int) -> list[tuple[int, int]]:
    """Return pid and start time of every living descendant, including those outside the process group."""
    found: list[tuple[int, int]] = []
    todo = [pid]
    while todo:
        children = _children(todo.pop())
        todo += children
        found += [(child, start) for child in children if (start := started_at(child)) is not None]
    return found


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process, which may end at any time."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return children


class Process(asyncio.SubprocessProtocol):
    """One running server: its stdout in chunks, its stderr in a log, and its end as an event."""

    def __init__(self, errors: CappedLog) -> None:
        self.pid = 0
        self.started: int | None = None
        self._family: set[tuple[int, int]] = set()  # known descendants, by pid and start time
        self.ended = asyncio.Event()  # set when stdout has ended
        self.read_out = asyncio.Event()  # set when all of stdout was passed on or has no reader
        self._exited = asyncio.Event()
        self._errors = errors
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._news = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None

    @classmethod
    async def spawn(cls, spec: ServerSpec, errors: CappedLog) -> Process:
        """Start the server's command in its own session. Raises OSError or ValueError if that fails."""
        process = cls(errors)
        loop = asyncio.get_running_loop()
        command = [spec.command, *spec.args]
        try:
            await loop.subprocess_exec(
                lambda: process, *command, env=environment(spec), cwd=spec.cwd, start_new_session=True
            )
        except BaseException:
            process.kill()
            errors.close()
            raise
        return process

    @property
    def returncode(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._transport.get_returncode() if self._transport else None

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()
        self.started = started_at(self.pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._errors.write(data)
            if len(data) >= FLOOD:
                self._rest(2)
            return
        self._chunks.append(data)
        self._unread += len(data)
        if self._unread > MOST_UNREAD and (pipe := self._reader(1)):
            pipe.pause_reading()
        self._news.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self._end()

    def process_exited(self) -> None:
        self._exited.set()
        # a grandchild may keep the pipe open forever
        asyncio.get_running_loop().call_later(LAST_WORDS, self._end)

    # called by the transport

    async def chunk(self) -> bytes | None:
        """Return the next bytes of stdout; None at its end."""
        while not self._chunks:
            if self.ended.is_set():
                return None
            self._news.clear()
            await self._news.wait()
        data = self._chunks.popleft()
        self._unread -= len(data)
        if self._unread <= MOST_UNREAD and (pipe := self._reader(1)):
            pipe.resume_reading()
        return data

    def write(self, data: bytes, most_unsent: int) -> bool:
        """Write to stdin without waiting. Return False if the server has ended or no longer reads."""
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        pipe = cast("asyncio.WriteTransport | None", pipe)
        if pipe is None or pipe.is_closing() or self._exited.is_set() or self.ended.is_set():
            return False
        if pipe.get_write_buffer_size() > most_unsent:
            return False
        pipe.write(data)
        return True

    def note_descendants(self) -> None:
        """Remember the descendants: one outside the group cannot be found once its parent has died."""
        seen = {(pid, start) for pid, start in self._family if started_at(pid) == start}
        self._family = seen | set(descendants(self.pid))

    def kill(self) -> None:
        """Send SIGKILL to the whole group and every descendant."""
        if not self.pid:
            return
        self.note_descendants()
        family = self._family
        send_signal(os.killpg, self.pid, signal.SIGKILL)
        kill_all(family)

    async def kill_and_wait(self) -> bool:
        """Send SIGKILL and wait until the process is dead. Return False if it does not die in time."""
        self.kill()
        return await self._gone(REAP)

    async def stop(self) -> None:
        """End the server: close stdin, then SIGTERM, then SIGKILL. Leaves no process, even if cancelled."""
        self.note_descendants()
        try:
            if self._transport and (pipe := self._transport.get_pipe_transport(0)):
                pipe.close()
            if not await self._gone(GRACE):
                send_signal(os.killpg, self.pid, signal.SIGTERM)
                await self._gone(GRACE)
        finally:
            self.kill()
            self._end()
            self._errors.close()
        if not await self._gone(REAP):
            log.warning("tool server process %d is still alive after SIGKILL", self.pid)
        if self._transport:
            self._transport.close()
            await asyncio.sleep(0)  # its pipes close in the next iteration of the loop

    async def _gone(self, seconds: float) -> bool:
        """Return whether process and group end in time. Polls, as waiting would also wait for the pipes."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not (self._exited.is_set() and not send_signal(os.killpg, self.pid, 0)):
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def _end(self) -> None:
        self.ended.set()
        self._news.set()

    def _reader(self, fd: int) -> asyncio.ReadTransport | None:
        pipe = self._transport.get_pipe_transport(fd) if self._transport else None
        return None if pipe is None or pipe.is_closing() else cast(asyncio.ReadTransport, pipe)

    def _rest(self, fd: int) -> None:
        """Pause a flooding pipe for a moment, so that the loop has time for others."""
        if pipe := self._reader(fd):
            pipe.pause_reading()
            asyncio.get_running_loop().call_later(BREATH, self._resume, fd)

    def _resume(self, fd: int) -> None:
        if pipe := self._reader(fd):
            pipe.resume_reading()


def kill_all(family: Iterable[tuple[int, int]]) -> None:
    """Send SIGKILL to each of these processes, given by pid and start time."""
    for pid, start in family:
        if started_at(pid) == start:  # not another process with a reused pid
            send_signal(os.kill, pid, signal.SIGKILL)


def send_signal(how: Callable[[int, int], None], target: int, number: int) -> bool:
    """Send a signal (0 only checks). Return False if there is no such process."""
    try:
        how(target, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # there is one, which may not be signaled
        return True
    return True
