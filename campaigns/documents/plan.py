"""The media plan sheet: one table, as cells for a sheet service, as CSV and as XLSX."""

import csv
import io

from babel.numbers import get_currency_symbol
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from campaigns.brief.schema import Brief, Line
from campaigns.documents.text import cell, day, number

HEADER = ("Channel", "DSP", "Tactic", "Budget", "Flight Start", "Flight End", "KPI Target", "Creative Sizes")
_BUDGET = HEADER.index("Budget")
_WIDTHS = (20, 14, 44, 16, 13, 13, 24, 34)


def plan_table(brief: Brief) -> list[list[str | int | float]]:
    """Return the header, a row for each line, and a TOTAL row; no text can be read as a formula."""
    total: list[str | int | float] = ["TOTAL", "", "", number(brief.lines_total), "", "", "", ""]
    return [list(HEADER), *(_row(brief, line) for line in brief.media_plan), total]


def _row(brief: Brief, line: Line) -> list[str | int | float]:
    return [
        cell(line.channel),
        cell(line.dsp),
        cell(line.tactic),
        number(line.budget),
        day(brief.flight_start),
        day(brief.flight_end),
        cell(line.kpi_target),
        cell(", ".join(line.sizes)),
    ]


def plan_csv(brief: Brief) -> str:
    """Return the table as CSV with CRLF line endings."""
    text = io.StringIO()
    csv.writer(text).writerows(plan_table(brief))
    return text.getvalue()


def plan_xlsx(brief: Brief) -> bytes:
    """Return the table as an Excel workbook with the budget in the brief's currency."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)  # noqa: S101 - a new workbook has one worksheet
    sheet.title = "Media plan"
    for row in plan_table(brief):
        sheet.append(row)
    _dress(sheet, brief.currency)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _dress(sheet: Worksheet, currency: str) -> None:
    symbol = get_currency_symbol(currency, locale="en").replace('"', "")
    for index, width in enumerate(_WIDTHS, 1):
        sheet.column_dimensions[get_column_letter(index)].width = width
    for row in sheet.iter_rows():
        for item in row:
            item.alignment = Alignment(vertical="top", wrap_text=True)
        row[_BUDGET].number_format = f'"{symbol}"#,##0.00'
    for item in sheet[1]:
        item.font = Font(bold=True, color="FFFFFF")
        item.fill = PatternFill("solid", fgColor="22324A")
    for item in sheet[sheet.max_row]:
        item.font = Font(bold=True)
    sheet.freeze_panes = "A2"
