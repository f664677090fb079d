"""`Page`: what was read on one page."""

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from PIL import Image

from ocr2_hf.document.grounding import Box, Grounded, Region, Repair, plain_markdown, plain_text, read_grounded
from ocr2_hf.document.overlay import draw_overlay
from ocr2_hf.document.page_files import PageSource
from ocr2_hf.document.tables import parse_tables, read_tables

_SMALLEST_OVERLAY = 600  # pixels of its longer side


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
            replace(region, score=self._mean_probability(*span))
            for region, span in zip(found.regions, found.spans, strict=True)
        ]

    @property
    def repairs(self) -> list[Repair]:
        """What was put right in the answer (`ocr2_hf.document.grounding.REPAIRS`), in its order."""
        return self._grounded.repairs

    @property
    def score(self) -> float | None:
        """The mean probability of all tokens; None where there are none or they are unknown."""
        return self._mean_probability(0, len(self.raw))

    @property
    def text(self) -> str:
        """The text without grounding tags, regions on lines of their own."""
        return plain_text(self.raw)

    @property
    def markdown(self) -> str:
        """The text without grounding tags, regions parted by a blank line."""
        return plain_markdown(self.raw)

    @property
    def tables(self) -> list[pd.DataFrame]:
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

    def overlay(self, image: Image.Image | None = None) -> Image.Image:
        """The page with its regions drawn on it (`draw_overlay`); `image` spares loading it.

        A page larger than the model sees is as small as it was read, a tiny one is enlarged: labels must not cover it.
        """
        image = image or self.source.load_for_reading().image
        if (times := math.ceil(_SMALLEST_OVERLAY / max(image.size))) > 1:
            image = image.resize((image.width * times, image.height * times))
        boxes = (self.box_on(image, region) for region in self.regions)
        return draw_overlay(image, [replace(region, box=box) for region, box in zip(self.regions, boxes, strict=True)])

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

    def _mean_probability(self, start: int, end: int) -> float | None:
        """Of the tokens that have characters in this span of `raw`."""
        tokens = self.probabilities[bisect_right(self.token_ends, start) : bisect_left(self.token_ends, end) + 1]
        return fmean(tokens) if tokens else None
