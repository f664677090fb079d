"""PAGE-XML of every year, on real pages of the Deutsches Textarchiv and on small ones of our own."""

import re
from html import unescape

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import choose_format
from data_scripts.formats import page_xml as page_format
from helpers.commands import build
from helpers.xml_pages import equivalent, page_xml, points, read_one, read_pages, region, write
from ocr2_hf import load_dataset
from ocr2_hf.document.records import RecordError


def line(id, y, text, attributes=""):
    words = "".join(
        f'<Word id="{id}w{i}">{points(10 + 30 * i, y, 35 + 30 * i, y + 5)}{equivalent(word)}</Word>'
        for i, word in enumerate(text.split())
    )
    return f'<TextLine id="{id}" {attributes}>{points(10, y, 160, y + 5)}{words}{equivalent(text)}</TextLine>'


def texts_of(folder, content, level="region"):
    write(folder, "a.xml", page_xml(content))
    return read_one(page_format, folder, level).texts


def test_regions_lines_and_words(tmp_path):
    first = region("r1", 10, line("l1", 10, "one two") + line("l2", 15, "three") + equivalent("one two\nthree"))
    write(tmp_path, "a.xml", page_xml(first + region("r2", 40, line("l3", 40, "four"), 'type="heading"')))
    record = read_one(page_format, tmp_path)
    assert record.text == "one two\nthree\n\nfour"
    assert (record.labels, record.texts) == (["TextRegion", "heading"], ["one two\nthree", "four"])
    assert record.bboxes == [[5, 10, 195, 20], [5, 40, 195, 50]]
    lines = read_one(page_format, tmp_path, "line")
    assert (lines.labels, lines.texts) == (["TextRegion", "TextRegion", "heading"], ["one two", "three", "four"])
    assert lines.bboxes[1] == [10, 15, 160, 20]
    words = read_one(page_format, tmp_path, "word")
    assert (words.text, words.texts) == (record.text, ["one", "two", "three", "four"])
    assert words.bboxes[1] == [40, 10, 65, 15]


@pytest.mark.parametrize("year", ["2009-03-16", "2010-03-19", "2013-07-15", "2017-07-15", "2019-07-15"])
def test_points_as_before_2013_and_since(tmp_path, year):
    old = '<Coords><Point x="5" y="40"/><Point x="60" y="45"/><Point x="9" y="80"/></Coords>'
    new = '<Coords points="5,40 60,45 9,80"/>'
    for coords in (old, new):
        write(tmp_path, "a.xml", page_xml(f'<ImageRegion id="r">{coords}</ImageRegion>', year))
        assert read_one(page_format, tmp_path).bboxes == [[5, 40, 60, 80]]


def test_the_text_of_the_lowest_index_else_the_first_else_that_of_the_parts(tmp_path):
    two = equivalent("second", 'index="1"') + equivalent("first", 'index="0"')
    assert texts_of(tmp_path, region("r", 10, two)) == ["first"]
    assert texts_of(tmp_path, region("r", 10, equivalent("first") + equivalent("second"))) == ["first"]
    assert texts_of(tmp_path, region("r", 10, line("l", 10, "of the line") + equivalent(""))) == ["of the line"]
    of_words = re.sub(r"(</Word>)<TextEquiv.*?</TextEquiv></TextLine>", r"\1</TextLine>", line("l", 10, "of words"))
    assert texts_of(tmp_path, region("r", 10, of_words)) == ["of words"]
    plain = "<TextEquiv><PlainText>plain</PlainText></TextEquiv>"
    assert texts_of(tmp_path, region("r", 10, plain)) == ["plain"]
    assert texts_of(tmp_path, region("r", 10, equivalent(" a \n b "))) == ["a\n b"]


@pytest.mark.parametrize(
    ("tag", "attributes", "label"),
    [
        ("TextRegion", 'type="page-number"', "page_number"),
        ("TextRegion", 'type="caption"', "figure_title"),
        ("TextRegion", 'type="header"', "header"),
        ("TextRegion", 'type="footnote"', "footnote"),
        ("TextRegion", 'custom="readingOrder {index:0;} structure {type:heading;}"', "sub_title"),
        ("TextRegion", 'type="paragraph" custom="structure {type:heading;}"', "text"),
        ("TextRegion", 'type="other" custom="structure {score:1; type:stamp; x:y;}"', "stamp"),
        ("TextRegion", r'custom="structure {type:page\u002dnumber;}"', "page_number"),
        ("TextRegion", r'custom="structure {type:an\u0020entry\u003b \ud83d\ude00 \/\\;}"', "an entry; \U0001f600 /\\"),
        ("TextRegion", 'custom="structure {score:1; type:a&amp;amp;b &amp;#233;;}"', "a&b \u00e9"),
        ("TextRegion", 'custom="structure {type:Q&amp;A;}"', "Q&A"),
        ("TextRegion", r'custom="structure {type:\u12 \x;}"', r"\u12 \x"),  # no escapes
        ("TextRegion", "", "text"),
        ("TableRegion", "", "table"),
        ("MathsRegion", "", "equation"),
        ("GraphicRegion", 'type="logo"', "image"),
        ("SeparatorRegion", "", "separator"),
        ("CustomRegion", 'type="barcode"', "barcode"),
    ],
)
def test_classes_and_labels(tmp_path, tag, attributes, label):
    write(tmp_path, "a.xml", page_xml(region("r", 10, "", attributes, tag)))
    (found,) = read_one(page_format, tmp_path).labels
    assert page_format.LABELS.get(found, found) == label


