"""The doorbell: tells all processes that a job's log has grown. A lost ring costs a moment."""

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
    """Give the folder of the listening sockets: short, because a socket's path may have 107 bytes at most."""
    mark = hashlib.sha256(str(settings.DATA_DIR).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"flightplan-{os.getuid()}-{mark}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def hang(name: str) -> socket.socket:
    """Bind a bell of this name and give its socket, non-blocking; whoever closes it also unlinks its path."""
    path = bells() / f"{name}.sock"
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bell.bind(str(path))
    return bell


def take_down(bell: socket.socket) -> None:
    """Close a bell and remove its socket."""
    path = bell.getsockname()
    bell.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def tell(job_id: object) -> None:
    """Tell all processes of this installation, on PostgreSQL those of other machines too. Raises nothing."""
    ring(job_id)
    if notices.here():
        notices.send(job_id)


def ring(job_id: object) -> None:
    """Ring every bell of this machine for a job. A dead listener's socket is removed.

    It raises nothing: what it tells of is committed, and whoever did not hear it looks by itself.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            for path in bells().glob("*.sock"):
                _ring(sender, path, job_id)
    except OSError as error:
        log.warning("the doorbell cannot be rung: %s", error)


def _ring(sender: socket.socket, path: Path, job_id: object) -> None:
    try:
        sender.sendto(str(job_id).encode(), str(path))
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except (BlockingIOError, FileNotFoundError):
        return  # a full bell rings anyway; a vanished one has nobody listening
