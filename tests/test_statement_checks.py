"""Sub-totals against their items, and assets = liabilities + equity."""

import random
from decimal import Decimal

import pytest

from data_scripts.synthetic.accounts import Accounts
from data_scripts.synthetic.language import LANGUAGES, load_words
from data_scripts.synthetic.statements import DrawnReport, statement_table
from helpers.statement_tables import BALANCE, checked, table_html
from ocr2_hf.document.tables import parse_tables
from ocr2_hf.statements.joining import ReadTable, TableContext, join_tables
from ocr2_hf.statements.statement import Place
from ocr2_hf.statements.table_lines import read_table
from ocr2_hf.statements.units import Unit


def told(markup):
    return [str(check) for check in checked(markup)]


def changed(rows, name, column, text):
    return [[*row[:column], text, *row[column + 1 :]] if row[0] == name else row for row in rows]


def test_a_right_balance_sheet_closes_everywhere():
    checks = checked(table_html(BALANCE))
    assert {check.status for check in checks} == {"ok"}
    assert [(check.line, check.parts) for check in checks if check.column == "2023"] == [
        ("Total non-current assets", ("Goodwill", "Land & buildings")),
        ("Total current assets", ("Inventories", "Cash")),
        ("Total assets", ("Total non-current assets", "Total current assets")),
        ("Total liabilities", ("Borrowings",)),
        ("Total equity", ("Share capital", "Retained earnings")),
        ("Total equity and liabilities", ("Total liabilities", "Total equity")),
        ("Total assets", ("Total equity and liabilities",)),
    ]


def test_a_wrong_amount_is_off_by_its_error_and_nothing_else_is():
    checks = checked(table_html(changed(BALANCE, "Goodwill", 2, "1,700")))
    off = [check for check in checks if check.status == "off"]
    assert [str(check) for check in off] == ["Total non-current assets, 2023: off by -500"]
    assert off[0].tolerance == Decimal("1.5") and off[0].parts == ("Goodwill", "Land & buildings")
    assert off[0].line_index == 3 and off[0].column_index == 0
    total = checked(table_html(changed(BALANCE, "Total equity and liabilities", 3, "3,900")))
    assert [str(check) for check in total if check.status == "off"] == [
        "Total equity and liabilities, 2022: off by 200",
        "Total assets, 2022: off by -200",
    ]


def test_what_rounding_makes_is_no_error_and_more_is():
    rows = [["", "2023"], ["A", "1.5"], ["B", "2.5"], ["Total", "4.1"]]
    (check,) = checked(table_html(rows))
    assert (check.status, check.difference, check.tolerance) == ("ok", Decimal("0.1"), Decimal("0.15"))
    (check,) = checked(table_html(changed(rows, "Total", 1, "4.2")))
    assert (check.status, check.difference) == ("off", Decimal("0.2"))


def test_what_cannot_be_read_is_not_checkable_for_a_reason():
    reasons = {str(check): check.reason for check in checked(table_html(changed(BALANCE, "Cash", 2, "1oo")))}
    assert reasons["Total current assets, 2023: not checkable (Cash has no figure there but '1oo')"]
    assert told(table_html([["", "2023"], ["Total", "5"]])) == [
        "Total, 2023: not checkable (nothing above it is left to add up)"
    ]
    alone = [["", "2023"], ["Cash", "5"], ["Land", "6"], ["Total assets", "11"]]
    assert told(table_html(alone)) == [
        "Total assets, 2023: ok",
        "Total assets, 2023: not checkable (no line is the total of liabilities or of equity)",
    ]


def test_costs_are_subtracted_where_they_are_printed_without_a_sign():
    rows = [["", "2023"], ["Revenue", "1,000"], ["Cost of sales", "600"], ["Gross profit", "400"]]
    rows += [["Administrative expenses", "150"], ["Other income", "50"], ["Operating profit", "300"]]
    checks = checked(table_html(rows))
    assert [check.status for check in checks] == ["ok", "ok"]
    assert checks[1].parts == ("Gross profit", "-Administrative expenses", "Other income")
    signed = changed(changed(rows, "Cost of sales", 1, "(600)"), "Administrative expenses", 1, "(150)")
    assert [check.status for check in checked(table_html(signed))] == ["ok", "ok"]
    net = [["", "2023"], ["Total assets", "10,000"], ["Total liabilities", "7,000"], ["Net assets", "3,000"]]
    assert "Net assets, 2023: ok" in told(table_html(net))


