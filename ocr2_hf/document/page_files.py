"""Pages from files: an image is one page, a multi-page TIFF and a PDF are several."""

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pypdfium2
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ocr2_hf.errors import UsageError, WorkError

PDF_DPI = 144  # what the authors of the model render at
# An A0 sheet at 300 dpi has 140 million pixels; beyond this a file is more likely an attack.
MAX_PIXELS = 180_000_000
# Larger pages are scaled down before they are read: the model sees six tiles of 768 pixels a side, 3.5 million pixels.
READ_PIXELS = 25_000_000
MAX_RATIO = 100  # a thinner page vanishes when it is scaled to what the model sees

Source = str | Path | Image.Image
Pages = str | Iterable[int]
_SCALABLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")  # modes whose pixels can be averaged as they are


@dataclass(frozen=True)
class LoadedPage:
    """A page to be read: upright, in RGB, of at most READ_PIXELS; `width` and `height` are the whole page's."""

    image: Image.Image
    width: int
    height: int


@dataclass(frozen=True)
class PageSource:
    """Where a page comes from: a file (or an image in memory) and the page's number in it, from 0."""

    source: Source
    number: int = 0

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
        with _explained(self.name):
            if isinstance(self.source, Image.Image):
                _check_size(*self.source.size)
                return _shrunk(self.source.copy(), most)
            return (_render if is_pdf(self.source) else _decode)(self.source, self.number, most)


def list_pages(source: Source, pages: Pages | None = None) -> list[PageSource]:
    """The pages of one source, not decoded yet; of a file of several those that `pages` names (`page_ranges`).

    Raises `WorkError` naming a file that is no document or has no such pages.
    """
    ranges = page_ranges(pages)
    if isinstance(source, Image.Image):
        return [PageSource(source, number) for number in _chosen(ranges, 1, "image")]
    path = Path(source)
    if not path.is_file():
        raise WorkError(f"{source}: {'a folder: name its files' if path.is_dir() else 'no such file'}")
    with _explained(str(source)):
        if not path.stat().st_size:
            raise WorkError(f"{source}: the file is empty")
        if is_pdf(source):
            with pypdfium2.PdfDocument(source) as document:
                count = len(document)
        else:
            with Image.open(source) as image:
                # Frames of other formats are an animation or thumbnails, not pages.
                count = image.n_frames if image.format == "TIFF" else 1
    if not count:
        raise WorkError(f"{source}: the document has no pages")
    return [PageSource(source, number) for number in _chosen(ranges, count, source)]


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
    return sorted(numbers)


def is_pdf(source: Source) -> bool:
    """Whether a source is a PDF, by its first bytes."""
    if isinstance(source, Image.Image):
        return False
    with open(source, "rb") as file:
        return b"%PDF-" in file.read(1024)


def _decode(path: str | Path, frame: int, most: int) -> LoadedPage:
    with Image.open(path) as image:
        image.seek(frame)
        _check_size(*image.size)
        return _shrunk(image, most)


def _render(path: str | Path, number: int, most: int) -> LoadedPage:
    with pypdfium2.PdfDocument(path) as document:
        document.init_forms()  # what was filled in is on the page too
        page = document[number]
        size = [side * PDF_DPI / 72 for side in page.get_size()]
        _check_size(*size)
        share = min(1.0, math.sqrt(most / math.prod(size)))
        image = page.render(scale=share * PDF_DPI / 72).to_pil().convert("RGB")
    return LoadedPage(image, *(image.size if share == 1 else map(math.ceil, size)))


def _shrunk(image: Image.Image, most: int) -> LoadedPage:
    """The page in at most so many pixels. JPEGs are decoded that small; `image` is used up."""
    if image.format != "JPEG":
        image.load()  # which turns a TIFF upright
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    size = image.size[::-1] if turned else image.size
    share = math.sqrt(most / math.prod(size))
    if share < 1:
        if image.mode not in _SCALABLE:
            image = to_rgb(image)
        small = [max(1, int(side * share)) for side in image.size]
        image.draft(image.mode, small)
        image.thumbnail(small, Image.Resampling.BICUBIC)
    return LoadedPage(to_rgb(image), *size)


def to_rgb(image: Image.Image) -> Image.Image:
    """The image upright (EXIF) and in RGB, transparent parts white, 16-bit grey scaled to 8 bits."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # Pillow would clip it to white
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _check_size(width: float, height: float) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width:.0f} x {height:.0f} is more than {MAX_PIXELS:,} pixels: scale it down")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ValueError(f"{width:.0f} x {height:.0f} is no page: one side is more than {MAX_RATIO} times the other")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what Pillow and PDFium raise on a bad file into a `WorkError` that names it."""
    try:
        with warnings.catch_warnings():
            # Our own limit decides, not Pillow's warning at half of its.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError:
        raise WorkError(f"{name}: not a readable image or PDF") from None
    except pypdfium2.PdfiumError as error:
        hint = "it needs a password" if "password" in str(error).lower() else f"broken PDF ({error})"
        raise WorkError(f"{name}: {hint}") from None
    except Image.DecompressionBombError:
        raise WorkError(f"{name}: more than {MAX_PIXELS:,} pixels: scale it down first") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise WorkError(f"{name}: cannot be read ({error})") from None
