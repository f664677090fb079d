"""The parser's flow, on recorded answers: what stands around tables, boxes, pages that are not as they should be."""

import math

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from helpers.recorded_reader import LAYOUT, TABLE, RecordedReader, layout
from helpers.statement_tables import BALANCE, table_html
from ocr2_hf import FinancialStatementParser
from ocr2_hf.document.dialect import VERSION_1
from ocr2_hf.document.grounding import Region, encode_regions
from ocr2_hf.errors import WorkError

SIZE = (1000, 1400)
BOX = (100.1, 350.35, 900.9, 1051.05)  # on the grid of 0..999
TITLE = ("title", (100, 100, 600, 140), "Consolidated balance sheet")
UNIT = ("text", (100, 160, 600, 190), "in thousands of euros")
ROWS = [["", *BALANCE[0][1:]], *BALANCE[1:]]  # without a unit of its own
PAGE = layout(SIZE, TITLE, UNIT, ("table", BOX, "<table><tr><td>what the layout read</td></tr></table>"))


@pytest.fixture
def image():
    """A page that is not blank."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))


def test_a_page_becomes_a_checked_statement(image):
    reader = RecordedReader([PAGE], [table_html(ROWS)])
    document = FinancialStatementParser(reader).parse_statement(image)
    (statement,) = document.statements
    assert (statement.title, statement.kind) == ("Consolidated balance sheet", "balance sheet")
    assert (statement.unit.currency, statement.unit.scale) == ("EUR", 1000)
    assert statement.lines[1].values[0].amount == 1_200_000
    assert {check.status for check in document.all_checks} == {"ok"} and not document.problems
    assert (document.pages[0].tables_found, document.pages[0].tables_read) == (1, 1)
    # The table was shown alone, with a margin of 2 % of the page's longer side.
    (_, first), (crop, second) = reader.shown
    assert (first, second) == (LAYOUT, TABLE)
    assert crop.size == (857, 758) and np.array_equal(np.asarray(crop), np.asarray(image.crop((72, 322, 929, 1080))))
    place = statement.lines[1].values[0].place
    assert place.source == "table" and place.page == 1
    assert place.box == pytest.approx(BOX, abs=1)


def test_what_the_layout_read_counts_where_the_table_was_not_read_again(image):
    page = layout(SIZE, ("table", BOX, table_html(BALANCE)))
    document = FinancialStatementParser(RecordedReader([page], ["no table at all"])).parse_statement(image)
    assert len(document.statements[0].lines) == len(BALANCE) - 1


def test_a_table_with_its_caption_inside_has_title_and_rows_from_the_layout(image):
    """As the first DeepSeek-OCR writes it; where the table prompt gives nothing, the layout's HTML is all there is."""
    caption = Region("table_caption", (100, 300, 900, 340), "Consolidated balance sheet (in thousands of euros)")
    page = encode_regions([caption, Region("table", BOX, table_html(ROWS))], *SIZE, VERSION_1)
    assert page.startswith("<|ref|>table<|/ref|>")
    document = FinancialStatementParser(RecordedReader([page], [""])).parse_statement(image)
    (statement,) = document.statements
    assert statement.title == caption.text and statement.kind == "balance sheet" and statement.unit.scale == 1000
    assert len(statement.lines) == len(ROWS) - 1


def test_a_title_is_the_headings_above_without_their_marks(image):
    regions = [
        ("title", (100, 10, 600, 40), "# Annual report"),
        ("image", (100, 50, 600, 90), ""),
        ("figure_title", (100, 92, 600, 98), "Figure 1: Our house"),
        ("sub_title", (100, 100, 600, 140), "## 2.1 Balance sheet"),
        ("figure_title", (100, 160, 600, 190), "Table 2. In CHF"),
        ("table", BOX, ""),
    ]
    document = FinancialStatementParser(RecordedReader([layout(SIZE, *regions)], [table_html(ROWS)]))
    (statement,) = document.parse_statement(image).statements
    assert statement.title == "Annual report – 2.1 Balance sheet – Table 2. In CHF"


