"""Is a file a readable page image, and how large is it as displayed? Answered without decoding its pixels.

A page of a PDF, or of a TIFF that is more than the page, is drawn as PNG first.
"""

import io
import struct
import zlib

import pyarrow as pa
from PIL import Image

from ocr2_hf.document.page_files import (
    FORMATS,
    PDF_SUFFIX,
    PageSource,
    check_size,
    displayed_size,
    explained,
    is_pdf,
    noticed,
    open_image,
    page_frames,
    page_places,
)
from ocr2_hf.document.page_process import open_apart
from ocr2_hf.errors import WorkError

MAX_BYTES = 256 * 2**20

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"  # of JPEG 2000 too
_PNG_METADATA = (b"Raw profile type", b"XML:com.adobe.xmp")  # keywords of text chunks that may hold EXIF or XMP
_FRAME_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODED = ("BMP", "GIF")  # they have no checksum, and no end that every program writes
_TIFF_BLOCKS = ((273, 279), (324, 325))  # tags of (offsets, byte counts) of strips, of tiles
_EXAMPLES = {"PDF": "doc.pdf#page=3", "TIFF": "scan.tif#page=2"}


def check_image(data: memoryview, full: bool = False, odd: list[str] | None = None) -> tuple[int, int]:
    """(width, height) in pixels as displayed, that is after EXIF rotation, of the image file in `data`.

    PNG is checked by the CRC of every chunk, JPEG by its frame header and end marker, TIFF, WebP, JPEG 2000 by Pillow
    and the extent of their data. BMP and GIF are decoded, with `full` every file. What Pillow warns of is added to
    `odd`. Raises `WorkError` with the reason.
    """
    odd = [] if odd is None else odd
    if not len(data):
        raise WorkError("image file is empty")
    try:
        if data[:8] == _PNG:
            width, height, has_metadata = _check_png(data)
        elif data[:2] == _JPEG:
            width, height, has_metadata = _check_jpeg(data)
        else:
            with noticed(odd):
                width, height, has_metadata = *_check_other(data), True
    except (struct.error, IndexError):
        raise WorkError("image is cut off in its header") from None
    if width < 1 or height < 1:
        raise WorkError(f"image has no pixels: {width}x{height}")
    try:
        check_size(width, height)
    except ValueError as error:
        raise WorkError(f"image of {error}") from None
    if full:
        with noticed(odd), explained("pixels of the image"):
            _open(data).load()
    if has_metadata:
        with noticed(odd), explained("EXIF data of the image"):
            return displayed_size(_open(data))
    return width, height


def _check_png(data: memoryview) -> tuple[int, int, bool]:
    width, height = struct.unpack_from(">II", data, 16)
    has_metadata = has_pixels = False
    position = len(_PNG)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        kind = bytes(data[position + 4 : position + 8])
        (crc,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(data[position + 4 : end - 4]) != crc:
            raise WorkError(f"PNG is damaged: checksum of chunk {ascii(kind)[2:-1]} at byte {position} is wrong")
        if position == len(_PNG) and kind != b"IHDR":
            raise WorkError("PNG does not begin with IHDR")
        if kind == b"IEND" and has_pixels:
            return width, height, has_metadata
        has_pixels |= kind == b"IDAT"
        has_metadata |= kind == b"eXIf" or bytes(data[position + 8 : position + 40]).startswith(_PNG_METADATA)
        position = end
    raise WorkError(f"PNG is cut off after {len(data)} bytes")


def _check_jpeg(data: memoryview) -> tuple[int, int, bool]:
    has_metadata = False
    position = 2
    while True:
        if data[position] != 0xFF:
            raise WorkError(f"JPEG is damaged: no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in (0xD9, 0xDA):
            raise WorkError("JPEG is damaged: it has no frame header")
        if marker in _FRAME_MARKERS:
            break
        has_metadata |= marker == 0xE1  # APP1: EXIF or XMP
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    height, width = struct.unpack_from(">HH", data, position + 5)
    if not _has_end(data, position):
        raise WorkError(f"JPEG is cut off after {len(data)} bytes: no end marker")
    return width, height, has_metadata


def _has_end(data: memoryview, start: int) -> bool:
    """Is there an end marker of a JPEG? It cannot occur inside compressed pixels; cameras may append data after it."""
    return any(_JPEG_END in bytes(part) for part in (data[-64:], data[start:]))


def _check_other(data: memoryview) -> tuple[int, int]:
    image = _open(data)
    with explained(f"{image.format} is damaged"):
        if page_frames(image) != [0]:
            raise WorkError("TIFF of several frames: its name must end in .tif for its page to be found")
        if _is_cut_off(image, data):
            raise WorkError(f"{image.format} is cut off after {len(data)} bytes")
        if image.format in _DECODED:
            image.load()
        else:
            image.verify()
        return image.size


def _is_cut_off(image: Image.Image, data: memoryview) -> bool:
    """Do the pixels end after the file? `verify` does not look."""
    if image.format == "WEBP":
        return struct.unpack_from("<I", data, 4)[0] + 8 > len(data)
    if image.format == "JPEG2000":
        return not _has_end(data, 0)
    if image.format != "TIFF":
        return False
    blocks = [zip(image.tag_v2.get(a, ()), image.tag_v2.get(b, ()), strict=False) for a, b in _TIFF_BLOCKS]
    return any(offset + count > len(data) for block in blocks for offset, count in block)


def _open(data: memoryview) -> Image.Image:
    with explained(f"image is not opened as one of {', '.join(FORMATS)}"):
        return open_image(pa.BufferReader(data))  # BytesIO would copy the page


def draw_page(path: str, number: int | None) -> tuple[bytes | None, list[str]]:
    """(page `number` as a PNG file, of a PDF at 144 dpi; what Pillow warns of), or `WorkError` with the reason.

    Numbers are from 1, None for the only page. The first is None where there is nothing to draw: the file is an image
    that decodes to the page.
    """
    return open_apart(_draw_page, path, path, number)


def _draw_page(path: str, _: str, number: int | None) -> tuple[bytes | None, list[str]]:
    odd: list[str] = []
    with noticed(odd):
        places = page_places(path)
        kind = "PDF" if is_pdf(path) else "TIFF"
        if kind == "TIFF" and path.lower().endswith(PDF_SUFFIX):
            raise WorkError("file is no PDF")
        has = f"{kind} has {len(places)} page{'s' if len(places) > 1 else ''}"
        if number is None and len(places) > 1:
            raise WorkError(f"{has}: name the one that is annotated, as in {_EXAMPLES[kind]}")
        index = (number or 1) - 1
        if index >= len(places):
            raise WorkError(f"{has}, no page {number}")
        if kind == "TIFF" and len(places) == 1 and places[0] == 0:
            return None, odd
        page = PageSource(path, index, places[index]).load()
    file = io.BytesIO()
    # The lightest compression: twice the size, a quarter of the time, and the pixels are the same.
    page.save(file, "PNG", compress_level=1)
    return file.getvalue(), odd
