"""CVAT for images, on a real page of a form and on small ones."""

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import choose_format
from data_scripts.formats import cvat as cvat_format
from helpers.xml_pages import read_one, read_pages, write
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError


def cvat(*images):
    return f"<annotations><version>1.1</version><meta/>{''.join(images)}</annotations>"


def image(content, name="a.png"):
    return f'<image id="0" name="{name}" width="200" height="100">{content}</image>'


def box(label, x0, y0, x1, y1, content="", attributes=""):
    place = f'xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"'
    return f'<box label="{label}" {place} {attributes}>{content}</box>'


def path(points, level=""):
    attribute = f'<attribute name="level">{level}</attribute>' if level else ""
    return f'<polyline label="reading_order" points="{points}">{attribute}</polyline>'


BOXES = box("form", 1, 1, 199, 99) + box("text", 10, 10, 50, 20) + box("text", 60, 10, 90, 20)


def test_boxes_polygons_and_texts(tmp_path):
    text = '<attribute name="level">1</attribute><attribute name="text"> Hello </attribute>'
    polygon = '<polygon label="picture" points="10,50;90.5,60;20,95"/><points label="x" points="1,1"/>'
    link = '<polyline label="to_value" points="1,1;2,2"/>'
    write(
        tmp_path, "annotations.xml", cvat(image(box("section_header", 10, 10, 50, 20, text) + polygon + link)), "a.png"
    )
    record = read_one(cvat_format, tmp_path)
    assert (record.id, record.text, record.texts) == ("a", "Hello", ["Hello", ""])
    assert record.bboxes == [[10, 10, 50, 20], [10, 50, 90.5, 95]]
    assert [cvat_format.LABELS[label] for label in record.labels] == ["sub_title", "image"]
    assert choose_format("auto", [list_files(tmp_path)]) == "cvat"


@pytest.mark.parametrize(
    ("paths", "order"),
    [
        ("", [0, 1, 2]),
        (path("70,15;20,15"), [2, 1, 0]),
        (path("20,15;150,50;70,15;25,15"), [1, 0, 2]),
        (path("20,15", "2") + path("70,15"), [2, 1, 0]),
        (path("500,500;70,15"), [2, 0, 1]),
    ],
)
def test_the_reading_order_is_that_of_the_polylines(tmp_path, paths, order):
    write(tmp_path, "x.xml", cvat(image(BOXES + paths)), "a.png")
    lefts = [1, 10, 60]
    assert [box[0] for box in read_one(cvat_format, tmp_path).bboxes] == [lefts[i] for i in order]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (image(""), "image has no box and no polygon"),
        (image(BOXES, "../a.png"), "leaves the image folder"),
        (image(BOXES, "b.png"), "no image 'b.png'"),
        (image(BOXES) * 2, "2 entries are of the image 'a'"),
        (image(BOXES.replace('"10"', '"NaN"', 1)), "xtl of box '' is 'NaN', not a number"),
        (image(box("x", 1, 1, 9, 9, attributes='rotation="30"')), "a shape is a 'box', turned"),
        (image(box("x", 1, 1, 9, 9, attributes='rotation="x"')), "rotation of a box is 'x', not a number"),
        (image('<mask label="x" rle="1"/>'), "a shape is a 'mask', turned or of a kind that is no box"),
        (image(BOXES + path("1,2;3")), "points of the reading order is '3'"),
        (image(BOXES + path("1,2;" * 4_000_000)), "too many"),
        (image(BOXES).replace(' width="200"', ""), "width of image '0' is '', not a number"),
        (image(BOXES.replace('label="form"', "")), r"labels\[0\] is '', not a name"),
    ],
    ids=range(12),
)
def test_a_broken_page_is_refused_with_the_reason(tmp_path, content, message):
    write(tmp_path, "x.xml", cvat(content), "a.png")
    with pytest.raises(RecordError, match=message):
        read_pages(cvat_format, tmp_path)


@pytest.mark.parametrize("content", ["", "<annotations>", "<x/>", '<!DOCTYPE x [<!ENTITY a "a">]><annotations/>'])
def test_a_broken_file_stops_the_listing(tmp_path, content):
    write(tmp_path, "x.xml", content)
    with pytest.raises(WorkError, match=r"x.xml: annotation (is broken XML|begins with|holds a DTD)"):
        read_pages(cvat_format, tmp_path)


def test_the_real_page_and_its_order(real_pages):
    tree = list_files(real_pages / "cvat")
    pages = cvat_format.list_pages(tree, tree)
    found = [page for page in pages if page.images]
    assert (len(pages), len(found)) == (6, 1)  # the file has six images, one of them is there
    record = cvat_format.read_page(found[0])
    source = (real_pages / "cvat/case_03_annotations.xml").read_text()
    assert len(record.bboxes) == source.split(found[0].id)[1].split("</image>")[0].count("<box ") == 54
    assert record.labels[:5] == ["text", "picture", "section_header", "text", "text"]
    assert record.labels[-1] == "form"
    tables = [box[1] for box, label in zip(record.bboxes, record.labels) if label == "table"]
    assert tables == sorted(tables)
