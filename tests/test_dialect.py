"""What the model writes around texts: real outputs, in the tokens of the real model, read and written again."""

import re

import pytest
from transformers import AutoTokenizer

from ocr2_hf.data.tasks import build_target
from ocr2_hf.document.dialect import VERSION_1, VERSION_2, heading, without_mark
from ocr2_hf.document.grounding import (
    Region,
    encode_regions,
    find_boxes,
    parse_regions,
    plain_markdown,
    plain_text,
    read_grounded,
)

SIDE = 999  # a page on which coordinates are pixels
HTML = "<table><tr><td>Rent</td><td>1,234</td></tr></table>"


def tag(label: str, top: int) -> str:
    return f"<|ref|>{label}<|/ref|><|det|>[[40, {top}, 900, {top + 50}]]<|/det|>"


# In the bytes in which outputs of each version are, with other words.
FIRST = (
    f"{tag('title', 10)}\n# Annual report  \n\n{tag('sub_title', 70)}\n### 2.1 Costs  \n\n"
    f"{tag('table', 300)}\n{tag('table_caption', 200)}\nTable 1. What it cost.   \n\n{HTML}\n\n"
    f"{tag('equation', 360)}\n\\[a = b\\]  \n\n"
    f"{tag('image', 400)}\n{tag('image_caption', 460)}\n<center>Figure 1: Costs </center>  \n\n"
    f"{tag('table', 600)}\n\n{HTML}\n\n{tag('text', 700)}\nThe end."
)
SECOND = (
    f"{tag('title', 10)}\n# Annual report\n\n{tag('sub_title', 70)}\n## 2.1 Costs\n\n{tag('image', 100)}\n\n\n"
    f"{tag('figure_title', 150)}\nFigure 1: Costs\n\n{tag('figure_title', 200)}\nTable 1. What it cost.\n\n"
    f"{tag('table', 300)}\n{HTML}\n\n{tag('equation', 360)}\n \\[ a = b \\] \n\n{tag('text', 400)}\nThe end."
)


@pytest.fixture(scope="module")
def tokenizer(real_checkpoint):
    return AutoTokenizer.from_pretrained(real_checkpoint)


def texts(answer: str) -> list[tuple[str, str]]:
    return [(region.label, region.text) for region in parse_regions(answer, SIDE, SIDE)]


@pytest.mark.parametrize(("answer", "dialect"), [(FIRST, VERSION_1), (SECOND, VERSION_2)], ids=["first", "second"])
def test_an_answer_read_and_written_again_is_the_same_token_for_token(answer, dialect, tokenizer):
    again = encode_regions(parse_regions(answer, SIDE, SIDE), SIDE, SIDE, dialect)
    assert tokenizer(again).input_ids == tokenizer(answer).input_ids and again == answer
    assert not read_grounded(answer, SIDE, SIDE).repairs


def test_real_outputs_read_and_written_again_are_the_same_token_for_token(real_pages, tokenizer):
    for page in sorted((real_pages / "deepseek_grounded_markdown").glob("*.md")):
        answer = page.read_text(encoding="utf-8")
        answer = answer[answer.index("<|ref|>") :].rstrip()
        again = encode_regions(parse_regions(answer, SIDE, SIDE), SIDE, SIDE, VERSION_1)
        assert tokenizer(again).input_ids == tokenizer(answer).input_ids


@pytest.mark.parametrize(
    "output",
    [
        "<|ref|>title<|/ref|><|det|>[[330, 198, 559, 230]]<|/det|>\n# R",
        "R&D QUALITY IMPROVEMENT SUGGESTION/SOLUTION FORM\n\nName/",
        "# Reducing the number of images\n\nIt is also believed that the performance of a website is a critical",
    ],
)
def test_outputs_of_version_2_that_were_cut_at_20_tokens_have_20(output, tokenizer):
    """They are in the integration tests of transformers."""
    assert len(tokenizer(output, add_special_tokens=False).input_ids) == 20


