"""Pages in ALTO, PAGE-XML, hOCR and CVAT for the tests of these formats."""

from functools import cache
from pathlib import Path
from types import ModuleType

from PIL import Image

from data_scripts.file_tree import list_files
from helpers.page_folders import image_bytes
from ocr2_hf.document.records import PageRecord, check_record

WIDTH, HEIGHT = 200, 100
UNIT = "<Description><MeasurementUnit>{}</MeasurementUnit></Description>"


@cache
def _pixels(width: int, height: int) -> bytes:
    return image_bytes(width, height)


def write(folder: Path, name: str, content: str | bytes, image: str | None = "", size=(WIDTH, HEIGHT)) -> None:
    """Write an annotation, and an image of its stem or of the name `image`; None for none."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if image is not None:
        target = folder / image if image else path.with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_pixels(*size))


def read_pages(module: ModuleType, folder: Path, level: str = "region") -> dict[str, PageRecord]:
    """Every page of the folder, checked against its image."""
    tree = list_files(folder)
    records = {}
    for page in module.list_pages(tree, tree):
        record = module.read_page(page, level if module.LEVELS else None)
        with Image.open(record.image_path) as image:
            records[page.id] = check_record(record, *image.size)[0]
    return records


def read_one(module: ModuleType, folder: Path, level: str = "region") -> PageRecord:
    (record,) = read_pages(module, folder, level).values()
    return record


def alto(page: str, before: str = "", version: str = "v4", size: str = f'WIDTH="{WIDTH}" HEIGHT="{HEIGHT}"') -> str:
    """An ALTO file: `page` is the content of its Page, `before` what comes before the Layout."""
    namespace = {"v2": "standards/alto/ns-v2#", "v3": "standards/alto/ns-v3#", "v4": "standards/alto/ns-v4#"}[version]
    opening = f'<alto xmlns="http://www.loc.gov/{namespace}">'
    return f'<?xml version="1.0"?>\n{opening}{before}<Layout><Page ID="p" {size}>{page}</Page></Layout></alto>'


def place(x: float, y: float, width: float, height: float) -> str:
    """The attributes of a box in ALTO."""
    return f'HPOS="{x}" VPOS="{y}" WIDTH="{width}" HEIGHT="{height}"'


def alto_block(id: str, y: int, *lines: str, attributes: str = "") -> str:
    """A TextBlock of full width whose lines are 10 high and hold one String per word."""
    written = []
    for number, line in enumerate(lines):
        words = line.split()
        top = y + 10 * number
        strings = "<SP/>".join(
            f'<String ID="{id}s{number}_{i}" CONTENT="{word}" {place(10 + 30 * i, top, 25, 10)}/>'
            for i, word in enumerate(words)
        )
        written.append(f'<TextLine ID="{id}l{number}" {place(10, top, 150, 10)}>{strings}</TextLine>')
    box = place(5, y, 190, 10 * len(lines))
    return f'<TextBlock ID="{id}" {box} {attributes}>{"".join(written)}</TextBlock>'


def page_xml(content: str, year: str = "2019-07-15", attributes: str = 'imageFilename="a.png"') -> str:
    """A PAGE-XML file with this content of its Page."""
    namespace = f"http://schema.primaresearch.org/PAGE/gts/pagecontent/{year}"
    sides = f'imageWidth="{WIDTH}" imageHeight="{HEIGHT}"'
    return f'<?xml version="1.0"?>\n<PcGts xmlns="{namespace}"><Page {sides} {attributes}>{content}</Page></PcGts>'


def points(x0: int, y0: int, x1: int, y1: int) -> str:
    return f'<Coords points="{x0},{y0} {x1},{y0} {x1},{y1} {x0},{y1}"/>'


def equivalent(text: str, attributes: str = "") -> str:
    return f"<TextEquiv {attributes}><Unicode>{text}</Unicode></TextEquiv>"


def region(id: str, y: int, content: str, attributes: str = "", tag: str = "TextRegion") -> str:
    """A region of full width, 10 high."""
    return f'<{tag} id="{id}" {attributes}>{points(5, y, 195, y + 10)}{content}</{tag}>'


def hocr(*pages: str) -> str:
    """An hOCR file in XHTML with these pages."""
    doctype = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1.dtd">'
    head = '<head><meta name="ocr-system" content="x"/></head>'
    body = "".join(pages)
    return f'<?xml version="1.0"?>{doctype}<html xmlns="http://www.w3.org/1999/xhtml">{head}<body>{body}</body></html>'


def hocr_page(content: str, title: str = f"bbox 0 0 {WIDTH} {HEIGHT}") -> str:
    return f"<div class='ocr_page' title='{title}'>{content}</div>"


def hocr_line(y: int, *words: str, kind: str = "ocr_line") -> str:
    spans = " ".join(
        f"<span class='ocrx_word' title='bbox {10 + 30 * i} {y} {35 + 30 * i} {y + 10}; x_wconf 9'>{word}</span>"
        for i, word in enumerate(words)
    )
    return f"<span class='{kind}' title='bbox 10 {y} 160 {y + 10}; baseline 0 -1'>{spans}</span>"


def hocr_par(y: int, *lines: str) -> str:
    return f"<p class='ocr_par' title='bbox 5 {y} 195 {y + 10 * len(lines)}'>{''.join(lines)}</p>"
