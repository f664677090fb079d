"""Hostile and damaged XML: each file is read correctly or refused with a reason, and nothing else happens."""

import os
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_scripts.file_tree import list_files
from data_scripts.formats import FORMATS, choose_format, xml_text
from helpers.xml_pages import (
    HEIGHT,
    UNIT,
    WIDTH,
    alto,
    alto_block,
    equivalent,
    hocr,
    hocr_line,
    hocr_page,
    hocr_par,
    page_xml,
    place,
    points,
    read_one,
    region,
    write,
)
from ocr2_hf.document.records import RecordError, check_record
from ocr2_hf.errors import WorkError

SOURCE = "<sourceImageInformation><fileName>a.png</fileName></sourceImageInformation></Description>"
TABLE = alto_block("b1", 20, "one two", "three", attributes="TAGREFS='x'")
HYPHENATED = alto_block("b2", 50, "four five").replace("</TextLine>", "<HYP CONTENT='-'/></TextLine>")
SHAPE = "<Illustration><Shape><Polygon POINTS='10,70 30,70 30,90'/></Shape></Illustration>"
ALTO = alto(
    f"<TopMargin>{alto_block('t', 1, 'head')}</TopMargin><PrintSpace><ComposedBlock TYPE='table'>{TABLE}"
    f"</ComposedBlock>{HYPHENATED}{SHAPE}</PrintSpace>",
    UNIT.format("pixel").replace("</Description>", SOURCE)
    + "<Tags><OtherTag ID='x' LABEL='MainZone'/></Tags>"
    + "<ReadingOrder><OrderedGroup ID='g'><ElementRef ID='e' REF='b2 b1'/></OrderedGroup></ReadingOrder>",
)
WORD = f'<Word id="w">{points(10, 40, 40, 50)}{equivalent("x")}</Word>'
LINE = f'<TextLine id="l" index="1">{points(10, 40, 90, 50)}{WORD}{equivalent("x")}</TextLine>'
PAGE = page_xml(
    '<ReadingOrder><OrderedGroup id="g"><RegionRefIndexed regionRef="r2" index="0"/><UnorderedGroupIndexed index="1">'
    '<RegionRef regionRef="r1"/></UnorderedGroupIndexed></OrderedGroup></ReadingOrder>'
    + region("r1", 10, region("r3", 12, equivalent("in", 'index="0"')) + equivalent("in"), 'type="heading"')
    + region("r2", 40, LINE + equivalent("x"), 'custom="structure {type:x;}"')
    + region("t", 60, f'<TableCell id="c">{points(5, 60, 90, 70)}{equivalent("1")}</TableCell>', tag="TableRegion")
    + '<ImageRegion id="i"><Coords><Point x="5" y="80"/><Point x="90" y="95"/></Coords></ImageRegion>'
)
PARAGRAPH = hocr_par(10, hocr_line(10, "one", "two"), hocr_line(20))
HOCR = hocr(
    hocr_page(
        f"<div class='ocr_carea' title='bbox 1 1 199 40'>{PARAGRAPH}</div>"
        f"<div class='ocr_photo' title='bbox 5 60 50 90'/>{hocr_line(45, 'three', kind='ocr_header')}",
        f'image "a.png"; bbox 0 0 {WIDTH} {HEIGHT}; ppageno 0',
    )
)
GOOD = {"alto": ("a.xml", ALTO), "page": ("a.xml", PAGE), "hocr": ("a.hocr", HOCR)}

CVAT = (
    '<annotations><image id="0" name="a.png" width="200" height="100">'
    '<box label="text" xtl="1" ytl="1" xbr="9" ybr="9"><attribute name="text">x</attribute></box>'
    '<polygon label="p" points="10,50;90,60;20,95"/>'
    '<polyline label="reading_order" points="30,60;2,2"><attribute name="level">1</attribute></polyline></image>'
    "</annotations>"
)
DAMAGED = GOOD | {"cvat": ("a.xml", CVAT)}

BOMB = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
HOSTILE = {
    "billion laughs": f'<!DOCTYPE x [<!ENTITY a0 "ha">{BOMB}]>',
    "external entity": '<!DOCTYPE x [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>',
    "parameter entity": '<!DOCTYPE x [<!ENTITY % a9 SYSTEM "http://127.0.0.1/x"> %a9;]>',
    "default attributes": f'<!DOCTYPE x [<!ATTLIST String CONTENT CDATA "{"x" * 1000}">]>',
}


