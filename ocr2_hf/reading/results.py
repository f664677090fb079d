"""What was read: `Page`, and the files that `ocr2 read` writes of a document.

A document's files are its markdown, its JSON, an overlay of each page and the images of its figures.
"""

import json
import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from PIL import Image

from ocr2_hf.document.atomic_files import drop_half_line, whole_file, write_whole
from ocr2_hf.document.grounding import Box, Grounded, Region, Repair, Span, plain_markdown, plain_text, read_grounded
from ocr2_hf.document.overlay import draw_overlay
from ocr2_hf.document.page_files import PageSource
from ocr2_hf.document.tables import parse_tables, read_tables
from ocr2_hf.errors import WorkError, writing_to
from ocr2_hf.reading.inputs import Input
from ocr2_hf.reading.resume_log import ResumeLog, stamp

if TYPE_CHECKING:
    import pandas as pd

FIGURE_LABELS = ("image", "figure")
_SMALLEST_FIGURE = 2  # pixels a side
OVERLAYS = {"jpeg": ".jpg", "png": ".png"}  # its format, and what its file's name ends in
_SMALLEST_OVERLAY = 600  # pixels of its longer side
_JPEG_SIDE, _JPEG_QUALITY = 1200, 65  # text can be read, and a scan of A4 takes less than 0.2 MB


