"""A page of a PDF or a TIFF as a page image: the file as it is where that is the page, else the page drawn, as PNG."""

import io

from ocr2_hf.document.page_files import PDF_SUFFIX, PageSource, is_pdf, list_pages
from ocr2_hf.errors import WorkError

_EXAMPLES = {"PDF": "doc.pdf#page=3", "TIFF": "scan.tif#page=2"}


def draw_page(path: str, number: int | None) -> bytes | None:
    """Page `number` (from 1; None for the only one) as a PNG file, of a PDF at 144 dpi; `WorkError` with the reason.

    None where there is nothing to draw: the file is an image that decodes to the page.
    """
    pages = list_pages(path)
    kind = "PDF" if is_pdf(path) else "TIFF"
    if kind == "TIFF" and path.lower().endswith(PDF_SUFFIX):
        raise WorkError("file is no PDF")
    page = _chosen(pages, number, kind)
    if kind == "TIFF" and len(pages) == 1 and page.frame == 0:
        return None
    file = io.BytesIO()
    # The lightest compression: twice the size, a quarter of the time, and the pixels are the same.
    page.load().save(file, "PNG", compress_level=1)
    return file.getvalue()


def _chosen(pages: list[PageSource], number: int | None, kind: str) -> PageSource:
    has = f"{kind} has {len(pages)} page{'s' if len(pages) > 1 else ''}"
    if number is None and len(pages) > 1:
        raise WorkError(f"{has}: name the one that is annotated, as in {_EXAMPLES[kind]}")
    number = number or 1
    if number > len(pages):
        raise WorkError(f"{has}, no page {number}")
    return pages[number - 1]
