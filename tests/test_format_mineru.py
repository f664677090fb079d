"""MinerU's JSON: which of its files count, whose they are, and what blocks, lines and spans become."""

import json

import pytest

from helpers.format_folders import build, read_folder, write_images, write_json, write_pdf

PAGE = [100, 50]  # points; 200 x 100 pixels at 144 dpi
TABLE = "<table><tr><td>1</td></tr></table>"


def span(content, kind="text", **changes):
    return {"bbox": [1, 1, 9, 9], "type": kind, "content": content} | changes


def line(*spans, **changes):
    spans = [span(each) if isinstance(each, str) else each for each in spans]
    return {"bbox": [10, 10, 50, 20], "spans": spans} | changes


def block(kind, *lines, box=(10, 10, 50, 20), **changes):
    lines = [line(each) if isinstance(each, str) else each for each in lines]
    return {"type": kind, "bbox": list(box), "lines": lines} | changes


def outer(kind, *blocks, **changes):
    return {"type": kind, "bbox": [10, 10, 50, 20], "blocks": list(blocks)} | changes


def page(*blocks, index=0, key="preproc_blocks", **changes):
    """A page as the pipeline writes it: what it finds, and the same in paragraphs."""
    found = {"para_blocks": list(blocks), key: list(blocks), "discarded_blocks": [], "page_idx": index}
    return found | {"page_size": PAGE} | changes


def middle(*pages):
    return {"pdf_info": list(pages), "_backend": "pipeline", "_version_name": "2.5.4"}


def read(folder, *pages, **files):
    write_json(folder / "a_middle.json", middle(*pages))
    write_pdf(folder / "a.pdf", *[PAGE] * len(pages))
    return read_folder(folder, "mineru")


def read_page(folder, *blocks, **changes):
    records, reasons = read(folder, page(*blocks, **changes))
    assert not reasons
    return records["a#page=1"]


def test_a_folder_as_mineru_leaves_it_is_built(tmp_path, datasets_cache):
    """Its own copy of the PDF counts, which has the pages that it read; what else it wrote is passed over."""
    folder = tmp_path / "a" / "auto"
    write_json(folder / "a_middle.json", middle(page(block("title", "Report")), page(block("text", "Words"), index=1)))
    write_json(folder / "a_content_list.json", [{"type": "text", "text": "Report", "page_idx": 0}])
    write_json(folder / "a_content_list_v2.json", [[]])
    write_json(folder / "a_model.json", [{"layout_dets": [{"category_id": 1}], "page_info": {"page_no": 0}}])
    for name in ("a_origin.pdf", "a_layout.pdf", "a_span.pdf"):
        write_pdf(folder / name, PAGE, PAGE)
    write_images(folder, "images/a.jpg.png")
    write_pdf(tmp_path / "a.pdf", PAGE)
    first, second = build("mineru", tmp_path)
    assert (first["id"], second["id"]) == ("a/auto/a_origin#page=1", "a/auto/a_origin#page=2")
    assert (first["texts"], first["labels"], second["text"]) == (["Report"], ["title"], "Words")
    assert first["bboxes"] == [[20, 20, 100, 40]]


def test_without_its_copy_the_pdf_or_image_of_the_name_counts(tmp_path):
    assert list(read(tmp_path, page(), page(index=1))[0]) == ["a#page=1", "a#page=2"]
    write_json(tmp_path / "b_middle.json", middle(page(block("text", "Word"))))
    write_images(tmp_path, "b.png", size=(300, 150))
    assert read_folder(tmp_path, "mineru")[0]["b"].bboxes == [[30, 30, 150, 60]]


def test_what_the_web_service_packs_is_read(tmp_path):
    write_json(tmp_path / "layout.json", middle(page(block("text", "Word"))))
    write_json(tmp_path / "1f-2e_content_list.json", [{"type": "text", "text": "Other", "page_idx": 0}])
    write_json(tmp_path / "1f-2e_model.json", [[{"type": "text"}]])
    write_pdf(tmp_path / "1f-2e_origin.pdf", PAGE)
    records, reasons = read_folder(tmp_path, "mineru")
    assert not reasons
    assert {key: record.text for key, record in records.items()} == {"1f-2e_origin#page=1": "Word"}


