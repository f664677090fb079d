"""Tables found in a page's text, matched, and their cells."""

import pytest

from ocr2_hf.document.predictions import Prediction
from ocr2_hf.document.tables import Cell, parse_tables
from ocr2_hf.evaluation.registry import measure_page
from ocr2_hf.evaluation.summary import summarize
from ocr2_hf.evaluation.tables import count_cells, find_tables, match_tables, right_cells

MARKDOWN = """| Item | Price |
|:-----|------:|
| Tea  |  1.20 |
| Cake |  3.40 |
"""
HTML = """<table border="1"><thead><tr><th>Item</th><th>Price</th></tr></thead>
<tbody><tr><td>Tea</td><td>1.20</td></tr><tr><td>Cake</td><td>3.40</td></tr></tbody></table>"""


def texts(table):
    return [[cell.text for cell in row] for row in table.table.rows]


def scores(prediction, reference):
    return summarize([Prediction("page", prediction, reference)])


def html(*rows):
    return "<table>" + "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows) + "</table>"


def test_markdown_and_html_are_one_table():
    (markdown,), (tagged,) = find_tables(MARKDOWN), find_tables(HTML)
    assert markdown.table == tagged.table and markdown.tree == tagged.tree
    assert texts(markdown) == [["Item", "Price"], ["Tea", "1.20"], ["Cake", "3.40"]]
    metrics = scores(f"Menu\n\n{MARKDOWN}\nThank you", f"Menu\n\n{HTML}\n\nThank you")
    assert [metrics[name] for name in ("teds", "teds_s", "cell_precision", "cell_recall")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("markdown", "cells"),
    [
        ("a | b\n--- | ---\n1 | 2", [["a", "b"], ["1", "2"]]),  # without outer pipes
        ("|a|b|\n|-|-|\n|1|\n|1|2|3|", [["a", "b"], ["1", ""], ["1", "2", "3"]]),  # filled up; nothing read is lost
        ("|a|b|\r\n|-|-|\r\n|1|2|\r\n", [["a", "b"], ["1", "2"]]),
        ("|a|b|\r|-|-|\r|1|2|", [["a", "b"], ["1", "2"]]),
        (r"|a|b|" + "\n|-|-|\n" + r"|x \| y|<b>z</b> & w|", [["a", "b"], ["x | y", "z & w"]]),
        ("|a|b|\n|-|-|\n|x < y|1<br>2|", [["a", "b"], ["x < y", "1 2"]]),
        ("|a|\n|---|", [["a"]]),
    ],
)
def test_markdown_tables(markdown, cells):
    (table,) = find_tables(f"before\n\n{markdown}\n\nafter")
    assert texts(table) == cells


@pytest.mark.parametrize("text", ["", "a | b\nc | d", "---\n|\n---", "| a |\n\n|---|", "|x| = |y|\n-----", "1 - | - 2"])
def test_what_is_no_table(text):
    assert find_tables(text) == []


def test_tables_come_in_the_order_of_the_page():
    found = find_tables(f"{html(['1'])}\n{MARKDOWN}\n<TABLE><TR><TD>3</TABLE> {html(['4'])}")
    assert [texts(table)[0][0] for table in found] == ["1", "Item", "3", "4"]


def test_spans_and_markup():
    (table,) = find_tables(
        '<table><tr><td rowspan="2"> a\n<b>b</b></td><td colspan=2>c</td></tr><tr><td>d<td>e</table>'
    )
    assert table.table.rows[0] == (Cell("a b", row_span=2, indent=1), Cell("c", column=1, column_span=2))
    # The cell above covers the first column of the second row.
    assert table.placed == [{(0, "a b"), (1, "c")}, {(1, "d"), (2, "e")}]
    assert count_cells(table) == 4


def test_a_cell_covers_all_its_rows():
    rows = '<tr><td rowspan="3">a<td>b<tr><td>c<tr><td>d<tr><td>e'
    (table,) = find_tables(f"<table>{rows}</table>")
    assert table.placed == [{(0, "a"), (1, "b")}, {(1, "c")}, {(1, "d")}, {(0, "e")}]


def test_pipes_inside_html_are_no_table_of_their_own():
    assert len(find_tables(f"<table><tr><td>\n\n{MARKDOWN}\n</td></tr></table>")) == 1


def test_a_table_that_is_cut_off_keeps_what_it_has():
    whole = html(["a", "b"], ["c", "d"])
    (cut,) = find_tables(whole[: whole.index("d</td></tr></table>")])
    assert texts(cut) == [["a", "b"], ["c", ""]]
    metrics = scores(whole[: whole.index("d</td></tr></table>")], whole)
    assert (metrics["cell_precision"], metrics["cell_recall"]) == (1, 3 / 4)
    assert metrics["teds"] == pytest.approx(1 - 1 / 6) and metrics["teds_s"] == 1


