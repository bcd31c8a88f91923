"""The job's folder, in Django's storage."""

import os
from pathlib import Path

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage


class JobFiles:
    """Files of one job. Names are plain file names; a name with a path is refused."""

    def __init__(self, folder: str, storage: Storage = default_storage) -> None:
        self.folder, self.storage = folder, storage

    def write(self, name: str, data: bytes | str) -> str:
        """Store a file, replacing any of that name, and return its name. Raises ValueError for a bad name."""
        where = self._where(name)
        raw = data.encode() if isinstance(data, str) else data
        part = Path(self.storage.path(self.storage.save(where + ".part", ContentFile(raw))))
        with part.open("rb") as written:
            os.fsync(written.fileno())  # the log will record the file, so it must survive a power cut
        part.replace(self.storage.path(where))
        return name

    def path(self, name: str) -> Path:
        """Return the path for a file of this name, creating its folder. Raises ValueError for a bad name."""
        path = Path(self.storage.path(self._where(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _where(self, name: str) -> str:
        if not name or name.startswith(".") or Path(name).name != name:
            raise ValueError(f"not a plain file name: {name!r}")
        return f"{self.folder}/{name}"
