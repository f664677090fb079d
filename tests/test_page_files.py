"""Pages from images and PDFs, whole and broken."""

import ast
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_scripts import build_plan, page_image
from data_scripts.formats import images
from helpers.commands import ROOT
from helpers.page_folders import LOCKED_PDF, deep_tiff, turned, write_tiff
from ocr2_hf.document import page_files as pages
from ocr2_hf.document.page_files import PageSource, is_pdf, list_pages, to_rgb
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.reading import inputs


def only_page(path):
    (page,) = list_pages(path)
    return page.load()


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp", "gif", "jp2", "j2k"])
def test_one_image_is_one_page(tmp_path, suffix):
    Image.new("RGB", (30, 20), "red").save(tmp_path / f"page.{suffix}")
    image = only_page(tmp_path / f"page.{suffix}")
    assert image.mode == "RGB" and image.size == (30, 20)
    assert image.getpixel((15, 10)) == pytest.approx((255, 0, 0), abs=12)


def test_what_a_page_may_be_is_said_once():
    """Reading and building had lists of suffixes and limits of their own."""
    assert inputs.PAGE_SUFFIXES is images.PAGE_SUFFIXES is pages.PAGE_SUFFIXES
    assert build_plan.IMAGE_SUFFIXES is pages.IMAGE_SUFFIXES and page_image.check_size is pages.check_size
    product = [path for folder in ("ocr2_hf", "data_scripts") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in product if '".webp"' in path.read_text(encoding="utf-8")] == ["page_files.py"]


def test_an_image_in_memory_is_a_page():
    assert only_page(Image.new("L", (30, 20), 7)).getpixel((0, 0)) == (7, 7, 7)


def test_a_turned_photo_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    image.save(tmp_path / "page.jpg", exif=exif, quality=95)
    upright = only_page(tmp_path / "page.jpg")
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5))[0] < 50 and upright.getpixel((10, 35))[0] > 200


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(mode):
    image = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    image.putpixel((5, 5), (0, 0, 0, 255))
    rgb = to_rgb(image.convert(mode))
    assert rgb.getpixel((0, 0)) == (255, 255, 255) and rgb.getpixel((5, 5)) == (0, 0, 0)


