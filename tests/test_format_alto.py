"""ALTO 2 to 4, on real files of eScriptorium and on small ones of our own."""

import re
from collections import Counter
from html import unescape

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import alto as alto_format
from data_scripts.formats import choose_format
from helpers.commands import build
from helpers.xml_pages import UNIT, alto, alto_block, place, read_one, read_pages, write
from ocr2_hf import load_dataset
from ocr2_hf.document.records import RecordError

TAGS = '<Tags><OtherTag ID="t1" LABEL="{}"/><LayoutTag ID="t2" LABEL="unheard of"/>'
TAGS += '<NamedEntityTag ID="t3" LABEL="Title"/></Tags>'


@pytest.mark.parametrize("version", ["v2", "v3", "v4"])
def test_regions_lines_and_words(tmp_path, version):
    write(tmp_path, "a.xml", alto(alto_block("b1", 10, "one two", "three") + alto_block("b2", 50, "four"), "", version))
    record = read_one(alto_format, tmp_path)
    assert record.text == "one two\nthree\n\nfour"
    assert (record.labels, record.texts) == (["TextBlock"] * 2, ["one two\nthree", "four"])
    assert record.bboxes == [[5, 10, 195, 30], [5, 50, 195, 60]]
    lines = read_one(alto_format, tmp_path, "line")
    assert (lines.text, lines.texts) == (record.text, ["one two", "three", "four"])
    assert lines.bboxes == [[10, 10, 160, 20], [10, 20, 160, 30], [10, 50, 160, 60]]
    words = read_one(alto_format, tmp_path, "word")
    assert (words.text, words.texts) == (record.text, ["one", "two", "three", "four"])
    assert words.bboxes[1] == [40, 10, 65, 20]


@pytest.mark.parametrize(("unit", "scale"), [("pixel", 1), ("mm10", 5), ("inch1200", 8)])
def test_boxes_are_scaled_from_the_page_of_the_annotation(tmp_path, unit, scale):
    box = place(10 * scale, 20 * scale, 30 * scale, 40 * scale)
    size = f'WIDTH="{200 * scale}" HEIGHT="{100 * scale}"'
    write(tmp_path, "a.xml", alto(f"<Illustration {box}/>", UNIT.format(unit), size=size))
    assert read_one(alto_format, tmp_path).bboxes == [[10, 20, 40, 60]]


def test_a_unit_without_a_page_size_cannot_be_scaled(tmp_path):
    content = f"<Illustration {place(1, 2, 3, 4)}/>"
    write(tmp_path, "a.xml", alto(content, UNIT.format("pixel"), size=""))
    assert read_one(alto_format, tmp_path).bboxes == [[1, 2, 4, 6]]
    write(tmp_path, "a.xml", alto(content, UNIT.format("mm10"), size=""))
    with pytest.raises(RecordError, match="boxes are in 'mm10', and Page has no WIDTH and HEIGHT"):
        read_one(alto_format, tmp_path)


