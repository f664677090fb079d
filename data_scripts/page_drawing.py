"""A page of a PDF or a TIFF as a page image: the file as it is where that is the page, else the page drawn, as PNG."""

import io

from ocr2_hf.document.page_files import PDF_SUFFIX, PageSource, is_pdf, list_pages
from ocr2_hf.errors import WorkError
from page_image import ImageError

_EXAMPLES = {"PDF": "doc.pdf#page=3", "TIFF": "scan.tif#page=2"}


def draw_page(path: str, number: int | None) -> bytes | None:
    """Page `number` (from 1; None for the only one) as a PNG file, of a PDF at 144 dpi; `ImageError` with the reason.

    None where there is nothing to draw: the file is an image that decodes to the page.
    """
    kind = "PDF" if path.lower().endswith(PDF_SUFFIX) else "TIFF"
    try:
        if kind == "PDF" and not is_pdf(path):
            raise ImageError("file is no PDF")
        pages = list_pages(path)
        page = _chosen(pages, number, kind)
        if len(pages) == 1 and page.frame == 0 and not is_pdf(path):
            return None
        image = page.load()
    except WorkError as error:
        raise ImageError(f"{kind} page cannot be drawn: {error}") from None
    except OSError as error:
        raise ImageError(f"image cannot be read: {error.strerror}") from error
    file = io.BytesIO()
    # The lightest compression: twice the size, a quarter of the time, and the pixels are the same.
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _chosen(pages: list[PageSource], number: int | None, kind: str) -> PageSource:
    has = f"{kind} has {len(pages)} page{'s' if len(pages) > 1 else ''}"
    if number is None and len(pages) > 1:
        raise ImageError(f"{has}: name the one that is annotated, as in {_EXAMPLES[kind]}")
    number = number or 1
    if number > len(pages):
        raise ImageError(f"{has}, no page {number}")
    return pages[number - 1]