@pytest.mark.parametrize(
    ("predicted", "right"),
    [
        ([["a", "b"], ["c", "d"], ["e", "f"]], 6),
        ([["c", "d"], ["e", "f"]], 4),  # a lost row does not make the next ones wrong
        ([["a", "b"], ["c", "d"]], 4),
        ([["a", "b"], ["x", "y"], ["c", "d"], ["e", "f"]], 6),
        ([["a", "b"], ["c", "x"], ["e", "f"]], 5),
        ([["b", "a"], ["c", "d"], ["e", "f"]], 4),  # another column
        ([["e", "f"], ["c", "d"], ["a", "b"]], 2),  # another order
        ([[" a", "b "], ["c", "d"], ["e", "cafe\u0301"]], 5),
    ],
)
def test_cells_by_hand(predicted, right):
    (reference,) = find_tables(html(["a", "b"], ["c", "d"], ["e", "f"]))
    (table,) = find_tables(html(*predicted))
    assert right_cells(table, reference) == right


def test_empty_cells_do_not_count():
    metrics = scores(html(["a", "", ""]), html(["a", "", "b"]))
    assert (metrics["cell_precision"], metrics["cell_recall"]) == (1, 0.5)


def test_tables_are_matched_by_likeness_and_those_alone_count_nothing():
    first, second = html(["a", "b"], ["c", "d"]), html(["1", "2", "3"])
    pairs = match_tables(find_tables(second + first), find_tables(first + second))
    assert pairs == [(1, 0, 1.0), (0, 1, 1.0)]
    assert scores(second + first, first + second)["teds"] == 1
    lost = scores(second, first + second)
    assert (lost["teds"], lost["teds_s"], lost["cell_precision"], lost["cell_recall"]) == (0.5, 0.5, 1, 3 / 7)
    surplus = scores(first + second, first)
    assert (surplus["teds"], surplus["cell_precision"], surplus["cell_recall"]) == (0.5, 4 / 7, 1)
    assert scores("no table", first)["teds"] == 0
    # Without a table in the references there is nothing to measure.
    assert scores(first, "no table")["teds"] is None


def test_many_tables_are_matched_by_their_text():
    tables = [html([f"table {number}", "x" * number]) for number in range(8)]
    pairs = match_tables(find_tables("".join(reversed(tables))), find_tables("".join(tables)))
    assert pairs == [(7 - number, number, 1.0) for number in range(8)]


def test_figures_are_over_all_tables_of_all_pages():
    table = html(["a"], ["b"])
    lines = [
        Prediction("1", table * 3, table * 3),
        Prediction("2", "", table),
        Prediction("3", "text", "text"),
    ]
    assert summarize(lines)["teds"] == 0.75


@pytest.mark.parametrize(
    "text",
    ["|" * 20_000, "|-" * 10_000 + "\n" + "|-" * 10_000, "<table" * 5_000, "|a\n|-\n" * 5_000, "<td>|\n" * 5_000],
)
@pytest.mark.timeout(60)
def test_hostile_text_takes_no_time(text):
    measure_page(Prediction("page", text, MARKDOWN))


@pytest.mark.parametrize(
    "text",
    [
        "<table><tr><td>12<sup>3</sup></td><td>H<sub>2</sub>O</td></tr></table>",
        "<table><td>a</td><td>b</td><tr><td>c</td></tr></table>",  # cells outside a row
        "<table><tr><td>a</td></tr><table><tr><td>b</td></tr></table>",  # begins before the last one ended
        "|a|b|\r\n|-|-|\r\n|1|2|",
        "<table><tr><td>a<table><tr><td>b</td></tr></table></td></tr></table>",
        "<table><tr><td rowspan=9>a</td><td>b</td></tr></table>",
        "<table><tr><td>margin < 5</td></tr></table>",
        "<table><tr><td>a</td></tr><|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|><tr><td>b</td></tr></table>",
    ],
)
def test_what_is_scored_are_the_tables_that_are_read(text):
    read = parse_tables(text)
    assert read and [table.table for table in find_tables(text)] == read
    metrics = scores(text, "\n".join(table.to_html() for table in read))
    assert [metrics[name] for name in ("teds", "teds_s", "cell_precision", "cell_recall")] == [1, 1, 1, 1]


def test_a_footnote_mark_is_another_number():
    assert scores(html(["12<sup>3</sup>"]), html(["123"]))["cell_recall"] == 0