def test_hyphens_are_kept_and_substitutions_are_not_printed(tmp_path):
    strings = (
        f'<String CONTENT="exem" SUBS_TYPE="HypPart1" SUBS_CONTENT="exemple" {place(1, 1, 9, 9)}/><HYP CONTENT="{{}}"/>'
    )
    page = f"<TextBlock {place(1, 1, 90, 90)}><TextLine>{strings}</TextLine></TextBlock>"
    for hyphen, text in (("-", "exem-"), ("\u00ad", "exem-"), ("", "exem-"), ("¬", "exem¬")):
        write(tmp_path, "a.xml", alto(page.format(hyphen)))
        assert read_one(alto_format, tmp_path).text == text
    write(tmp_path, "a.xml", alto(page.format("-").replace('"exem"', '"exem-"')))
    assert read_one(alto_format, tmp_path, "word").texts == ["exem-"]


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        ("one SP two ,", "one two,", ["one", "two", ","]),
        ("( one SP two )", "(one two)", ["(", "one", "two", ")"]),
        ("SP one SP SP two SP", "one two", ["one", "two"]),
        ("one two ,", "one two ,", ["one", "two", ","]),  # a file that has no SP
        ("one SP ex HYP", "one ex-", ["one", "ex-"]),
        ("one SP ex HYP ample", "one ex-ample", ["one", "ex-", "ample"]),
        ("one SP ex- HYP SP two", "one ex- two", ["one", "ex-", "two"]),
        ("one SP HYP SP two", "one - two", ["one-", "two"]),
        ("ex HYP two", "ex- two", ["ex-", "two"]),
    ],
)
def test_blanks_are_where_a_line_has_them(tmp_path, line, text, words):
    parts = {"SP": "<SP/>", "HYP": '<HYP CONTENT="-"/>'}
    strings = "".join(parts.get(p) or f'<String CONTENT="{p}" {place(10, 10, 20, 9)}/>' for p in line.split())
    write(tmp_path, "a.xml", alto(f"<TextBlock {place(1, 1, 90, 90)}><TextLine>{strings}</TextLine></TextBlock>"))
    for level, texts in (("region", [text]), ("line", [text]), ("word", words)):
        record = read_one(alto_format, tmp_path, level)
        assert (record.text, record.texts) == (text, texts)


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ("", "TextBlock"),
        ('TAGREFS="t1"', "MainZone"),
        ('TAGREFS="t2"', "unheard of"),
        ('TAGREFS="t2 t1"', "MainZone"),
        ('TAGREFS="t3"', "TextBlock"),
        ('TAGREFS="nowhere"', "TextBlock"),
    ],
)
def test_the_tag_of_a_block_is_its_class(tmp_path, attributes, label):
    for name in ("MainZone", "MainZone:column#1", "MainZone#2"):
        write(tmp_path, "a.xml", alto(alto_block("b", 10, "x", attributes=attributes), TAGS.format(name)))
        assert read_one(alto_format, tmp_path, "line").labels == [label]


def test_margins_come_before_and_after_the_print_space(tmp_path):
    spaces = ["TopMargin", "LeftMargin", "RightMargin", "BottomMargin", "PrintSpace"]
    page = "".join(f"<{s}>{alto_block(s, 15 * i, s)}</{s}>" for i, s in enumerate(spaces))
    write(tmp_path, "a.xml", alto(page))
    record = read_one(alto_format, tmp_path)
    order = ["TopMargin", "PrintSpace", "LeftMargin", "RightMargin", "BottomMargin"]
    assert record.texts == order
    labels = [alto_format.LABELS[label] for label in record.labels]
    assert labels == ["header", "text", "marginalia", "marginalia", "footer"]


def test_composed_blocks_are_opened_and_tables_are_one_region(tmp_path):
    inner = f"<ComposedBlock>{alto_block('b', 10, 'deep')}<Illustration {place(1, 1, 9, 9)}/></ComposedBlock>"
    cells = alto_block("c", 40, "a") + alto_block("d", 60, "b c")
    table = f'<ComposedBlock TYPE="table" {place(5, 40, 190, 40)}>{cells}</ComposedBlock>'
    separator = f"<GraphicalElement {place(0, 90, 200, 2)}/>"
    write(tmp_path, "a.xml", alto(f"<PrintSpace><ComposedBlock>{inner}</ComposedBlock>{table}{separator}</PrintSpace>"))
    record = read_one(alto_format, tmp_path)
    assert [alto_format.LABELS[label] for label in record.labels] == ["text", "image", "table", "separator"]
    assert record.texts == ["deep", "", "a\nb c", ""]
    assert record.bboxes[2] == [5, 40, 195, 80]


def test_shapes_where_there_are_no_positions(tmp_path):
    shapes = [
        '<Polygon POINTS="10,20 30,25 20,60"/>',
        '<Polygon POINTS="10 20 30 25 20 60"/>',
        '<Circle HPOS="50" VPOS="40" RADIUS="10"/>',
        '<Ellipse HPOS="50" VPOS="40" HLENGTH="20" VLENGTH="40"/>',
    ]
    page = "".join(f"<Illustration><Shape>{shape}</Shape></Illustration>" for shape in shapes)
    write(tmp_path, "a.xml", alto(page))
    record = read_one(alto_format, tmp_path)
    assert record.bboxes == [[10, 20, 30, 60]] * 2 + [[40, 30, 60, 50], [40, 20, 60, 60]]


def test_a_block_without_a_place_has_the_box_of_its_lines(tmp_path):
    full = re.sub(r'(<TextBlock ID="b") HPOS.*?>', r"\1>", alto_block("b", 10, "one", "two"))
    write(tmp_path, "a.xml", alto(full + '<TextBlock ID="eSc_dummyblock_"/>'))
    record = read_one(alto_format, tmp_path)
    assert (record.bboxes, record.texts) == ([[10, 10, 160, 30]], ["one\ntwo"])