def test_sixteen_bit_grey_keeps_its_shades(tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(tmp_path / "page.png")
    assert np.asarray(only_page(tmp_path / "page.png"))[0, :, 0].tolist() == [0, 128, 255]


SHADES = np.linspace(0, 1, 5)
BLACK_TO_WHITE = [0, 64, 128, 191, 255]


@pytest.mark.parametrize(
    ("values", "photometric"),
    [
        ((SHADES * 65535).astype("<u2"), 1),
        (((1 - SHADES) * 65535).astype("<u2"), 0),
        (((1 - SHADES) * 4095).astype("<u2"), 0),
        ((SHADES * 4095).astype("<u2"), 1),
        ((SHADES * 1023).astype("<u2"), 1),
        (SHADES.astype("<f4"), 1),
        ((SHADES * 255).astype("<f4"), 1),
        (np.array([-0.01, 0.25, 0.5, 0.75, 1.02], "<f4"), 1),
        (np.array([0, 0.25, 0.5, 0.75, np.nan], "<f4"), 1),
        ((SHADES * 32767).astype("<i2"), 1),
        ((SHADES * 65535 - 32768).astype("<i2"), 1),
        ((SHADES * 65535).astype("<i4"), 1),
        ((SHADES * (2**31 - 1)).astype("<i4"), 1),
        ((SHADES * (2**32 - 1)).astype("<u4"), 1),
    ],
    ids=[
        *("16 bits", "white is 0", "12 bits, white is 0", "12 bits in 16", "10 bits in 16", "0 to 1", "floats to 255"),
        *("overshoot", "no number", "signed, upper half", "signed", "16 bits in 32", "signed 32 bits", "32 bits"),
    ],
)
def test_deep_grey_of_a_tiff_keeps_its_shades(tmp_path, values, photometric):
    path = tmp_path / "page.tif"
    path.write_bytes(deep_tiff(values, photometric))
    assert np.asarray(only_page(path))[0, :, 0].tolist() == pytest.approx(BLACK_TO_WHITE, abs=1.5)
    with Image.open(path) as image:  # as it comes from a built dataset
        assert np.asarray(to_rgb(image))[0, :, 0].tolist() == pytest.approx(BLACK_TO_WHITE, abs=1.5)
        assert np.asarray(only_page(image))[0, :, 0].tolist() == pytest.approx(BLACK_TO_WHITE, abs=1.5)


def test_a_tiff_of_pixels_that_pillow_does_not_know_is_told_from_a_file_that_is_no_image(tmp_path):
    (tmp_path / "page.tif").write_bytes(deep_tiff(SHADES.astype("<f8")))
    with pytest.raises(
        WorkError, match=r"page\.tif: a TIFF whose pixels are of a kind that is not read: save it as RGB"
    ):
        only_page(tmp_path / "page.tif")


def test_a_turned_page_of_deep_grey_is_upright(tmp_path):
    grey = np.array([[0, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "page.png", exif=turned(6))
    assert np.asarray(only_page(tmp_path / "page.png"))[:, 0, 0].tolist() == [0, 128, 255]


def test_a_multi_page_tiff_and_an_animation(tmp_path):
    frames = [Image.new("RGB", (10 + i, 10), color) for i, color in enumerate(("red", "lime", "blue"))]
    frames[0].save(tmp_path / "scan.tif", save_all=True, append_images=frames[1:])
    found = list_pages(tmp_path / "scan.tif")
    assert [page.load().size for page in found] == [(10, 10), (11, 10), (12, 10)]
    assert found[2].load().getpixel((0, 0)) == (0, 0, 255)
    assert [page.name for page in found][1].endswith("scan.tif, page 2")
    frames[0].save(tmp_path / "page.gif", save_all=True, append_images=frames[1:])
    assert len(list_pages(tmp_path / "page.gif")) == 1


def test_the_frames_of_a_tiff_are_counted_to_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "MAX_FRAMES", 2)
    frames = [Image.new("RGB", (10, 10))] * 3
    for count in (2, 3):
        frames[0].save(tmp_path / f"{count}.tif", save_all=True, append_images=frames[1:count])
    with Image.open(tmp_path / "2.tif") as two, Image.open(tmp_path / "3.tif") as three:
        assert pages.page_frames(two) == [0, 1]
        with pytest.raises(ValueError, match="more than 2 frames: split it"):
            pages.page_frames(three)


COLOURS = ("red", "lime", "blue", "yellow")
PIXELS = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ((1, 0), ["lime"]),
        ((2, 1, 2), ["red", "blue"]),
        ((0, 1, 1, 1), ["red"]),
        ((3, 2), ["lime"]),
        ((0, 4), ["red"]),
        ((1, 1), ["red"]),
    ],
    ids=["thumbnail first", "between pages", "pyramid", "thumbnail of a page", "mask", "nothing else"],
)
def test_what_is_reduced_or_a_mask_is_no_page_of_a_tiff(tmp_path, kinds, found):
    frames = [Image.new("RGB", (30 + i, 20), colour) for i, colour in zip(range(len(kinds)), COLOURS)]
    write_tiff(tmp_path / "scan.tif", *zip(frames, kinds))
    listed = list_pages(tmp_path / "scan.tif")
    assert [page.number for page in listed] == list(range(len(found)))
    assert [page.load().getpixel((0, 0)) for page in listed] == [PIXELS[colour] for colour in found]
    assert [page.load_for_reading().image.size for page in listed] == [(30 + COLOURS.index(c), 20) for c in found]
    last = list_pages(tmp_path / "scan.tif", str(len(found)))
    assert [page.load().getpixel((0, 0)) for page in last] == [PIXELS[found[-1]]]
    with pytest.raises(WorkError, match=f"no page {len(found) + 1}"):
        list_pages(tmp_path / "scan.tif", str(len(found) + 1))