def test_the_lines_of_a_page_are_its_own(tmp_path):
    """In paragraphs that go on in the next column, or on the next page, one block has the lines of both."""
    first, second = block("text", "begins", box=(10, 10, 50, 20)), block("text", "goes on", box=(55, 10, 90, 20))
    whole = first | {"lines": [*first["lines"], *second["lines"]]}
    moved = second | {"lines": [], "lines_deleted": True}
    record = read_page(tmp_path, first, second, para_blocks=[whole, moved])
    assert record.texts == ["begins", "goes on"]


def test_a_table_that_was_joined_with_the_next_pages_rejects_both(tmp_path):
    table = outer("table", block("table_body", line(span("", "table", html=TABLE))))
    moved = outer("table", block("table_body", lines_deleted=True))
    pages = [page(table), page(moved, index=1), page(index=2)]
    records, reasons = read(tmp_path, *({k: v for k, v in each.items() if k != "preproc_blocks"} for each in pages))
    assert list(records) == ["a#page=3"]
    assert set(reasons.values()) == {
        "a table or text that goes on from one page to the next was joined: part it, or leave both out"
    }


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["two words", "and more"], "two words and more"),
        (["a hy-", "phen", "and 1-", "2"], "a hyphen and 1- 2"),
        (["两个", "字"], "两个字"),
        (["两个 abc", "字"], "两个 abc 字"),
        ([line("where", span(" x ^ 2 ", "inline_equation"), ", so")], r"where \(x ^ 2\), so"),
        ([line("（维持）", "增持")], "（维持）增持"),
        ([line(span("x + 1", "interline_equation"))], r"\[ x + 1 \]"),
        ([line(span(None))], ""),
        ([], ""),
    ],
)
def test_lines_of_a_paragraph_are_one_text(tmp_path, lines, text):
    assert read_page(tmp_path, block("text", *lines)).texts == [text]


def test_items_of_a_list_are_lines(tmp_path):
    """Older versions mark the lines that begin one, newer ones nest blocks."""
    lines = [line("• one", bbox=[1, 1, 9, 2]), line("goes on", bbox=[1, 3, 9, 4]), line("• two", bbox=[1, 5, 9, 6])]
    starts = [each | {"is_list_start_line": n != 1} for n, each in enumerate(lines)]
    inner = outer("list", block("text", "• one"), block("text", "• two"))
    nested = outer("list", inner, block("text", "• three"), sub_type="text")
    record = read_page(tmp_path, block("text", *lines), nested, para_blocks=[block("list", *starts), nested])
    assert record.texts == ["• one goes on\n• two", "• one\n• two\n• three"]
    assert record.labels == ["text", "text"]


def test_pictures_tables_and_code_have_their_parts_in_the_order_of_the_page(tmp_path):
    blocks = [
        outer(
            "table",
            block("table_body", line(span("", "table", html=f"<html><body>{TABLE}</body></html>")), index=2),
            block("table_caption", "Table 1", index=1),
            block("table_footnote", "Note", index=2.5),
        ),
        outer(
            "image",
            block("image_body", line(span("a drawing of a house", "image", image_path="x.jpg")), index=4),
            block("image_caption", "Figure 1", index=5),
        ),
        outer("code", block("code_body", "if a:", line(span("    b = 2"))), sub_type="code"),
    ]
    record = read_page(tmp_path, *blocks)
    assert record.texts == ["Table 1", TABLE, "Note", "", "Figure 1", "if a:\n    b = 2"]
    assert record.labels == ["figure_title", "table", "table_footnote", "image", "figure_title", "code"]


def test_titles_have_the_label_of_their_level(tmp_path):
    boxes = [[10, top, 50, top + 5] for top in (1, 10, 20, 30)]
    found = [block("title", "x", box=box) for box in boxes[:3]] + [block("doc_title", "x", box=boxes[3])]
    leveled = [block("title", "x", box=box, level=level) for box, level in zip(boxes, (1, 2))]
    record = read_page(tmp_path, *found, para_blocks=leveled)
    assert record.labels == ["title", "sub_title", "title", "title"]


