"""Tables of the text as grids and as data frames."""

import html
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr2_hf.document.tables import MAX_COLUMNS, Cell, Table, parse_tables, read_tables


def grids(text):
    return [table.grid() for table in parse_tables(text)]


@pytest.mark.parametrize(
    ("html", "grid"),
    [
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>1</td></tr></table>", [["a", "b"], ["1", ""]]),
        ("<table><tr><th colspan=2>a</th></tr><tr><td>1</td><td>2</td></tr></table>", [["a", "a"], ["1", "2"]]),
        ("<table><tr><td rowspan=2>a</td><td>b</td></tr><tr><td>c</td></tr></table>", [["a", "b"], ["a", "c"]]),
        (
            "<table><tr><td>x</td><td rowspan=2 colspan=2>a</td></tr><tr><td>b</td></tr></table>",
            [["x", "a", "a"], ["b", "a", "a"]],
        ),
        ("<table><tr><td>a</td><td rowspan=2>b</td></tr><tr></tr></table>", [["a", "b"], ["", "b"]]),
        ("<table><tr><td>1,234.50</td><td>(7)</td></tr></table>", [["1,234.50", "(7)"]]),
        ("<table><tr><td>a &lt;\n b</td><td><b>c</b>d</td></tr></table>", [["a < b", "cd"]]),
        ("<table><tr><td>a<br>b<br/>c</td><td><p>d</p><p>e</p></td></tr></table>", [["a b c", "d e"]]),
        ("<table><thead><tr><td>a</td></tr></thead><tbody><tr><td>b</td></tr></tbody></table>", [["a"], ["b"]]),
        ("<table><tr><td rowspan='x' colspan=0>a</td></tr></table>", [["a"]]),
        ("<table><tr><td>margin < 5 % & falling</td></tr></table>", [["margin < 5 % & falling"]]),
        ("<TABLE border=1><TR><TD>a</TABLE>", [["a"]]),
        # A span that reaches over a cell from above keeps to its own places.
        (
            "<table><tr><td>a</td><td rowspan=2>b</td></tr><tr><td colspan=3>c</td><td>d</td></tr></table>",
            [["a", "b", ""], ["c", "b", "d"]],
        ),
        # A footnote's mark does not turn a number into another.
        ("<table><tr><td>1,234<sup>1</sup></td><td>21<sup>st</sup></td></tr></table>", [["1,234¹", "21st"]]),
        ("<table><tr><td>H<sub>2</sub>O</td></tr></table>", [["H₂O"]]),
        ("<table><tr><td>a\x1fb</td><td>c&#31;<br>d<sup>&#1;</sup></td></tr></table>", [["a b", "c d"]]),
        # Cut off, not closed, rows not begun.
        ("<table><tr><td>a</td></tr><tr><td>cut o", [["a"], ["cut o"]]),
        ("<table><tr><td>a</td></tr><tr><td", [["a"]]),
        ('<table><tr><td>a</td></tr><tr><td colspan="', [["a"]]),
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", [["a", "b"], ["c", "d"]]),
        ("<table><td>a</td><td>b</td><tr><td>c</td></tr></table>", [["a", "b"], ["c", ""]]),
        ("<table><tr><td rowspan=9>a</td><td>b</td></tr><tr>", [["a", "b"], ["a", ""]]),
    ],
)
def test_one_html_table(html, grid):
    assert grids(f"Before\n{html}") == [grid]


@pytest.mark.parametrize(
    ("markdown", "grid"),
    [
        ("| a | b |\n|:--|--:|\n| 1 | 2 |", [["a", "b"], ["1", "2"]]),
        ("a | b\n--- | ---\n1 | 2", [["a", "b"], ["1", "2"]]),  # without outer pipes
        ("|a|b|\n|-|-|\n|1|\n|1|2|3|", [["a", "b", ""], ["1", "", ""], ["1", "2", "3"]]),  # nothing is lost
        ("|a|b|\n|-|-|\n" + r"|x \| y|<b>z</b> & 5 < 6|", [["a", "b"], ["x | y", "z & 5 < 6"]]),
        ("| | 2023 |\n|-|-|\n| Cash | 1<br>2 |", [["", "2023"], ["Cash", "1 2"]]),
        ("|a|\n|---|", [["a"]]),
    ],
)
def test_one_markdown_table(markdown, grid):
    for text in (markdown, f"before\n\n{markdown}\n\nafter", f"<|ref|>table<|/ref|><|det|>[[1, 2, 3, 4]]\n{markdown}"):
        assert grids(text) == [grid]
        assert parse_tables(text)[0].header_rows == 1