def test_a_mask_that_pillow_cannot_decode_does_not_hide_the_pages(tmp_path):
    page, path = Image.new("RGB", (30, 20), "red"), tmp_path / "scan.tif"
    write_tiff(path, (page, 0), (Image.new("1", (30, 20)), 4), (Image.new("RGB", (31, 20), "blue"), 0))
    photometric = [struct.pack("<HHLHH", 262, 3, 1, value, 0) for value in (1, 4)]
    assert path.read_bytes().count(photometric[0]) == 1
    path.write_bytes(path.read_bytes().replace(*photometric))
    with pytest.raises(SyntaxError), Image.open(path) as image:
        image.seek(1)
    assert [page.load().getpixel((0, 0)) for page in list_pages(path)] == [PIXELS["red"], PIXELS["blue"]]


def test_a_pdf_is_rendered_at_144_dpi(tmp_path):
    first, second = Image.new("RGB", (300, 200), "white"), Image.new("RGB", (100, 100), "blue")
    ImageDraw.Draw(first).rectangle((0, 0, 150, 200), fill="red")
    path = tmp_path / "named_without_suffix"
    first.save(path, "PDF", resolution=72, save_all=True, append_images=[second])
    assert is_pdf(path)
    left, right = (page.load() for page in list_pages(path))
    assert left.size == (600, 400) and right.size == (200, 200)
    assert left.getpixel((100, 200)) == pytest.approx((255, 0, 0), abs=12)
    assert left.getpixel((500, 200)) == pytest.approx((255, 255, 255), abs=12)


