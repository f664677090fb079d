"""JSON by its schema, CSV, XLSX: what is in them, and that no text runs as a formula."""

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal

import jsonschema
import openpyxl
import pytest
from PIL import Image

from helpers.recorded_reader import RecordedReader, layout
from helpers.statement_tables import BALANCE, table_html
from ocr2_hf import FinancialStatementParser
from ocr2_hf.statements.files import COLUMNS, SCHEMA, to_dict, write_csv_file, write_json_file
from ocr2_hf.statements.statement import PageSummary
from ocr2_hf.statements.workbook import write_workbook

ATTACK = '=HYPERLINK("http://x","y")'
ROWS = [
    ["", "2023", "FY22"],
    [ATTACK, "(1,234.50)", "12.5 %"],
    ["+SUM(A1)", "—", "n/a"],
    ["@cmd", "1,234.50", "99,999,999,999,999,999.00"],
    ["Total", "5.00", ""],
]
SIZE = (1000, 1400)


def parse(*tables, titles=("Balance sheet",)):
    regions = []
    for number, _ in enumerate(tables):
        top = 1400 / len(tables) * number
        regions.append(("title", (10, top + 1, 600, top + 40), titles[number % len(titles)]))
        regions.append(("table", (10, top + 50, 900, top + 1400 / len(tables) - 10), ""))
    image = Image.linear_gradient("L").resize(SIZE)
    return FinancialStatementParser(RecordedReader([layout(SIZE, *regions)], tables)).parse_statement(image)


@pytest.fixture(scope="module")
def document():
    odd_title = "-cash [flow]: notes/1?*\\ " + "x" * 40
    return parse(table_html(BALANCE), table_html(ROWS), titles=("Balance sheet", odd_title))


def test_json_is_by_its_schema_and_exact(document, tmp_path):
    write_json_file(document, tmp_path / "x.json")
    content = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema)
    values = [value for line in content["statements"][1]["lines"] for value in line["values"] if value]
    assert [value["number"] for value in values] == [
        *("-1234.50", "12.5", "0", None, "1234.50", "99999999999999999.00", "5.00")
    ]
    assert [value["kind"] for value in values] == ["amount", "percent", "nil", "absent", "amount", "amount", "amount"]
    assert content["statements"][0]["lines"][1]["values"][0]["amount"] == "1200000"
    assert content["statements"][0]["columns"][0]["period"]["end"] == "2023-12-31"
    jsonschema.validate(to_dict(parse()), schema)
    broken = json.loads(json.dumps(content))
    broken["statements"][0]["lines"][1]["values"][0]["number"] = 1200
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_csv_has_a_row_for_each_value_and_no_formula(document, tmp_path):
    write_csv_file(document, tmp_path / "x.csv")
    text = (tmp_path / "x.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    first = next(row for row in rows if row["name"] == "Goodwill")
    assert (first["number"], first["amount"], first["currency"], first["scale"]) == ("1200", "1200000", "EUR", "1000")
    assert (first["period_end"], first["note"], first["text"]) == ("2023-12-31", "5", "1,200")
    totals = [row for row in rows if row["name"] == "Total assets"]
    assert [(row["check"], row["difference"]) for row in totals] == [("ok", "0"), ("ok", "0")]
    assert next(row for row in rows if row["name"] == "Total")["check"] == "off"
    names = [row["name"] for row in rows if row["statement"] == "2"]
    assert {"'" + ATTACK, "'+SUM(A1)", "'@cmd"} < set(names)
    numbers = {"number", "amount", "difference"}
    dangerous = [row for row in rows for key, cell in row.items() if key not in numbers and cell[:1] in "=+-@" and cell]
    assert not dangerous
    values = sum(len([value for value in line.values if value]) for s in document.statements for line in s.lines)
    sections = sum(line.kind == "section" for s in document.statements for line in s.lines)
    assert len(rows) == values + sections


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        (" =1+1", True),
        ("\n=1+1", True),
        ("\u00a0\u200b@cmd", True),
        ("\uff1d1+1", True),
        ("\ufeff\uff0b1", True),
        ("\u3000-1", True),
        ("Sales = costs", False),
        ("\u2014", False),
    ],
)
def test_csv_guards_what_spreadsheets_pass_over(tmp_path, name, runs):
    document = parse(table_html([["", "2023"], ["Goodwill", "1"]]))
    line = document.statements[0].lines[-1]
    hostile = replace(line, name=replace(line.name, text=name))
    changed = replace(document, statements=[replace(document.statements[0], lines=[hostile])])
    write_csv_file(changed, tmp_path / "x.csv")
    with open(tmp_path / "x.csv", encoding="utf-8-sig", newline="") as file:
        assert next(csv.DictReader(file))["name"] == "'" * runs + name