def test_the_good_files_are_good(tmp_path):
    for name, (file, content) in GOOD.items():
        write(tmp_path / name, file, content)
        assert choose_format("auto", [list_files(tmp_path / name)]) == name
        assert len(read_one(FORMATS[name], tmp_path / name).bboxes) >= 3
        assert len(read_one(FORMATS[name], tmp_path / name, "word").bboxes) >= 4


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("attack", HOSTILE)
def test_a_dtd_with_declarations_is_refused(tmp_path, name, attack):
    file, content = GOOD[name]
    head, body = content[: content.index("?>") + 2], content[content.index("?>") + 2 :]
    used = body.replace("four", "&a9;").replace(">x<", ">&a9;<").replace("three", "&a9;")
    write(tmp_path, file, head + HOSTILE[attack] + used[used.index(">") + 1 if used.startswith("<!") else 0 :])
    with pytest.raises(RecordError, match="annotation holds a DTD or entities of its own, which are refused"):
        read_one(FORMATS[name], tmp_path)


@pytest.mark.parametrize("name", GOOD)
def test_encodings(tmp_path, name):
    content = GOOD[name][1]
    expected = read_after(tmp_path, name, content.encode())
    assert read_after(tmp_path, name, b"\xef\xbb\xbf" + content.encode()) == expected
    assert read_after(tmp_path, name, declare(content, "utf-16").encode("utf-16")) == expected
    umlaut = content.replace("?>", "?><!--\u00fc-->", 1)
    assert read_after(tmp_path, name, declare(umlaut, "iso-8859-1").encode("latin-1")) == expected
    for encoding in ("utf-8", "us-ascii"):
        with pytest.raises(RecordError, match=r"annotation (is broken XML: .*line 1|cannot be decoded)"):
            read_after(tmp_path, name, declare(umlaut, encoding).encode("latin-1"))
    for encoding in ("nonsense", "utf-7", "hex", "punycode"):
        with pytest.raises(RecordError, match=r"annotation (is broken|cannot be decoded|has the encoding)"):
            read_after(tmp_path, name, declare(content, encoding).encode())


def declare(content, encoding):
    return content.replace('version="1.0"', f'version="1.0" encoding="{encoding}"')


def read_after(folder, name, content):
    write(folder, GOOD[name][0], content)
    return read_one(FORMATS[name], folder)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"\0" * 100, b"x" * 100, b"<", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_nothing(tmp_path, name, content):
    with pytest.raises(RecordError, match=r"annotation (is broken|cannot be decoded|holds 0 pages|has a null)"):
        read_after(tmp_path, name, content)


@pytest.mark.parametrize("name", ["alto", "page"])
def test_broken_xml_is_refused_with_its_line(tmp_path, name):
    with pytest.raises(RecordError, match=r"annotation is broken XML: .*: line 2, column"):
        read_after(tmp_path, name, GOOD[name][1][:-5].encode())


@pytest.mark.parametrize("name", GOOD)
def test_a_file_that_is_too_large_or_gone(tmp_path, name):
    file, content = GOOD[name]
    write(tmp_path, file, content)
    tree = list_files(tmp_path)
    (page,) = FORMATS[name].list_pages(tree, tree)
    os.truncate(tmp_path / file, xml_text.MAX_BYTES + 1)
    with pytest.raises(RecordError, match="annotation is over the limit of 33,554,432 bytes"):
        FORMATS[name].read_page(page, "region")
    (tmp_path / file).unlink()
    with pytest.raises(RecordError, match="annotation cannot be read: No such file or directory"):
        FORMATS[name].read_page(page, "region")