def test_a_line_without_words_is_kept(tmp_path):
    page = alto_block("b", 10, "", "two").replace('CONTENT=""', "")
    write(tmp_path, "a.xml", alto(page))
    assert read_one(alto_format, tmp_path, "word").texts == ["", "two"]
    assert read_one(alto_format, tmp_path).text == "two"


ORDER = '<ReadingOrder><{0} ID="g">{1}</{0}></ReadingOrder>'


@pytest.mark.parametrize(
    ("order", "texts"),
    [
        ('<ElementRef REF="b3"/><ElementRef REF="b1"/>', ["5", "1 2\n3", "4"]),
        ('<UnorderedGroup><ElementRef REF="b2 b3"/></UnorderedGroup><ElementRef REF="b1"/>', ["4", "5", "1 2\n3"]),
        ('<ElementRef REF="b1l1"/><ElementRef REF="b3l0"/><ElementRef REF="b1l0"/>', ["3\n1 2", "5", "4"]),
        ('<OrderedGroup REF="b3"><ElementRef REF="b3s0_0"/></OrderedGroup>', ["5", "1 2\n3", "4"]),
        ('<ElementRef REF="b2 gone b1"/><ElementRef REF="b2"/>', ["4", "1 2\n3", "5"]),
        ("", ["1 2\n3", "4", "5"]),
    ],
)
@pytest.mark.parametrize("group", ["OrderedGroup", "UnorderedGroup"])
def test_the_reading_order_is_honoured(tmp_path, order, texts, group):
    page = alto_block("b1", 10, "1 2", "3") + alto_block("b2", 40, "4") + alto_block("b3", 60, "5")
    write(tmp_path, "a.xml", alto(page, ORDER.format(group, order)))
    record = read_one(alto_format, tmp_path)
    assert record.texts == texts
    assert record.text == "\n\n".join(texts)


SOURCE = "<Description><sourceImageInformation><fileName>{}</fileName></sourceImageInformation></Description>"


@pytest.mark.parametrize("named", ["scan.png", "/data/in/scan.png", r"C:\in\scan.png", "../../scan.png", "x/scan.png"])
def test_the_image_that_is_named(tmp_path, named):
    write(tmp_path / "pages", "a.xml", alto("", SOURCE.format(named)), "scan.png")
    write(tmp_path / "pages", "b.xml", alto(""))
    write(tmp_path, "c.xml", alto(""), "scan.png")
    records = read_pages(alto_format, tmp_path / "pages")
    assert records["a"].image_path == f"{tmp_path}/pages/scan.png"
    assert records["b"].image_path == f"{tmp_path}/pages/b.png"


@pytest.mark.parametrize(
    ("named", "found"),
    [("scan.png", "x/scan.png"), ("y/scan.png", "y/scan.png"), ("/z/scan.png", "x/scan.png"), ("top.png", "top.png")],
)
def test_of_several_images_of_a_name_the_one_at_its_path_or_beside_the_annotation(tmp_path, named, found):
    for image in ("x/scan.png", "y/scan.png", "scan.png", "top.png", "x/a.png"):
        write(tmp_path, "x/a.xml", alto("", SOURCE.format(named)), image=None)
        write(tmp_path, "images", "", image)
    assert read_one(alto_format, tmp_path).image_path == f"{tmp_path}/{found}"


@pytest.mark.parametrize("named", ["gone.png", "a.jp2", "", "https://gallica.bnf.fr/iiif/default.jpg", "a\nb.png"])
def test_an_image_of_the_annotations_name_where_the_named_one_is_not_there(tmp_path, named):
    write(tmp_path, "x/a.alto.xml", alto("", SOURCE.format(named)), "x/a.png")
    record = read_one(alto_format, tmp_path)
    assert (record.id, record.image_path) == ("x/a.alto", f"{tmp_path}/x/a.png")


