"""The files that `ocr2 read` writes of a document: markdown, JSON, an overlay of each page and its figures."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from ocr2_hf.document.atomic_files import drop_half_line, whole_file, write_whole
from ocr2_hf.errors import WorkError
from ocr2_hf.reading.inputs import Input
from ocr2_hf.reading.page import Page
from ocr2_hf.reading.resume_log import Ledger, stamp

FIGURE_LABELS = ("image", "figure")
_SMALLEST_FIGURE = 2  # pixels a side


class Document:
    """The results of one file as its pages come in: every page is kept at once, the whole when all are there.

    What is kept of a document that was not finished is in a hidden file beside the results; the next run with the same
    settings goes on from it. A page that could not be read is tried again by every run.
    """

    def __init__(self, ledger: Ledger, item: Input, count: int) -> None:
        self.item, self._ledger, self._count = item, ledger, count
        self._folder = ledger.json_path(item).parent
        self._kept = self._folder / f".{Path(item.name).name}.pages"
        self._failed: dict[int, str] = {}
        self._head = {"settings": ledger.digest, "source": stamp(item.path), "pages": count}
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self.done = {page["page"] - 1 for page in self._pages()}
            if self.done:
                drop_half_line(self._kept)
            else:
                self._remove_old()
                self._kept.write_text(json.dumps(self._head) + "\n", encoding="utf-8")

    @property
    def complete(self) -> bool:
        """Whether every page was read or could not be."""
        return len(self.done) + len(self._failed) == self._count

    def add(self, page: Page, image: Image.Image) -> None:
        """Write a page's pictures, from its image, and keep what was read."""
        name = Path(self.item.name).name
        if self._count > 1 or page.source.number:
            name += f".page-{page.source.number + 1}"
        with _writing(self._folder):
            _save(page.overlay(image), self._folder / f"{name}.overlay.png")
            files = list(self._save_figures(page, image, name))
            values = page.to_dict([file and f"![figure]({quote(file)})" for file in files])
            for region, file in zip(values["regions"], files, strict=True):
                region |= {"image": file} if file else {}
            with open(self._kept, "ab") as kept:
                kept.write(json.dumps(values).encode() + b"\n")
        self.done.add(page.source.number)

    def fail(self, number: int, reason: str) -> None:
        """A page that cannot be read."""
        self._failed[number] = reason

    def finish(self) -> None:
        """Write NAME.json and NAME.md of the pages that could be read; without any, nothing."""
        with _writing(self._folder):
            pages = sorted(self._pages(), key=lambda page: page["page"])
            if pages:
                content = {"file": self.item.path, "pages": pages, "settings": self._ledger.settings}
                if self._failed:
                    content["failed"] = {str(number + 1): reason for number, reason in sorted(self._failed.items())}
                path = self._ledger.json_path(self.item)
                write_whole(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
                write_whole(path.with_name(f"{path.stem}.md"), "\n\n".join(page["markdown"] for page in pages) + "\n")
                self._ledger.add(self.item, whole=not self._failed)
            if not (pages and self._failed):
                self._kept.unlink(missing_ok=True)

    def _pages(self) -> Iterator[dict[str, Any]]:
        """The pages that are kept, where they were read with the same settings from the same file."""
        if not self._kept.is_file():
            return
        with open(self._kept, "rb") as kept:
            rows = [row for row in kept if row.endswith(b"\n")]
        if rows and json.loads(rows[0]) == self._head:
            yield from map(json.loads, rows[1:])

    def _save_figures(self, page: Page, image: Image.Image, name: str) -> Iterator[str]:
        """The file of each region's picture; "" where it is no figure."""
        number = 0
        for region in page.regions:
            left, top, right, bottom = page.box_on(image, region)
            box = (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
            if region.label not in FIGURE_LABELS or min(box[2] - box[0], box[3] - box[1]) < _SMALLEST_FIGURE:
                yield ""
                continue
            number += 1
            file = f"{name}.figure-{number}.png"
            _save(image.crop(box), self._folder / file)
            yield file

    def _remove_old(self) -> None:
        """The figures of an earlier run with other settings: the new one may find fewer."""
        try:
            pages = json.loads(self._ledger.json_path(self.item).read_bytes())["pages"]
            files = [region["image"] for page in pages for region in page["regions"] if "image" in region]
        except (OSError, ValueError, KeyError, TypeError):
            return  # nothing was read before, or another program wrote the file
        for file in files:
            if os.path.basename(str(file)) == file and ".figure-" in file:
                (self._folder / file).unlink(missing_ok=True)


def _save(image: Image.Image, path: Path) -> None:
    with whole_file(path) as beside:
        image.save(beside, "PNG", compress_level=1)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from None