def test_what_mineru_discards_is_on_the_page(tmp_path):
    discarded = [
        block("footer", "Footer", box=(10, 44, 50, 48)),
        block("discarded", "7", box=(60, 44, 70, 48)),
        block("discarded", "Journal", box=(10, 1, 50, 4)),
        block("page_number", "8", box=(60, 1, 70, 4)),
        block("aside_text", "arXiv", box=(1, 20, 4, 40)),
    ]
    record = read_page(tmp_path, block("text", "Body"), discarded_blocks=discarded)
    assert record.texts == ["Journal", "8", "Body", "Footer", "7", "arXiv"]
    assert record.labels == ["header", "page_number", "text", "footer", "footer", "marginalia"]


def listed(kind, **changes):
    return {"type": kind, "bbox": [100, 200, 500, 400], "page_idx": 0} | changes


def read_listed(folder, *blocks):
    write_json(folder / "a_content_list.json", list(blocks))
    write_pdf(folder / "a.pdf", PAGE, PAGE)
    return read_folder(folder, "mineru")


def test_a_content_list_has_boxes_in_thousandths(tmp_path):
    blocks = [
        listed("text", text="Report ", text_level=1),
        listed("text", text="Part", text_level=2),
        listed("text", text=r"a\* b, $x_1$ costs 5\$ "),
        listed("equation", text="$$\nx + 1\n$$", text_format="latex"),
        listed("list", list_items=["- one", "- two"]),
        listed("code", code_body="```py\na = 1\n```", code_caption=[]),
        listed("table", table_body=TABLE, table_caption=[], table_footnote=[]),
        listed("image", img_path="images/x.jpg", image_caption=[], content="a house"),
        listed("page_number", text="7", bbox=[500, 900, 520, 950]),
        listed("text", text="Next", page_idx=1),
    ]
    records, reasons = read_listed(tmp_path, *blocks)
    assert not reasons and list(records) == ["a#page=1", "a#page=2"]
    record = records["a#page=1"]
    written = ["Report", "Part", r"a* b, \(x_1\) costs 5$", r"\[ x + 1 \]", "- one\n- two", "a = 1", TABLE, "", "7"]
    assert record.texts == written
    labels = ["title", "sub_title", "text", "equation", "text", "code", "table", "image", "page_number"]
    assert record.labels == labels
    assert record.bboxes[0] == [20, 20, 100, 40]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("costs $5 and $6 today", "costs $5 and $6 today"),
        ("$20,000 and USD$30,000", "$20,000 and USD$30,000"),
        (r"a \$5 bill, $x \$ y$", r"a $5 bill, \(x \$ y\)"),
        ("$ x$ and $y $", "$ x$ and $y $"),
        ("$5 or $x_1$", r"$5 or \(x_1\)"),
        ("$x$-axis,$y$", r"\(x\)-axis,\(y\)"),
        ("$$x$$ $", "$$x$$ $"),
        ("$x\ny$", "$x\ny$"),
    ],
)
def test_dollars_are_formulas_as_pandoc_has_it(tmp_path, text, written):
    assert read_listed(tmp_path, listed("text", text=text))[0]["a#page=1"].texts == [written]


def test_readings_of_one_document_are_refused(tmp_path):
    """Each has its own copy of the PDF, so its pages would be there twice, in one split or in two."""
    for way in ("a/auto/a", "a/vlm/a", "b/vlm/b", "b/a"):
        write_json(tmp_path / f"{way}_middle.json", middle(page(block("text", "Word"))))
        write_pdf(tmp_path / f"{way}_origin.pdf", PAGE)
    records, reasons = read_folder(tmp_path, "mineru")
    assert list(records) == ["b/a_origin#page=1", "b/vlm/b_origin#page=1"]
    both = "2 readings of one document (a/auto/a_middle.json, a/vlm/a_middle.json): keep one"
    assert reasons == {"a/auto/a_middle": both, "a/vlm/a_middle": both}
    assert read_folder(tmp_path / "a", "mineru")[0] == {}


