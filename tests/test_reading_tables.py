"""Tables of the text as data frames."""

import pytest

from ocr2_hf.reading.tables import read_tables


def grids(text):
    return [table.to_numpy().tolist() for table in read_tables(text)]


@pytest.mark.parametrize(
    ("html", "grid"),
    [
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>1</td></tr></table>", [["a", "b"], ["1", ""]]),
        (
            "<table><tr><th colspan=2>a</th></tr><tr><td>1</td><td>2</td></tr></table>",
            [["a", "a"], ["1", "2"]],
        ),
        (
            "<table><tr><td rowspan=2>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
            [["a", "b"], ["a", "c"]],
        ),
        (
            "<table><tr><td>x</td><td rowspan=2 colspan=2>a</td></tr><tr><td>b</td></tr></table>",
            [["x", "a", "a"], ["b", "a", "a"]],
        ),
        ("<table><tr><td>a</td><td rowspan=2>b</td></tr><tr></tr></table>", [["a", "b"], ["", "b"]]),
        ("<table><tr><td>1,234.50</td><td>(7)</td></tr></table>", [["1,234.50", "(7)"]]),
        ("<table><tr><td>a &lt;\n b</td><td><b>c</b>d</td></tr></table>", [["a < b", "cd"]]),
        ("<table><tr><td>a</td></tr><tr><td>cut o", [["a"], ["cut o"]]),
        (
            "<table><thead><tr><td>a</td></tr></thead><tbody><tr><td>b</td></tr></tbody></table>",
            [["a"], ["b"]],
        ),
        ("<table><tr><td rowspan='x' colspan=0>a</td></tr></table>", [["a"]]),
    ],
)
def test_one_table(html, grid):
    assert grids(f"Before\n{html}") == [grid]


def test_several_tables_none_and_empty_ones():
    table = "<table><tr><td>{}</td></tr></table>"
    assert grids(table.format("a") + "text" + table.format("b")) == [[["a"]], [["b"]]]
    assert grids("no table") == grids("<table></table>") == grids("<table>") == []


def test_a_span_does_not_fill_the_memory():
    assert read_tables("<table><tr><td colspan=999999999 rowspan=999999999>a</td></tr></table>")[0].shape == (
        1,
        1000,
    )