@dataclass(frozen=True)
class Page:
    """What was read on one page.

    `raw` is the model's answer with its grounding tags; `width`, `height` and the regions' boxes are pixels of the page
    (upright; a PDF at 144 dpi). `tokens` were generated, the end token included, in `seconds`: the batch's time divided
    by its size. `finished` is False when the answer was cut at the limit of tokens or (`timed_out`) of time. A `blank`
    page, of a single colour, is not shown to the model.

    `probabilities` are the model's own of each token, before the guard against loops forbids any: a token that the
    guard forced has a low one. `token_ends` is where each token ends in `raw`.
    """

    raw: str
    width: int
    height: int
    finished: bool
    tokens: int
    seconds: float
    source: PageSource
    timed_out: bool = False
    blank: bool = False
    probabilities: tuple[float, ...] = ()
    token_ends: tuple[int, ...] = ()

    @property
    def reason(self) -> str:
        """Why the answer ended: `eos` (the model ended it), `length` or `time` (a limit did), `blank` (not asked)."""
        if self.blank:
            return "blank"
        return "eos" if self.finished else "time" if self.timed_out else "length"

    @cached_property
    def regions(self) -> list[Region]:
        """Regions in reading order; empty when the answer has no boxes.

        A region's score is the mean probability of its tokens, tag and text; None where probabilities are unknown.
        """
        found = self._grounded
        return [
            replace(region, score=self._mean_probability(*spans))
            for region, spans in zip(found.regions, found.spans, strict=True)
        ]

    @property
    def repairs(self) -> list[Repair]:
        """What was put right in the answer (`ocr2_hf.document.grounding.REPAIRS`), in its order."""
        return self._grounded.repairs

    @property
    def score(self) -> float | None:
        """The mean probability of all tokens; None where there are none or they are unknown."""
        return self._mean_probability((0, len(self.raw)))

    @property
    def text(self) -> str:
        """The text without grounding tags, regions on lines of their own."""
        return plain_text(self.raw)

    @property
    def markdown(self) -> str:
        """The text without grounding tags, regions parted by a blank line."""
        return plain_markdown(self.raw)

    @property
    def tables(self) -> "list[pd.DataFrame]":
        """The tables of the text, HTML and markdown's: cells as text, spans expanded, header rows as columns."""
        return read_tables(self.raw)

    def to_dict(self, figures: Sequence[str] = ()) -> dict[str, Any]:
        """Everything but the image, ready for JSON; the schema is in `ocr2_hf/reading/README.md`.

        `figures`, one for each region or "", are links to their images for the markdown.
        """
        return {
            "file": None if isinstance(self.source.source, Image.Image) else str(self.source.source),
            "page": self.source.number + 1,
            "width": self.width,
            "height": self.height,
            "text": self.text,
            "markdown": plain_markdown(self.raw, figures),
            "regions": [region.to_dict() for region in self.regions],
            "tables": [{"header_rows": table.header_rows, "rows": table.grid()} for table in parse_tables(self.raw)],
            "score": self.score,
            "finished": self.finished,
            "reason": self.reason,
            "repairs": [asdict(repair) for repair in self.repairs],
            "tokens": self.tokens,
            "seconds": self.seconds,
            "raw": self.raw,
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def overlay(self, image: Image.Image | None = None, longest: int | None = None) -> Image.Image:
        """The page with its regions drawn on it (`draw_overlay`), its longer side of at most `longest` pixels; `image`
        spares loading it.

        A page larger than the model sees is as small as it was read, a tiny one is enlarged: labels must not cover it.
        """
        image = image or self.source.load_for_reading().image
        if longest and (share := longest / max(image.size)) < 1:
            small = [max(1, round(side * share)) for side in image.size]
            image = image.resize(small, Image.Resampling.BILINEAR, reducing_gap=2)
        if (times := math.ceil(_SMALLEST_OVERLAY / max(image.size))) > 1:
            image = image.resize((image.width * times, image.height * times))
        return draw_overlay(image, [replace(region, box=self.box_on(image, region)) for region in self.regions])

    def save_overlay(self, path: str | Path) -> None:
        """Write `overlay`; the suffix gives the format."""
        self.overlay().save(path)

    def box_on(self, image: Image.Image, region: Region) -> Box:
        """A region's box in pixels of the page's image, which may be scaled down."""
        x, y = image.width / self.width, image.height / self.height
        return (region.box[0] * x, region.box[1] * y, region.box[2] * x, region.box[3] * y)

    @cached_property
    def _grounded(self) -> Grounded:
        return read_grounded(self.raw, self.width, self.height)

    def _mean_probability(self, *spans: Span) -> float | None:
        """Of the tokens that have characters in these spans of `raw`."""
        places = [(bisect_right(self.token_ends, start), bisect_left(self.token_ends, end)) for start, end in spans]
        tokens = [probability for first, last in places for probability in self.probabilities[first : last + 1]]
        return fmean(tokens) if tokens else None


class Document:
    """The results of one file as its pages come in: every page is kept at once, the whole when all are there.

    `overlay` is one of `OVERLAYS`, or None for no pictures of pages.

    What is kept of a document that was not finished is in a hidden file beside the results; the next run with the same
    settings goes on from it. A page that could not be read is tried again by every run.
    """

    def __init__(self, log: ResumeLog, item: Input, count: int, overlay: str | None = "jpeg") -> None:
        self.item, self._log, self._count, self._overlay = item, log, count, overlay
        self._folder = log.json_path(item).parent
        self._kept = self._folder / f".{Path(item.name).name}.pages"
        self._failed: dict[int, str] = {}
        self._head = {"settings": log.digest, "source": stamp(item.path), "pages": count}
        with writing_to(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._kept.is_file():
                drop_half_line(self._kept)
            self.done = {page["page"] - 1: _was_asked(page) for page in self._pages()}  # number -> asked about
            if not self.done:
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
        with writing_to(self._folder):
            self._save_overlay(page, image, name)
            files = list(self._save_figures(page, image, name))
            values = page.to_dict([file and f"![figure]({quote(file)})" for file in files])
            for region, file in zip(values["regions"], files, strict=True):
                region |= {"image": file} if file else {}
            with open(self._kept, "ab") as kept:
                kept.write(json.dumps(values).encode() + b"\n")
        self.done[page.source.number] = not page.blank

    def fail(self, number: int, reason: str) -> None:
        """A page that cannot be read."""
        self._failed[number] = reason

    def finish(self) -> None:
        """Write NAME.json and NAME.md of the pages that could be read; without any, nothing."""
        with writing_to(self._folder):
            kept = {page["page"]: page for page in self._pages()}  # two runs at once once kept a page twice
            pages = [kept[number] for number in sorted(kept)]
            if missing := len(self.done.keys() - {number - 1 for number in kept}):
                told = f"{missing} of {self._count} pages that were read are not in {self._kept}"
                raise WorkError(f"{self.item.path}: {told}: another program wrote there; run the command again")
            if pages:
                content = {"file": self.item.path, "pages": pages, "settings": self._log.settings}
                if self._failed:
                    content["failed"] = {str(number + 1): reason for number, reason in sorted(self._failed.items())}
                path = self._log.json_path(self.item)
                write_whole(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
                write_whole(path.with_name(f"{path.stem}.md"), "\n\n".join(page["markdown"] for page in pages) + "\n")
                self._log.add(self.item, whole=not self._failed, asked=[_was_asked(page) for page in pages])
            if not (pages and self._failed):
                self._kept.unlink(missing_ok=True)

    def _pages(self) -> Iterator[dict[str, Any]]:
        """The pages that are kept, where they were read with the same settings from the same file."""
        rows = self._kept.read_bytes().splitlines() if self._kept.is_file() else []
        if rows and json.loads(rows[0]) == self._head:
            yield from map(json.loads, rows[1:])

    def _save_overlay(self, page: Page, image: Image.Image, name: str) -> None:
        """The overlay in its format. One of another format, of an earlier run, may show other regions: it goes."""
        for form, suffix in OVERLAYS.items():
            path = self._folder / f"{name}.overlay{suffix}"
            if form != self._overlay:
                path.unlink(missing_ok=True)
            elif form == "png":
                _save(page.overlay(image), path)
            else:
                with whole_file(path) as beside:
                    page.overlay(image, _JPEG_SIDE).save(beside, "JPEG", quality=_JPEG_QUALITY)

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
            pages = json.loads(self._log.json_path(self.item).read_bytes())["pages"]
            files = [region["image"] for page in pages for region in page["regions"] if "image" in region]
        except (OSError, ValueError, KeyError, TypeError):
            return  # nothing was read before, or another program wrote the file
        for file in files:
            if os.path.basename(str(file)) == file and ".figure-" in file:
                (self._folder / file).unlink(missing_ok=True)


def _was_asked(page: Mapping[str, Any]) -> bool:
    """Whether the model was shown a page, by what was kept of it."""
    return page.get("reason") != "blank"


def _save(image: Image.Image, path: Path) -> None:
    with whole_file(path) as beside:
        image.save(beside, "PNG", compress_level=1)