def test_located_values_have_boxes_of_their_own_on_the_page(image):
    places = {"1,200": (0, 0, 999, 500), "2,300": (999, 999, 0, 0)}
    reader = RecordedReader([PAGE], [table_html(ROWS)], places)
    (statement,) = FinancialStatementParser(reader, locate=True).parse_statement(image).statements
    by_text = {value.printed.text: value.place for line in statement.lines for value in line.values if value}
    # The crop lies at (72, 322) and is 857 x 758 pixels large.
    assert by_text["1,200"].source == "value"
    assert by_text["1,200"].box == pytest.approx((72, 322, 929, 322 + 758 * 500 / 999))
    assert by_text["2,300"].box == pytest.approx((72, 322, 929, 1080))
    assert by_text["400"].source == "table"  # the model did not find it
    asked = [prompt for _, prompt in reader.shown[2:]]
    assert len(asked) == len(set(asked)) and not any("3,500" in prompt for prompt in asked)  # stands there twice


def test_an_answer_without_boxes_has_the_page_for_its_box(image):
    answer = f"Balance sheet\nin millions of CHF\n{table_html(ROWS)}"
    document = FinancialStatementParser(RecordedReader([answer], [""])).parse_statement(image)
    (statement,) = document.statements
    assert (statement.places[0].source, statement.places[0].box) == ("page", (0, 0, *SIZE))
    assert (statement.unit.currency, statement.unit.scale, statement.kind) == ("CHF", 10**6, "balance sheet")


def test_a_small_page_is_not_cut_but_painted_over_around_its_table():
    image = Image.new("RGB", (600, 400), "red")
    image.putpixel((0, 0), (0, 0, 0))
    page = layout(image.size, ("table", (100, 100, 500, 300), ""))
    reader = RecordedReader([page], [table_html(BALANCE)])
    FinancialStatementParser(reader).parse_statement(image)
    crop = reader.shown[1][0]
    assert crop.size == image.size
    assert crop.getpixel((5, 5)) == (255, 255, 255) and crop.getpixel((300, 200)) == (255, 0, 0)


def test_a_statement_over_the_pages_of_a_file(tmp_path, image):
    head = ROWS[0]
    halves = [table_html([head, *ROWS[1:9]]), table_html([head, *ROWS[9:]])]
    image.save(tmp_path / "report.tiff", save_all=True, append_images=[image.rotate(180), image.rotate(180)])
    second = layout(SIZE, ("table", BOX, ""))
    third = layout(SIZE, ("text", (1, 1, 500, 60), "Thank you."))
    reader = RecordedReader([PAGE, second, third], halves)
    document = FinancialStatementParser(reader, batch_size=2).parse_statement(tmp_path / "report.tiff")
    (statement,) = document.statements
    assert [place.page for place in statement.places] == [1, 2]
    assert {check.status for check in statement.checks} == {"ok"}
    assert [page.tables_found for page in document.pages] == [1, 1, 0]
    one = FinancialStatementParser(RecordedReader([second], halves[1:])).parse_statement(tmp_path / "report.tiff", "2")
    assert [page.page for page in one.pages] == [2]


@pytest.mark.parametrize("colour", ["white", (20, 20, 30)])
def test_a_blank_page_is_not_shown_to_the_model(colour):
    reader = RecordedReader([])
    document = FinancialStatementParser(reader).parse_statement(Image.new("RGB", SIZE, colour))
    assert document.pages[0].blank and not document.statements and not reader.shown


def test_a_photo_without_tables_has_no_statement(image):
    page = layout(SIZE, ("image", (0, 0, 999, 999), ""))
    reader = RecordedReader([page])
    document = FinancialStatementParser(reader).parse_statement(image)
    assert not document.statements and document.pages[0].tables_found == 0 and not document.problems
    assert len(reader.shown) == 1