def test_of_which_lines_totals_above_and_less_in_chinese():
    rows = [
        ["项目", "本期金额", "上期金额"],
        ["一、营业总收入", "100.00", "90.00"],
        ["其中：营业收入", "99.00", "88.00"],
        ["二、营业总成本", "80.00", "70.00"],
        ["其中：营业成本", "75.00", "66.00"],
        ["销售费用", "5.00", "4.00"],
        ["加：其他收益", "5.00", "5.00"],
        ["投资收益", "1.00", ""],
        ["三、营业利润", "26.00", "25.00"],
        ["减：所得税费用", "6.00", "5.00"],
        ["四、净利润", "20.00", "21.00"],
    ]
    checks = checked(table_html(rows))
    assert [(check.line, check.column, check.status) for check in checks] == [
        ("营业总成本", "current", "ok"),
        ("营业总成本", "previous", "ok"),
        ("营业利润", "current", "ok"),
        ("营业利润", "previous", "ok"),
        ("净利润", "current", "ok"),
        ("净利润", "previous", "off"),
    ]
    assert checks[2].parts == ("营业总收入", "-营业总成本", "其他收益", "投资收益")


@pytest.mark.timeout(60)
def test_a_table_in_a_loop_is_checked_in_seconds():
    rows = [["", "2023"], *([f"Total {n}" if n % 5 == 0 else "Item", f"{n * 7 % 911}"] for n in range(500))]
    assert len(checked(table_html(rows))) == 100


@pytest.mark.parametrize(
    "names",
    [
        ("Forderungen", "Kasse", "Summe Aktiva", "Schulden", "Eigenkapital", "Summe Passiva"),
        ("Créances", "Caisse", "Total de l'actif", "Dettes", "Capitaux propres", "Total du passif"),
        ("应收账款", "货币资金", "资产总计", "借款", "所有者权益", "负债和所有者权益总计"),
        ("Bank", "Cash", "Assets", "Debts", "Equity", "Total"),
    ],
)
def test_the_balance_closes_in_four_languages(names):
    amounts = ["1,000", "2,500", "3,500", "1,500", "2,000", "3,500"]
    rows = [["", "2023"], *([name, amount] for name, amount in zip(names, amounts))]
    checks = checked(table_html(rows))
    assert [(check.rule, check.status) for check in checks] == [("sum", "ok"), ("sum", "ok"), ("balance", "ok")]
    off = checked(table_html(changed(rows, names[2], 1, "3,600")))
    found = [(check.rule, check.difference) for check in off if check.status == "off"]
    assert found == [("sum", 100), ("balance", 100)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_check_of_drawn_statements_closes_and_an_error_never_goes_unseen(language):
    """The accounts of data_scripts/synthetic add up; an amount changed by more than rounding must be off somewhere."""
    seen = total = 0
    for seed in range(25):
        rng, words = random.Random(seed), load_words(language)
        accounts = Accounts(rng, words, 2)
        report = DrawnReport(words, "", 0, words.dates[0], [2023, 2022], "", True, False, bool(seed % 2))
        for kind in ("balance", "income"):
            table = statement_table(kind, getattr(accounts, kind), report)
            checks = checked(table.html())
            assert checks and {check.status for check in checks} == {"ok"}, (language, seed, kind)
            items = [cell for cell in table.cells if cell.align == "right" and table.kinds[cell.row] == "total"]
            cell = rng.choice(items)
            cell.text = f"{77_777 + rng.randrange(9999):,}"
            total += 1
            seen += any(check.status == "off" for check in checked(table.html()))
    assert seen == total


def page_table(rows, page, title="", first=True, last=True, unit=None):
    markup = table_html(rows)
    place = Place(page, (0.0, 0.0, 9.0, 9.0), "table")
    return ReadTable(
        read_table(parse_tables(markup)[0], place, unit), TableContext(title, unit), place, markup, first, last
    )


def test_a_statement_over_two_pages_is_joined_and_checked_whole():
    unit = Unit("CHF", 1000, "in CHF thousands")
    head = ["", "Note", "2023", "2022"]
    first = page_table([head, *BALANCE[1:8]], 1, "Balance sheet", unit=unit)
    second = page_table([head, *BALANCE[8:]], 2, "Balance sheet (continued)")
    (statement,) = join_tables([first, second])
    assert len(statement.lines) == len(BALANCE) - 1 and [place.page for place in statement.places] == [1, 2]
    assert {check.status for check in statement.checks} == {"ok"}
    assert (statement.title, statement.kind, statement.unit) == ("Balance sheet", "balance sheet", unit)
    assert {value.unit for line in statement.lines for value in line.values if value} == {unit}


@pytest.mark.parametrize(
    "second",
    [
        {"page": 3},  # a page between them
        {"page": 2, "title": "Income statement"},
        {"page": 2, "first": False},  # not the first table of its page
        {"page": 1},
    ],
)
def test_other_tables_stay_apart(second):
    first = page_table(BALANCE[:8], 1, "Balance sheet")
    other = page_table([BALANCE[0], *BALANCE[8:]], **second)
    assert len(join_tables([first, other])) == 2
    assert len(join_tables([first, page_table([["", "", "2021", "2020"], *BALANCE[8:]], 2)])) == 2
