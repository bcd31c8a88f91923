"""Cells of a sheet: A1 ranges, writing into them, and the sheet as CSV and XLSX without live formulas."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Any

from campaigns.servers.local.world import Refused

SHEET = "Sheet1"
MAX_ROWS, MAX_COLUMNS = 10_000, 702

Rows = list[list[Any]]

_CELL = re.compile(r"([A-Za-z]{1,3})?([0-9]{1,7})?")


@dataclass(frozen=True)
class Area:
    """A block of cells, 0-based, including both ends; None is an open end."""

    top: int
    left: int
    bottom: int | None
    right: int | None


def area(text: str) -> Area:
    """Return the block of an A1 range (`Sheet1!A1:H7`, `A1`, `Sheet1`); Raises Refused for anything else."""
    sheet, mark, cells = text.strip().rpartition("!")
    if not mark and cells.strip("'") == SHEET:
        return Area(0, 0, None, None)
    first, colon, last = cells.partition(":")
    start, end = _corner(first), _corner(last) if colon else None
    if (mark and sheet.strip("'") != SHEET) or start is None or (colon and end is None):
        raise Refused(f"Unable to parse range: {text[:80]}")
    # A single cell is where writing starts, not a limit.
    top, left = start[0] or 0, start[1] or 0
    bottom, right = end or (None, None)
    if (bottom is not None and bottom < top) or (right is not None and right < left):
        raise Refused(f"Unable to parse range: {text[:80]}")
    return Area(top, left, bottom, right)


def _corner(text: str) -> tuple[int | None, int | None] | None:
    found = _CELL.fullmatch(text.replace("$", ""))
    if not found or not found[0] or found[2] == "0":
        return None
    letters, digits = found[1], found[2]
    return (int(digits) - 1 if digits else None, _column(letters) if letters else None)


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def put(rows: Rows, where: Area, values: Rows) -> Rows:
    """Return the rows with values written into an area; null skips a cell. Raises Refused beyond it."""
    height, width = len(values), max((len(line) for line in values), default=0)
    last_row, last_column = where.top + height - 1, where.left + width - 1
    if (where.bottom is not None and last_row > where.bottom) or (
        where.right is not None and last_column > where.right
    ):
        raise Refused(f"{height} rows of {width} cells do not fit into the range")
    if last_row >= MAX_ROWS or last_column >= MAX_COLUMNS:
        raise Refused(f"A sheet holds at most {MAX_ROWS} rows and {MAX_COLUMNS} columns")
    written = [list(line) for line in rows] + [[] for _ in range(last_row + 1 - len(rows))]
    for number, line in enumerate(values, start=where.top):
        target = written[number]
        target += [None] * (where.left + len(line) - len(target))
        for column, value in enumerate(line, start=where.left):
            target[column] = target[column] if value is None else value
    return written


def plain(value: Any) -> Any:
    """Return a cell that no spreadsheet executes: an apostrophe precedes text that looks like a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") and value else value


def as_csv(rows: Rows) -> str:
    """Return the sheet as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [["" if c is None else plain(c) for c in line] for line in rows]
    )
    return out.getvalue()


def as_xlsx(title: str, rows: Rows) -> bytes:
    """Return the sheet as a workbook with a bold, frozen header and columns as wide as their text."""
    # Imported for the first sheet, not at the start.
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = SHEET
    book.properties.title = title
    for line in rows:
        cells = [plain(cell) for cell in line]
        sheet.append([ILLEGAL_CHARACTERS_RE.sub("", c) if isinstance(c, str) else c for c in cells])
    for cell in sheet[1] if rows else ():
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    for column in range(max((len(line) for line in rows), default=0)):
        longest = max(len(str(line[column])) for line in rows if column < len(line))
        sheet.column_dimensions[get_column_letter(column + 1)].width = min(longest + 2, 60)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
