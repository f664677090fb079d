"""docling's JSON: the order of its tree, boxes that count from the bottom, texts in several boxes, tables."""

from collections import Counter

import pytest

from helpers.format_folders import build, read_folder, write_images, write_json, write_pdf
from ocr2_hf.document.tables import parse_tables

PAGE = (100, 50)  # points; 200 x 100 pixels at 144 dpi


def bbox(left=10, top=10, right=50, bottom=20, origin="BOTTOMLEFT"):
    """A box by its distances from the top, as docling writes it."""
    if origin == "BOTTOMLEFT":
        top, bottom = PAGE[1] - top, PAGE[1] - bottom
    return {"l": left, "t": top, "r": right, "b": bottom, "coord_origin": origin}


def prov(page=1, span=(0, 0), **box):
    return {"page_no": page, "bbox": bbox(**box), "charspan": list(span)}


def refs(*names):
    return [{"$ref": f"#/{name}"} for name in names]


def text(written, *places, label="text", **changes):
    places = list(places) or [prov()]
    return {"label": label, "text": written, "orig": written, "prov": places, "children": []} | changes


def document(order, count=1, **lists):
    named = {str(n): {"size": {"width": PAGE[0], "height": PAGE[1]}, "page_no": n} for n in range(1, count + 1)}
    head = {"schema_name": "DoclingDocument", "version": "1.3.0", "name": "a", "origin": {"filename": "a.pdf"}}
    tree = {"furniture": {"children": []}, "body": {"self_ref": "#/body", "children": refs(*order)}}
    return head | tree | {"pages": named, "groups": [], "texts": [], "tables": [], "pictures": []} | lists


def read(folder, *args, **lists):
    """(records, reasons) of one document of a PDF with as many pages."""
    written = document(*args, **lists)
    write_json(folder / "a.json", written)
    write_pdf(folder / "a.pdf", *[PAGE] * max(len(written["pages"]), 1))
    return read_folder(folder, "docling")


def page(folder, *args, **lists):
    records, reasons = read(folder, *args, **lists)
    assert not reasons
    return records["a#page=1"]


def test_a_document_is_built_page_by_page(tmp_path, datasets_cache):
    texts = [
        text("Report", prov(top=5, bottom=15), label="title"),
        text("Part", prov(top=20, bottom=25), label="section_header"),
        text("Words", prov(2, origin="TOPLEFT"), label="paragraph"),
    ]
    write_json(tmp_path / "a.json", document(["texts/0", "texts/1", "texts/2"], count=2, texts=texts))
    write_pdf(tmp_path / "a.pdf", PAGE, PAGE)
    first, second = build("docling", tmp_path)
    assert (first["id"], second["id"]) == ("a#page=1", "a#page=2")
    assert first["labels"] == ["title", "sub_title"] and second["labels"] == ["text"]
    assert first["bboxes"] == [[20, 10, 100, 30], [20, 40, 100, 50]] and second["bboxes"] == [[20, 20, 100, 40]]
    assert first["texts"] == ["Report", "Part"] and first["text"] == "Report\n\nPart"
    assert (first["width"], first["height"]) == (200, 100)


def test_groups_and_what_is_in_items_are_read_depth_first(tmp_path):
    groups = [
        {"label": "list", "children": refs("texts/2", "texts/1")},
        {"label": "form_area", "children": refs("groups/0")},
    ]
    texts = [
        text("last"),
        text("two"),
        text("one", label="list_item", orig="• one", marker="•", children=refs("texts/3")),
        text("one a", label="list_item", orig="- one a", marker="-"),
    ]
    record = page(tmp_path, ["groups/1", "texts/0"], groups=groups, texts=texts)
    assert record.texts == ["• one", "- one a", "two", "last"]
    assert record.is_ordered


def test_references_may_be_called_by_the_name_of_their_field(tmp_path):
    record = page(tmp_path, [], body={"children": [{"cref": "#/texts/0"}]}, texts=[text("Word")])
    assert record.texts == ["Word"]


def test_a_line_of_pieces_is_one_region_around_them(tmp_path):
    inline = {"label": "inline", "children": refs("texts/1", "texts/2", "texts/3")}
    texts = [
        text("", [], label="list_item", orig="", children=refs("groups/0")),
        text("where", prov(left=10, right=20)),
        text("x^2", prov(left=22, right=30), label="formula"),
        text(", so", prov(left=30, right=40, top=9)),
    ]
    record = page(tmp_path, ["texts/0"], groups=[inline], texts=[texts[0] | {"prov": []}, *texts[1:]])
    assert (record.texts, record.labels) == ([r"where \(x^2\), so"], ["text"])
    assert record.bboxes == [[20, 18, 80, 40]]


