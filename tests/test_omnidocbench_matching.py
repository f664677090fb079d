"""OmniDocBench: ground truth, matching and the figures of a page. Expected values by hand."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.omnidocbench import matching
from ocr2_hf.evaluation.omnidocbench.ground_truth import (
    BenchmarkPage,
    BenchmarkTable,
    GroundTruthBlock,
    read_ground_truth,
)
from ocr2_hf.evaluation.omnidocbench.markdown import parse_markdown
from ocr2_hf.evaluation.omnidocbench.matching import Budget, is_within, runs_of_predictions
from ocr2_hf.evaluation.omnidocbench.page_score import Edits, match_tables, score_page
from ocr2_hf.evaluation.pairing import text_distances


def block(text, order=1, category="text_block"):
    return GroundTruthBlock(category, text, order)


def formula(latex, order=1):
    return GroundTruthBlock("equation_isolated", latex, order)


def page(*blocks, tables=()):
    return BenchmarkPage("a.jpg", list(blocks), [BenchmarkTable(html, "") for html in tables], {})


def pairs(blocks, markdown):
    matches = matching.match_blocks(blocks, parse_markdown(markdown))
    return [(match.normalized_reference, match.normalized_prediction) for match in matches]


# Ground truth


def entry(*dets, relations=(), image="images/a.jpg"):
    dets = [{"anno_id": number, **det} for number, det in enumerate(dets)]
    extra = {"relation": list(relations)}
    return {"layout_dets": dets, "page_info": {"image_path": image, "page_attribute": {}}, "extra": extra}


def det(text, order, category="text_block"):
    return {"category_type": category, "text": text, "order": order}


def truncated(source, target):
    return {"relation_type": "truncated", "source_anno_id": source, "target_anno_id": target}


def read(tmp_path, *entries):
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(entries))
    return read_ground_truth(path)


def test_blocks_come_in_order_and_those_without_one_first(tmp_path):
    latex = {"category_type": "equation_isolated", "latex": "$$x$$", "order": 2}
    figure = {"category_type": "figure", "order": 4}
    (found,) = read(tmp_path, entry(det("b", 3), latex, figure, det("p. 1", None, "page_number"), det("a", 1, "title")))
    assert [(b.category, b.content) for b in found.blocks] == [
        ("page_number", "p. 1"),
        ("title", "a"),
        ("equation_isolated", "$$x$$"),
        ("text_block", "b"),
    ]
    assert found.image == "a.jpg"


def test_truncated_blocks_are_joined_by_order(tmp_path):
    (found,) = read(tmp_path, entry(det("second", 3), det("other", 2), det("first ", 1), relations=[truncated(0, 2)]))
    assert [(b.content, b.order) for b in found.blocks] == [("first second", 1), ("other", 2)]


def test_the_middle_of_three_parts_comes_twice(tmp_path):
    """As in the official scorer, which lists an id for every relation that names it."""
    relations = [truncated(0, 1), truncated(1, 2)]
    (found,) = read(tmp_path, entry(det("a", 1), det("b", 2), det("c", 3), relations=relations))
    assert [b.content for b in found.blocks] == ["abbc"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "list of pages"),
        ('{"a": 1}', "list of pages"),
        ('[{"page_info": {"image_path": "a.jpg"}}]', "page 1: the page has no layout_dets"),
        ('[{"layout_dets": []}]', "page 1: the page has no page_info"),
        ('[{"layout_dets": [3], "page_info": {"image_path": "a.jpg"}}]', "a block has no category_type"),
        (json.dumps([entry(det("a", "1"))]), "order '1' of a text_block is no number"),
        (json.dumps([entry({"category_type": "title", "order": 1})]), "the title with anno_id 0 has no text"),
        (json.dumps([entry(det("a", 1), relations=[truncated(0, 7)])]), "names anno_id 7, which no block has"),
        (json.dumps([entry({**det("a", 1), "anno_id": []})]), "neither number nor string"),
        (json.dumps([entry(), entry()]), "two pages of the image a.jpg"),
    ],
)
def test_what_is_wrong_with_the_ground_truth(tmp_path, content, message):
    path = tmp_path / "gt.json"
    path.write_text(content)
    with pytest.raises(WorkError, match=message):
        read_ground_truth(path)


def test_no_such_ground_truth(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_ground_truth(tmp_path / "gt.json")


# Matching


def test_matched_wherever_they_stand():
    blocks = [block("first paragraph", 1), block("another one", 2)]
    assert pairs(blocks, "anothe one\n\nfirst paragraph") == [
        ("firstparagraph", "firstparagraph"),
        ("anotherone", "anotheone"),
    ]


def test_predictions_near_an_ignored_block_are_dropped_with_it():
    blocks = [block("running head", None, "header"), block("a paragraph of text", 1)]
    assert pairs(blocks, "running heat\n\nrunning head\n\na paragraph of text") == [("aparagraphoftext",) * 2]


def test_split_paragraph_is_put_together():
    blocks = [block("abcdefghij klmnopqrst", 1), block("0123456789", 2)]
    assert pairs(blocks, "abcdefghij\n\nklmnopqrst\n\n0123456789") == [
        ("abcdefghijklmnopqrst", "abcdefghijklmnopqrst"),
        ("0123456789", "0123456789"),
    ]


def test_block_inside_a_longer_prediction():
    """Distance 0.75 is too far for a match; as a part of the prediction it is found, and both share it."""
    blocks = [block("abcdefghijklmnopqrstuvwx", 1), block("01234567", 2)]
    assert pairs(blocks, "abcdefghijklmnopqrstuvwx 01234567\n\nzzz") == [
        ("abcdefghijklmnopqrstuvwx01234567", "abcdefghijklmnopqrstuvwx01234567")
    ]


def test_the_rest_is_paired_however_far():
    blocks = [block("abcdefgh", 1), block("ijklmnop", 2)]
    assert pairs(blocks, "abcdefgh\n\n12345678") == [("abcdefgh", "abcdefgh"), ("ijklmnop", "12345678")]
    assert pairs(blocks, "abcdefgh") == [("abcdefgh", "abcdefgh"), ("ijklmnop", "")]


def test_nothing_predicted():
    assert pairs([block("a"), block("head", None, "header")], "") == [("a", "")]


def test_one_against_one_is_a_pair_even_so():
    assert pairs([block("abc")], "xyz") == [("abc", "xyz")]


def test_formulas_of_an_array_are_matched_one_by_one():
    array = r"$$\begin{array}{l} a=b \\ c=d \end{array}$$"
    assert pairs([formula(array), block("text", 2)], "$$c=d$$\n\n$$a=b$$\n\ntext") == [
        ("a=b", "a=b"),
        ("c=d", "c=d"),
        ("text", "text"),
    ]


TWENTY = "abcdefghijklmnopqrst"


@pytest.mark.parametrize(("head", "left"), [("abcdefghXX", ""), ("abcdefgXXX", "abcdefgXXX")])
def test_near_an_ignored_block_is_less_than_a_quarter(head, left):
    assert pairs([block("0123456789"), block("abcdefghij", None, "header")], head) == [("0123456789", left)]


@pytest.mark.parametrize(("second", "joined"), [("klmnoXXXXX", True), ("klmXXXXXXX", False)])
def test_parts_of_a_block_differ_in_less_than_six_of_ten(second, joined):
    """Both bring the whole nearer: 6 and 8 edits of 21 instead of 10 of 20."""
    prediction = "abcdefghij" + second * joined
    assert pairs([block(TWENTY)], f"abcdefghij\n\n{second}") == [(TWENTY, prediction)]


def test_a_match_is_at_most_seven_of_ten():
    """01234 goes to 0vwxy (4 of 5) at first, which is too far; then it is found at the end of the other one."""
    both = TWENTY + "01234"
    assert pairs([block(TWENTY), block("01234", 2)], f"{both}\n\n0vwxy") == [(both, both)]


@pytest.mark.parametrize(("end", "found"), [("0123456xyz", True), ("012345wxyz", False)])
def test_a_block_inside_a_prediction_differs_in_less_than_four_of_ten(end, found):
    first = TWENTY + TWENTY.upper()
    expected = [(first + "0123456789", first + end)] if found else [(first, first + end), ("0123456789", "qqqqqqqqqq")]
    assert pairs([block(first), block("0123456789", 2)], f"{first}{end}\n\nqqqqqqqqqq") == expected


def test_stretch_within_a_text():
    assert is_within("abcde", "xxabXdexx", 0.4)
    assert not is_within("abcde", "xxabXYexx", 0.4)  # 2 of 5
    assert is_within("abcde", "xxabXYexx", 0.4, at_limit=True)
    assert not is_within("abcdef", "abcde", 0.9)
    assert not is_within("", "abc", 0.9)


@given(st.text("ab", min_size=1, max_size=6), st.text("ab", max_size=20), st.sampled_from([0.4, 0.5, 0.6]))
def test_stretches_that_are_passed_over_are_none(part, whole, limit):
    stretches = [whole[i : i + len(part)] for i in range(len(whole) - len(part) + 1)]
    distances = text_distances([part], stretches)[0] if stretches else []
    assert is_within(part, whole, limit) == any(d < limit for d in distances)
    assert is_within(part, whole, limit, at_limit=True) == any(d <= limit for d in distances)


def test_runs_keep_the_predictions_in_order():
    references, predictions = ["aaaa bbbb", "dddd"], ["cccc", "aaaa", "bbbb", "dddd"]
    runs = runs_of_predictions(references, predictions, Budget())
    assert runs == [(0,), (1, 2), (3,)]


def test_page_over_the_time_of_the_official_scorer_is_matched_simply(monkeypatch):
    """No merging and no search inside a text: every block has one prediction."""
    blocks = [block("abcdefghij klmnopqrst", 1), block("0123456789", 2)]
    monkeypatch.setattr(matching, "Budget", lambda: Budget(0))
    assert pairs(blocks, "abcdefghij\n\nklmnopqrst\n\n0123456789") == [
        ("abcdefghijklmnopqrst", "abcdefghij"),
        ("0123456789", "0123456789"),
    ]


def test_a_loop_of_a_thousand_lines_ends():
    blocks = [block(f"paragraph {number} of the page and its text", number) for number in range(1, 40)]
    assert len(pairs(blocks, "the same line again\n\n" * 1000)) == 39


# Figures of a page


def test_edits_of_a_page():
    scored = score_page(page(block("abcdefghij"), block("0123456789", 2), formula("$$x^2+y$$", 3)),
                        "abcdefghiX\n\n01234567\n\n$$x^2+z$$")  # fmt: skip
    assert sorted(scored.text, key=lambda edits: edits.count) == [Edits(1, 10), Edits(2, 10)]
    assert scored.formula == [Edits(1, 5)]
    assert scored.order == [Edits(0, 2)]
    assert scored.formulas == [("x^2+y", "\\[x^2+z\\]")]


def test_reading_order():
    """1 2 3 4 read as 2 1 3 4: two edits of four."""
    texts = [letter * 10 for letter in "abcd"]
    blocks = [block(text, number) for number, text in enumerate(texts, 1)]
    assert score_page(page(*blocks), "\n\n".join([texts[1], texts[0], *texts[2:]])).order == [Edits(2, 4)]
    assert score_page(page(*blocks), "\n\n".join(texts[:3])).order == [Edits(1, 4)]
    assert score_page(page(formula("$$x$$")), "$$x$$").order == []


def test_order_is_looked_up_by_the_number_of_the_text():
    """After a block without a letter the official scorer takes the order of the block before: 1 for 2, 2 for 3."""
    blocks = [block("---", 1), block("aaaaaaaaaa", 2), block("bbbbbbbbbb", 3)]
    matches = matching.match_blocks(blocks, parse_markdown("aaaaaaaaaa\n\nbbbbbbbbbb"))
    assert [match.orders for match in matches] == [[1], [2]]


def test_formula_predicted_as_text_is_text():
    scored = score_page(page(block("some words here"), formula("$$\\alpha+\\beta=1$$", 2)), "some words here\n\nα+β=1")
    assert scored.formula == []
    assert scored.text == [Edits(0, 13)]
    assert scored.unread_formulas == [Edits(0, 3)]  # αβ1


TWO_CELLS = "<table><tr><td>abcd</td><td>x</td></tr></table>"


def test_tables_of_a_page():
    """One character of four wrong in one of three nodes: TEDS 1 - 0.25 / 3, TEDS-S 1."""
    scored = score_page(page(tables=[TWO_CELLS]), TWO_CELLS.replace("abcd", "abcX"))
    assert scored.teds == [pytest.approx(1 - 0.25 / 3)]
    assert scored.teds_s == [1.0]
    (edits,) = scored.table
    assert edits.count == 1
    assert edits.length == len('<html><body><table border="1" ></table></body></html>') + len(TWO_CELLS) - 15


def test_tables_are_matched_by_their_html():
    other = "<table><tr><td>1</td></tr><tr><td>2</td></tr></table>"
    found, cells = match_tables(
        [BenchmarkTable(TWO_CELLS, ""), BenchmarkTable(other, "")], parse_markdown(f"{other}\n\n{TWO_CELLS}")
    )
    assert found == [(TWO_CELLS, TWO_CELLS), (other, other)]
    assert cells == []


def test_cells_of_a_table_too_many_are_text():
    extra = "<table><tr><td>a paragraph that was</td><td>set <b>as</b> a table</td></tr></table>"
    scored = score_page(page(block("a paragraph that was"), tables=[TWO_CELLS]), f"{TWO_CELLS}\n\n{extra}")
    assert scored.teds == [1.0]
    assert scored.text == [Edits(0, 17)]


def test_no_table_predicted():
    scored = score_page(page(tables=[TWO_CELLS]), "text")
    assert scored.teds == [0.0]
    assert [edits.count / edits.length for edits in scored.table] == [1.0]


def test_latex_tables_count_for_nothing():
    tabular = "\\begin{tabular}{ll} abcd & x \\end{tabular}"
    scored = score_page(BenchmarkPage("a.jpg", [], [BenchmarkTable(TWO_CELLS, tabular)], {}), tabular)
    assert scored.teds == [0.0]


def test_spans_that_are_no_number_give_nothing():
    scored = score_page(page(tables=[TWO_CELLS]), TWO_CELLS.replace("<td>x", '<td colspan="a">x'))
    assert (scored.teds, scored.teds_s) == ([0.0], [0.0])


def test_teds_can_be_below_nothing():
    """IBM's code has no floor: one cell relabelled, two deleted, a row and a cell inserted: 5 edits of 4 nodes."""
    two_rows = '<table><tr><td colspan="3">a</td></tr><tr><td colspan="3">b</td></tr></table>'
    one_row = "<table><tr><td>x</td><td>y</td><td>z</td></tr></table>"
    assert score_page(page(tables=[two_rows]), one_row).teds == [pytest.approx(1 - 5 / 4)]


