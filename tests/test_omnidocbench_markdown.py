"""OmniDocBench: how predicted markdown is taken apart and what of it is compared. Expected values by hand."""

import pytest

from ocr2_hf.evaluation.omnidocbench.markdown import (
    Kind,
    PredictedBlock,
    array_rows,
    blocks_to_match,
    matching_order,
    parse_markdown,
)
from ocr2_hf.evaluation.omnidocbench.normalization import normalize_formula, normalize_table, normalize_text

TABLE = "<table><tr><td>a</td></tr></table>"


def parsed(text):
    return [(block.kind, block.content) for block in parse_markdown(text)]


def texts(text):
    return [content for kind, content in parsed(text) if kind is Kind.TEXT]


def test_paragraphs_are_parted_by_blank_lines():
    assert texts("# Title\n\n- one\n  - two\n\n\n  last  ") == ["# Title", "- one\n- two", "last"]


def test_lines_are_paragraphs_where_no_line_is_blank():
    assert texts("one\ntwo\n three ") == ["one", "two", "three"]


def test_images_and_fences_are_dropped():
    assert parsed("```markdown\n![fig](a.png)\n\nText\n```") == [(Kind.TEXT, "Text")]


def test_code_has_lost_its_closing_fence_and_is_a_paragraph():
    """Closing fences are dropped before code is looked for."""
    assert texts("Text\n\n```python\nx = 1\n```") == ["Text", "```python\nx = 1"]


def test_code_between_fences_that_are_left():
    """The rest of its line comes before it: the places of paragraphs leave out the blank lines between them."""
    assert texts("Text\n\n```python\nx = 1\n``` y") == ["Text", "y", "x = 1"]


def test_runs_of_blanks_and_underscores_are_cut_to_four():
    assert texts("Name ________ x" + " " * 9 + "y") == ["Name ____ x    y"]


@pytest.mark.parametrize("source", ["$$x+1$$", "\\[x+1\\]"])
def test_display_formula(source):
    assert parsed(f"Before\n\n{source}\n\nAfter") == [
        (Kind.TEXT, "Before"),
        (Kind.FORMULA, "\\[x+1\\]"),
        (Kind.TEXT, "After"),
    ]


def test_display_formula_is_one_line():
    assert parsed("$$\nx\n= 1\n$$") == [(Kind.FORMULA, "\\[ x = 1 \\]")]


@pytest.mark.parametrize("source", ["$x^2$", "\\(x^2\\)"])
def test_formula_in_a_line_is_a_block_and_stays_in_its_paragraph(source):
    assert parsed(f"See {source}.") == [
        (Kind.TEXT, f"See {source}."),
        (Kind.INLINE_FORMULA, "\\[x^2\\]"),
    ]


def test_paragraph_between_dollars_is_a_formula_twice():
    assert parsed("$x$\n\ntext") == [
        (Kind.INLINE_FORMULA, "\\[x\\]"),
        (Kind.FORMULA, "$x$"),
        (Kind.TEXT, "text"),
    ]


def test_html_tables_are_cut_out_whole():
    nested = f"<table><tr><td>{TABLE}</td></tr></table>"
    assert parsed(f"a\n\n{nested}\n\nb {TABLE}") == [
        (Kind.TEXT, "a"),
        (Kind.HTML_TABLE, nested),
        (Kind.TEXT, "b"),
        (Kind.HTML_TABLE, TABLE),
    ]


def test_table_that_is_never_closed_is_text():
    assert parsed(f"<table><tr><td>cut off\n\n{TABLE}") == [
        (Kind.TEXT, "<table><tr><td>cut off"),
        (Kind.HTML_TABLE, TABLE),
    ]


def test_empty_table_is_not_seen():
    assert parsed("<table></table> x") == [(Kind.TEXT, "<table></table> x")]


def test_latex_tables():
    tabular = "\\begin{tabular}{l} a \\end{tabular}"
    table = "\\begin{table}\n" + tabular + "\n\\end{table}"
    found = parsed(f"{table}\n\n{tabular}\n\ntext")
    assert [content.rstrip() for kind, content in found if kind is Kind.LATEX_TABLE] == [table, tabular]
    assert (Kind.TEXT, "text") in found