@pytest.mark.parametrize(("top", "order"), [(2, ["figure_title", "table"]), (40, ["table", "figure_title"])])
@pytest.mark.parametrize(
    ("is_child", "body"), [(True, ["tables/0"]), (False, ["tables/0"]), (False, ["texts/0", "tables/0"])]
)
def test_a_caption_stands_once_where_it_is_on_the_page(tmp_path, top, order, is_child, body):
    caption = text("Table 1", prov(top=top, bottom=top + 3), label="caption")
    table = {"label": "table", "prov": [prov()], "data": {"table_cells": []}, "captions": refs("texts/0")}
    table["children"] = refs("texts/0") if is_child else []
    assert page(tmp_path, body, texts=[caption], tables=[table]).labels == order


def test_nothing_on_the_page_is_lost(tmp_path):
    """What the body does not reach: headers come first, others last; what has no place keeps its text on the page."""
    texts = [
        text("7", prov(top=45, bottom=48), label="page_footer", content_layer="furniture"),
        text("Journal", prov(top=1, bottom=4), label="page_header", content_layer="furniture"),
        text("Body"),
        text("Adrift"),
        text("hidden", content_layer="invisible"),
    ]
    lists = {"texts": texts, "furniture": {"children": refs("texts/0", "texts/1")}}
    assert page(tmp_path, ["texts/2"], **lists).texts == ["Journal", "Body", "7", "Adrift"]


def test_a_text_without_a_place_is_on_the_page_of_the_one_before(tmp_path, datasets_cache):
    texts = [text("One"), text("Two", prov(2)), text("Adrift", prov=[])]
    write_json(tmp_path / "a.json", document(["texts/0", "texts/1", "texts/2"], count=2, texts=texts))
    write_pdf(tmp_path / "a.pdf", PAGE, PAGE)
    rows = build("adrift", tmp_path)
    assert [row["text"] for row in rows] == ["One", "Two\n\nAdrift"]
    assert [row["texts"] for row in rows] == [["One"], ["Two"]]  # its box is missing, which the build tells


@pytest.mark.parametrize(
    ("spans", "parts"),
    [
        ([(0, 5), (6, 11)], ["Words", "again"]),
        ([(0, 6), (6, 11)], ["Words", "again"]),
        ([(0, 5), (6, 12)], ["Words again", ""]),  # a text that a person has shortened since
        ([(0, 5), (4, 11)], ["Words again", ""]),
        ([(0, 3), (5, 11)], ["Words again", ""]),
        ([(0, 0), (0, 0)], ["Words again", ""]),
        ([(0, 5), None], ["Words again", ""]),
    ],
)
def test_a_text_in_two_boxes_is_parted_or_where_it_begins(tmp_path, spans, parts):
    places = [prov() | {"charspan": spans[0] and list(spans[0])}, prov(2) | {"charspan": spans[1] and list(spans[1])}]
    records, reasons = read(tmp_path, ["texts/0"], count=2, texts=[text("Words again", *places)])
    assert not reasons
    assert [records[f"a#page={n}"].texts for n in (1, 2)] == [[part] for part in parts]


def test_a_text_from_the_page_before_is_below_the_header(tmp_path):
    begun = text("Words again", prov(1, (0, 5)), prov(2, (6, 11)))
    texts = [begun, text("Journal", prov(2, top=1, bottom=5), label="page_header")]
    records, _ = read(tmp_path, ["texts/0", "texts/1"], count=2, texts=texts)
    assert records["a#page=2"].texts == ["Journal", "again"]


@pytest.mark.parametrize(
    ("written", "original", "shown"),
    [("x+1", "x 1", r"\[ x+1 \]"), ("$$x+1$$", "x 1", r"\[ x+1 \]"), ("", "x + 1", "x + 1")],
)
def test_a_formula_is_latex_or_what_was_read_of_it(tmp_path, written, original, shown):
    record = page(tmp_path, ["texts/0"], texts=[text(written, label="formula", orig=original)])
    assert (record.texts, record.labels) == ([shown], ["equation"])


def test_a_corrected_item_of_a_list_counts(tmp_path):
    record = page(tmp_path, ["texts/0"], texts=[text("one", label="list_item", orig="• 0ne", marker="•")])
    assert record.texts == ["one"]


