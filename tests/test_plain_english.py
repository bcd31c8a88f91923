"""The phrase check finds each phrase where people read it, and nothing in code."""

from pathlib import Path

import pytest

from tests import plain_english
from tests.plain_english import ALLOWED, PHRASES, ROOT, Phrase, findings

ANYWHERE = [phrase for phrase in PHRASES if not phrase.docstring_start]
METHOD = '''"""Whoever."""


class One:
    """Nobody."""

    async def two(self):
        """Return.

        Anew.
        """
'''


def write(root: Path, name: str, text: str) -> list[str]:
    """Write a file below the folder and return what is found there."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return list(findings(root))


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: phrase.pattern)
def test_each_phrase_is_found_in_a_docstring_and_a_better_one_is_suggested(
    phrase: Phrase, tmp_path: Path
) -> None:
    found = write(tmp_path, "jobs/one.py", f'def act():\n    """{phrase.example}"""\n')
    assert len(found) == 1
    assert found[0].startswith("jobs/one.py:2: ")
    assert list(phrase.found_in(phrase.example))


@pytest.mark.parametrize("phrase", ANYWHERE, ids=lambda phrase: phrase.pattern)
@pytest.mark.parametrize("name", ["README.md", "docs/one.md", "docs/folder/one.md", "templates/one.html"])
def test_each_phrase_is_found_on_pages(phrase: Phrase, name: str, tmp_path: Path) -> None:
    found = write(tmp_path, name, f"Fine.\n\nAlso fine.\n{phrase.example.upper()}\n")
    assert found[0].startswith(f"{name}:4: ") and phrase.better in found[0]


def test_a_phrase_is_found_across_a_line_break(tmp_path: Path) -> None:
    assert write(tmp_path, "README.md", "A call is under\nway here.\n")[0].startswith(
        "README.md:1: 'under way'"
    )


@pytest.mark.parametrize("folder", plain_english.CODE)
def test_docstrings_of_modules_classes_and_methods_are_read(folder: str, tmp_path: Path) -> None:
    found = write(tmp_path, f"{folder}/one.py", METHOD)
    assert [line.split(":")[1] for line in found] == ["1", "5", "10"]


def test_verb_phrases_are_found_only_at_the_start_of_a_docstring(tmp_path: Path) -> None:
    assert write(tmp_path, "jobs/one.py", '"""Files that give access."""\n') == []
    assert write(tmp_path, "jobs/one.py", '"""Give up the lease."""\n') == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/one.md", "```\nnobody anew\n```\n"),
        ("docs/one.md", "Set `nobody` and see [this](nobody.md).\n"),
        (
            "templates/one.html",
            '<p class="nobody" data-anew="anew">{{ nobody }}{% if nobody %}\n',
        ),
        ("jobs/one.py", 'nobody = "anew"  # whoever\n'),
        ("jobs/one.py", '"""Read `nobody`."""\n'),
        ("jobs/migrations/one.py", '"""Nobody."""\n'),
        ("docs/one.md", "Standby, understand and bearer tokens mean something else.\n"),
    ],
)
def test_code_and_longer_words_are_ignored(name: str, text: str, tmp_path: Path) -> None:
    assert write(tmp_path, name, text) == []


def test_the_command_prints_what_it_finds_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["plain_english", str(tmp_path)])
    assert plain_english.main() == 0
    write(tmp_path, "README.md", "Nobody.\n")
    assert plain_english.main() == 1
    assert capsys.readouterr().out == "README.md:1: 'Nobody' (better: no one, or the passive)\n"


def test_every_exception_has_a_reason_and_is_still_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_english, "ALLOWED", {})
    found = {(line.split(":")[0], line.split("'")[1].lower()) for line in findings(ROOT)}
    assert set(ALLOWED) <= found and all(ALLOWED.values())
