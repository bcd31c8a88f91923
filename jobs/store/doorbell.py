"""The doorbell: notify all processes that a job's log has grown. A lost ring only delays them briefly."""

import contextlib
import hashlib
import logging
import os
import socket
import tempfile
from pathlib import Path

from django.conf import settings

from jobs.store import notices

log = logging.getLogger(__name__)


def bells() -> Path:
    """Return the folder of the listening sockets, creating it if needed.

    Its path is short because a socket's path can have at most 107 bytes.
    """
    mark = hashlib.sha256(str(settings.DATA_DIR).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"flightplan-{os.getuid()}-{mark}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def hang(name: str) -> socket.socket:
    """Bind a non-blocking socket of this name and return it. Close it with `take_down`."""
    path = bells() / f"{name}.sock"
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bell.bind(str(path))
    return bell


def take_down(bell: socket.socket) -> None:
    """Close a bell and remove its socket file."""
    path = bell.getsockname()
    bell.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def ring(job_id: object) -> None:
    """Notify all processes of this installation, on PostgreSQL also those on other machines.

    Raises nothing.
    """
    ring_here(job_id)
    if notices.available():
        notices.send(job_id)


def ring_here(job_id: object) -> None:
    """Notify every process of this machine that listens, and remove the sockets of dead listeners.

    Raises nothing: the events are already committed, and a listener that misses a ring polls for them.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            for path in bells().glob("*.sock"):
                _ring_one(sender, path, job_id)
    except OSError as error:
        log.warning("the doorbell cannot be rung: %s", error)


def _ring_one(sender: socket.socket, path: Path, job_id: object) -> None:
    try:
        sender.sendto(str(job_id).encode(), str(path))
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except (BlockingIOError, FileNotFoundError):
        return  # a full socket wakes its listener anyway; a missing one has no listener
