"""Reading order by position, and pages whose lines go up: of boxes, of records, of layouts, and of a build."""

import json
import math
import random

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import FORMATS, page_reader
from data_scripts.reading_order import position_order, told_backwards, upward_steps
from data_scripts.record_order import in_order
from helpers.format_folders import write_images, write_json
from helpers.page_folders import run_script
from helpers.xml_pages import alto, alto_block, equivalent, hocr, hocr_line, hocr_page, page_xml, place, points, write
from ocr2_hf.data.load import built_datasets, load_dataset
from ocr2_hf.document.records import PageRecord


def column(left, right, tops, height=10):
    return [[left, top, right, top + height] for top in tops]


TITLE = [[20, 0, 180, 12]]
LEFT, RIGHT = column(10, 95, range(20, 80, 12)), column(105, 190, range(20, 68, 12))
FOOT = [[10, 90, 190, 98]]
TWO_COLUMNS = TITLE + LEFT + RIGHT + FOOT

# Every page as it is read.
PAGES = {
    "one column": TITLE + column(10, 190, range(20, 80, 12)),
    "two columns between a title and a footer": TWO_COLUMNS,
    "columns that are not in step": TITLE + LEFT + column(105, 190, range(26, 80, 12)) + FOOT,
    "a column of three": column(5, 60, range(0, 90, 12))
    + column(65, 120, (0, 30, 60))
    + column(130, 190, range(9)[:1]),
    "columns of whole paragraphs": [[10, 0, 95, 50], [10, 55, 95, 80], [100, 0, 190, 20], [100, 25, 190, 80]],
    "lines that overlap": column(10, 190, range(0, 80, 8), height=12),
    "skewed lines": [[10 + i, 12 * i, 190 - i, 12 * i + 15] for i in range(6)],
    "a margin beside the text": column(0, 20, (20, 50)) + column(30, 190, range(0, 90, 12)),
    "a drop capital": [[10, 20, 30, 44], *column(35, 190, (20, 33)), *column(10, 190, range(46, 90, 12))],
    "a letter's head": [[10, 0, 60, 10], [120, 12, 180, 22], [10, 24, 50, 34], [10, 40, 190, 50], [10, 52, 190, 62]],
    "rows of a receipt": [box for y in range(0, 60, 12) for box in ([10, y, 110, y + 10], [160, y, 185, y + 10])],
    "a frame around two columns": [[5, 15, 195, 85], *LEFT, *RIGHT],
    "nothing": [],
    "one": TITLE,
}


@pytest.mark.parametrize("name", PAGES)
def test_any_order_becomes_the_order_in_which_a_page_is_read(name):
    boxes = PAGES[name]
    for seed in range(5):
        shuffled = random.Random(seed).sample(boxes, len(boxes))
        assert [shuffled[i] for i in position_order(shuffled)] == boxes


def test_from_right_to_left_columns_are_read_so():
    page = TITLE + RIGHT + LEFT + FOOT
    shuffled = random.Random(1).sample(page, len(page))
    assert [shuffled[i] for i in position_order(shuffled, right_to_left=True)] == page
    assert upward_steps(page, right_to_left=True) == []
    assert upward_steps(page) == [1 + len(RIGHT)]


def test_the_letters_of_a_page_tell_its_direction():
    hebrew = {"text": "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd ABC", "texts": None}
    page = TITLE + RIGHT + LEFT + FOOT
    assert in_order(record(page, **hebrew), "position").bboxes == page
    assert in_order(record(page, text="\u00e9t\u00e9", texts=None), "position").bboxes == TWO_COLUMNS


@pytest.mark.parametrize("name", PAGES)
def test_a_page_as_it_is_read_does_not_go_up(name):
    assert upward_steps(PAGES[name]) == []


def test_steps_up_the_page():
    assert upward_steps(TWO_COLUMNS[::-1]) == [1, 2, 3, 4, 6, 7, 8, 9, 10]  # not to the column farther on
    assert upward_steps([TWO_COLUMNS[i] for i in (1, 0, 2, 3, 5, 4)]) == [1, 5]


