"""hOCR: XHTML and HTML that is no XML, one page or many to a file, on a real page of Tesseract and on small ones."""

import os
import re
import shutil

import pytest

from data_scripts.file_tree import list_files
from data_scripts.formats import choose_format
from data_scripts.formats import hocr as hocr_format
from helpers.commands import build
from helpers.xml_pages import HEIGHT, WIDTH, hocr, hocr_line, hocr_page, hocr_par, read_one, read_pages, write
from ocr2_hf import load_dataset
from ocr2_hf.document.records import RecordError

PARAGRAPHS = hocr_par(10, hocr_line(10, "one", "two"), hocr_line(20, "three")) + hocr_par(50, hocr_line(50, "four"))


def read_content(folder, content, level="region"):
    write(folder, "a.hocr", hocr(hocr_page(content)))
    return read_one(hocr_format, folder, level)


def test_regions_lines_and_words(tmp_path):
    record = read_content(tmp_path, f"<div class='ocr_carea' title='bbox 1 1 199 99'>{PARAGRAPHS}</div>")
    assert record.text == "one two\nthree\n\nfour"
    assert (record.labels, record.texts) == (["ocr_par"] * 2, ["one two\nthree", "four"])
    assert record.bboxes == [[5, 10, 195, 30], [5, 50, 195, 60]]
    lines = read_one(hocr_format, tmp_path, "line")
    assert (lines.text, lines.texts) == (record.text, ["one two", "three", "four"])
    assert lines.bboxes[1] == [10, 20, 160, 30]
    words = read_one(hocr_format, tmp_path, "word")
    assert (words.text, words.texts) == (record.text, ["one", "two", "three", "four"])
    assert (words.labels, words.bboxes[1]) == (["ocr_par"] * 4, [40, 10, 65, 20])


def test_an_area_without_paragraphs_is_a_region_and_so_are_lines_alone(tmp_path):
    area = f"<div class='ocr_carea' title='bbox 5 5 190 40'>{hocr_line(10, 'a')}{hocr_line(20, 'b')}</div>"
    loose = f"<div>{hocr_line(50, 'c', kind='ocrx_line')}{hocr_line(60, 'd', kind='ocrx_line')}</div>"
    record = read_content(tmp_path, area + loose)
    assert record.texts == ["a\nb", "c\nd"]
    assert [hocr_format.LABELS[label] for label in record.labels] == ["text", "text"]
    assert record.bboxes == [[5, 5, 190, 40], [10, 50, 160, 70]]


def test_floats_and_lines_of_another_class_are_regions_of_their_own(tmp_path):
    photo = "<div class='ocr_photo' title='bbox 5 60 50 90'></div><div class='ocr_separator' title='bbox 0 95 200 97'/>"
    header = hocr_par(1, hocr_line(1, "page", "9", kind="ocr_header"))
    line = "<span class='ocr_line' title='bbox 60 60 90 70'>x y</span>"
    caption = f"<div class='ocr_caption' title='bbox 60 60 90 90'>{line}</div>"
    mixed = hocr_par(20, hocr_line(20, "a"), hocr_line(30, "b", kind="ocr_textfloat"))
    record = read_content(tmp_path, header + mixed + caption + photo)
    labels = [hocr_format.LABELS[label] for label in record.labels]
    assert labels == ["header", "text", "text", "figure_title", "image", "separator"]
    assert record.texts == ["page 9", "a", "b", "x y", "", ""]