def test_a_page_turned_by_its_camera_is_read_upright_and_one_turned_for_good_gives_no_statement(tmp_path, image):
    turned = Image.Exif()
    turned[0x0112] = 6
    image.rotate(90, expand=True).save(tmp_path / "turned.png", exif=turned)
    reader = RecordedReader([PAGE], [table_html(ROWS)])
    document = FinancialStatementParser(reader).parse_statement(tmp_path / "turned.png")
    assert (document.pages[0].width, document.pages[0].height) == SIZE and document.statements
    garbled = "<table><tr><td>0002 0103</td></tr><tr><td>||||</td></tr></table>"
    page = layout(SIZE, ("table", BOX, garbled))
    sideways = FinancialStatementParser(RecordedReader([page], [garbled])).parse_statement(image)
    assert not sideways.statements and (sideways.pages[0].tables_found, sideways.pages[0].tables_read) == (1, 0)


def test_a_scan_of_100_megapixels_has_its_boxes_in_its_own_pixels(tmp_path):
    size = (8000, 12500)
    Image.linear_gradient("L").resize(size).save(tmp_path / "large.png", compress_level=1)
    box = (800.8, 3128.1, 7207.2, 9384.4)
    reader = RecordedReader([layout(size, ("table", box, ""))], [table_html(BALANCE)])
    document = FinancialStatementParser(reader).parse_statement(tmp_path / "large.png")
    shown, crop = (image for image, _ in reader.shown)
    assert math.prod(shown.size) <= 25_000_000 and crop.width < shown.width
    assert (document.pages[0].width, document.pages[0].height) == size
    assert document.statements[0].places[0].box == pytest.approx(box, abs=5)


def test_an_answer_that_never_ends_is_told_and_its_rows_are_kept(image):
    cut = table_html(ROWS)[:400] + "<td>1,2"
    reader = RecordedReader([PAGE], [cut], finished=False)
    document = FinancialStatementParser(reader).parse_statement(image)
    assert len(document.statements[0].lines) > 3
    assert document.problems == ["page 1: the answer for its layout, table 1 was cut off at the limit of tokens"]


def test_a_layout_in_a_loop_asks_for_no_table_twice_and_for_no_thousands(image):
    same = [("table", BOX, "")] * 60
    reader = RecordedReader([layout(SIZE, *same)], [table_html(BALANCE)])
    assert FinancialStatementParser(reader).parse_statement(image).pages[0].tables_found == 1
    strips = [("table", (0, 20 * n, 900, 20 * n + 18), "") for n in range(60)]
    reader = RecordedReader([layout(SIZE, *strips)], ["no table"] * 40)
    document = FinancialStatementParser(reader).parse_statement(image)
    assert document.problems == ["page 1: 60 tables were found, the first 40 are read"] and len(reader.shown) == 41


def test_a_table_too_large_for_the_memory_does_not_end_the_run(image):
    page = layout(SIZE, TITLE, ("table", BOX, table_html(BALANCE)), ("table", (1, 1200, 900, 1390), ""))
    document = FinancialStatementParser(RecordedReader([page], [None, table_html(BALANCE)])).parse_statement(image)
    assert len(document.statements) == 2  # the layout had read the first
    assert document.problems == ["page 1: the answer for table 1 is missing: too little GPU memory"]


def test_a_bad_page_is_told_and_the_others_are_read(tmp_path, image, monkeypatch):
    pdf = pypdfium2.PdfDocument.new()
    pdf.new_page(72 * SIZE[0] / 144, 72 * SIZE[1] / 144)
    pdf.new_page(90_000, 90_000)
    pdf.save(tmp_path / "two.pdf")
    document = FinancialStatementParser(RecordedReader([])).parse_statement(tmp_path / "two.pdf")
    assert document.pages[0].blank and "pixels: scale it down" in document.pages[1].problem


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"%PDF-1.7 broken", "broken PDF"), (b"no image", "not a readable image"), (None, "no such file")],
)
def test_a_file_that_cannot_be_read_is_one_error(tmp_path, content, message):
    path = tmp_path / "bad.pdf"
    if content:
        path.write_bytes(content)
    with pytest.raises(WorkError, match=message):
        FinancialStatementParser(RecordedReader([])).parse_statement(path)
