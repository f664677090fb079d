"""Pages from files, for everybody: what files are called, how large a page may be, and which pages a file has.

An image file is one page, the first frame of an animation too. A TIFF has the pages among its frames, without the
thumbnails, pyramid levels and masks that lie between them. A PDF has its own.
"""

import math
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

import pypdfium2
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ocr2_hf.document.page_process import open_apart
from ocr2_hf.document.shades import is_deep_grey, to_eight_bits
from ocr2_hf.errors import UsageError, WorkError

PDF_SUFFIX = ".pdf"
_TIFF_SUFFIXES = (".tif", ".tiff")
_JPEG_2000_SUFFIXES = (".jp2", ".j2k", ".jpf", ".jpx")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", *_TIFF_SUFFIXES, ".webp", ".bmp", ".gif", *_JPEG_2000_SUFFIXES)
PAGE_SUFFIXES = (*IMAGE_SUFFIXES, PDF_SUFFIX)
# Images that are not read: a page that has none but such a one is refused with its name.
UNREAD_SUFFIXES = (".heic", ".heif", ".avif", ".jxl", ".djvu", ".svg", ".ppm", ".pgm", ".pbm", ".psd", ".dng", ".jxr")
SEVERAL_PAGES = (*_TIFF_SUFFIXES, PDF_SUFFIX)  # files called so may have several pages

# Pillow opens files of no other kind, whatever they are called: for an EPS it would start Ghostscript.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000")

PDF_DPI = 144  # what the authors of the model render at
# Beyond this Pillow refuses to open a file, also from a built dataset. An A0 sheet at 300 dpi has 140 million pixels.
MAX_PIXELS = 178_956_970
# Larger pages are scaled down before they are read: the model sees six tiles of 768 pixels a side, 3.5 million pixels.
READ_PIXELS = 25_000_000
MAX_PAGES = 20_000  # of one file at a time; a broken one may claim a million
MAX_FRAMES = 20_000  # of a TIFF; Pillow looks for each among those before it
MAX_RATIO = 100  # a thinner page vanishes when it is scaled to what the model sees

Source = str | Path | Image.Image
Pages = str | Iterable[int]
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_NEW_SUBFILE_TYPE = 254  # a TIFF's tag for what a frame is; bits, by the TIFF 6.0 specification
_REDUCED, _MASK = 1, 4
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two of BigTIFF
_WEBP_HEADER = 30  # bytes, the size among them
_PILLOW = r"PIL\."  # the modules of Pillow
_SCALABLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")  # modes whose pixels can be averaged as they are

# Pillow warns of oddities and of large pages without naming the file, each time that it is opened. A build names odd
# files (`noticed`), and our own limit decides, not Pillow's warning at half of its. What -W says comes first.
for _category in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("ignore", category=_category, module=_PILLOW, append=True)


@dataclass(frozen=True)
class LoadedPage:
    """A page to be read: upright, in RGB, of at most READ_PIXELS; `width` and `height` are the whole page's."""

    image: Image.Image
    width: int
    height: int


@dataclass(frozen=True)
class PageSource:
    """Where a page comes from: a file (or an image in memory) and the page's number in it, from 0.

    `frame` is its place in the file, which counts what is no page too: `list_pages` looks it up.
    """

    source: Source
    number: int = 0
    frame: int = 0

    @property
    def name(self) -> str:
        """For messages: the file, and the page where it is not the first."""
        name = "image" if isinstance(self.source, Image.Image) else str(self.source)
        return f"{name}, page {self.number + 1}" if self.number else name

    def load(self) -> Image.Image:
        """The whole page, upright, in RGB; transparent parts are white. Raises `WorkError` naming the file."""
        return self._load(MAX_PIXELS).image

    def load_for_reading(self) -> LoadedPage:
        """The same, scaled down where it is larger than the model can use."""
        return self._load(READ_PIXELS)

    def _load(self, most: int) -> LoadedPage:
        with explained(self.name):
            if not isinstance(self.source, Image.Image):
                return open_apart(_load_file, self.source, self.name, self.frame, most)
            check_size(*self.source.size)
            image = to_rgb(self.source)  # a plain copy of a TIFF loses its tags
            return _shrunk(image.copy() if image is self.source else image, most)


def list_pages(source: Source, pages: Pages | None = None) -> list[PageSource]:
    """The pages of one source, not decoded yet; of a file of several those that `pages` names (`page_ranges`).

    Raises `WorkError` naming a file that is no document or has no such pages.
    """
    ranges = page_ranges(pages)
    if isinstance(source, Image.Image):
        return [PageSource(source, number) for number in _chosen(ranges, 1, "image")]
    places = page_places(source)
    return [PageSource(source, number, places[number]) for number in _chosen(ranges, len(places), source)]


