"""The state of a role: records, the answers for each key, and the files that show them."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
    parent TEXT NOT NULL, reference TEXT NOT NULL, body TEXT NOT NULL, made_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS records_parent ON records (parent);
CREATE INDEX IF NOT EXISTS records_reference ON records (reference);
CREATE TABLE IF NOT EXISTS answers (
    tool TEXT NOT NULL, token TEXT NOT NULL, text TEXT NOT NULL, failed INTEGER NOT NULL,
    PRIMARY KEY (tool, token)
);
"""


class Refused(Exception):
    """The service refuses the call for this reason; nothing was made."""


@dataclass(frozen=True)
class ToolText:
    """The text that a tool returns; `failed` marks an effect that exists although its call failed."""

    text: str
    failed: bool = False


@dataclass(frozen=True)
class Record:
    """A stored object; `parent` is the id of its container, `reference` the caller's name for it."""

    id: str
    kind: str
    name: str
    parent: str = ""
    reference: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    made_at: str = ""


class World:
    """One role's state: `<folder>/<role>.sqlite3`, and files in `<folder>/<role>/<record id>/`.

    Effects run inside `transaction()`, one at a time in this process and, by SQLite's write lock, in all
    processes of the role. Files are replaced whole just before the commit: a crash between the two leaves
    files that the same key overwrites, never a record without its files.
    """

    def __init__(self, folder: Path, role: str, url: str = "") -> None:
        self.folder = folder / role
        self.folder.mkdir(parents=True, exist_ok=True)
        self._url = f"{url.rstrip('/')}/{role}/" if url else f"{self.folder.resolve().as_uri()}/"
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            folder / f"{role}.sqlite3", timeout=20, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_TABLES)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the state while no effect of this process is in progress."""
        with self._lock:
            yield

    def answered(self, tool: str, tokens: Sequence[str]) -> ToolText | None:
        """Return this tool's earlier answer for one of these tokens, or None."""
        for token in tokens:
            row = self._db.execute(
                "SELECT text, failed FROM answers WHERE tool = ? AND token = ?", (tool, token)
            ).fetchone()
            if row:
                return ToolText(row[0], bool(row[1]))
        return None

    def remember(self, tool: str, tokens: Sequence[str], answer: ToolText) -> None:
        """Store an answer for the next call with any of these tokens."""
        rows = [(tool, token, answer.text, answer.failed) for token in tokens]
        self._db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", rows)

    def add(self, record: Record) -> Record:
        """Store a new record and return it with its time."""
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._db.execute(
            "INSERT INTO records (id, kind, name, parent, reference, body, made_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                record.id,
                record.kind,
                record.name,
                record.parent,
                record.reference,
                json.dumps(record.body),
                made_at,
            ),
        )
        return Record(**{**vars(record), "made_at": made_at})

    def change(self, ident: str, body: dict[str, Any]) -> None:
        """Replace the body of a record."""
        self._db.execute("UPDATE records SET body = ? WHERE id = ?", (json.dumps(body), ident))

    def get(self, ident: str, *kinds: str) -> Record | None:
        """Return the record with this id, of one of these kinds if any are given, or None."""
        found = [record for record in self._select("id = ?", ident) if not kinds or record.kind in kinds]
        return found[0] if found else None

    def of_kind(self, *kinds: str) -> list[Record]:
        """Return the records of these kinds, oldest first."""
        marks = ", ".join("?" for _ in kinds)
        return self._select(f"kind IN ({marks})", *kinds)

    def children(self, parent: str) -> list[Record]:
        """Return the records inside a record, oldest first."""
        return self._select("parent = ?", parent)

    def referred(self, reference: str, *kinds: str) -> list[Record]:
        """Return the records with the caller's reference; none for an empty reference."""
        if not reference:
            return []
        found = self._select("reference = ?", reference)
        return [record for record in found if not kinds or record.kind in kinds]

    def _select(self, where: str, *values: str) -> list[Record]:
        columns = "id, kind, name, parent, reference, body, made_at"
        # The condition is one of the constants above; every value is bound.
        rows = self._db.execute(f"SELECT {columns} FROM records WHERE {where} ORDER BY seq", values)  # noqa: S608
        return [
            Record(ident, kind, name, parent, reference, json.loads(body), made_at)
            for ident, kind, name, parent, reference, body, made_at in rows
        ]

    def path(self, ident: str, name: str) -> Path:
        """Return the path of a record's file."""
        return self.folder / ident / name

    def link(self, ident: str, name: str = "index.html") -> str:
        """Return the URL of a record's file."""
        return f"{self._url}{ident}/{name}"

    def write(self, ident: str, name: str, data: str | bytes) -> Path:
        """Write a record's file, whole or not at all."""
        target = self.path(ident, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, data.encode() if isinstance(data, str) else data)
        return target


def write_whole(target: Path, data: bytes) -> None:
    """Replace a file in one step, so that no reader sees a part of it."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        draft.write_bytes(data)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
