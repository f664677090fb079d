"""Pages from files: an image is one page, a multi-page TIFF and a PDF are several."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from PIL import Image, UnidentifiedImageError

from ocr2_hf.data.images import to_rgb
from ocr2_hf.errors import WorkError

PDF_DPI = 144  # what the authors of the model render at
# An A0 sheet at 300 dpi has 140 million pixels; beyond this a file is more likely an attack.
MAX_PIXELS = 180_000_000

Source = str | Path | Image.Image


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
        """The page, upright, in RGB; transparent parts are white. Raises `WorkError` naming the file."""
        if isinstance(self.source, Image.Image):
            return to_rgb(self.source)
        with _explained(self.name):
            return _render(self.source, self.number) if is_pdf(self.source) else _decode(self.source, self.number)


def list_pages(source: Source) -> list[PageSource]:
    """The pages of one source, not decoded yet. Raises `WorkError` naming a file that is no document."""
    if isinstance(source, Image.Image):
        return [PageSource(source)]
    if not Path(source).is_file():
        raise WorkError(f"{source}: no such file")
    with _explained(str(source)):
        if is_pdf(source):
            with pypdfium2.PdfDocument(source) as document:
                count = len(document)
        else:
            with Image.open(source) as image:
                # Frames of other formats are an animation or thumbnails, not pages.
                count = image.n_frames if image.format == "TIFF" else 1
    if not count:
        raise WorkError(f"{source}: the document has no pages")
    return [PageSource(source, number) for number in range(count)]


def is_pdf(source: Source) -> bool:
    """Whether a source is a PDF, by its first bytes."""
    if isinstance(source, Image.Image):
        return False
    with open(source, "rb") as file:
        return b"%PDF-" in file.read(1024)


def _decode(path: str | Path, frame: int) -> Image.Image:
    with Image.open(path) as image:
        image.seek(frame)
        _check_size(*image.size)
        return to_rgb(image)


def _render(path: str | Path, number: int) -> Image.Image:
    scale = PDF_DPI / 72
    with pypdfium2.PdfDocument(path) as document:
        document.init_forms()  # what was filled in is on the page too
        page = document[number]
        _check_size(*(side * scale for side in page.get_size()))
        return page.render(scale=scale).to_pil().convert("RGB")


def _check_size(width: float, height: float) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width:.0f} x {height:.0f} is more than {MAX_PIXELS:,} pixels: scale it down")


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