def test_pipe_table_becomes_html():
    (kind, content), *rest = parsed("\n| a | b |\n|---|---|\n| c | d |\n")
    assert kind is Kind.HTML_TABLE
    assert not rest
    assert content.startswith('<table border="1" >')
    cell = '<td colspan="1" rowspan="1">'
    assert content.count("<tr>") == 2  # the rule is no row
    assert [content.count(f"{cell}{name}</td>") for name in "abcd"] == [1, 1, 1, 1]


def test_what_pipe_tables_lose():
    """The line right above a table, and cells with a colon: the official scorer loses them too."""
    found = parsed("Heading\n| a | k: v |\n|---|---|\n| c | d |\n\nAfter")
    assert [content for kind, content in found if kind is Kind.TEXT] == ["After"]
    table = next(content for kind, content in found if kind is Kind.HTML_TABLE)
    assert "k: v" not in table
    assert table.count("<td") == 3


def test_one_bar_line_is_no_table():
    assert texts("| a | b |") == ["| a | b |"]


def test_latex_headings():
    assert texts("\\title{ A }\n\n\\section*{\n B \n}\n\n\\text { C } d") == ["A", "B", "C d"]


def test_array_of_one_column_is_a_formula_a_row():
    latex = r"\[\begin{array}{l} a=b \\ c \end{array}\]"
    assert [row for row, _ in array_rows(latex)] == [r"\[a=b\]", r"\[c\]"]
    assert array_rows(latex.replace("{l}", "{ll}")) is None
    assert array_rows(r"\[x\]") is None
    places = [place for _, place in array_rows(latex)]
    assert [latex[place] for place in places] == ["a", "c"]
    rows = matching_order([PredictedBlock(Kind.FORMULA, latex, 10)])
    assert rows == [
        PredictedBlock(Kind.FORMULA, r"\[a=b\]", 10 + places[0]),
        PredictedBlock(Kind.FORMULA, r"\[c\]", 10 + places[1]),
    ]


def test_formulas_in_lines_are_matched_last():
    blocks = blocks_to_match(parse_markdown(f"One $x^2$\n\n$$y$$\n\nTwo\n\n{TABLE}"))
    assert [block.kind for block in matching_order(blocks)] == [
        Kind.TEXT,
        Kind.FORMULA,
        Kind.TEXT,
        Kind.INLINE_FORMULA,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World! (1.5%)", "HelloWorld15"),
        ("a_b - c", "a_bc"),
        ("结果：第3页。", "结果第3页"),
        ("Größe naïve", "Größenaïve"),
        ("x \\n y/n z", "xyz"),
        ("$\\alpha^2$ and \\(\\frac{1}{2}\\)", "α2and12"),
        ("costs $5 and $6", "costs5and6"),
        ("$x$", "x"),
        ("---", ""),
    ],
)
def test_normalized_text(text, expected):
    assert normalize_text(text) == expected


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("$$ E = mc^2 $$", "e=mc^2"),
        ("\\[ \\mathbf{X} \\left( y \\right) \\tag{3} \\]", "{x}(y)"),
        ("\\begin{aligned} a &= \\text{B} \\end{aligned}", "a&={b}"),
        ("x \\quad y.", "xy"),
        ("\\textbf{A}\\hspace{2em}b", "{a}b"),
    ],
)
def test_normalized_formula(latex, expected):
    assert normalize_formula(latex) == expected


def wrapped(inner):
    return f'<html><body><table border="1" >{inner}</table></body></html>'


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("<table><thead><tr><th>A</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>",
         "<tr><td>A</td></tr><tr><td>b</td></tr>"),
        ('<table class="x"><tr style="c"><td width="3" colspan=2>a&amp;b\n c  d</td></tr></table>',
         '<tr><td colspan="2">a&b c d</td></tr>'),
        ("<table><tr><td>x<sup>2</sup> ＡＢ <span>s</span></td></tr></table>", "<tr><td>x2 AB s</td></tr>"),
        ('<table><tr><td><math alttext="x_1"><mi>x</mi></math></td></tr></table>', "<tr><td>$x_1$</td></tr>"),
    ],
)  # fmt: skip
def test_normalized_table(table, expected):
    assert normalize_table(table) == wrapped(expected)


def test_what_is_no_table_is_empty():
    assert normalize_table("\\begin{tabular}{l} a \\end{tabular}") == ""
    assert normalize_table("") == ""