def test_xlsx_has_a_sheet_per_statement_with_numbers_formats_and_checks(document, tmp_path):
    write_workbook(document, tmp_path / "x.xlsx")
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    assert len(book.sheetnames) == 3 and book.sheetnames[0] == "Balance sheet" and book.sheetnames[-1] == "Checks"
    sheet, odd = book.worksheets[0], book.worksheets[1]
    assert (sheet["A1"].value, sheet["A2"].value) == ("Balance sheet", "EUR in 1,000")
    goodwill = next(row for row in sheet.iter_rows() if row[0].value == "Goodwill")
    assert [cell.value for cell in goodwill] == ["Goodwill", "5", 1200, 1100]
    assert goodwill[2].number_format == "#,##0;(#,##0);0"
    total = next(row for row in sheet.iter_rows() if row[0].value == "Total assets")
    assert total[0].font.b and total[2].fill.fgColor.rgb == "FFE2EFDA"
    cells = {row[0].value: row for row in odd.iter_rows(min_row=5)}
    assert all(cell.data_type in "sn" for sheet in book for row in sheet.iter_rows() for cell in row)
    assert cells[ATTACK][0].data_type == "s"
    assert cells[ATTACK][1].value == -1234.5 and cells[ATTACK][1].number_format == "#,##0.00;(#,##0.00);0.00"
    assert cells[ATTACK][2].value == 0.125 and cells[ATTACK][2].number_format == "0.0%"
    assert cells["+SUM(A1)"][2].value == "n/a"
    # More digits than a double holds stay text.
    assert cells["@cmd"][2].value == "99,999,999,999,999,999.00"
    off = cells["Total"][1]
    assert off.fill.fgColor.rgb == "FFF8CBAD" and "off by" in off.comment.text
    checks = list(book["Checks"].iter_rows(values_only=True))
    assert len([row for row in checks[1:] if row[1]]) == len(document.all_checks)
    assert any(row[4] == "off" and Decimal(str(row[5])) == Decimal("5.00") for row in checks[1:])


def test_sheets_of_one_title_and_none(tmp_path):
    document = parse(*[table_html(BALANCE)] * 3, titles=("checks", "", "CHECKS"))
    write_workbook(document, tmp_path / "x.xlsx")
    names = openpyxl.load_workbook(tmp_path / "x.xlsx").sheetnames
    assert len({name.lower() for name in names}) == 4 and all(len(name) <= 31 for name in names)
    write_workbook(parse(), tmp_path / "none.xlsx")
    assert openpyxl.load_workbook(tmp_path / "none.xlsx").sheetnames == ["No statement", "Checks"]


@pytest.mark.parametrize("writer", [write_json_file, write_csv_file, write_workbook])
def test_a_result_is_whole_or_not_there(document, tmp_path, writer):
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError):
        writer(document, target)
    assert target.is_dir()


def test_a_name_that_is_no_utf_8_is_shown_in_a_workbook(tmp_path):
    document = replace(parse(), file="a\udcff.png", pages=[PageSummary(1, problem="b\udcfe.png: not read")])
    write_workbook(document, tmp_path / "x.xlsx")
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    assert "a?.png" in book.worksheets[0]["A1"].value
    assert "page 1: b?.png: not read" in [row[0].value for row in book["Checks"].rows]
