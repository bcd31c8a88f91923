"""Finds phrases that plain English avoids: `python -m tests.plain_english` prints each with a better one."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = ("jobs", "campaigns", "config", "benchmarks", "tests")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


@dataclass(frozen=True)
class Phrase:
    """A phrase to avoid, as a regular expression, what to write instead, and a sentence that has it."""

    pattern: str
    better: str
    example: str
    docstring_start: bool = False

    def found_in(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the position and the words of every match, in any case and across line breaks."""
        words = self.pattern.replace(" ", r"\s+")
        pattern = rf"\A\s*(?:{words})\b" if self.docstring_start else rf"(?<![\w-])(?:{words})(?![\w-])"
        for match in re.finditer(pattern, text, re.IGNORECASE):
            start = match.start() + len(match[0]) - len(match[0].lstrip())
            yield start, " ".join(match[0].split())


PHRASES = (
    Phrase("gives?(?! up| way)", "Return", "Give the rows.", docstring_start=True),
    Phrase("tells? whether", "Return whether", "Tell whether it ended.", docstring_start=True),
    Phrase("tells? whether", "returns whether, shows whether", "It tells whether a worker lives."),
    Phrase("(is|are|was|were|be|been|being) told", "is notified, receives", "A webhook is told of it."),
    Phrase("tells?( us| them)? (of|about)", "reports, shows", "The log tells of a job."),
    Phrase("anew", "again", "The page is painted anew."),
    Phrase("under way", "in progress, running", "A call that is under way ends."),
    Phrase("whoever", "anyone who, the client, the user", "Whoever follows a job sees it."),
    Phrase("whatever cuts", "interruptions", "Through whatever cuts."),
    Phrase("somebody", "someone, a user", "Somebody must answer."),
    Phrase("nobody", "no one, or the passive", "Nobody has looked."),
    Phrase("in the place of", "instead of", "A file in the place of a document."),
    Phrase("stand-ins?|standins?", "fallback", "A stand-in was written."),
    Phrase("rehears(e|es|ed|al|als|ing)", "dry run", "A rehearsal sends nothing."),
    Phrase("poison(ed|ous)?", "quarantined", "A poisoned job."),
    Phrase("set aside", "quarantined", "The job is set aside."),
    Phrase("left alone", "paused", "The server is left alone."),
    Phrase("held back", "paused", "Its calls are held back."),
    Phrase("bears?|borne", "allows, tolerates", "A server that bears fifty calls."),
    Phrase("comes? to (its|an|their) end", "finishes", "The job comes to its end."),
    Phrase("as it stands", "currently", "Not possible as it stands."),
    Phrase("stands? (in|at|on|there|twice|beside)", "is, appears, is listed", "It stands in the list."),
    Phrase("so many seconds", "N seconds", "After so many seconds it is lost."),
    Phrase("by (itself|themselves)", "automatically, alone", "It starts by itself."),
    Phrase("takes? (\\w+ )?up again|taken up again", "resumes, continues", "The job is taken up again."),
    Phrase("tried again|tries again|trying again", "retried", "A call that is tried again."),
    Phrase("mend(s|ed|ing)?", "fix", "Mend the field."),
    Phrase("wants", "needs", "A call wants a permit."),
    Phrase("goings? through (of|all)", "pass through", "One going through of the stages."),
    Phrase("(no|the|a) right to spend", "permission to spend", "You have no right to spend."),
    Phrase("coming in", "authentication, incoming", "Coming in."),
    Phrase("a word on", "a note on", "A word on limits."),
    Phrase("what one sees", "what you'll see", "What one sees."),
    Phrase("one can", "you can", "At a pace one can watch."),
    Phrase("is (answered|called) for", "is resolved", "An unknown call is answered for."),
)
# Sentences in which a phrase is right: (path, phrase as it is found in lower case), each with its reason.
ALLOWED: dict[tuple[str, str], str] = {}


def blank(match: re.Match[str]) -> str:
    """Return as many spaces and line breaks as the match has, so that positions stay the same."""
    return re.sub(r"[^\n]", " ", match[0])


def prose_of_markdown(text: str) -> str:
    """Return the page without its code and the targets of its links."""
    text = re.sub(r"^```.*?^```", blank, text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`|\]\([^)\n]+\)", blank, text)


def prose_of_template(text: str) -> str:
    """Return the template without tags, variables and attributes that are not shown."""
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", blank, text, flags=re.DOTALL)
    return re.sub(r"\b(?:class|id|for|name|href|src|type|(?:data|hx)-[\w-]+)=\"[^\"]*\"", blank, text)


def texts_of_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of each docstring, without the code in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.lineno, re.sub(r"`[^`\n]+`", blank, value.value)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of each piece of prose in a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from texts_of_code(text)
    else:
        yield 1, prose_of_markdown(text) if path.suffix == ".md" else prose_of_template(text)


def files(root: Path) -> Iterator[Path]:
    """Yield every file that contains prose of this project, in order."""
    yield from (root / name for name in PAGES if (root / name).exists())
    yield from sorted((root / "docs").rglob("*.md"))
    yield from sorted((root / "templates").rglob("*.html"))
    for folder in CODE:
        yield from (file for file in sorted((root / folder).rglob("*.py")) if "migrations" not in file.parts)


def findings(root: Path) -> Iterator[str]:
    """Yield each phrase to avoid as `file:line: phrase (better: ...)`."""
    for path in files(root):
        name = path.relative_to(root).as_posix()
        for first, text in texts(path):
            seen = set()
            for phrase in PHRASES:
                if phrase.docstring_start and path.suffix != ".py":
                    continue
                for start, words in phrase.found_in(text):
                    if start not in seen and (name, words.lower()) not in ALLOWED:
                        seen.add(start)
                        line = first + text.count("\n", 0, start)
                        yield f"{name}:{line}: {words!r} (better: {phrase.better})"


def main() -> int:
    """Print what is found below the folder named on the command line, or here; return 1 if there is any."""
    found = list(findings(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
