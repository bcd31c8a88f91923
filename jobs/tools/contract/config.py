"""Load the tool servers file, the `mcpServers` JSON of MCP clients, as one ServerSpec per role."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import json5
from pydantic import ValidationError

from jobs.engine.results import Source
from jobs.tools.contract.entry import TOLERATED, Entry, Expansion, names_of
from jobs.tools.contract.policy import Role
from jobs.tools.contract.spec import ServerSpec as ServerSpec

log = logging.getLogger(__name__)
TOP = "mcpServers"
LARGEST_FILE = 1_000_000
Problem = tuple[str, str]


class BrokenServersFile(Exception):
    """The file cannot be used. `problems`: pairs of a field and what is wrong with it."""

    def __init__(self, path: Path | str, problems: list[Problem]) -> None:
        self.path, self.problems = str(path), problems
        lines = "; ".join(f"{field}: {message}" if field else message for field, message in problems)
        super().__init__(f"{path}: {lines}")


class Servers(dict[str, ServerSpec]):
    """The server of each role. `unused`: entries of the file without a role; `warnings`: for display."""

    def __init__(self) -> None:
        super().__init__()
        self.unused: dict[str, ServerSpec] = {}
        self.warnings: list[str] = []


def load_servers(
    path: Path | str | None,
    roles: Mapping[str, Role],
    bundled: Mapping[str, Mapping[str, Any]],
    environ: Mapping[str, str] | None = None,
) -> Servers:
    """Return the server of each role from the file; bundled entries fill the roles that it leaves out.

    `environ` holds the values of `${VAR}`; it defaults to `os.environ`. Raises BrokenServersFile.
    """
    loader = _Loader(Path(path) if path else None, roles, os.environ if environ is None else environ)
    if path:
        loader.read(_entries(Path(path)))
    loader.fill(bundled)
    if loader.problems:
        raise BrokenServersFile(path or "bundled servers", loader.problems)
    for warning in loader.servers.warnings:
        log.warning("tool servers: %s", warning)
    return loader.servers


def _entries(path: Path) -> dict[str, Any]:
    """Return the `mcpServers` object of a file. Raises BrokenServersFile."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise ValueError("larger than 1 MB")
        document = json5.loads(raw.decode("utf-8-sig"), allow_duplicate_keys=False)
    except OSError as error:
        raise BrokenServersFile(path, [("", f"cannot be read ({error.strerror})")]) from None
    except RecursionError:
        raise BrokenServersFile(path, [("", "is nested too deeply")]) from None
    except ValueError as error:
        raise BrokenServersFile(path, [("", f"is not JSON: {error}")]) from None
    entries = document.get(TOP) if isinstance(document, dict) else None
    if not isinstance(entries, dict):
        raise BrokenServersFile(path, [(TOP, 'must be an object of servers, as in {"mcpServers": {...}}')])
    return entries


class _Loader:
    """Reads the entries and collects specs, warnings and all problems."""

    def __init__(self, path: Path | None, roles: Mapping[str, Role], environ: Mapping[str, str]) -> None:
        self.folder = path.resolve().parent if path else Path.cwd()
        self.roles, self.environ = roles, environ
        self.servers = Servers()
        self.problems: list[Problem] = []
        self.broken: set[str] = set()

    def read(self, entries: Mapping[str, Any]) -> None:
        for name, raw in entries.items():
            if isinstance(raw, dict) and raw.get("disabled") is True:
                continue
            spec = self._spec(name, raw, bundled=False)
            if spec is None:
                self.broken.add(name)
            if name not in self.roles:
                near = difflib.get_close_matches(name, self.roles, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.servers.warnings.append(f"{TOP}.{name} matches no role and is not used{hint}")
            if spec is not None:
                (self.servers if name in self.roles else self.servers.unused)[name] = spec

    def fill(self, bundled: Mapping[str, Mapping[str, Any]]) -> None:
        """Use the bundled servers for the remaining roles."""
        for name in self.roles:
            if name in self.servers or name in self.broken:
                continue
            if name not in bundled:
                self.problems.append((f"{TOP}.{name}", "is missing, and no bundled server has this role"))
            elif (spec := self._spec(name, dict(bundled[name]), bundled=True)) is not None:
                self.servers[name] = spec

    def _spec(self, name: str, raw: object, *, bundled: bool) -> ServerSpec | None:
        where = f"{TOP}.{name}"
        if not isinstance(raw, dict):
            self.problems.append((where, "must be an object with a command or a url"))
            return None
        expansion = Expansion(self.environ)
        filled = expansion.fill(raw)
        faults = list(expansion.faults)
        try:
            entry = Entry.model_validate(filled)
        except ValidationError as error:
            faults += _faults(error, {path for path, _ in expansion.faults})
        self.problems += [(f"{where}.{path}" if path else where, message) for path, message in faults]
        self._warn(where, raw)
        return None if faults else self._build(name, entry, expansion, bundled=bundled)

    def _warn(self, where: str, raw: dict[str, Any]) -> None:
        own = names_of(Entry)
        for key in raw:
            if key in own or key in TOLERATED:
                continue
            near = difflib.get_close_matches(key, own, n=1, cutoff=0.75)
            if near:
                self.servers.warnings.append(f"{where}.{key} is not known; did you mean {near[0]}?")

    def _build(self, name: str, entry: Entry, expansion: Expansion, *, bundled: bool) -> ServerSpec:
        role = self.roles.get(name)
        default = (role.bundled_source if bundled else role.source) if role else Source.LIVE
        rate = role.per_minute if role and not bundled else None
        headers = entry.all_headers(self.environ)
        return ServerSpec(
            name=name,
            transport="http" if entry.url else "stdio",
            command=entry.command or "",
            args=tuple(entry.args),
            env=dict(entry.env),
            cwd=str(self.folder / Path(entry.cwd).expanduser()) if entry.cwd else None,
            url=entry.url or "",
            headers=headers,
            concurrency=entry.concurrency or (role.concurrency if role else 1),
            per_minute=entry.per_minute if entry.per_minute is not None else rate,
            timeout=entry.timeout or (role.timeout if role else 60.0),
            source=Source(entry.source) if entry.source else default,
            bundled=bundled,
            # a bundled server has no secrets, and the addresses in its messages must stay readable
            secrets=frozenset() if bundled else entry.secrets(headers, expansion.used),
        )


def _faults(error: ValidationError, reported: set[str]) -> list[Problem]:
    """Return Pydantic's errors as problems, except for fields already reported for a missing variable."""
    faults: dict[str, str] = {}
    for found in error.errors():
        path = ".".join(str(part) for part in found["loc"] if not str(part).startswith("function-"))
        message = str(found["msg"]).removeprefix("Value error, ")
        if not any(path.startswith(one) for one in reported):
            faults.setdefault(path, message)
    return list(faults.items())
