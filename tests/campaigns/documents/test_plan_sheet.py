"""The media plan sheet: its columns, its computed total, and no formula from a user's hand."""

import csv
import io

import pytest
from openpyxl import load_workbook

from campaigns.documents.plan import plan_csv, plan_table, plan_xlsx
from tests.campaigns.briefs import brief_of, preset


def test_it_has_the_planners_columns_a_row_a_line_and_the_computed_total() -> None:
    table = plan_table(preset("aurora-one"))
    assert table[0] == [
        "Channel", "DSP", "Tactic", "Budget", "Flight Start", "Flight End", "KPI Target", "Creative Sizes"
    ]  # fmt: skip
    assert len(table) == 7
    assert table[-1] == ["TOTAL", "", "", 750000, "", "", "", ""]
    assert table[-1][3] == sum(row[3] for row in table[1:-1] if not isinstance(row[3], str))


def test_the_total_is_the_sum_of_the_lines_not_the_stated_budget() -> None:
    plan = [
        {"channel": "Display", "dsp": "TTD", "budget": "0.1"},
        {"channel": "CTV", "dsp": "TTD", "budget": "0.2"},
    ]
    assert plan_table(brief_of(media_plan=plan))[-1][3] == 0.3


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "＝1"])
def test_no_cell_is_taken_for_a_formula(text: str) -> None:
    brief = brief_of(
        media_plan=[{"channel": text, "dsp": "TTD", "tactic": text, "kpi_target": text, "budget": 1}]
    )
    row = plan_table(brief)[1]
    assert [row[0], row[2], row[6]] == [f"'{text.strip()}"] * 3
    sheet = load_workbook(io.BytesIO(plan_xlsx(brief))).active
    assert all(item.data_type != "f" for line in sheet.iter_rows() for item in line)


def test_the_csv_reads_back_as_the_table() -> None:
    brief = preset("casa-olmeda-early-harvest")
    read = list(csv.reader(io.StringIO(plan_csv(brief), newline="")))
    assert read == [[str(item) for item in row] for row in plan_table(brief)]


def test_the_workbook_holds_numbers_in_the_briefs_currency() -> None:
    sheet = load_workbook(io.BytesIO(plan_xlsx(preset("casa-olmeda-early-harvest")))).active
    assert sheet["D2"].value == 52000
    assert sheet["D2"].number_format == '"€"#,##0.00'
    assert sheet.freeze_panes == "A2"
