"""Tables as typed lines: heads, notes, levels, units, blocks."""

import json
from decimal import Decimal

import pytest

from helpers.statement_tables import BALANCE, PLACE, read, table_html
from ocr2_hf.document.tables import parse_tables
from ocr2_hf.statements.names import read_name
from ocr2_hf.statements.statement import Value
from ocr2_hf.statements.table_lines import read_table
from ocr2_hf.statements.units import Unit


def rows(content):
    """Name, kind, note and numbers of every line."""
    return [
        (line.name.plain, line.kind, line.note, *(value and value.number for value in line.values))
        for line in content.lines
    ]


def test_a_balance_sheet_line_by_line():
    content = read(table_html(BALANCE))
    assert [(column.head, column.label) for column in content.columns] == [("2023", "2023"), ("2022", "2022")]
    assert content.unit == Unit("EUR", 1000, "€'000")
    assert rows(content)[:5] == [
        ("Non-current assets", "section", "", None, None),
        ("Goodwill", "item", "5", 1200, 1100),
        ("Land & buildings", "item", "6, 7", 2300, 2400),
        ("Total non-current assets", "total", "", 3500, 3500),
        ("Current assets", "section", "", None, None),
    ]
    value = content.lines[1].values[0]
    assert isinstance(value, Value) and isinstance(value.number, Decimal) and value.amount == 1_200_000
    assert (value.printed.text, value.place, value.unit.currency) == ("1,200", PLACE, "EUR")
    assert content.lines[5].values[1].printed.kind == "nil" and content.lines[5].values[1].number == 0


def test_heads_of_two_rows_and_a_title_across():
    content = read(
        '<table><tr><td colspan="4">Income statement (in millions of US dollars)</td></tr>'
        '<tr><td></td><td></td><td colspan="2">Year ended December 31,</td></tr>'
        "<tr><td></td><td>Note</td><td>2023</td><td>2022</td></tr>"
        "<tr><td>Revenue</td><td>4</td><td>$ 1,234</td><td>3.5 %</td></tr></table>"
    )
    assert content.titles == ["Income statement (in millions of US dollars)"]
    assert [column.label for column in content.columns] == ["2023", "2022"]
    assert content.columns[1].head == "Year ended December 31, 2022"
    revenue, share = content.lines[0].values
    assert (revenue.amount, revenue.unit.currency) == (1_234_000_000, "USD")
    assert (share.printed.kind, share.amount, share.unit) == ("percent", Decimal("3.5"), Unit())


def test_a_year_among_the_values_is_no_head():
    content = read(table_html([["USD", "2023"], ["Cash", "2022"], ["Total", "2022"]]))
    assert rows(content) == [("Cash", "item", "", 2022), ("Total", "total", "", 2022)]


def test_notes_are_known_without_a_head():
    content = read(table_html([["", "", "2023"], ["Cash", "4", "1"], ["Debt", "12(a)", "2"], ["Other", "", "3"]]))
    assert rows(content)[:2] == [("Cash", "item", "4", 1), ("Debt", "item", "12(a)", 2)]


def test_blocks_side_by_side_follow_each_other():
    content = read(
        table_html(
            [
                ["资产", "行次", "期末余额", "期初余额", "负债和所有者权益", "行次", "期末余额", "期初余额"],
                ["货币资金", "1", "1,234.00", "1,000.00", "短期借款", "31", "234.00", "200.00"],
                ["资产总计", "2", "1,234.00", "1,000.00", "负债和所有者权益总计", "32", "1,234.00", "1,000.00"],
            ]
        )
    )
    assert [row[0] for row in rows(content)] == ["货币资金", "资产总计", "短期借款", "负债和所有者权益总计"]
    assert [column.label for column in content.columns] == ["closing", "opening"]
    assert rows(content)[2] == ("短期借款", "item", "", Decimal("234.00"), Decimal("200.00"))


def test_amounts_in_three_columns_become_one():
    content = read(
        "<table><tr><td></td><td colspan=3>2023</td><td></td><td colspan=3>2022</td></tr>"
        "<tr><td>Loss</td><td>$</td><td>(1,234</td><td>)</td><td></td><td>$</td><td>5</td><td></td></tr>"
        "<tr><td>Debt</td><td></td><td>7</td><td></td><td></td><td></td><td>8</td><td></td></tr></table>"
    )
    assert rows(content) == [("Loss", "item", "", -1234, 5), ("Debt", "item", "", 7, 8)]
    assert [column.label for column in content.columns] == ["2023", "2022"]
    assert content.lines[0].values[0].printed.doubt == ""