@pytest.mark.timeout(20)
def test_no_page_takes_long():
    spiral = [[i, i, 3000 - i, 3000 - i] for i in range(1400)]
    stairs = [[i, i, i + 1.5, i + 1.5] for i in range(10_000)]
    for boxes in ([[1, 1, 2, 2]] * 2000, spiral, stairs, [[0, 0, math.inf, 1], [1, 1, 1, 1], [3, 3, 2, 2]]):
        assert sorted(position_order(boxes)) == list(range(len(boxes)))


def record(boxes, **changes):
    texts = [f"t{i}" for i in range(len(boxes))]
    fields = {
        "text": "\n\n".join(texts),
        "bboxes": boxes,
        "labels": [f"l{i}" for i in range(len(boxes))],
        "texts": texts,
    }
    return PageRecord("p", "p.png", **(fields | changes))


def test_what_belongs_to_a_region_moves_with_it():
    mixed = [TWO_COLUMNS[i] for i in (6, 0, 1)]
    found = in_order(record(mixed), "auto")
    assert (found.bboxes, found.labels) == ([mixed[1], mixed[2], mixed[0]], ["l1", "l2", "l0"])
    assert (found.texts, found.text, found.is_sorted) == (["t1", "t2", "t0"], "t1\n\nt2\n\nt0", True)
    assert found.upward == "1 of 3 regions and lines are above the one before them; the text of the first is 't1'"
    kept = in_order(record(mixed), "file")
    assert (kept.bboxes, kept.is_sorted, kept.upward) == (mixed, False, found.upward)
    assert in_order(record(mixed, text="written by hand"), "auto").text == "written by hand"
    assert in_order(record(mixed, text="t0 t1 t2"), "auto").text == "t1 t2 t0"
    assert in_order(record(mixed, texts=None), "auto").labels == ["l1", "l2", "l0"]
    missing = in_order(record([mixed[0], None, *mixed[1:]]), "auto")
    assert (missing.bboxes, missing.texts) == ([mixed[1], mixed[2], mixed[0], None], ["t2", "t3", "t0", "t1"])


@pytest.mark.parametrize(("order", "is_sorted"), [("file", False), ("auto", False), ("position", True)])
def test_a_stated_order_counts_unless_position_is_asked_for(order, is_sorted):
    found = in_order(record(TWO_COLUMNS[::-1], is_ordered=True), order)
    assert (found.is_sorted, found.upward) == (is_sorted, None)
    assert found.bboxes == (TWO_COLUMNS if is_sorted else TWO_COLUMNS[::-1])


def test_a_page_that_does_not_go_up_is_sorted_by_position_alone():
    across = [box for pair in zip(LEFT, RIGHT) for box in pair]
    assert in_order(record(across), "auto").bboxes == across
    assert in_order(record(across), "position").bboxes == LEFT[: len(RIGHT)] + RIGHT


@pytest.mark.parametrize(
    "bad",
    [
        {"bboxes": 3},
        {"labels": None},
        {"labels": []},
        {"bboxes": [[1, 2], 3]},
        {"bboxes": [["x", 1, 2, 3], [10**400, 1, 2.5, 3]]},
    ],
)
def test_what_is_no_record_is_left_for_the_check(bad):
    page = record(TWO_COLUMNS[:2], **bad)
    assert in_order(page, "position") == page


def read(folder, name, content, order, level="region", format="alto"):
    write(folder, name, content)
    tree = list_files(folder)
    (page,) = FORMATS[format].list_pages(tree, tree)
    return page_reader(format, level, {}, order)(page)


def line(id, x, y, text):
    string = f'<String CONTENT="{text}" {place(x, y, 70, 10)}/>'
    return f'<TextLine ID="{id}" {place(x, y, 70, 10)}>{string}</TextLine>'


COLUMNS = [(10, 20, "a"), (10, 32, "b"), (10, 44, "c"), (110, 20, "d"), (110, 32, "e")]
DRAWN = [COLUMNS[i] for i in (4, 1, 0, 3, 2)]
BLOCK = f'<TextBlock ID="r" {place(5, 15, 190, 45)}>{"".join(line(t, x, y, t) for x, y, t in DRAWN)}</TextBlock>'


