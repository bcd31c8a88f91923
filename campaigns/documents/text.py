"""Formatting data as text: escaped Markdown, money, dates, tables and safe spreadsheet cells."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from urllib.parse import quote, urlsplit

from babel.numbers import format_currency, format_decimal

#: The first words of a page that is written in a dry run.
DRY_RUN = "**Dry run:** nothing was sent, and nothing was created outside."
NOT_GIVEN = "_Not given in the brief._"
# An underscore inside a word is no markup, so names such as America/New_York stay readable.
_SPECIAL = re.compile(r"([\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_]))")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK_START = re.compile(r"^([-+=]|\d{1,9}[.)])", re.ASCII)


def md(text: str) -> str:
    """Return a text as one line of Markdown that shows literally: no markup, no HTML, no table breaks."""
    line = " ".join(text.split())
    line = _ENTITY.sub("&amp;", line).replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)


def para(text: str, missing: str = NOT_GIVEN) -> str:
    """Return a paragraph for each line of the text; none can start a list, a heading or a quote."""
    lines = [_unblocked(md(line)) for line in text.split("\n") if line.strip()]
    return "\n\n".join(lines) if lines else missing


def _unblocked(line: str) -> str:
    match = _BLOCK_START.match(line)
    return f"{line[: match.end() - 1]}\\{line[match.end() - 1 :]}" if match else line


def bullets(items: Iterable[str], missing: str = NOT_GIVEN) -> str:
    """Return a list of escaped texts."""
    lines = [f"- {_unblocked(md(item))}" for item in items if item.strip()]
    return "\n".join(lines) if lines else missing


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are Markdown already, and an empty cell shows a dash."""
    lines = [_row(header), _row(["---"] * len(header))]
    lines += [_row([" ".join(cell.split()) or "–" for cell in row]) for row in rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def link(title: str, url: str) -> str:
    """Return a link to a web address or to a path of this site; for anything else only the text."""
    return f"[{md(title)}]({_href(url)})" if is_web(url) or is_here(url) else md(title)


def is_here(url: str) -> bool:
    """Return whether a URL is an absolute path on this site, as bundled servers return it."""
    return url.startswith("/") and not url.startswith(("//", "/\\"))


def file_link(name: str, at: str = "") -> str:
    """Return a link to a file by name, next to the document or under the URL `at`; no link for ""."""
    return f"[{md(name)}]({_href(at + name)})" if name and "/" not in name else md(name)


def is_web(url: str) -> bool:
    """Return whether a URL is an http or https address with a host."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _href(url: str) -> str:
    return quote(url.strip(), safe="/:?#@!$&*+,;=%~._-'")


def money(amount: Decimal, currency: str) -> str:
    """Return an amount with its currency, such as "$750,000" or "€0.45"; decimals only if there are any."""
    if amount == amount.to_integral_value():
        return str(format_currency(amount, currency, "¤#,##0", locale="en", currency_digits=False))
    return str(format_currency(amount, currency, locale="en"))


def price(text: str, currency: str) -> str:
    """Return the brief's price: an amount as money, any other text unchanged."""
    return money(Decimal(text), currency) if re.fullmatch(r"\d{1,12}(\.\d\d)?", text, re.ASCII) else text


def count(number: int | Decimal) -> str:
    """Return a whole number with thousands separators: "62,500,000"."""
    return str(format_decimal(int(number), locale="en"))


def day(value: date) -> str:
    return value.isoformat()


def number(amount: Decimal) -> int | float:
    """Return an amount as a number for JSON and spreadsheets."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def cell(text: str) -> str:
    """Return a text that no spreadsheet reads as a formula."""
    flat = " ".join(text.split())
    return f"'{flat}" if flat.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else flat


def titled(name: str, what: str, limit: int = 200) -> str:
    """Return `name: what` in at most `limit` characters; only a long name is cut."""
    return f"{within(name, limit - len(what) - 2)}: {what}"


def within(text: str, limit: int) -> str:
    """Return the longest beginning of a text of at most `limit` characters, cut between words if possible."""
    flat = " ".join(text.split())
    if len(flat) <= limit:
        return flat
    head = flat[: limit + 1].rsplit(" ", 1)[0] if " " in flat[: limit + 1] else flat[:limit]
    return head.rstrip(" ,;:–—-(")
