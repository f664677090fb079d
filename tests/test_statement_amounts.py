"""Amounts, the style of their table, units and periods."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr2_hf.statements.amounts import NumberStyle, bare_number, find_style, read_amount
from ocr2_hf.statements.periods import find_date, read_period, resolve
from ocr2_hf.statements.units import Unit, find_unit, unit_in_head

POINT, COMMA = NumberStyle("."), NumberStyle(",")
GROUPS = {".": (",", "'", "’", " ", "\u00a0", "\u202f", ""), ",": (".", "'", " ", "\u00a0", "")}
SIGNS = ("({})", "（{}）", "-{}", "−{}", "–{}", "{}-", "{}−", "△{}", "- {}")
AFFIXES = ("{}", "{} ", "€ {}", "{} €", "US$ {}", "{} CHF", "{}¹", "{} *", "RMB {}")


def written(number: Decimal, decimal: str, group: str, sign: str, affix: str) -> str:
    """A number as a statement may write it."""
    whole, _, fraction = f"{abs(number):f}".partition(".")
    digits = f"{int(whole):,}".replace(",", group) + (decimal + fraction if fraction else "")
    return affix.format(sign.format(digits) if number < 0 else digits)


@st.composite
def styles(draw):
    decimal = draw(st.sampled_from(".,"))
    return decimal, draw(st.sampled_from(GROUPS[decimal]))


amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=2) | st.integers(-(10**12), 10**12).map(Decimal)


@settings(max_examples=300, deadline=None)
@given(amounts, styles(), st.sampled_from(SIGNS), st.sampled_from(AFFIXES))
def test_a_number_in_any_style_reads_back_as_itself(number, style, sign, affix):
    text = written(number, *style, sign, affix)
    amount = read_amount(text, NumberStyle(style[0]))
    assert (amount.number, amount.kind, amount.text) == (number, "amount", text.strip())


@settings(max_examples=200, deadline=None)
@given(st.lists(amounts, min_size=1, max_size=8), styles(), st.sampled_from(SIGNS))
def test_a_column_is_read_right_where_one_of_its_numbers_tells(numbers, style, sign):
    numbers.append(Decimal("1234567.50"))  # which has both marks, or groups that no decimal mark makes
    if not style[1]:
        numbers += [Decimal("7.50")] * len(numbers)  # without groups those that tell must not be outnumbered
    texts = [written(number, *style, sign, "{}") for number in numbers]
    found = find_style(map(bare_number, texts))
    assert [read_amount(text, found).number for text in texts] == numbers and not found.assumed


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1000, 999_999), min_size=1, max_size=8), st.sampled_from(",."))
def test_numbers_that_all_could_be_both_are_thousands(numbers, mark):
    texts = [f"{number:,}".replace(",", mark) for number in numbers]
    found = find_style(map(bare_number, texts))
    assert [read_amount(text, found).number for text in texts] == numbers and found.assumed


def test_a_lost_or_doubled_digit_does_not_turn_thousands_into_decimals():
    """14,200 read as 14,20: with decimal commas the sum would close all the same."""
    style = find_style(["9,518", "6,461", "8,087", "14,20"])
    assert style.decimal == "." and read_amount("9,518", style).number == 9518
    lost = read_amount("14,20", style)
    assert lost.number == Decimal("14.20") and "unlike" in lost.doubt
    assert find_style(["4.439", "10.236", "5.7976"]).decimal == ","
    assert find_style(["1.234", "2.5"]) == NumberStyle(".", assumed=False)


def test_an_open_number_follows_the_others_of_its_table_and_a_misfit_is_doubted():
    german = find_style(["1.234", "12,5"])
    assert read_amount("1.234", german).number == 1234
    assert find_style(["1.234"], fallback=POINT).parse("1.234")[0] == Decimal("1.234")
    misfit = read_amount("12,5", find_style(["1,234.00", "2,500.00"]))
    assert misfit.number == Decimal("12.5") and "unlike" in misfit.doubt
    # The majority decides, and what only one reading makes sense of is read so.
    assert find_style(["1,234.5", "2,345.6", "1.234,5"]) == NumberStyle(".", assumed=False)


@pytest.mark.parametrize(
    ("text", "kind", "number", "currency", "scale"),
    [
        ("—", "nil", 0, None, None),
        ("-", "nil", 0, None, None),
        ("nil", "nil", 0, None, None),
        ("$ –", "nil", 0, "$", None),
        ("", "empty", None, None, None),
        ("n/a", "absent", None, None, None),
        ("不适用", "absent", None, None, None),
        ("12.5 %", "percent", "12.5", None, None),
        ("(12.5)%", "percent", "-12.5", None, None),
        ("7‰", "per_mille", 7, None, None),
        ("($1,234)", "amount", -1234, "$", None),
        ("$(1,234)", "amount", -1234, "$", None),
        ("£3.4bn", "amount", "3.4", "GBP", 10**9),
        ("5亿元", "amount", 5, "CNY", 10**8),
        ("12万元", "amount", 12, "CNY", 10**4),
        ("3 million", "amount", 3, None, 10**6),
        ("1, 234", "amount", 1234, None, None),
        ("１，２３４", "amount", 1234, None, None),
        ("1,23,45,678", "amount", 12345678, None, None),
        ("1,234¹", "amount", 1234, None, None),
        ("31.12.2023", "text", None, None, None),
        ("1,23", "amount", "1.23", None, None),
        ("12,34,5", "text", None, None, None),
        ("Land", "text", None, None, None),
        ("=1+1", "text", None, None, None),
    ],
)
def test_what_a_cell_says(text, kind, number, currency, scale):
    amount = read_amount(text, POINT)
    expected = None if number is None else Decimal(number)
    assert (amount.kind, amount.number, amount.currency, amount.scale) == (kind, expected, currency, scale)


def test_a_missing_bracket_is_read_as_negative_and_doubted():
    amount = read_amount("(1,234", POINT)
    assert amount.number == -1234 and amount.doubt == "a bracket is missing"


@pytest.mark.parametrize(
    ("text", "currency", "scale"),
    [
        ("in thousands of euros", "EUR", 1000),
        ("(In millions of U.S. dollars, except per share data)", "USD", 10**6),
        ("Consolidated balance sheet (TEUR)", "EUR", 1000),
        ("Angaben in Mio. €", "EUR", 10**6),
        ("en milliers d'euros", "EUR", 1000),
        ("kEUR", "EUR", 1000),
        ("M€", "EUR", 10**6),
        ("US$ bn", "USD", 10**9),
        ("RMB'000", "CNY", 1000),
        ("单位：人民币万元", "CNY", 10**4),
        ("单位：亿元", "CNY", 10**8),
        ("单位：万元 币种：美元", "USD", 10**4),
        ("人民币千元", "CNY", 1000),
        ("港币百万元", "HKD", 10**6),
        ("単位:百万円", "JPY", 10**6),
        ("₹ in crores", "INR", 10**7),
        ("All amounts in CHF unless otherwise stated", "CHF", 1),
        ("$ in millions", "$", 10**6),
    ],
)
def test_a_caption_states_the_unit(text, currency, scale):
    unit = find_unit(text)
    assert (unit.currency, unit.scale) == (currency, scale)


@pytest.mark.parametrize("text", ["It was sold for 3 million euros in May", "Total", "Notes to the accounts", "2023"])
def test_prose_states_no_unit(text):
    assert find_unit(text) is None


def test_a_head_may_say_a_unit_beside_its_year():
    assert unit_in_head("2023 £'000") == Unit("GBP", 1000, "2023 £'000")
    assert unit_in_head("2023") is None


DAY = date(2023, 12, 31)


@pytest.mark.parametrize(
    ("text", "label", "start", "end"),
    [
        ("2023", "2023", date(2023, 1, 1), DAY),
        ("Year ended 31 December 2023", "2023", date(2023, 1, 1), DAY),
        ("Year ended 31 March 2024", "12M to 2024-03-31", date(2023, 4, 1), date(2024, 3, 31)),
        ("截至2023年12月31日止年度", "2023", date(2023, 1, 1), DAY),
        ("2023年度", "2023", date(2023, 1, 1), DAY),
        ("2023年12月31日", "2023-12-31", None, DAY),
        ("31.12.2023", "2023-12-31", None, DAY),
        ("December 31, 2023", "2023-12-31", None, DAY),
        ("31. Dezember 2023", "2023-12-31", None, DAY),
        ("31 décembre 2023", "2023-12-31", None, DAY),
        ("12/31/2023", "2023-12-31", None, DAY),
        ("04/05/2023", "04/05/2023", None, None),
        ("FY23", "FY2023", None, None),
        ("2022/23", "2022/23", None, None),
        ("Q1 2024", "Q1 2024", date(2024, 1, 1), date(2024, 3, 31)),
        ("1Q24", "Q1 2024", date(2024, 1, 1), date(2024, 3, 31)),
        ("2024年第三季度", "Q3 2024", date(2024, 7, 1), date(2024, 9, 30)),
        ("H1 2024", "H1 2024", date(2024, 1, 1), date(2024, 6, 30)),
        ("2023年1-6月", "6M to 2023-06-30", date(2023, 1, 1), date(2023, 6, 30)),
        ("Three months ended March 31, 2024", "3M to 2024-03-31", date(2024, 1, 1), date(2024, 3, 31)),
        ("期末余额", "closing", None, None),
        ("上年年末余额", "opening", None, None),
        ("Vorjahr", "previous", None, None),
    ],
)
def test_the_head_of_a_column_names_a_period(text, label, start, end):
    period = read_period(text)
    assert (period.label, period.start, period.end, period.text) == (label, start, end, text)


@pytest.mark.parametrize("text", ["Note", "Total", "12,345", ""])
def test_other_heads_name_none(text):
    assert read_period(text) is None


def test_restated_periods_and_those_told_by_words():
    assert read_period("2022 (restated)").restated and read_period("2022*").restated
    assert not read_period("2022").restated
    half = find_date("as at 30 June 2023")
    assert resolve(read_period("期末余额"), half).end == half
    assert resolve(read_period("期初余额"), half).end == date(2022, 12, 31)
    assert resolve(read_period("上期金额"), date(2024, 2, 29)).end == date(2023, 2, 28)