REGIONS = "".join(region(f"r{i}", 15 * i, equivalent(str(i))) for i in range(6))


@pytest.mark.parametrize(
    ("order", "texts"),
    [
        ("", "012345"),
        ('<OrderedGroup id="g">{3@0}{1@1}</OrderedGroup>', "310245"),
        ('<OrderedGroup id="g">{3@7}{1@2}{0@11}</OrderedGroup>', "130245"),
        ('<UnorderedGroup id="g">{4}{2}</UnorderedGroup>', "420135"),
        (
            '<OrderedGroup id="g">{5@2}<UnorderedGroupIndexed index="1">{2}{1}</UnorderedGroupIndexed>'
            '<OrderedGroupIndexed index="0">{4@1}{3@0}</OrderedGroupIndexed></OrderedGroup>',
            "342150",
        ),
        ('<UnorderedGroup><OrderedGroup regionRef="r5">{1@0}</OrderedGroup>{0}</UnorderedGroup>', "510234"),
        ('<OrderedGroup id="g">{2@0}{2@1}<RegionRefIndexed regionRef="gone" index="2"/>{0@3}</OrderedGroup>', "201345"),
    ],
)
def test_the_reading_order_is_honoured_and_the_rest_follows(tmp_path, order, texts):
    order = re.sub(r"\{(\d)@(\d+)\}", r'<RegionRefIndexed regionRef="r\1" index="\2"/>', order)
    order = re.sub(r"\{(\d)\}", r'<RegionRef regionRef="r\1"/>', order)
    content = f"<ReadingOrder>{order}</ReadingOrder>" if order else ""
    assert "".join(texts_of(tmp_path, content + REGIONS)) == texts


def test_a_region_in_a_region_follows_it(tmp_path):
    inner = region("inner", 20, equivalent("inner"))
    outer = region("outer", 10, line("l", 10, "own") + inner + region("image", 30, "", tag="ImageRegion"))
    order = '<ReadingOrder><OrderedGroup id="g">{}</OrderedGroup></ReadingOrder>'
    last = region("last", 60, equivalent("last"))
    assert texts_of(tmp_path, outer + last) == ["own", "inner", "", "last"]
    refs = '<RegionRefIndexed regionRef="last" index="0"/><RegionRefIndexed regionRef="outer" index="1"/>'
    assert texts_of(tmp_path, order.format(refs) + outer + last) == ["last", "own", "inner", ""]
    refs = '<RegionRefIndexed regionRef="inner" index="0"/><RegionRefIndexed regionRef="last" index="1"/>'
    assert texts_of(tmp_path, order.format(refs) + outer + last) == ["inner", "last", "own", ""]


def test_a_text_that_repeats_its_nested_regions_is_read_once(tmp_path):
    nested = region("a", 20, equivalent("one")) + region("b", 30, equivalent("two"))
    assert texts_of(tmp_path, region("r", 10, nested + equivalent("one\ntwo"))) == ["", "one", "two"]
    assert texts_of(tmp_path, region("r", 10, nested + equivalent("own"))) == ["own", "one", "two"]


def test_the_cells_of_a_table_are_its_lines(tmp_path):
    cells = region("c", 10, line("l", 10, "a b")) + region("d", 20, equivalent("2"))
    cells += f'<TableCell id="e" row="1" col="0">{points(5, 30, 60, 40)}{line("m", 30, "3")}</TableCell>'
    table = region("t", 10, cells, tag="TableRegion")
    assert texts_of(tmp_path, table) == ["a b\n2\n3"]
    write(tmp_path, "a.xml", page_xml(table))
    record = read_one(page_format, tmp_path, "line")
    assert (record.texts, record.labels) == (["a b", "2", "3"], ["TableRegion"] * 3)


def test_lines_are_in_the_order_of_their_regions_text_or_of_their_index(tmp_path):
    lines = line("a", 10, "one") + line("b", 30, "two") + line("c", 20, "one")
    assert texts_of(tmp_path, region("r", 10, lines + equivalent("one\none \ntwo")), "line") == ["one", "one", "two"]
    assert texts_of(tmp_path, region("r", 10, lines + equivalent("another")), "line") == ["one", "two", "one"]
    lines = line("a", 10, "one", 'index="2"') + line("b", 30, "two", 'index="1"')
    assert texts_of(tmp_path, region("r", 10, lines), "line") == ["two", "one"]