def test_text_that_is_not_in_words_and_words_that_are_not_in_lines(tmp_path):
    line = "<span class='ocr_line' title='bbox 10 10 90 20'>plain <b>and</b>\n <i>bold</i>{}</span>"
    assert read_content(tmp_path, line.format("")).text == "plain and bold"
    word = "<span class='ocrx_word' title='bbox 95 10 99 20'>word</span>"
    assert read_content(tmp_path, line.format(f" {word}")).text == "plain and bold word"
    assert read_content(tmp_path, hocr_par(10, f"{word} {word}"), "word").texts == ["word", "word"]
    glued = hocr_par(10, f"<span class='ocr_line'>{word}{word}</span>")
    assert read_content(tmp_path, glued).text == "word word"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("one, two {one} {,} {two}", "one, two"),
        ("{one} {,} {two} <i>one</i>,  two\n", "one, two"),
        ("one{one}, {,} two {two}", "one , two"),
        ("one {one} {,} {two}", "one one , two"),  # another text, though a word of it is the same
        ("{one} {,} {two}", "one , two"),
    ],
)
def test_a_text_that_the_words_of_its_line_repeat_is_read_once(tmp_path, line, text):
    spans = {word: f"<span class='ocrx_word' title='bbox 10 10 35 20'>{word}</span>" for word in ("one", ",", "two")}
    line = re.sub("{(.*?)}", lambda word: spans[word[1]], line)
    record = read_content(tmp_path, hocr_par(10, f"<span class='ocr_line' title='bbox 10 10 90 20'>{line}</span>"))
    assert (record.text, record.texts) == (text, [text])
    assert read_one(hocr_format, tmp_path, "word").texts == ["one", ",", "two"]


def test_a_corrected_line_counts_and_not_its_words_as_they_were(tmp_path):
    line = hocr_line(10, "Tbe", "quick", "brown").replace("<span class='ocrx", "The quick brown <span class='ocrx", 1)
    assert read_content(tmp_path, hocr_par(10, line)).text == "The quick brown"


def test_texts_are_read_once_in_paragraphs_and_words_too(tmp_path):
    word = "<span class='ocrx_word'>ab<span class='ocrx_cinfo'>a</span><span class='ocrx_cinfo'>b</span></span>"
    line = f"<span class='ocr_line' title='bbox 10 10 90 20'>{word} <span class='ocrx_word'>c</span></span>"
    assert read_content(tmp_path, hocr_par(10, f"<b>ab c</b><br/>{line}")).texts == ["ab c"]


def test_a_br_parts_neither_a_paragraph_nor_two_letters(tmp_path):
    lines = hocr_line(10, "one"), hocr_line(20, "two")
    for between in ("<br/>", "\n<br class='x'/><a id='here'/>"):
        loose = f"<div class='ocr_carea' title='bbox 5 5 190 40'><p>{lines[0]}{between}{lines[1]}</p></div>"
        for content in (loose, loose.replace("ocr_carea", "x"), hocr_par(10, between.join(lines))):
            assert read_content(tmp_path, content).texts == ["one\ntwo"]
    broken = hocr_par(10, "<span class='ocr_line' title='bbox 10 10 90 20'>one<br/>two</span>")
    assert read_content(tmp_path, broken).texts == ["one two"]


def test_text_that_would_be_lost_is_refused(tmp_path):
    with pytest.raises(RecordError, match="5 of the page's 20 letters are in no line, word or region of hOCR"):
        read_content(tmp_path, f"<p>stray</p>{PARAGRAPHS}{hocr_line(80)}")


def test_boxes_are_scaled_from_the_box_of_the_page(tmp_path):
    write(tmp_path, "a.hocr", hocr(hocr_page(hocr_par(10, hocr_line(10, "x")))), size=(400, 200))
    assert read_one(hocr_format, tmp_path).bboxes == [[10, 20, 390, 40]]
    write(tmp_path, "a.hocr", hocr(hocr_page(hocr_par(10, hocr_line(10, "x")), "ppageno 0")))
    assert read_one(hocr_format, tmp_path).bboxes == [[5, 10, 195, 20]]