def test_what_the_official_scorer_does_not_see():
    blocks = [block("A sentence, with commas; and more of it.", 1), block("Another sentence of the page.", 2)]
    said = "\n\n".join(b.content for b in blocks)
    clean = score_page(page(*blocks), said)
    assert clean.strict.count == clean.invented.count == clean.repeated.count == 0
    lost = score_page(page(*blocks), said.replace(",", "").replace(";", ""))
    assert [edits.count for edits in lost.text] == [0, 0]
    assert lost.strict == Edits(2, len(said) - 2)
    invented = "Quarterly revenue rose to 1,204 million dollars in the northern region"
    more = score_page(page(*blocks), f"{said}\n\n{invented}")
    assert more.text == clean.text
    assert more.invented.count >= len(invented) - 10  # the blanks between are no characters
    assert score_page(page(*blocks), f"{said}\n\n{blocks[1].content}\n\n{blocks[1].content}").repeated == Edits(2, 4)


def test_missing_page_is_an_empty_one():
    scored = score_page(page(block("abc"), tables=[TWO_CELLS]), None)
    assert scored.missing
    assert scored.text == [Edits(3, 3)]
    assert scored.teds == [0.0]
    assert scored.order == [Edits(1, 1)]


PERFECT = """
# A title of the page

The first paragraph, with a formula $x_1^2$ in it.

$$E = mc^2 + \\sum_{i} a_i$$

<table><tr><td>a</td><td>12</td></tr><tr><td colspan="2">b</td></tr></table>

第二段文字，有标点。
"""