def cell(written, row, column, rows=1, columns=1, **heads):
    place = {"start_row_offset_idx": row, "end_row_offset_idx": row + rows}
    place |= {"start_col_offset_idx": column, "end_col_offset_idx": column + columns}
    return place | {"text": written, "row_span": rows, "col_span": columns} | heads


def test_a_table_is_html_with_its_spans_heads_and_gaps(tmp_path):
    cells = [
        cell("B", 1, 2),
        cell("Year", 0, 1, columns=2, column_header=True),
        cell("Rent &\nfood", 1, 0, rows=2, row_header=True),
        cell("9", 3, 1),
        cell("1", 2, 1),
    ]
    table = {"label": "table", "prov": [prov()], "data": {"table_cells": cells, "num_rows": 4, "num_cols": 3}}
    record = page(tmp_path, ["tables/0"], tables=[table])
    assert record.texts == [
        '<table><tr><td></td><th colspan="2">Year</th></tr>'
        '<tr><th rowspan="2">Rent &amp; food</th><td></td><td>B</td></tr>'
        "<tr><td>1</td><td></td></tr><tr><td></td><td>9</td><td></td></tr></table>"
    ]
    assert parse_tables(record.texts[0])[0].grid() == [
        ["", "Year", "Year"],
        ["Rent & food", "", "B"],
        ["Rent & food", "1", ""],
        ["", "9", ""],
    ]


def test_what_a_tables_cells_say_is_not_said_again(tmp_path):
    cells = [cell("Rent", 0, 0) | {"ref": {"$ref": "#/groups/0"}}]
    table = {"label": "document_index", "prov": [prov()], "data": {"table_cells": cells}, "children": refs("groups/0")}
    groups = [{"label": "unspecified", "children": refs("texts/0")}]
    record = page(tmp_path, ["tables/0"], tables=[table], groups=groups, texts=[text("Rent", prov=[])])
    assert (record.texts, record.labels) == (["<table><tr><td>Rent</td></tr></table>"], ["table"])


def test_cells_of_a_form_count_where_no_item_says_them(tmp_path):
    cells = [
        {"label": "key", "text": "Name", "orig": "Name", "prov": prov(), "item_ref": None},
        {"label": "value", "text": "Ada", "orig": "Ada", "prov": prov(), "item_ref": {"$ref": "#/texts/0"}},
    ]
    form = {"label": "form", "prov": [prov()], "graph": {"cells": cells, "links": []}}
    record = page(tmp_path, ["texts/0", "form_items/0"], texts=[text("Ada")], form_items=[form])
    assert (record.texts, record.labels) == (["Ada", "Name"], ["text", "text"])


def test_every_character_is_on_one_page_once(tmp_path):
    places = [prov(n, span) for n, span in ((1, (0, 5)), (2, (6, 11)))]
    groups = [
        {"label": "list", "children": refs("texts/0", "texts/1")},
        {"label": "inline", "children": refs("texts/2")},
    ]
    texts = [text("alpha bravo", *places), text("charlie", label="list_item"), text("delta"), text("echo", prov(2))]
    records, _ = read(tmp_path, ["groups/0", "groups/1"], count=2, groups=groups, texts=texts)
    found = Counter("".join(record.text for record in records.values()))
    written = Counter("".join(item["text"] for item in texts))
    assert {c: n for c, n in found.items() if c.isalpha()} == {c: n for c, n in written.items() if c.isalpha()}


@pytest.mark.parametrize("name", ["a.pdf", "C:\\scans\\a.pdf", "deck.pptx", None])
def test_the_pdf_is_what_origin_names_or_has_the_documents_name(tmp_path, name):
    origin = name and {"filename": name}
    assert list(read(tmp_path, [], count=2, origin=origin)[0]) == ["a#page=1", "a#page=2"]


def test_a_document_of_one_image_is_that_image(tmp_path):
    write_json(tmp_path / "b.json", document(["texts/0"], texts=[text("Word")], origin={"filename": "scan.png"}))
    write_images(tmp_path, "scan.png", "b.png", size=(300, 150))
    records, _ = read_folder(tmp_path, "docling")
    assert (list(records), records["scan"].bboxes) == (["scan"], [[30, 30, 150, 60]])