MEGABYTE = 2**20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("alto", "<a>" * (MEGABYTE // 3)),
        ("alto", "<a>" * (MEGABYTE // 8) + "</a>" * (MEGABYTE // 8)),
        ("alto", alto(f"<Illustration {place(1, 2, '1' * MEGABYTE, 3)}/>")),
        ("alto", alto(f"<Illustration {place(1, 2, '1' * MEGABYTE + 'x', 3)}/>")),
        ("alto", alto(f"<Illustration><Shape><Polygon POINTS='{'1 ' * 499_999}'/></Shape></Illustration>")),
        ("page", page_xml(f"<TextRegion custom='{'structure{type:' * (MEGABYTE // 15)}'/>")),
        ("hocr", "<div class=" * (MEGABYTE // 11)),
        ("hocr", "<!--" * (MEGABYTE // 4)),
        ("hocr", "<body>" * (MEGABYTE // 6) + "</body>"),
        ("hocr", "<html" + " class='ocr_page'" * (MEGABYTE // 17)),
        ("hocr", hocr(hocr_page("", "; image  " * (MEGABYTE // 9)))),
        ("hocr", hocr(hocr_page("", "; bbox " + " " * MEGABYTE))),
        ("hocr", hocr(hocr_page("<p>" + "<span class='ocr_header'/>" * (MEGABYTE // 26) + "</p>"))),
    ],
    ids=range(13),
)
@pytest.mark.timeout(60)  # of a megabyte; where the time were quadratic it would be minutes
def test_no_file_takes_long(tmp_path, name, content):
    accepted_or_refused(tmp_path, name, content.encode(), "word")


def accepted_or_refused(folder: Path, name: str, content: bytes, level: str) -> bool:
    """Was the file accepted? Anything but a page that is right, or a reason, is an error."""
    write(folder, DAMAGED[name][0], content)
    tree = list_files(folder)
    module = FORMATS[name]
    assert module.recognise(tree) in (True, False)
    try:
        for page in module.list_pages(tree, tree):
            record = module.read_page(page, level) if module.LEVELS else module.read_page(page)
            assert record.image_path == f"{folder}/a.png"
            check_record(record, WIDTH, HEIGHT)
    except (RecordError, WorkError) as error:
        assert str(error)
        return False
    return True


SNIPPETS = (
    b"\0", b"\xff", b"<", b">", b"&", b"'", b'"', b"&#0;", b"&lt;", b"&x;", b"<!--", b"-->", b"]]>", b"<![CDATA[",
    b"<?", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\x85", b"\r", b"<x>", b"</div>", b"<!DOCTYPE x []>", b" " * 50,
)  # fmt: skip
VALUES = (
    "", " ", "0", "-1", "-50", "1e400", "1" + "0" * 400, "NaN", "inf", "0x10", "1_0", "\u0663", "1,2", "b1", "r1", "x",
    "../../a.png", "/etc/passwd", "a.png\n", "bbox 1 2 3 4", "bbox 9 9 1 1", 'image "../b.png"', "ocr_page", "ocr_line",
    "<|ref|>", "\u0085", "\U0010ffff", "mm10", "structure {type:", "1.5", "199",
)  # fmt: skip
TAGS = ("String", "TextLine", "TextBlock", "Page", "HYP", "Shape", "TextRegion", "Word", "Coords", "TextEquiv", "div")


@st.composite
def damage(draw, good: str) -> bytes:
    """The file with one to three faults, in its elements first and then in its bytes."""
    faults = draw(st.lists(st.sampled_from(["element", "attribute", "bytes", "cut"]), min_size=1, max_size=3))
    content = good.encode()
    if trees := [fault for fault in faults if fault in ("element", "attribute")]:
        root = ElementTree.fromstring(good)
        for fault in trees:
            (_garble_element if fault == "element" else _garble_attribute)(draw, root)
        content = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    for fault in faults:
        at = draw(st.integers(0, len(content)))
        if fault == "cut":
            content = content[:at]
        elif fault == "bytes":
            content = content[:at] + draw(st.sampled_from(SNIPPETS)) + content[at + draw(st.integers(0, 3)) :]
    return content


def _garble_element(draw, root) -> None:
    parents = [element for element in root.iter() if len(element)]
    if not parents:
        return
    parent = draw(st.sampled_from(parents))
    place = draw(st.integers(0, len(parent) - 1))
    child = parent[place]
    match draw(st.sampled_from(["drop", "twice", "move", "rename", "text"])):
        case "drop":
            parent.remove(child)
        case "twice":
            parent.insert(place, child)
        case "move":
            parent.remove(child)
            others = [element for element in root.iter() if element is not child]
            draw(st.sampled_from(others)).append(child)
        case "rename":
            child.tag = child.tag.rpartition("}")[0] + "}" + draw(st.sampled_from(TAGS))
        case "text":
            child.text = draw(st.sampled_from(VALUES))


def _garble_attribute(draw, root) -> None:
    elements = [element for element in root.iter() if element.attrib]
    if not elements:
        return
    element = draw(st.sampled_from(elements))
    name = draw(st.sampled_from(sorted(element.attrib)))
    if draw(st.booleans()):
        element.set(name, draw(st.sampled_from(VALUES)))
    else:
        del element.attrib[name]


@pytest.mark.parametrize("name", DAMAGED)
def test_260_damaged_files_are_each_accepted_or_refused(name):
    counts = Counter()
    with tempfile.TemporaryDirectory() as folder:

        @settings(max_examples=260, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(damage(DAMAGED[name][1]), st.sampled_from(["region", "line", "word"]))
        def check(content, level):
            counts[accepted_or_refused(Path(folder), name, content, level)] += 1

        check()
    assert counts.total() >= 260
    assert min(counts[True], counts[False]) > 25