def test_the_html_behind_its_caption_is_the_tables():
    assert texts(FIRST) == [
        ("title", "# Annual report"), ("sub_title", "### 2.1 Costs"),
        ("table_caption", "Table 1. What it cost."), ("table", HTML), ("equation", "\\[a = b\\]"),
        ("image", ""), ("image_caption", "Figure 1: Costs"), ("table", HTML), ("text", "The end."),
    ]  # fmt: skip
    caption, table = (read_grounded(FIRST, SIDE, SIDE).spans[at] for at in (2, 3))
    assert [FIRST[slice(*span)] for span in table] == [tag("table", 300), HTML]
    assert [FIRST[slice(*span)] for span in caption] == [f"{tag('table_caption', 200)}\nTable 1. What it cost."]
    assert plain_text(FIRST).split("\n")[2:4] == ["Table 1. What it cost.", HTML]
    assert plain_markdown(FIRST).split("\n\n")[5] == "Figure 1: Costs"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (f"{tag('table', 1)}\n{tag('figure_title', 2)}\nBills\n{HTML}", [("figure_title", "Bills"), ("table", HTML)]),
        (f"{tag('table', 1)}\n{tag('table_caption', 2)}\nBills", [("table", ""), ("table_caption", "Bills")]),
        (f"{tag('table', 1)}\n{tag('table', 2)}\n{HTML}", [("table", ""), ("table", HTML)]),
        (f"{tag('text', 1)}\n{tag('table_caption', 2)}\n{HTML}", [("text", ""), ("table_caption", HTML)]),
        (f"{tag('table', 1)}\nBills\n{tag('text', 2)}\n{HTML}", [("table", "Bills"), ("text", HTML)]),
        (f"{tag('table', 1)}\n{HTML}\n\n{tag('caption', 2)}\nBills", [("table", HTML), ("caption", "Bills")]),
        (f"{tag('caption', 1)}\nBills \n\n{tag('table', 2)}\n{HTML}", [("caption", "Bills"), ("table", HTML)]),
        (f"{tag('table_caption', 1)}\n \n\n{tag('table', 2)}\n{HTML}", [("table_caption", ""), ("table", HTML)]),
        (f"<|ref|>table<|/ref|><|det|> [[1, 2, 3, 4]]<|/det|>\n{HTML}", [("table", HTML)]),
    ],
)  # fmt: skip
def test_every_style_is_read(answer, found):
    assert texts(answer) == found


def test_a_captioned_table_that_is_said_again_and_again_is_one():
    said = f"{tag('table', 300)}\n{tag('table_caption', 200)}\nTable 1.   \n\n{HTML}\n\n"
    assert texts(said * 3) == [("table_caption", "Table 1."), ("table", HTML)]


def test_weights_of_a_captioned_table_reach_its_html():
    _, _, table, caption, *_ = find_boxes(FIRST)
    assert FIRST[slice(*table.text)].strip() == HTML and len(table.spans) == 2
    assert FIRST[slice(*caption.text)].strip() == "Table 1. What it cost." and len(caption.spans) == 1


@pytest.mark.parametrize(
    ("label", "text", "marked"),
    [
        ("title", "Bill", "# Bill"),
        ("sub_title", "2.1 Costs", "## 2.1 Costs"),
        ("sub_title", "### 2.1 Costs", "### 2.1 Costs"),
        ("title", "#1 in Europe", "# #1 in Europe"),
        ("title", "", ""),
        ("text", "Bill", "Bill"),
    ],
)
def test_headings_have_marks_and_keep_their_own(label, text, marked):
    assert heading(label, text) == marked == heading(label, marked)
    assert without_mark(label, marked) == text.lstrip("# ") or text.startswith("#1")


def row(*regions: tuple[str, str], between: str) -> dict:
    return {
        "id": "p", "width": SIDE, "height": SIDE, "text": between.join(text for _, text in regions if text),
        "bboxes": [[0, 10 * at, 90, 10 * at + 9] for at in range(len(regions))],
        "labels": [label for label, _ in regions], "texts": [text for _, text in regions],
    }  # fmt: skip


def marks(target: str) -> list[str]:
    return re.findall(r"^#+ .*", target, re.MULTILINE)


def test_targets_have_marks_in_both_tasks():
    page = row(
        ("title", "Report"), ("sub_title", "1 Costs"), ("sub_title", "1.1 Rent"), ("text", "1 Costs"), between="\n\n"
    )
    headings = ["# Report", "## 1 Costs", "## 1.1 Rent"]
    assert marks(build_target("ocr", page)) == marks(build_target("markdown", page)) == headings
    assert build_target("ocr", page) == "# Report\n\n## 1 Costs\n\n## 1.1 Rent\n\n1 Costs"


@pytest.mark.parametrize("between", ["\n", " "], ids=["lines", "words"])
def test_lines_and_words_of_one_heading_have_one_mark(between):
    page = row(("title", "Annual"), ("title", "Report"), ("text", "Costs"), between=between)
    assert build_target("ocr", page) == f"# Annual{between}Report{between}Costs"
    assert marks(build_target("markdown", page)) == ["# Annual"]


def test_a_text_that_its_regions_do_not_make_stays_as_it_is():
    page = row(("title", "Report"), ("text", "Costs"), between="\n\n") | {"text": "The Report of 2024"}
    assert build_target("ocr", page) == "The Report of 2024"
    assert marks(build_target("markdown", page)) == ["# Report"]


def test_what_is_to_be_located_stands_on_the_page():
    page = row(("sub_title", "## Notes"), between="\n\n")
    assert build_target("locate", page).startswith("<|ref|>Notes<|/ref|>")


@pytest.mark.parametrize("label", ["figure_title", "table_caption"])
def test_captions_are_regions_of_their_own_in_version_2(label):
    regions = [Region(label, (0, 0, 9, 9), "Bills"), Region("table", (0, 9, 9, 99), HTML)]
    assert encode_regions(regions, SIDE, SIDE).endswith(
        f"\nBills\n\n<|ref|>table<|/ref|><|det|>[[0, 9, 9, 99]]<|/det|>\n{HTML}"
    )