HTML = """<!DOCTYPE html>
<html><head><meta charset="{charset}"><title>x</title>
<body><!-- <div class=ocr_page> --><div class=ocr_page title="image 'scan.png'; bbox 0 0 200 100">
<p class=ocr_par title="bbox 5 10 195 40"><span class="x ocr_line" title="bbox 10 10 160 20">caf\u00e9&nbsp;&amp; <br>
<span class=ocrx_word title='bbox 20 10 30 20'>bar</span></span>
<p class=ocr_par title="bbox 5 50 195 60"><SPAN CLASS=ocr_line TITLE="bbox 10 50 160 60">two
</div></body></html>"""


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
def test_html_that_is_no_xml(tmp_path, charset):
    write(tmp_path, "a.html", HTML.format(charset=charset).encode(charset), "scan.png")
    record = read_one(hocr_format, tmp_path)
    assert record.texts == ["café & bar", "two"]
    assert record.bboxes == [[5, 10, 195, 40], [5, 50, 195, 60]]
    assert record.image_path == f"{tmp_path}/scan.png"
    assert choose_format("auto", [list_files(tmp_path)]) == "hocr"


def test_xhtml_that_html_would_misread(tmp_path):
    empty = "<span class='ocr_line' title='bbox 10 80 160 90'/>"
    record = read_content(tmp_path, hocr_par(80, empty) + PARAGRAPHS)
    assert record.texts == ["", "one two\nthree", "four"]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ('image "scan.png"', "scan.png"),
        ("image &apos;/tmp/in/scan.png&apos;", "scan.png"),
        ("image scan.png", "scan.png"),
        ('image "../../scan.png"', "scan.png"),
        ('image "a;b.png"', "a;b.png"),
        ('image ""', "a.png"),
        ('image "/tmp/tess_1.tif"', "a.png"),
        ("ppageno 0", "a.png"),
    ],
)
def test_the_image_of_a_page(tmp_path, named, found):
    for image in ("scan.png", "a;b.png", "a.png"):
        write(tmp_path, "a.hocr", hocr(hocr_page("", f"bbox 0 0 {WIDTH} {HEIGHT}; {named}")), image)
    assert read_one(hocr_format, tmp_path).image_path == f"{tmp_path}/{found}"


def test_many_pages_to_a_file(tmp_path):
    pages = [hocr_page(hocr_par(10, hocr_line(10, str(n))), f'image "p{n}.png"; bbox 0 0 200 100') for n in range(3)]
    for n in range(3):
        write(tmp_path, "book.html", hocr(*pages), f"p{n}.png")
    records = read_pages(hocr_format, tmp_path)
    assert {id: record.text for id, record in records.items()} == {f"book#page={n + 1}": str(n) for n in range(3)}
    assert [record.image_path for record in records.values()] == [f"{tmp_path}/p{n}.png" for n in range(3)]


def test_many_pages_of_one_pdf(tmp_path):
    pages = [hocr_page("", f'image "/tmp/book_{n}.tif"; bbox 0 0 200 100') for n in range(12)]
    write(tmp_path, "book.hocr", hocr(*pages), None)
    (tmp_path / "book.pdf").write_bytes(b"%PDF")
    tree = list_files(tmp_path)
    records = [hocr_format.read_page(page, "region") for page in hocr_format.list_pages(tree, tree)]
    assert {record.id: record.page_number for record in records} == {f"book#page={n}": n for n in range(1, 13)}
    assert {record.image_path for record in records} == {f"{tmp_path}/book.pdf"}


@pytest.mark.parametrize(
    ("annotation", "named", "images", "numbers"),
    [
        ("scan.hocr", "scan.tif", ["scan.tif"], [1, 2]),
        ("other.hocr", "/in/scan.tif", ["scan.tif"], [1, 2]),
        ("scan.hocr", "p{}.tif", ["p1.tif", "p2.tif"], [None, None]),
    ],
)
def test_many_pages_of_tiffs(tmp_path, annotation, named, images, numbers):
    pages = [hocr_page("", f'image "{named.format(n)}"; bbox 0 0 200 100') for n in (1, 2)]
    write(tmp_path, annotation, hocr(*pages), None)
    for image in images:
        (tmp_path / image).touch()
    tree = list_files(tmp_path)
    records = [hocr_format.read_page(page, "region") for page in hocr_format.list_pages(tree, tree)]
    assert [record.page_number for record in records] == numbers
    assert list(dict.fromkeys(record.image_path for record in records)) == [f"{tmp_path}/{image}" for image in images]