def test_a_table_ends_where_a_region_or_the_next_table_begins():
    tag = "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"
    assert grids(f"<table><tr><td>a</td>\n{tag}\nb <table><tr><td>c") == [[["a"]], [["c"]]]
    assert grids(f"|a|\n|-|\n|b|\n{tag}\n|c|") == [[["a"], ["b"]]]
    assert grids("<table><tr><td>a</td></tr> <table><tr><td>b</td></tr></table>") == [[["a"]], [["b"]]]
    assert grids("| x | y |\n|-|-|\n| <table><tr><td>1</td></tr></table> |") == [[["x", "y"], ["", ""]], [["1"]]]


def test_several_tables_in_their_order_none_and_empty_ones():
    table = "<table><tr><td>{}</td></tr></table>"
    assert grids(table.format("a") + "text\n\n|b|\n|-|\n\n" + table.format("c")) == [[["a"]], [["b"]], [["c"]]]
    for text in ("no table", "<table></table>", "<table>", "</table>", "", "a | b", "<table><tr></tr></table>"):
        assert parse_tables(text) == read_tables(text) == []


def test_a_table_in_a_cell_follows_the_one_it_is_in():
    inner = "<table><tr><td>1</td><td>2</td></tr></table>"
    outer = f"<table><tr><td>a {inner} b</td><td rowspan=2>c</td></tr><tr><td>d</td></tr></table>"
    assert grids(outer) == [[["a 1 2 b", "c"], ["d", "c"]], [["1", "2"]]]
    assert grids(outer + inner) == [*grids(outer), [["1", "2"]]]


HEADS = (
    "<table><tr><td rowspan=2></td><th colspan=2>Group</th></tr><tr><th>2023</th><th>2022</th></tr>"
    "<tr><th>Cash</th><td>1</td><td>2</td></tr><tr><th>Debt</th><td></td><td>4</td></tr></table>"
)


def test_header_rows_become_the_columns():
    (table,) = parse_tables(HEADS)
    assert table.header_rows == 2
    frame = table.to_dataframe()
    assert frame.columns.tolist() == [("", ""), ("Group", "2023"), ("Group", "2022")]
    assert frame.to_numpy().tolist() == [["Cash", "1", "2"], ["Debt", "", "4"]]
    assert frame["Group"]["2023"].tolist() == ["1", ""]
    (frame,) = read_tables("|a|a|\n|-|-|\n|1|2|")
    assert frame.columns.tolist() == ["a", "a"] and frame.to_numpy().tolist() == [["1", "2"]]
    (frame,) = read_tables("<table><tr><td>2023</td></tr><tr><th>no head any more</th></tr></table>")
    assert frame.columns.tolist() == [0] and frame[0].tolist() == ["2023", "no head any more"]


@pytest.mark.parametrize(
    ("rows", "heads"),
    [
        ("<tr><th>Assets</th><td></td></tr><tr><th>Cash</th><td>1</td></tr>", 0),  # heads of rows are none of columns
        ("<thead><tr><td>a</td></tr></thead><tr><td>1</td><td>2</td></tr>", 1),
        ("<tr><th>a</th><th>b</th></tr>", 1),
        ("<tr><th rowspan=2>a</th><th>b</th></tr><tr><td>1</td></tr>", 1),
    ],
)
def test_what_counts_as_a_header_row(rows, heads):
    (table,) = parse_tables(f"<table>{rows}</table>")
    assert table.header_rows == heads