def test_pages_that_docling_wrote_as_images_stand_for_the_pdf(tmp_path):
    written = document(["texts/0"], count=2, texts=[text("Word", prov(2))])
    for number in "12":
        written["pages"][number]["image"] = {"uri": f"a_artifacts/page_{number}.png", "dpi": 144}
    write_json(tmp_path / "a.json", written)
    write_images(tmp_path, "a_artifacts/page_1.png", "a_artifacts/page_2.png", size=(200, 100))
    records, _ = read_folder(tmp_path, "docling")
    assert list(records) == ["a_artifacts/page_1", "a_artifacts/page_2"]
    assert records["a_artifacts/page_2"].bboxes == [[20, 20, 100, 40]]


def test_an_image_within_the_json_is_no_file(tmp_path):
    written = document([])
    written["pages"]["1"]["image"] = {"uri": "data:image/png;base64,AAAA"}
    write_json(tmp_path / "a.json", written)
    reason = f"no image 'a.pdf#page=1' in {tmp_path}; --images names their folder"
    assert read_folder(tmp_path, "docling")[1] == {"a.json#1": reason}


DEEP = {"groups": [{"label": "list", "children": refs(f"groups/{n + 1}")} for n in range(101)]}
FORK = {"label": "list", "children": refs("groups/0")}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"body": {"children": refs("texts/9")}}, "'#/texts/9' is referred to, but is no item of the document"),
        ({"body": {"children": refs("pages/1")}}, "'#/pages/1' is referred to, but is no item"),
        ({"body": {"children": ["#/texts/0"]}}, "children of body is ['#/texts/0'], not a list of references"),
        ({"body": {"children": refs("groups/0")}, "groups": [FORK]}, "#/groups/0 is within itself"),
        (
            {"texts": [text("a", captions=refs("texts/1")), text("b", captions=refs("texts/0"))]},
            "#/texts/0 is within itself",
        ),
        (
            {"form_items": [{"label": "form", "graph": {"cells": 5}}]},
            "cells of #/form_items/0 is 5, not a list of objects",
        ),
        ({"body": {"children": refs("groups/0")}} | DEEP, "#/groups/100 lies more than 100 items deep"),
        ({"texts": [text("Word", prov(3))]}, "#/texts/0 is on the page 3, which is not in pages"),
        ({"texts": [text("Word", {"page_no": "1", "bbox": {}})]}, "prov of #/texts/0 is {'page_no': '1'"),
        ({"texts": [text("Word", 5)]}, "prov of #/texts/0 is [5], not a list of objects"),
        ({"texts": [text(5)]}, "text of #/texts/0 is 5, not a string"),
        ({"texts": [text("Word", label=None)]}, "label of #/texts/0 is None, not a string"),
        ({"tables": [{"label": "table", "prov": [prov()]}]}, "#/tables/0 has no data with table_cells"),
        (
            {"tables": [{"label": "table", "data": {"table_cells": [{"text": "x"}]}}]},
            "a cell of #/tables/0 has the offsets",
        ),
        (
            {"tables": [{"label": "table", "data": {"table_cells": [cell("x", 0, 0, rows=2_000_000)]}}]},
            "#/tables/0 has 2,000,000 rows and 1 columns, more than a table on a page",
        ),
        ({"pages": {}}, "document has no pages, only a text: have docling read it as a PDF or an image"),
        ({"pages": {"x": {}}}, "pages has 'x': {}, not a page by its number"),
        ({"schema_name": "Other"}, "schema_name is 'Other', not DoclingDocument; its keys are 'schema_name'"),
    ],
)
def test_a_document_that_is_broken_is_one_rejected_page(tmp_path, changes, reason):
    records, reasons = read(tmp_path, [], **changes)
    assert not records
    assert reasons["a"].startswith(reason)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (bbox() | {"l": "x"}, "bbox of #/texts/0, l t r b, is ['x', 40, 50, 30], not a list of 4 numbers"),
        (bbox() | {"coord_origin": "CENTER"}, "bbox of #/texts/0 has the coord_origin 'CENTER'"),
        (bbox(right=500), "bboxes[0] [20.0, 20.0, 1000.0, 40.0] leaves the page"),
    ],
)
def test_a_bad_box_rejects_its_page_alone(tmp_path, box, reason):
    texts = [text("Word", {"page_no": 1, "bbox": box}), text("Word", prov(2))]
    records, reasons = read(tmp_path, ["texts/0", "texts/1"], count=2, texts=texts)
    assert list(records) == ["a#page=2"] and reasons["a#page=1"].startswith(reason)


def test_a_page_of_another_shape_is_rejected(tmp_path):
    write_json(tmp_path / "a.json", document([]))
    write_pdf(tmp_path / "a.pdf", (50, 100))
    assert read_folder(tmp_path, "docling")[1]["a#page=1"].endswith("it is turned")