def test_many_pages_and_one_image_of_the_files_name(tmp_path):
    write(tmp_path, "a.hocr", hocr(hocr_page(""), hocr_page("")))
    with pytest.raises(RecordError, match="annotation holds 2 pages of class ocr_page, and one image has its name"):
        read_one(hocr_format, tmp_path)


def test_a_file_that_changed_is_read_again(tmp_path):
    for time, text in enumerate(("one", "two")):
        write(tmp_path, "a.hocr", hocr(hocr_page(hocr_par(10, hocr_line(10, text)))))
        os.utime(tmp_path / "a.hocr", (time, time))
        assert read_one(hocr_format, tmp_path).text == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (hocr(), "annotation holds 0 pages of class ocr_page"),
        (hocr(hocr_page(hocr_page(""))), "annotation has an ocr_page in another one"),
        (hocr(hocr_page("<p class='ocr_par' title='bbox 1 2 x 4'/>")), "bbox of ocr_par '' is 'x', not a number"),
        (hocr(hocr_page("<p class='ocr_par' title='bbox 1 2 3' id='p'/>")), "bbox of ocr_par 'p' has 3 numbers"),
        (hocr(hocr_page("<p class='ocr_par'>x</p>")), r"bboxes\[0\] is missing: the region has no coordinates"),
        (hocr(hocr_page(PARAGRAPHS))[:-30], "annotation is cut off: it is no XML, and has no </html> at its end"),
        (HTML.format(charset="utf-8")[:-7], "annotation is cut off"),
        (HTML.format(charset="idna"), "the encoding 'idna', which is not known"),
        (HTML.format(charset="utf-8").encode("latin-1"), "annotation cannot be decoded"),
        (HTML.format(charset="utf-8").replace("two", "t\0wo"), "annotation has a null character at offset"),
        ("<div>" * 3000 + HTML.format(charset="utf-8"), "annotation is broken HTML: Excessive depth"),
        (hocr("<div>" * 3000 + "</div>" * 3000), "annotation nests its elements over 100 deep"),
        ("", "annotation is broken HTML: "),
    ],
)
def test_a_broken_file_is_refused_with_the_reason(tmp_path, content, message):
    write(tmp_path, "a.hocr", content)
    with pytest.raises(RecordError, match=message):
        read_one(hocr_format, tmp_path)


def test_a_real_page(real_pages):
    source = (real_pages / "hocr/tess.hocr").read_text("utf-8")
    counts = {"region": "ocr_par", "line": "ocr_line", "word": "ocrx_word"}
    records = {level: read_one(hocr_format, real_pages / "hocr", level) for level in counts}
    assert {level: len(record.bboxes) for level, record in records.items()} == {"region": 8, "line": 37, "word": 503}
    assert {level: source.count(f"class='{kind}'") for level, kind in counts.items()} == {
        level: len(record.bboxes) for level, record in records.items()
    }
    assert records["line"].texts[:2] == [
        "1 Down the Rabbit-Hole",
        "Alice was beginning to get very tired of sitting by her sister on the bank,",
    ]
    assert records["line"].bboxes[0] == [470, 528, 1383, 585]
    words = [re.sub("<[^>]*>", "", word) for word in re.findall(r"ocrx_word'[^>]*>(.*?)</span>", source)]
    assert len(" ".join(records["word"].texts).split()) == len(" ".join(words).split())


def test_the_real_folder_is_built_without_a_reject(real_pages, datasets_cache, tmp_path):
    shutil.copytree(real_pages / "hocr", tmp_path / "pages")
    build("alice", tmp_path / "pages", "--test", "0", "--val", "0", "--max_bad", "0", "--level", "word")
    (row,) = load_dataset("alice", split="train")
    assert (row["id"], len(row["bboxes"]), set(row["labels"])) == ("tess", 503, {"text"})
