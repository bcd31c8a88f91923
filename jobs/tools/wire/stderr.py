"""A server's stderr on disk: one file per server, limited in size, with the newest output."""

from __future__ import annotations

import os
from pathlib import Path

LARGEST_LOG = 1_000_000


class CappedLog:
    """Appends to `path`; at `limit` bytes the older half is dropped. Without a path, discards everything."""

    def __init__(self, path: Path | None, limit: int = LARGEST_LOG) -> None:
        self._path, self._limit = path, limit
        self._fd = -1
        self._size = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = os.lseek(self._fd, 0, os.SEEK_END)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        if self._fd < 0:
            return
        self._size = os.lseek(self._fd, 0, os.SEEK_END)  # a retiring server writes to it beside its successor
        half = self._limit // 2
        data = data[-half:]
        if self._size + len(data) > self._limit:
            kept = os.pread(self._fd, half, max(0, self._size - half))
            os.ftruncate(self._fd, 0)
            self._size = os.pwrite(self._fd, kept[-(self._limit - half) :], 0)
        self._size += os.pwrite(self._fd, data, self._size)

    def close(self) -> None:
        """Close the file; later writes are discarded."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
