"""Images are checked without decoding: damage is found, and the size is the one displayed."""

import io
import struct
import zlib

import pytest
from PIL import ExifTags, Image, ImageOps

from data_scripts.page_image import check_image
from helpers.page_folders import image_bytes
from ocr2_hf.errors import WorkError


def check(content: bytes, full: bool = False) -> tuple[int, int]:
    return check_image(memoryview(content), full)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000"])
def test_good_images_give_their_size(kind, full):
    assert check(image_bytes(61, 43, kind), full) == (61, 43)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_the_size_is_as_displayed_after_exif_rotation(kind, orientation):
    content = image_bytes(61, 43, kind, exif=exif(orientation))
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert check(content) == shown.size == ((43, 61) if orientation > 4 else (61, 43))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.99])
def test_a_cut_off_image_is_refused(kind, share):
    content = image_bytes(200, 100, kind)
    with pytest.raises(WorkError):
        check(content[: int(len(content) * share)])


def test_a_flipped_bit_in_a_png_is_found_by_its_checksum():
    content = bytearray(image_bytes(200, 100))
    content[len(content) // 2] ^= 1
    with pytest.raises(WorkError, match="PNG is damaged: checksum of chunk IDAT at byte"):
        check(bytes(content))


def test_data_after_the_end_of_a_jpeg_is_no_damage():
    content = image_bytes(61, 43, "JPEG")
    assert check(content + b"maker notes" * 1000) == (61, 43)


def test_pixels_that_do_not_decode_are_found_by_the_full_check_alone():
    content = png_header(60, 40) + png_chunk(b"IDAT", zlib.compress(b"\0" * 30)) + png_chunk(b"IEND", b"")
    assert check(content) == (60, 40)
    with pytest.raises(WorkError, match="pixels of the image: cannot be read"):
        check(content, full=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "image file is empty"),
        (
            b"%PDF-1.7 and more",
            "image is not opened as one of PNG, JPEG, TIFF, WEBP, BMP, GIF, JPEG2000: not a readable image",
        ),
        (
            image_bytes(kind="PPM"),
            "image is not opened as one of PNG, JPEG, TIFF, WEBP, BMP, GIF, JPEG2000: not a readable image",
        ),
        (image_bytes()[:20], "cut off"),
        (png_header(60, 40) + png_chunk(b"IEND", b""), "PNG is cut off"),
        (b"\xff\xd8\xff\xd9", "cut off in its header|no frame header"),
    ],
)
def test_what_is_no_page_image_is_refused(content, message):
    with pytest.raises(WorkError, match=message):
        check(content)


def test_an_image_bomb_is_refused_without_decoding():
    content = png_header(60_000, 60_000) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    with pytest.raises(WorkError, match=r"60000 x 60000 is more than 178,956,970 pixels: scale it down"):
        check(content, full=True)


def test_a_tiff_bomb_is_refused_too():
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "TIFF", compression="group4")
    with pytest.raises(WorkError, match="more than 178,956,970 pixels"):
        check(file.getvalue())


def test_the_limit_that_is_told_is_the_one_that_acts(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # as another program in the process may set it
    with pytest.raises(WorkError, match="more than 2,000 pixels"):
        check(image_bytes(kind="TIFF"))


def test_a_scan_of_a_hundred_megapixels_passes_without_a_warning(recwarn):
    """As `ocr2 read` reads it: the builder once stopped at half of that."""
    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "TIFF", compression="group4")
    assert check(file.getvalue()) == (10_000, 10_000)
    assert not [warning for warning in recwarn if issubclass(warning.category, Image.DecompressionBombWarning)]


def test_a_thread_is_no_page():
    with pytest.raises(WorkError, match="9000 x 30 is no page: one side is more than 100 times the other"):
        check(image_bytes(9000, 30))


def test_a_tiff_of_several_pages_under_another_name_is_refused():
    file = io.BytesIO()
    page = Image.new("L", (60, 40))
    page.save(file, "TIFF", save_all=True, append_images=[page, page])
    with pytest.raises(WorkError, match=r"its name must end in \.tif"):
        check(file.getvalue())
