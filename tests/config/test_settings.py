"""What the settings keep in DATA_DIR: secrets that are made once, whole, and stay."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from config import settings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    return tmp_path


def test_a_stored_secret_is_made_once_and_readable_by_its_owner_only(folder):
    secret = settings.stored_secret("key")
    assert len(secret) >= 50
    assert settings.stored_secret("key") == secret
    assert settings.stored_secret("other") != secret
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert {path.name for path in folder.iterdir()} == {"key", "other"}


def test_processes_that_start_at_once_get_the_same_secret(folder):
    for number in range(20):
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _, name=f"key-{number}": settings.stored_secret(name), range(8)))
        assert len(found) == 1
        assert "" not in found


def test_a_secret_is_never_seen_before_it_is_written(folder, monkeypatch):
    seen = []

    def made_up(size):
        seen.append((folder / "key").exists())
        return "x" * size

    monkeypatch.setattr(settings.secrets, "token_urlsafe", made_up)
    settings.stored_secret("key")
    assert seen == [False]