def test_real_tables_of_the_model(real_pages):
    text = (real_pages / "deepseek_grounded_markdown" / "deepseek_example.md").read_text(encoding="utf-8")
    (table,) = parse_tables(text)
    frame = table.to_dataframe()
    assert frame.shape == (8, 8) and table.header_rows == 2
    assert ("TEDs", "complex") in frame.columns and frame["# enc-layers"].iloc[1, 0] == "6"
    (frame,) = (table.to_dataframe() for table in parse_tables(table.to_html()))
    pd.testing.assert_frame_equal(frame, read_tables(text)[0])


def test_cells_know_their_places():
    (table,) = parse_tables("<table><tr><th rowspan=2>a</th><td colspan=2>b</td></tr><tr><td>c</td></tr></table>")
    first = (Cell("a", True, 0, 0, 2, 1), Cell("b", False, 0, 1, 1, 2))
    assert table.rows == (first, (Cell("c", False, 1, 1, 1, 1),)) and table.width == 3


@pytest.mark.parametrize(
    "text",
    [
        "<table>" + "<tr><td colspan=999999999 rowspan=999999999>a</td>" * 800,
        "<table><tr>" + "<td colspan=1000>a</td>" * 800 + "</tr>" * 800,
        "<table><tr><td>" * 3000,
        "<table>" * 3000,
        "<table" * 3000,
        "<td>" * 9000,
        "|a|\n|-|\n" * 3000,
        "|-" * 8000 + "\n" + "|-" * 8000,
        "<table><tr><td>" + "<b>" * 8000,
    ],
)
@pytest.mark.timeout(60)
def test_a_loop_of_the_model_takes_neither_the_memory_nor_the_time(text):
    tables = parse_tables(text)
    assert all(table.width <= MAX_COLUMNS or len(table.rows) < 3 for table in tables)
    assert all(len(table.grid()) == len(table.rows) for table in tables)


TEXTS = st.text(st.characters(exclude_categories=["C"]), max_size=12).map(lambda text: " ".join(text.split()))


@st.composite
def tables(draw, spans=True, header=None):
    """Any grid whose places are covered by cells that do not overlap; some rows begin no cell."""
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    taken, rows = set(), [[] for _ in range(height)]
    for row in range(height):
        for column in range(width):
            if (row, column) in taken:
                continue
            free = next((at for at in range(column, width) if (row, at) in taken), width) - column
            columns = draw(st.integers(1, free)) if spans else 1
            deep = draw(st.integers(1, height - row)) if spans else 1
            taken |= {(row + y, column + x) for y in range(deep) for x in range(columns)}
            head = draw(st.booleans()) if header is None else header(row)
            rows[row].append(Cell(draw(TEXTS), head, row, column, deep, columns))
    return Table(tuple(map(tuple, rows)))


@settings(max_examples=200, deadline=None)
@given(tables())
def test_any_grid_with_spans_written_as_html_and_read_again_is_the_same(table):
    assert parse_tables(f"before {table.to_html()} after") == [table]
    again = parse_tables(re.sub("</t[rdh]>", "", table.to_html()))  # as browsers, without end tags
    assert again == [table]


@settings(max_examples=200, deadline=None)
@given(tables(spans=False, header=lambda row: row == 0), st.booleans())
def test_any_grid_without_spans_written_as_markdown_and_read_again_is_the_same(table, outer):
    def line(cells):
        return f"| {' | '.join(cells)} |" if outer or table.width == 1 else " | ".join(cells)

    escaped = [[html.escape(text, quote=False).replace("|", "\\|") for text in row] for row in table.grid()]
    if not outer:  # an empty cell at the edge has no pipe of its own
        escaped = [[text or "&nbsp;" for text in row] for row in escaped]
    head, *body = map(line, escaped)
    assert parse_tables("\n".join(["before", "", head, line(["---"] * table.width), *body, "", "after"])) == [table]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["<table>", "</table", ">", "<tr>", "<td", " colspan=3", "<th>", "a", "|", "-", "\n"])))
def test_any_text_gives_grids(pieces):
    for table in parse_tables("".join(pieces)):
        assert {len(row) for row in table.grid()} == {table.width}
        assert table.to_dataframe().shape[1] == table.width
