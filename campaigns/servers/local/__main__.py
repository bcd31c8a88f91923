"""The entry point of the server of one role: `python -m campaigns.servers.local google-docs`."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from importlib import import_module
from pathlib import Path

from campaigns.servers.local.pace import Pace
from campaigns.servers.local.server import LocalServer
from campaigns.servers.local.wire import serve
from campaigns.servers.local.world import World

#: The module of each role; only the requested one is imported.
MODULES = {
    "google-docs": "docs",
    "asana-v2": "asana",
    "image-gen": "images",
    "canva": "canva",
    "ttd": "dsp",
    "dv360": "dsp",
    "amazon-dsp": "dsp",
    "google-ads": "ads",
}


def build(role: str, folder: Path, url: str = "", latency: str = "") -> LocalServer:
    """Return the server of a role on a folder, with links below `url`, at a pace.

    Raises KeyError for an unknown role, ValueError for an unknown pace, OSError or sqlite3.Error when the
    folder cannot be used.
    """
    module = import_module(f"campaigns.servers.local.{MODULES[role]}")
    return LocalServer(
        role,
        module.tools(role),
        World(folder, role, url),
        Pace.named(latency),
        error_key=getattr(module, "ERROR_KEY", False),
    )


def main(arguments: list[str]) -> int:
    """Serve until stdin ends and return the exit code, 2 with the reason on stderr if it cannot start."""
    # Ctrl-C ends this process at once; there is no cleanup, because a crash must leave everything valid too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if len(arguments) != 1 or arguments[0] not in MODULES:
        print(f"name one of these roles: {' '.join(MODULES)}", file=sys.stderr)  # noqa: T201
        return 2
    environ = os.environ
    try:
        folder = Path(environ.get("LOCAL_DIR") or Path("var") / "local").expanduser()
        server = build(arguments[0], folder, environ.get("LOCAL_URL", ""), environ.get("LOCAL_LATENCY", ""))
    except (OSError, ValueError, sqlite3.Error) as error:
        print(f"{arguments[0]} cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 2
    asyncio.run(serve(server))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