def test_the_box_of_coords_without_points_is_around_the_lines(tmp_path):
    lines = "".join(
        f'<TextLine id="l{y}">{coords}{equivalent(str(y))}</TextLine>'
        for y, coords in (
            (10, points(20, 10, 90, 20)),
            (20, '<Coords points=" "/>'),
            (30, points(15, 30, 95, 42)),
            (40, points(0, 0, 0, 0)),
        )
    )
    for coords in ('<Coords points=""/>', "<Coords/>", ""):
        write(tmp_path, "a.xml", page_xml(f'<TextRegion id="r">{coords}{lines}</TextRegion>'))
        record = read_one(page_format, tmp_path)
        assert (record.bboxes, record.texts) == ([[15, 10, 95, 42]], ["10\n20\n30\n40"])


def test_boxes_are_scaled_from_the_page_of_the_annotation(tmp_path):
    write(tmp_path, "a.xml", page_xml(region("r", 10, "")), size=(400, 200))
    assert read_one(page_format, tmp_path).bboxes == [[10, 20, 390, 40]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (region("r", 10, "").replace("5,10", "5,x"), "Coords of TextRegion 'r' is 'x', not a number"),
        (region("r", 10, "").replace('"5,10', '"5'), "Coords of TextRegion 'r' is '5 195,10 .*, not pairs x, y"),
        ('<TextRegion id="r"><Coords/></TextRegion>', r"bboxes\[0\] is missing: the region has no coordinates"),
        ('<TextRegion id="r"><Coords><Point x="1"/></Coords></TextRegion>', "y of Point '' is '', not a number"),
        (f'<TextRegion id="r">{equivalent("x")}</TextRegion>', "the region has no coordinates"),
        (region("r", 10, equivalent("x", 'index="first"')), "index of TextEquiv '' is 'first', not a number"),
        ("</Page><Page>", "annotation holds 2 pages"),
    ],
)
def test_a_broken_page_is_refused_with_the_reason(tmp_path, content, message):
    write(tmp_path, "a.xml", page_xml(content))
    with pytest.raises(RecordError, match=message):
        read_one(page_format, tmp_path)


def test_regions_nested_too_deep_are_refused(tmp_path):
    deep = "<TextRegion>" * 3000 + "</TextRegion>" * 3000
    groups = "<ReadingOrder>" + "<OrderedGroup>" * 3000 + "</OrderedGroup>" * 3000 + "</ReadingOrder>"
    for content in (deep, groups):
        write(tmp_path, "a.xml", page_xml(content))
        with pytest.raises(RecordError, match="annotation nests its elements over 100 deep"):
            read_one(page_format, tmp_path)


def test_it_is_recognised(tmp_path):
    write(tmp_path, "a.xml", page_xml("").replace("<PcGts xmlns", "<pc:PcGts xmlns:pc").replace("</Pc", "</pc:Pc"))
    assert choose_format("auto", [list_files(tmp_path)]) == "page"


def test_real_pages(real_pages):
    folder = real_pages / "page_xml"
    contents = {path.stem: path.read_text("utf-8") for path in folder.glob("*.xml")}
    regions, lines = (read_pages(page_format, folder, level) for level in ("region", "line"))
    assert len(regions) == 13
    assert sum(len(record.bboxes) for record in regions.values()) == 76
    assert sum(len(re.findall("<[A-Za-z]+Region[ >]", content)) for content in contents.values()) == 76
    assert sum(bool(text) for record in lines.values() for text in record.texts) == 263
    assert sum(content.count("<TextLine") for content in contents.values()) == 263
    for name, content in contents.items():
        written = re.findall(r"<TextLine.*?<Unicode>([^<]*)</Unicode>", content, re.DOTALL)
        assert sorted(filter(None, lines[name].texts)) == sorted(unescape(text).strip() for text in written)
        # Its lines stand in the file in another order than on the page; that of the regions' texts is right.
        assert "\n".join(filter(None, lines[name].texts)) == regions[name].text.replace("\n\n", "\n")


def test_the_order_of_a_real_page(real_pages):
    record = read_pages(page_format, real_pages / "page_xml")["clauren_mimil_1815_0043"]
    labels = [page_format.LABELS.get(label, label) for label in record.labels]
    assert labels == ["page_number", "text", "text", "text", "footnote", "signature_mark"]
    tops = [box[1] for box in record.bboxes]
    assert tops == sorted(tops)
    assert record.text.startswith("— 33 —\n\nSchleſiſche Kuppe gewiß nicht: wir nennen es\n")
    assert record.text.endswith("\n††) Satyrium nigrum.\n\n3")


@pytest.mark.parametrize(("level", "regions"), [("region", 76), ("line", 275)])
def test_the_real_folder_is_built_without_a_reject(real_pages, datasets_cache, level, regions):
    build("prints", real_pages / "page_xml", "--test", "0", "--val", "0", "--max_bad", "0", "--level", level)
    rows = load_dataset("prints", split="train")
    assert (len(rows), sum(map(len, rows["bboxes"]))) == (13, regions)