def test_no_image_and_an_image_outside_of_the_folder(tmp_path):
    write(tmp_path, "scan.xml", "", "scan.png")
    write(tmp_path / "in", "a.xml", alto("", SOURCE.format("../scan.png")), None)
    with pytest.raises(RecordError, match=r"no image a \(.*; the annotation names '../scan.png'"):
        read_one(alto_format, tmp_path / "in")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (alto("</Page><Page>"), "annotation holds 2 pages; one file must be one page"),
        (alto("").replace("Page", "Pages"), "annotation holds 0 pages"),
        ('<mets xmlns="x"/>', "annotation begins with the element 'mets', not 'alto'"),
        (alto(alto_block("b", 1, "x").replace("CONTENT", "CONTENTS")), "String 'bs0_0' has no CONTENT"),
        (alto("<TextBlock ID='b'><TextLine ID='l'><String CONTENT='x'/></TextLine></TextBlock>"), "no coordinates"),
        (alto(f"<Illustration ID='i' {place(1, 2, 'NaN', 3)}/>"), "WIDTH of Illustration 'i' is 'NaN', not a number"),
        (alto(f"<Illustration {place(1, 2, '1_0', 3)}/>"), "WIDTH of Illustration '' is '1_0', not a number"),
        (alto(f"<Illustration {place(1, 2, '9' * 401, 3)}/>"), r"bboxes\[0\] holds inf, not a pixel coordinate"),
        (alto(f"<Illustration {place(1, 2, '1e400', 3)}/>"), r"bboxes\[0\] holds inf, not a pixel coordinate"),
        (
            alto("<Illustration><Shape><Polygon POINTS='1 2 3'/></Shape></Illustration>"),
            "is '1 2 3'..., not pairs",
        ),
        (alto("<Illustration><Shape><Polygon POINTS=''/></Shape></Illustration>"), "the region has no coordinates"),
        (alto("", size='WIDTH="0" HEIGHT="10"'), "has the side 0.0, not a number above 0"),
        (alto("", size='WIDTH="10"'), "HEIGHT of Page 'p' is '', not a number"),
        (alto("", size='WIDTH="100" HEIGHT="200"'), "drawn on a page of 100x200, .* it is turned"),
    ],
)
def test_a_broken_page_is_refused_with_the_reason(tmp_path, content, message):
    write(tmp_path, "a.xml", content)
    with pytest.raises(RecordError, match=message):
        read_one(alto_format, tmp_path)


def test_it_is_recognised_among_other_xml(tmp_path):
    write(tmp_path, "METS.xml", "<mets/>", None)
    write(tmp_path, "a.xml", "<!-- <PcGts> --><?x <PcGts>?>" + alto("").replace('<?xml version="1.0"?>', ""))
    tree = list_files(tmp_path)
    assert choose_format("auto", [tree]) == "alto"
    assert [page.id for page in alto_format.list_pages(tree, tree)] == ["a"]


@pytest.mark.parametrize(("folder", "blocks", "lines"), [("alto_handwritten", 13, 142), ("alto_print", 32, 301)])
def test_real_pages(real_pages, folder, blocks, lines):
    contents = {path.stem: path.read_text("utf-8") for path in (real_pages / folder).glob("*.xml")}
    regions, by_line = (read_pages(alto_format, real_pages / folder, level) for level in ("region", "line"))
    assert sum(len(record.bboxes) for record in regions.values()) == blocks
    assert sum(content.count("<TextBlock") for content in contents.values()) == blocks
    assert sum(bool(text) for record in by_line.values() for text in record.texts) == lines
    for name, content in contents.items():
        printed = re.findall(r'<String CONTENT="([^"]*)"', content)
        assert [text for text in by_line[name].texts if text] == [unescape(text).strip() for text in printed]


def test_a_real_page_in_detail(real_pages):
    record = read_pages(alto_format, real_pages / "alto_print")["00081"]
    assert [alto_format.LABELS[label] for label in record.labels] == ["text", "title", "page_number", "image"]
    assert record.bboxes[0] == [180, 1021, 1042, 1986]
    assert record.texts[0].startswith("TYRANNICI Satellites,\n")


@pytest.mark.parametrize(("folder", "pages"), [("alto_handwritten", 8), ("alto_print", 12)])
def test_real_folders_are_built_without_a_reject(real_pages, datasets_cache, folder, pages):
    build("letters", real_pages / folder, "--test", "0", "--val", "0", "--max_bad", "0")
    rows = load_dataset("letters", split="train")
    assert len(rows) == pages
    known = {"text", "title", "stamp", "page_number", "image", "drop_capital"}
    assert set(Counter(label for row in rows["labels"] for label in row)) <= known