def png_header(width, height):
    """A PNG that claims a size and ends where its pixels begin."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return start + struct.pack(">I", 1000) + b"IDAT" + zlib.compress(bytes(999))


def noisy_jpeg(tmp_path):
    path = tmp_path / "whole.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    return path.read_bytes()


def webp_header(kind, width, height):
    """A WebP of few bytes that claims a size."""
    if kind == b"VP8X":
        content = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        content = b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little") + bytes(5)
    else:
        content = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    chunk = kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (EPS, "not a readable image or PDF"),
        (b"P6 60 40 255\n" + bytes(60 * 40 * 3), "not a readable image or PDF"),
        (webp_header(b"VP8X", 20_000, 10_000), "20000 x 10000 is more than 178,956,970 pixels"),
        (webp_header(b"VP8L", 16_000, 12_000), "16000 x 12000 is more than 178,956,970 pixels"),
        (webp_header(b"VP8 ", 16_383, 16_383), "16383 x 16383 is more than 178,956,970 pixels"),
        (b"plain text", "not a readable image or PDF"),
        (png_header(20_000, 20_000), "more than 178,956,970"),
        (png_header(100, 100), "cannot be read"),
        (b"%PDF-1.7\nbroken", "broken PDF"),
    ],
)
def test_a_broken_file_is_named_with_its_reason(tmp_path, content, reason):
    path = tmp_path / "page.png"
    path.write_bytes(content)
    with pytest.raises(WorkError, match=reason) as caught:
        only_page(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_pillow_is_told_which_formats_it_may_open():
    """For a PNG that was an EPS it started Ghostscript."""
    calls = []
    for folder in ("ocr2_hf", "data_scripts", "recipes"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open"):
                    calls.append((path.name, "formats" in [keyword.arg for keyword in node.keywords]))
    assert ("page_files.py", True) in calls and not [name for name, is_told in calls if not is_told]


def test_a_truncated_photo_is_refused(tmp_path):
    path = tmp_path / "page.jpg"
    path.write_bytes(noisy_jpeg(tmp_path)[:1500])
    with pytest.raises(WorkError, match=r"page\.jpg: cannot be read"):
        only_page(path)


@pytest.mark.parametrize(("name", "told"), [("missing.png", "no such file"), ("", "a folder: name its files")])
def test_what_is_no_file_is_refused(tmp_path, name, told):
    with pytest.raises(WorkError, match=told):
        list_pages(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "page.png"
    os.mkfifo(path)
    for read in (list_pages, lambda path: PageSource(path).load()):
        with pytest.raises(WorkError, match=r"page\.png: a pipe or a device, no file"):
            read(path)


@pytest.fixture(scope="module")
def five_pages(tmp_path_factory):
    path = tmp_path_factory.mktemp("pdf") / "five.pdf"
    pages = [Image.new("L", (10 * number, 10)) for number in range(1, 6)]
    pages[0].save(path, resolution=72, save_all=True, append_images=pages[1:])
    return path


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [
        (None, [1, 2, 3, 4, 5]),
        ("2", [2]),
        ("4-5,2", [2, 4, 5]),
        (" 1 , 3 - 4 ", [1, 3, 4]),
        ("4-", [4, 5]),
        ("2-3,3-99", [2, 3, 4, 5]),
        ([5, 1], [1, 5]),
        (range(1, 3), [1, 2]),
    ],
)
def test_pages_by_number(five_pages, pages, numbers):
    found = list_pages(five_pages, pages)
    assert [page.number + 1 for page in found] == numbers
    assert [page.load().width for page in found] == [20 * number for number in numbers]


@pytest.mark.parametrize(
    "pages", ["", "0", "a", "3-2", "-3", "1,,2", "1.5", "0-2", "١", "9" * 5000, [], [0], [-1], "1--2"]
)
def test_what_names_no_pages_is_refused(five_pages, pages):
    with pytest.raises(UsageError, match="pages '"):
        list_pages(five_pages, pages)


def test_pages_that_a_file_does_not_have(five_pages):
    with pytest.raises(WorkError, match=r"five\.pdf: has 5 pages, no page 7"):
        list_pages(five_pages, "1,7-9")
    with pytest.raises(WorkError, match="image: has 1 page, no page 2"):
        list_pages(Image.new("L", (9, 9)), "2")
    assert len(list_pages(Image.new("L", (9, 9)), "1-3")) == 1


KINDS = {
    "jpg": ["RGB", "L", "CMYK"],
    "png": ["RGB", "1", "P", "I;16", "RGBA"],
    "tif": ["RGB", "1", "L", "RGBA"],
    "webp": ["RGBA"],
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in KINDS.items() for mode in modes])
def test_a_page_larger_than_the_model_sees_is_read_smaller(tmp_path, monkeypatch, kind, mode):
    monkeypatch.setattr(pages, "READ_PIXELS", 80 * 40)
    image = Image.new("RGB", (400, 200), "white")
    image.paste("black", (0, 0, 200, 200))
    grey = Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16)) * 257)
    image = grey if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / f"page.{kind}", exif=turned(6))
    (page,) = list_pages(tmp_path / f"page.{kind}")
    loaded = page.load_for_reading()
    assert (loaded.width, loaded.height) == page.load().size == (200, 400)
    assert loaded.image.size == (40, 80) and loaded.image.mode == "RGB"
    assert loaded.image.getpixel((20, 10))[0] < 60 and loaded.image.getpixel((20, 70))[0] > 200


def test_a_large_page_in_memory_and_in_a_pdf(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "READ_PIXELS", 80 * 40)
    image = Image.new("RGB", (400, 200), "white")
    loaded = list_pages(image)[0].load_for_reading()
    assert loaded.image.size == (80, 40) and (loaded.width, loaded.height) == image.size == (400, 200)
    image.save(tmp_path / "page.pdf", resolution=72)
    loaded = list_pages(tmp_path / "page.pdf")[0].load_for_reading()
    assert (loaded.width, loaded.height) == (800, 400) and abs(loaded.image.width - 80) <= 1
    small = list_pages(Image.new("L", (30, 20)))[0].load_for_reading()
    assert (small.image.size, small.width, small.height) == ((30, 20), 30, 20)


def test_a_page_number_of_too_many_pixels_is_refused(tmp_path):
    Image.new("1", (300, 200)).save(tmp_path / "scan.pdf", resolution=1)
    with pytest.raises(WorkError, match=r"scan\.pdf: .*43200 x 28800 is more than 178,956,970"):
        only_page(tmp_path / "scan.pdf")


def test_a_large_scan_passes_without_a_warning(tmp_path, recwarn):
    Image.new("1", (10_000, 9_000)).save(tmp_path / "scan.png")
    (page,) = list_pages(tmp_path / "scan.png")
    loaded = page.load_for_reading()
    assert (loaded.width, loaded.height) == (10_000, 9_000)
    assert not [warning for warning in recwarn if issubclass(warning.category, Image.DecompressionBombWarning)]


def test_a_pdf_with_a_password_is_refused(tmp_path):
    path = tmp_path / "locked.pdf"
    path.write_bytes(LOCKED_PDF)
    with pytest.raises(WorkError, match=r"locked\.pdf: it needs a password"):
        list_pages(path)
