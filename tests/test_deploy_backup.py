"""The backup and restore of the deployment guide, run as the guide writes them, on both databases."""

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
SERVER = "postgres://root@127.0.0.1:5432"
MAKE_USER = "from django.contrib.auth.models import User; User.objects.create_user('of-the-backup')"
FIND_USER = "from django.contrib.auth.models import User; User.objects.get(username='of-the-backup')"

pytestmark = [pytest.mark.slow, pytest.mark.long]


def blocks() -> list[list[str]]:
    """Return the command lines of each block of the section on backups."""
    section = GUIDE.split("## Backup and restore")[1].split("\n## ")[0]
    return [block.strip().splitlines() for block in re.findall(r"```\n(.*?)```", section, re.DOTALL)]


def run(lines: list[str], folder: Path, data: Path, url: str) -> None:
    """Run lines of the guide in a folder, on these data; raise CalledProcessError when one fails."""
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(data), "DATABASE_URL": url}
    script = "set -e\n" + "\n".join(lines).replace(
        ".venv/bin/python manage.py", f"{sys.executable} {ROOT}/manage.py"
    )
    subprocess.run(["bash", "-c", script], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)


def manage(words: list[str], data: Path, url: str) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(data), "DATABASE_URL": url}
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)


def back_up_and_restore(folder: Path, kind: str, url: str, restored_url: str) -> None:
    """Fill an installation, back it up, and restore it to other data; raise when something is missing."""
    data, restored = folder / "data", folder / "restored"
    manage(["migrate", "--noinput"], data, url)
    manage(["shell", "-c", MAKE_USER], data, url)
    (data / "jobs").mkdir()
    (data / "jobs" / "brief.md").write_text("made by a job")
    sqlite, postgres, restore = blocks()
    run(sqlite if kind == "SQLite" else postgres, folder, data, url)
    run([line for line in restore if "#" not in line or f"# {kind}" in line], folder, restored, restored_url)
    manage(["shell", "-c", FIND_USER], restored, restored_url)
    for name in ("installation", "secret_key", "jobs/brief.md"):
        assert (restored / name).read_bytes() == (data / name).read_bytes(), name


@pytest.fixture
def databases() -> Iterator[tuple[str, str]]:
    """Return the addresses of two empty databases on PostgreSQL, or skip the test without a server."""
    names = [f"flightplan_backup_{secrets.token_hex(4)}" for _ in range(2)]
    try:
        server = psycopg.connect(f"{SERVER}/postgres", connect_timeout=2, autocommit=True)
    except psycopg.OperationalError:
        pytest.skip("PostgreSQL does not answer on 127.0.0.1:5432")
    with server:
        for name in names:
            server.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield f"{SERVER}/{names[0]}", f"{SERVER}/{names[1]}"
        finally:
            for name in names:
                server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="the sqlite3 command is not installed")
def test_sqlite_is_backed_up_and_restored_as_the_guide_says(tmp_path: Path) -> None:
    back_up_and_restore(tmp_path, "SQLite", "", "")


@pytest.mark.skipif(not shutil.which("pg_dump"), reason="the pg_dump command is not installed")
def test_postgresql_is_backed_up_and_restored_as_the_guide_says(
    tmp_path: Path, databases: tuple[str, str]
) -> None:
    back_up_and_restore(tmp_path, "PostgreSQL", *databases)
