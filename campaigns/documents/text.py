"""How data becomes text: escaped Markdown, money, days, tables and safe spreadsheet cells."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from urllib.parse import quote, urlsplit

from babel.numbers import format_currency, format_decimal

#: How a page begins that is written in a dry run.
DRY_RUN = "**Dry run:** nothing was sent, and nothing of this exists outside."
NOT_GIVEN = "_Not given in the brief._"
# An underscore inside a word marks nothing, so names such as America/New_York stay readable.
_SPECIAL = re.compile(r"([\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_]))")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK_START = re.compile(r"^([-+=]|\d{1,9}[.)])", re.ASCII)


def md(text: str) -> str:
    """Text on one line of Markdown that shows as it stands: no markup, no HTML, no table breaks."""
    line = " ".join(text.split())
    line = _ENTITY.sub("&amp;", line).replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)


def para(text: str, missing: str = NOT_GIVEN) -> str:
    """A paragraph a line of the text, none of which can open a list, a heading or a quote."""
    lines = [_unblocked(md(line)) for line in text.split("\n") if line.strip()]
    return "\n\n".join(lines) if lines else missing


def _unblocked(line: str) -> str:
    match = _BLOCK_START.match(line)
    return f"{line[: match.end() - 1]}\\{line[match.end() - 1 :]}" if match else line


def bullets(items: Iterable[str], missing: str = NOT_GIVEN) -> str:
    """A list of texts, escaped."""
    lines = [f"- {_unblocked(md(item))}" for item in items if item.strip()]
    return "\n".join(lines) if lines else missing


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the cells are Markdown already, an empty one shows a dash."""
    lines = [_row(header), _row(["---"] * len(header))]
    lines += [_row([" ".join(cell.split()) or "–" for cell in row]) for row in rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def link(title: str, url: str) -> str:
    """A Markdown link to a web address or to a place on this site; anything else shows as text alone."""
    return f"[{md(title)}]({_href(url)})" if is_web(url) or is_here(url) else md(title)


def is_here(url: str) -> bool:
    """Whether an address is a path of this site, as the bundled servers give: rooted, and no other host's."""
    return url.startswith("/") and not url.startswith(("//", "/\\"))


def file_link(name: str, at: str = "") -> str:
    """A Markdown link to a file by its plain name, beside the document or under an address; "" gives none."""
    return f"[{md(name)}]({_href(at + name)})" if name and "/" not in name else md(name)


def is_web(url: str) -> bool:
    """Whether an address is one that a reader may be sent to."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _href(url: str) -> str:
    return quote(url.strip(), safe="/:?#@!$&*+,;=%~._-'")


def money(amount: Decimal, currency: str) -> str:
    """An amount with its currency: "$750,000", "€0.45"; the decimals only where there are any."""
    if amount == amount.to_integral_value():
        return str(format_currency(amount, currency, "¤#,##0", locale="en", currency_digits=False))
    return str(format_currency(amount, currency, locale="en"))


def price(text: str, currency: str) -> str:
    """The brief's price: an amount is shown as money, words as they stand."""
    return money(Decimal(text), currency) if re.fullmatch(r"\d{1,12}(\.\d\d)?", text, re.ASCII) else text


def count(number: int | Decimal) -> str:
    """A whole number with its thousands: "62,500,000"."""
    return str(format_decimal(int(number), locale="en"))


def day(value: date) -> str:
    return value.isoformat()


def number(amount: Decimal) -> int | float:
    """An amount as JSON and spreadsheets hold it."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    flat = " ".join(text.split())
    return f"'{flat}" if flat.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else flat


def titled(name: str, what: str, limit: int = 200) -> str:
    """`name: what` in at most so many characters; a long name is cut, what tells documents apart is not."""
    return f"{within(name, limit - len(what) - 2)}: {what}"


def within(text: str, limit: int) -> str:
    """The longest start of a text of at most so many characters, cut between words where there are any."""
    flat = " ".join(text.split())
    if len(flat) <= limit:
        return flat
    head = flat[: limit + 1].rsplit(" ", 1)[0] if " " in flat[: limit + 1] else flat[:limit]
    return head.rstrip(" ,;:–—-(")