def page_places(path: str | Path) -> Sequence[int]:
    """Where each page of a file is among what it has. Raises `WorkError` naming a file that is no document."""
    return open_apart(_page_places, path, str(path))


def _page_places(path: str, name: str) -> Sequence[int]:
    with explained(name):
        check_is_file(path, name)
        if not os.path.getsize(path):
            raise WorkError(f"{name}: the file is empty")
        if is_pdf(path):
            with pypdfium2.PdfDocument(path) as document:
                places = range(len(document))
        else:
            with open(path, "rb") as file, _opened(file, name) as image:
                places = page_frames(image)
    if not places:
        raise WorkError(f"{name}: the document has no pages")
    return places


def check_is_file(path: str | Path, name: str) -> None:
    """`WorkError`, beginning with `name`, where there is no file: reading a pipe might never come to an end."""
    path = Path(path)
    if not path.exists():
        raise WorkError(f"{name}: no such file")
    if not path.is_file():
        raise WorkError(f"{name}: {'a folder: name its files' if path.is_dir() else 'a pipe or a device, no file'}")


def open_image(file: BinaryIO) -> Image.Image:
    """An image file of one of FORMATS, not decoded yet; what is no such file, or is too large, raises."""
    # Before it compares sizes, Pillow of before version 13 takes memory for the whole of a WebP, of few bytes too.
    check_size(*_webp_size(file.read(_WEBP_HEADER)))
    file.seek(0)
    return Image.open(file, formats=FORMATS)


def _webp_size(head: bytes) -> tuple[int, int]:
    """(width, height) of a WebP by its first bytes (RFC 9649); of another file (1, 1)."""
    if len(head) < _WEBP_HEADER or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 1, 1
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _opened(file: BinaryIO, name: str) -> Image.Image:
    try:
        return open_image(file)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(4) not in _TIFF_STARTS:
            raise
    raise WorkError(f"{name}: a TIFF whose pixels are of a kind that is not read: save it as RGB or grey of 8 bits")


def page_frames(image: Image.Image) -> list[int]:
    """The frames of an open image file that are pages; it is left at its first frame.

    Of a TIFF these are all but reduced ones (thumbnails, pyramid levels) and masks, the first where no other is left;
    of another file the first.
    """
    if image.format != "TIFF":
        return [0]
    kinds = list(_subfile_types(image))
    image.seek(0)
    return [frame for frame, kind in enumerate(kinds) if not kind & (_REDUCED | _MASK)] or [0]


def _subfile_types(image: Image.Image) -> Iterator[int]:
    for frame in count():
        try:
            image.seek(frame)
        except EOFError:
            return
        except SyntaxError:
            pass  # Pillow cannot decode the frame, a mask for one, but has read its tags
        if frame >= MAX_FRAMES:
            raise ValueError(f"it has more than {MAX_FRAMES:,} frames: split it")
        kind = image.tag_v2.get(_NEW_SUBFILE_TYPE, 0)
        yield kind if isinstance(kind, int) else 0


def page_ranges(pages: Pages | None) -> list[tuple[int, int | None]]:
    """Pages by number, from 1: "3-7,9", "12-" (to the last) or numbers -> (first, last) of each range; None is all.

    Raises `UsageError` on anything else.
    """
    if pages is None:
        return [(1, None)]
    if not isinstance(pages, str):
        pages = ",".join(map(str, pages))
    return [_range(part.strip(), pages) for part in pages.split(",")]


def _range(part: str, pages: str) -> tuple[int, int | None]:
    match = re.fullmatch(r"([0-9]{1,9})(?:\s*(-)\s*([0-9]{1,9})?)?", part)
    if not match:
        raise UsageError(f"pages {pages!r}: {part!r} is no page or range; write e.g. 3-7,9 or 12-")
    first = int(match[1])
    last = int(match[3]) if match[3] else None if match[2] else first
    if first < 1 or (last is not None and last < first):
        raise UsageError(f"pages {pages!r}: {part!r} is empty; pages count from 1 and ranges go upwards")
    return first, last