@pytest.mark.parametrize("level", ["region", "line", "word"])
def test_the_lines_of_a_region_are_sorted_with_its_columns(tmp_path, level):
    sorted_page = read(tmp_path, "a.xml", alto(alto_block("s", 80, "end") + BLOCK), "auto", level)
    assert (sorted_page.text, sorted_page.is_sorted) == ("a\nb\nc\nd\ne\n\nend", True)
    assert sorted_page.texts == (["a\nb\nc\nd\ne", "end"] if level == "region" else [*"abcde", "end"])
    assert sorted_page.upward.startswith("2 of 8 regions and lines are above the one before them")
    as_it_is = read(tmp_path, "a.xml", alto(alto_block("s", 80, "end") + BLOCK), "file", level)
    assert (as_it_is.text, as_it_is.is_sorted, as_it_is.upward) == ("end\n\ne\nb\na\nd\nc", False, sorted_page.upward)


def test_the_reading_order_of_alto_counts_for_what_it_names(tmp_path):
    order = "<ReadingOrder><OrderedGroup>{}</OrderedGroup></ReadingOrder>"
    of_regions = order.format('<ElementRef REF="s"/><ElementRef REF="r"/>')
    page = read(tmp_path, "a.xml", alto(BLOCK + alto_block("s", 80, "end"), of_regions), "auto")
    assert (page.text, page.is_sorted) == ("end\n\na\nb\nc\nd\ne", True)
    unordered = of_regions.replace("OrderedGroup", "UnorderedGroup")
    assert read(tmp_path, "a.xml", alto(BLOCK + alto_block("s", 80, "end"), unordered), "auto").text[-3:] == "end"
    of_lines = order.format("".join(f'<ElementRef REF="{id}"/>' for id in "ebadc"))
    page = read(tmp_path, "a.xml", alto(BLOCK, of_lines), "auto")
    assert (page.text, page.is_sorted, page.upward) == ("e\nb\na\nd\nc", False, None)


def text_line(y, text, custom=""):
    return f'<TextLine custom="{custom}">{points(10, y, 90, y + 8)}{equivalent(text)}</TextLine>'


def test_lines_of_page_xml(tmp_path):
    lines = [(30, "c"), (10, "a"), (20, "b")]
    region = f'<TextRegion id="r">{points(5, 5, 95, 60)}{{}}</TextRegion>'
    drawn = region.format("".join(text_line(*line) for line in lines))
    page = read(tmp_path, "a.xml", page_xml(drawn), "file", format="page")
    assert (page.text, bool(page.upward)) == ("c\na\nb", True)
    assert read(tmp_path, "a.xml", page_xml(drawn), "auto", format="page").text == "a\nb\nc"
    of_region = region.format("".join(text_line(*line) for line in lines) + equivalent("c\na\nb"))
    assert read(tmp_path, "a.xml", page_xml(of_region), "auto", format="page").text == "c\na\nb"
    numbered = [text_line(*line, f"readingOrder {{index:{i};}}") for line, i in zip(lines, (1, 0, 10))]
    page = read(tmp_path, "a.xml", page_xml(region.format("".join(numbered))), "auto", format="page")
    assert (page.text, page.upward) == ("a\nc\nb", None)


def test_paragraphs_of_hocr(tmp_path):
    paragraphs = [f"<p class='ocr_par'>{hocr_line(y, word)}</p>" for y, word in ((50, "two"), (10, "one"))]
    page = read(tmp_path, "a.hocr", hocr(hocr_page("".join(paragraphs))), "auto", format="hocr")
    assert (page.text, page.is_sorted) == ("one\n\ntwo", True)