def test_a_perfect_page():
    found = page(
        block("# A title of the page", 1, "title"),
        block("The first paragraph, with a formula $x_1^2$ in it.", 2),
        formula("$$E = mc^2 + \\sum_{i} a_i$$", 3),
        block("第二段文字，有标点。", 5),
        tables=['<table><tr><td>a</td><td>12</td></tr><tr><td colspan="2">b</td></tr></table>'],
    )
    scored = score_page(found, PERFECT)
    for edits in (scored.text, scored.formula, scored.table, scored.order):
        assert edits
        assert all(one.count == 0 for one in edits)
    assert scored.teds == scored.teds_s == [1.0]


MARKS = [
    *("$x_1$", "$$", "\\[", "\\]", "\\(", "|", "|---|", "```", "\\text{", "}", "![", "](", "：。", "\\frac{1}"),
    *("<table>", "</table>", "<td>", "\\begin{tabular}", "\\end{tabular}"),
]
ODD = ["| a | b |", "\n", "\n\n", "\\begin{array}{l} a \\\\ b \\end{array}", "<td colspan='x'>", "\0", "\ud800"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*MARKS, *ODD, TWO_CELLS]) | st.text(max_size=8), max_size=25).map("".join))
def test_whatever_is_predicted_is_scored(markdown):
    blocks = [block("abc def"), formula("$$x_1$$", 2), block("head", None, "header")]
    scored = score_page(BenchmarkPage("a.jpg", blocks, [BenchmarkTable(TWO_CELLS, "latex")], {}), markdown)
    assert len(scored.teds) == 1
    assert sum(edits.length for edits in [*scored.text, *scored.unread_formulas, *scored.formula]) >= 6
