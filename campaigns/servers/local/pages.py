"""The pages of bundled servers: one small, self-contained template without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #667085; --line: #e4e7ec; --paper: #fff;
  --back: #f4f5f7; --mark: #2f5bea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #2c3442;
  --paper: #171c25; --back: #0f131a; --mark: #8aa6ff; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem 4rem; background: var(--back); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem clamp(1.25rem, 5vw, 3.5rem);
  background: var(--paper); border: 1px solid var(--line); border-radius: 12px; overflow-wrap: anywhere; }
header { margin-bottom: 1.75rem; padding-bottom: 1rem; border-bottom: 1px solid var(--line); }
header p { margin: 0; color: var(--soft); font-size: .85rem; }
h1 { margin: 0 0 .35rem; font-size: 1.6rem; line-height: 1.25; letter-spacing: -.01em; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; } h3 { margin: 1.6rem 0 .4rem; font-size: 1rem; }
a { color: var(--mark); } code { font-size: .9em; } img { max-width: 100%; }
pre { white-space: pre-wrap; }
.wide { overflow-x: auto; } table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th, td { padding: .5rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .8rem; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .4rem 1.5rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; }
.tag { display: inline-block; padding: .05rem .6rem; border: 1px solid currentColor; border-radius: 99px;
  font-size: .75rem; letter-spacing: .03em; color: var(--soft); }
.note { margin: 0 0 1.5rem; padding: .7rem 1rem; border-left: 3px solid #d08700; background: #d0870014; }
figure { margin: 0; overflow: auto; }
figure img { max-width: none; display: block; border: 1px solid var(--line); }
figcaption { margin-top: .6rem; color: var(--soft); font-size: .85rem; }
"""


def page(title: str, kind: str, body: str, note: str = "") -> str:
    """Return a complete page; `title`, `kind` and `note` are plain text, `body` is safe HTML."""
    warning = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>"
        f"<header><h1>{escape(title)}</h1><p>{escape(kind)}</p></header>\n{warning}{body}\n</main></body></html>\n"
    )


def markdown(text: str) -> str:
    """Return Markdown as HTML; HTML and script links in it are shown as text."""
    # Imported for the first document, not at the start.
    from markdown_it import MarkdownIt

    rendered: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return rendered.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")


def facts(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return a list of names and values without empty values; lists are joined."""
    rows = [
        f"<dt>{escape(name)}</dt><dd>{escape(_shown(value))}</dd>" for name, value in pairs if _shown(value)
    ]
    return f"<dl>{''.join(rows)}</dl>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are safe HTML, headings plain text."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def grid(rows: Iterable[Sequence[Any]]) -> str:
    """Return a sheet as a table, with the first row as header and numbers aligned right."""
    lines = list(rows)
    if not lines:
        return "<p>An empty sheet.</p>"
    top = "".join(f"<th>{escape(_shown(cell))}</th>" for cell in lines[0])
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in line)}</tr>" for line in lines[1:])
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def link(address: str, words: str) -> str:
    """Return a link; `address` must be trusted."""
    return f'<a href="{escape(address)}">{escape(words)}</a>'


def tag(words: str) -> str:
    """Return a small label."""
    return f'<span class="tag">{escape(words)}</span>'


def _cell(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f'<td class="n">{value:,}</td>' if number else f"<td>{escape(_shown(value))}</td>"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