def drawn_task(image, *regions):
    results = []
    for x, y, text in regions:
        value = {"x": x / 2, "y": y, "width": 35, "height": 10, "rotation": 0}
        sides = {"original_width": 200, "original_height": 100}
        results.append({"id": text, "type": "rectangle", "value": value, **sides})
        results.append({"id": text, "type": "textarea", "value": {"text": [text]}})
    return {"annotations": [{"result": results}], "data": {"image": image}}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_build_counts_lists_and_sorts_pages_that_go_up(tmp_path, datasets_cache, processes):
    write_images(tmp_path / "pages", "a.png", "b.png", size=(200, 100))
    write_json(tmp_path / "pages" / "export.json", [drawn_task("a.png", *DRAWN), drawn_task("b.png", *COLUMNS)])
    build = ["build_dataset", "drawn", "--annotations", tmp_path / "pages", "--val", 0, "--test", 0]
    printed = run_script(*build, "--num_proc", processes).stdout
    assert (
        "upward              1   pages whose lines go up the page in their file; --order auto sorts these: " in printed
    )
    assert "backwards" not in printed and not (built_datasets()["drawn"] / "backwards.jsonl").exists()
    (listed,) = map(json.loads, (built_datasets()["drawn"] / "upward.jsonl").read_text().splitlines())
    assert (listed["id"], listed["reason"][:45]) == ("a", "1 of 5 regions and lines are above the one be")
    assert load_dataset("drawn", "train")["text"][:] == ["e\n\nb\n\na\n\nd\n\nc", "a\n\nb\n\nc\n\nd\n\ne"]
    printed = run_script(*build, "--order", "auto", "--num_proc", processes).stdout
    assert "sorted              1   pages put in another order, by position" in printed
    assert load_dataset("drawn", "train")["texts"][:] == [list("abcde")] * 2


ARABIC = "مدرسة وجامعة وقراءة وكتابة"
HEBREW = "שלום אנשים לשון בסוף"


@pytest.mark.parametrize("text", [ARABIC, HEBREW, f"Python R {ARABIC} 3"])
def test_text_in_the_order_of_display_is_told(text):
    assert told_backwards(text) is None
    assert told_backwards(text[::-1]).startswith("4 words begin with letters that only end words, such as U+0")


@pytest.mark.parametrize("text", ["", "plain", "Grüße", "中文", ARABIC[::-1][:13], "ة ם ן ף ץ"])
def test_text_that_is_not_backwards_or_too_short_to_tell(text):
    assert told_backwards(text) is None


def test_a_build_lists_pages_that_are_written_backwards(tmp_path, datasets_cache):
    write_images(tmp_path / "pages", "a.png", "b.png")
    for name, text in (("a", ARABIC), ("b", ARABIC[::-1])):
        write_json(tmp_path / "pages" / f"{name}.json", {"text": text})
    printed = run_script("build_dataset", "words", "--annotations", tmp_path / "pages", "--val", 0, "--test", 0).stdout
    folder = built_datasets()["words"]
    assert f"backwards           1   pages with Arabic or Hebrew in the order of display: {folder}" in printed
    (listed,) = map(json.loads, (folder / "backwards.jsonl").read_text().splitlines())
    assert listed["id"] == "b" and listed["reason"].startswith("4 words begin")


def test_a_build_says_which_tasks_it_can_train(tmp_path, datasets_cache):
    boxes = {"bboxes": [[1, 1, 9, 9]], "labels": ["text"]}
    table = {"labels": ["table"], "text": "x", "texts": ["<table></table>"]}
    for name, page, told in (
        ("text", {"text": "one"}, "ocr, markdown without boxes"),
        ("boxes", boxes, "markdown of boxes alone, by a prompt of your own"),
        ("full", boxes | {"text": "one", "texts": ["one"]}, "ocr, markdown, locate"),
        ("table", boxes | table, "ocr, markdown, locate, table"),
        ("asked", {"prompt": "Sum?", "target": "1"}, "custom"),
    ):
        write_json(write_images(tmp_path / name, "a.png") / "a.json", page)
        build = run_script("build_dataset", name, "--annotations", tmp_path / name, "--val", 0, "--test", 0)
        assert f"can train      {told}\n" in build.stdout, name