def _chosen(ranges: list[tuple[int, int | None]], count: int, name: Source) -> list[int]:
    """Numbers from 0, upwards; a range may reach beyond the last page, but not begin there."""
    for first, _ in ranges:
        if first > count:
            raise WorkError(f"{name}: has {count} page{'s' if count > 1 else ''}, no page {first}")
    numbers = {number for first, last in ranges for number in range(first - 1, min(last or count, count))}
    if len(numbers) > MAX_PAGES:
        raise WorkError(f"{name}: {len(numbers):,} pages, more than {MAX_PAGES:,} at a time: name some, e.g. 1-1000")
    return sorted(numbers)


def is_pdf(source: Source) -> bool:
    """Whether a source is a PDF, by its first bytes."""
    if isinstance(source, Image.Image):
        return False
    with open(source, "rb") as file:
        return b"%PDF-" in file.read(1024)


def _load_file(path: str, name: str, frame: int, most: int) -> LoadedPage:
    with explained(name):
        check_is_file(path, name)
        return _render(path, frame, most) if is_pdf(path) else _decode(path, name, frame, most)


def _decode(path: str, name: str, frame: int, most: int) -> LoadedPage:
    # Of a path Pillow would map an uncompressed TIFF into memory, and a turned one with width and height swapped.
    with open(path, "rb") as file, _opened(file, name) as image:
        image.seek(frame)
        check_size(*image.size)
        return _shrunk(image, most)


def _render(path: str, frame: int, most: int) -> LoadedPage:
    with pypdfium2.PdfDocument(path) as document:
        document.init_forms()  # what was filled in is on the page too
        page = document[frame]
        size = [side * PDF_DPI / 72 for side in page.get_size()]
        check_size(*size)
        share = min(1.0, math.sqrt(most / math.prod(size)))
        image = page.render(scale=share * PDF_DPI / 72).to_pil().convert("RGB")
    return LoadedPage(image, *(image.size if share == 1 else map(math.ceil, size)))


def _shrunk(image: Image.Image, most: int) -> LoadedPage:
    """The page in at most so many pixels. JPEGs are decoded that small; `image` is used up."""
    if image.format != "JPEG":
        image.load()  # which turns a TIFF upright
    size = displayed_size(image)
    share = math.sqrt(most / math.prod(size))
    if share < 1:
        if image.mode not in _SCALABLE:
            image = to_rgb(image)
        small = [max(1, int(side * share)) for side in image.size]
        image.draft(image.mode, small)
        image.thumbnail(small, Image.Resampling.BICUBIC)
    return LoadedPage(to_rgb(image), *size)


def to_rgb(image: Image.Image) -> Image.Image:
    """The image upright (EXIF) and in RGB, transparent parts white, deeper grey scaled to 8 bits; itself where it is
    that already."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF; copies do not have them
    image.load()  # which turns a TIFF upright
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:  # else it would be copied for nothing
        image = ImageOps.exif_transpose(image)
    if is_deep_grey(image):
        image = to_eight_bits(image, tags)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def displayed_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) in pixels of an open image file as displayed, after EXIF rotation."""
    is_turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
    return image.size[::-1] if is_turned and image.format != "TIFF" else image.size  # Pillow turns a TIFF's itself


def check_size(width: float, height: float) -> None:
    """`ValueError` where a page of so many pixels is too large or too thin to be read."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width:.0f} x {height:.0f} is more than {MAX_PIXELS:,} pixels: scale it down")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ValueError(f"{width:.0f} x {height:.0f} is no page: one side is more than {MAX_RATIO} times the other")


@contextmanager
def noticed(odd: list[str]) -> Iterator[None]:
    """Add to `odd` what Pillow warns of while it reads a file, each warning once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    messages = (" ".join(str(warning.message).split()) for warning in caught)
    odd += dict.fromkeys(message for message in messages if message not in odd)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what Pillow and PDFium raise on a bad file into a `WorkError` that begins with its name."""
    try:
        with warnings.catch_warnings():
            # Our own limit decides, not Pillow's warning at half of its.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except WorkError:
        raise
    except UnidentifiedImageError:
        raise WorkError(f"{name}: not a readable image or PDF") from None
    except pypdfium2.PdfiumError as error:
        hint = "it needs a password" if "password" in str(error).lower() else f"broken PDF ({error})"
        raise WorkError(f"{name}: {hint}") from None
    except Image.DecompressionBombError:
        limit = f"{2 * Image.MAX_IMAGE_PIXELS:,} pixels"  # which another program in this process may have changed
        raise WorkError(f"{name}: more than {limit}: scale it down first") from None
    except MemoryError:
        raise WorkError(f"{name}: takes more memory than there is for it") from None
    except Exception as error:  # Pillow raises whatever a broken file makes it stumble over
        raise WorkError(f"{name}: cannot be read ({str(error) or type(error).__name__})") from error