def test_margins_of_a_content_list_are_put_around_the_rest(tmp_path):
    blocks = [
        listed("text", text="Body"),
        listed("page_footnote", text="Note", bbox=[1, 900, 99, 950]),
        listed("discarded", text="Journal", bbox=[1, 10, 99, 30]),
    ]
    record = read_listed(tmp_path, *blocks)[0]["a#page=1"]
    assert (record.texts, record.labels) == (["Journal", "Body", "Note"], ["header", "text", "footnote"])


def test_a_caption_of_a_content_list_has_no_box(tmp_path, datasets_cache):
    """The box is around both, so the text is the page's, and the region is left out and told."""
    table = listed("table", table_body=TABLE, table_caption=["Table 1"], table_footnote=["Note"])
    write_json(tmp_path / "a_content_list.json", [table])
    write_pdf(tmp_path / "a.pdf", PAGE)
    (row,) = build("captions", tmp_path)
    assert row["text"] == f"Table 1\n\n{TABLE}\n\nNote" and row["texts"] == [TABLE]


def test_a_content_list_without_boxes_is_refused(tmp_path):
    block = {"type": "text", "text": "Word", "page_idx": 0}
    reason = "block 'text' has no bbox: this version of MinerU has them in NAME_middle.json alone"
    assert read_listed(tmp_path, block) == ({}, {"a#page=1": reason})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"pdf_info": []}, "annotation has no pdf_info and is no list of MinerU's blocks; its keys are 'pdf_info'"),
        ({"pdf_info": [5]}, "annotation has no pdf_info and is no list"),
        ({"pdf_info": [{}]}, "page_idx is None, not the number of a page from 0"),
        (middle(page(), page()), "pdf_info has the page_idx 0 twice"),
        ([5], "annotation has no pdf_info and is no list of MinerU's blocks"),
    ],
)
def test_a_file_that_is_broken_is_one_rejected_page(tmp_path, content, reason):
    write_json(tmp_path / "b_middle.json", content)
    records, reasons = read(tmp_path, page(block("text", "Word")))
    assert list(records) == ["a#page=1"]
    assert reasons["b_middle"].startswith(reason)


DEEP = block("text", "Word")
for _ in range(9):
    DEEP = outer("image", DEEP)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (page(block("text", "Word", box="x")), "bbox of a block 'text' is ['x'], not a list of 4 numbers"),
        (page(block(None, "Word")), "type of a block is None, not a string"),
        (page(block("text", line(span(5)))), "content of a span 'text' is 5, not a string"),
        (page(block("text", lines=5)), "lines is 5, not a list of objects"),
        (page(block("text", "Word"), page_size=None), "page_size is None, not a list of 2 numbers"),
        (page(block("text", "Word"), page_size=[50, 100]), "boxes were drawn on a page of 50x100"),
        (page(DEEP), "blocks lie more than 8 deep"),
    ],
)
def test_a_page_that_is_broken_is_rejected_and_the_others_are_read(tmp_path, found, reason):
    records, reasons = read(tmp_path, found, page(block("text", "Word"), index=1))
    assert list(records) == ["a#page=2"] and reasons["a#page=1"].startswith(reason)


def test_a_benchmarks_pages_are_not_taken_for_mineru(tmp_path):
    """MinerU's NAME_model.json has the keys of OmniDocBench, but its categories are numbers."""
    write_images(tmp_path, "a.png")
    dets = [{"category_type": "title", "poly": [1, 2, 9, 2, 9, 8, 1, 8], "order": 1, "text": "Word"}]
    info = {"image_path": "a.png", "width": 60, "height": 40}
    (tmp_path / "bench.json").write_text(json.dumps([{"layout_dets": dets, "page_info": info}]))
    assert list(read_folder(tmp_path, "omnidocbench")[0]) == ["a"]
