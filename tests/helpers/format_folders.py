"""Folders of one annotation format, read page by page or built, for the tests of the formats."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from data_scripts import build_dataset
from data_scripts.file_tree import list_files
from data_scripts.formats import FORMATS, choose_format, page_reader
from data_scripts.page_image import check_image, draw_page
from helpers.page_folders import image_bytes
from ocr2_hf import load_dataset
from ocr2_hf.document.page_files import SEVERAL_PAGES
from ocr2_hf.document.records import PageRecord, RecordError, check_record
from ocr2_hf.errors import WorkError


def write_images(folder: Path, *names: str, size: tuple[int, int] = (60, 40)) -> Path:
    """PNG files of noise, each another; the folder is returned."""
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image_bytes(*size, seed=seed))
    return folder


def write_pdf(path: Path, *sizes: tuple[int, int]) -> Path:
    """A PDF with pages of so many points, each half a pixel."""
    first, *others = [Image.open(BytesIO(image_bytes(*size, seed=seed))) for seed, size in enumerate(sizes)]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others)
    return path


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def write_rows(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


def read_folder(
    folder: Path,
    format_name: str,
    images: Path | None = None,
    level: str | None = None,
    columns: dict[str, str] | None = None,
) -> tuple[dict[str, PageRecord], dict[str, str]]:
    """(checked records, reasons of the rejected pages) by id, of a folder that "auto" takes for that format."""
    tree = replace(list_files(folder), columns=columns or {})
    assert choose_format("auto", [tree]) == format_name
    module = FORMATS[format_name]
    read_page = page_reader(format_name, level or next(iter(module.LEVELS), None), {})
    records: dict[str, PageRecord] = {}
    reasons: dict[str, str] = {}
    pages = module.list_pages(tree, tree if images is None else list_files(images))
    assert [page.id for page in pages] == sorted(page.id for page in pages)
    for page in pages:
        try:
            record = read_page(page)
            path, data = record.image_path, record.image_bytes
            if data is None:
                is_drawn = path.lower().endswith(SEVERAL_PAGES)
                data = (draw_page(path, record.page_number)[0] if is_drawn else None) or Path(path).read_bytes()
            size = check_image(memoryview(data))
            records[page.id] = check_record(record, *size)[0]
        except (RecordError, WorkError) as error:
            reasons[page.id] = str(error)
    return records, reasons


def build(name: str, folder: Path, *options: Any) -> list[dict[str, Any]]:
    """The rows, without images, of a build of the folder with everything in `train`; no page may be rejected."""
    arguments = [name, "--annotations", folder, "--val", 0, "--test", 0, "--on_error", "fail", *options]
    assert build_dataset.main(list(map(str, arguments))) == 0
    return load_dataset(name, split="train").remove_columns("image").to_list()