def test_levels_by_spaces_and_by_numbering():
    indents = {"Assets": 0, "Current": 2, "Cash": 4, "Total": 2}
    markup = table_html([["", "2023"], *([name, "1"] for name in indents)], lambda row: indents.get(row[0], 0))
    assert [(line.level, line.level_source) for line in read(markup).lines] == [
        (level, "spaces") for level in (0, 1, 2, 1)
    ]
    german = ["A. Anlagevermögen", "I. Immaterielles", "1. Konzessionen", "2. Firmenwert", "II. Sachen", "B. Umlauf"]
    content = read(table_html([["", "2023"], *([name, "1"] for name in german)]))
    assert [line.level for line in content.lines] == [0, 1, 2, 2, 1, 0]
    assert [line.name.plain for line in content.lines][:2] == ["Anlagevermögen", "Immaterielles"]
    plain = read(table_html([["", "2023"], ["Cash", "1"], ["Debt", "2"]]))
    assert [(line.level, line.level_source) for line in plain.lines] == [(0, ""), (0, "")]


def test_the_unit_nearest_to_a_value_counts():
    content = read(
        table_html(
            [
                ["", "2023 US$ m", "2022"],
                ["Sales", "5", "6"],
                ["Cash (in thousands)", "7", "8"],
                ["Fine", "€ 3", "4"],
                ["Earnings per share", "0.12", "0.10"],
            ]
        ),
        Unit("EUR", 1000, "in thousands of euros"),
    )
    units = [[(value.unit.currency, value.unit.scale) for value in line.values] for line in content.lines]
    assert units == [
        [("USD", 10**6), ("EUR", 1000)],
        [("USD", 1000), ("EUR", 1000)],
        [("EUR", 10**6), ("EUR", 1000)],
        [("USD", 1), ("EUR", 1)],
    ]


@pytest.mark.parametrize("markup", ["<table><tr><td>a</td><td>b</td></tr></table>", "| a |\n|---|\n| b |"])
def test_a_table_without_values_is_no_statement(markup):
    assert read(markup) is None


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("Total assets", ("is_total", "assets")),
        ("资产总计", ("is_total", "assets")),
        ("Summe Aktiva", ("is_total", "assets")),
        ("Total de l'actif", ("is_total", "assets")),
        ("Total liabilities and shareholders’ equity", ("is_total", "liabilities and equity")),
        ("负债和所有者权益（或股东权益）总计", ("is_total", "liabilities and equity")),
        ("Summe Passiva", ("is_total", "liabilities and equity")),
        ("Total du passif", ("is_total", "liabilities and equity")),
        ("Total shareholders' equity", ("is_total", "equity")),
        ("所有者权益合计", ("is_total", "equity")),
        ("Summe Eigenkapital", ("is_total", "equity")),
        ("负债合计", ("is_total", "liabilities")),
        ("流动资产合计", ("is_total", "")),
        ("Gross profit", ("is_result", "")),
        ("三、营业利润", ("is_result", "")),
        ("其中：利息收入", ("of_which", "")),
        ("davon: langfristig", ("of_which", "")),
        ("减：营业成本", ("is_cost", "")),
        ("Earnings per share", ("per_share", "")),
    ],
)
def test_what_a_name_says(text, facts):
    name = read_name(text)
    assert getattr(name, facts[0]) and name.concept == facts[1]


def test_less_subtracts_and_plain_names_say_nothing():
    assert read_name("Less: depreciation").sign == -1 and read_name("减：营业成本").sign == -1
    name = read_name("Trade receivables")
    assert not any((name.is_total, name.is_result, name.of_which, name.is_cost, name.concept, name.numbering))


def test_real_tables_are_read_without_losing_a_row(real_pages):
    lines = (real_pages / "pubtabnet" / "PubTabNet_Examples.jsonl").read_text(encoding="utf-8").splitlines()
    read_tables = 0
    for line in lines:
        structure = json.loads(line)["html"]
        cells = iter("".join(cell["tokens"]) for cell in structure["cells"])
        tokens = structure["structure"]["tokens"]
        markup = "".join(token + (next(cells) if token in ("<td>", ">") else "") for token in tokens)
        table = parse_tables(f"<table>{markup}</table>")[0]
        content = read_table(table, PLACE)
        if content:
            read_tables += 1
            body = [row for row in table.grid()[table.header_rows :] if any(row)]
            assert len(content.lines) >= len(body) - 1
            assert {len(line.values) for line in content.lines} == {len(content.columns)}
    assert read_tables == 13  # the others have no column of numbers: primers, "0.12 ± 0.016"
