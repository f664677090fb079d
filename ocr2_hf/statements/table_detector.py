"""Where the tables of a page are: by the model's own layout, or by a Table Transformer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image

from ocr2_hf.decoding import MAX_NEW_TOKENS
from ocr2_hf.document.grounding import Box, Region, parse_regions
from ocr2_hf.document.page_files import Source, list_pages
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.model_files import check_model_name
from ocr2_hf.reading.reader import DocumentReader

LEAST_SCORE = 0.7  # of a Table Transformer's boxes; what its authors' examples use lies between 0.5 and 0.9


@dataclass(frozen=True)
class TableBox:
    """A table on a page: `box` xyxy in pixels; `score` 0 to 1, None where the finder gives none; `text` what the layout
    itself read there, "" where nothing; `somewhere`: nothing tells where on the page it is, and the box is the page."""

    box: Box
    score: float | None = None
    text: str = ""
    somewhere: bool = False


class TableFinder(Protocol):
    """Finds tables. `regions` are the page's layout as the model told it; a finder of its own needs none."""

    def find(self, image: Image.Image, regions: Sequence[Region]) -> list[TableBox]:
        """The tables of an upright RGB page, in reading order."""


class LayoutTables:
    """The regions that the model's own layout calls tables; of those in each other, as a loop makes them, the first."""

    def find(self, image: Image.Image, regions: Sequence[Region]) -> list[TableBox]:
        """The layout's tables, in its order; the image is not looked at."""
        return _apart([TableBox(region.box, text=region.text) for region in regions if region.label == "table"])


class TableTransformer:
    """Any object detector of transformers whose classes are kinds of table, e.g. microsoft/table-transformer-detection
    (DETR trained on PubTables-1M, Smock et al. 2022, arXiv 2110.00061)."""

    def __init__(self, model, processor, least_score: float = LEAST_SCORE) -> None:
        self.model, self.processor, self.least_score = model.eval(), processor, least_score
        labels = model.config.id2label
        self.labels = {number for number, label in labels.items() if label.lower().startswith("table")}
        if not self.labels:
            raise UsageError(f"the detector finds {', '.join(labels.values())}, and no tables; name another")

    @classmethod
    def from_pretrained(cls, name: str | Path, least_score: float = LEAST_SCORE) -> "TableTransformer":
        """Load a directory or Hub id, `ID@REVISION` for one of its revisions.

        Weights that want timm need the extra `tables`; the Hub has the same weights without it under the revision
        no_timm. Raises `UsageError` where nothing can be loaded, or finds no tables.
        """
        from transformers import AutoModelForObjectDetection

        # Under its short name transformers 5.17 refuses it wherever torchvision is missing.
        from transformers.models.auto.image_processing_auto import AutoImageProcessor

        path, _, revision = str(name).partition("@")
        at = {"revision": revision or "main"} if not Path(path).is_dir() else {}
        try:
            check_model_name(path)
            model = AutoModelForObjectDetection.from_pretrained(path, use_safetensors=True, **at)
            processor = AutoImageProcessor.from_pretrained(path, **at)
        except ImportError as error:
            raise UsageError(f"--detector {name}: {str(error).strip()}; or try {path}@no_timm") from None
        except (UsageError, OSError, ValueError, KeyError) as error:
            raise UsageError(f"--detector {name}: cannot be loaded ({error})") from None
        return cls(model.to("cuda" if torch.cuda.is_available() else "cpu"), processor, least_score)

    @torch.no_grad()
    def find(self, image: Image.Image, regions: Sequence[Region] = ()) -> list[TableBox]:
        """The tables of an upright RGB page that it is sure of, from the top; the layout is not looked at."""
        output = self.model(**self.processor(images=image, return_tensors="pt").to(self.model.device))
        found = self.processor.post_process_object_detection(
            output, threshold=self.least_score, target_sizes=[(image.height, image.width)]
        )[0]
        rows = zip(*(found[name].tolist() for name in ("boxes", "scores", "labels")), strict=True)
        boxes = [
            TableBox((max(x0, 0.0), max(y0, 0.0), min(x1, float(image.width)), min(y1, float(image.height))), score)
            for (x0, y0, x1, y1), score, label in rows
            if label in self.labels
        ]
        surest_first = sorted(boxes, key=lambda box: -box.score)
        return sorted(_apart(surest_first), key=lambda box: (box.box[1], box.box[0]))  # reading order


class TableDetector:
    """Finds the tables of a page: `TableDetector(reader).detect(image)` by the model's own layout,
    `TableDetector("microsoft/table-transformer-detection").detect(image)` by a detector of its own."""

    def __init__(self, source: DocumentReader | str | Path, least_score: float = LEAST_SCORE) -> None:
        by_name = isinstance(source, str | Path)
        self.reader = None if by_name else source
        self.finder: TableFinder = TableTransformer.from_pretrained(source, least_score) if by_name else LayoutTables()

    def detect(self, image: Source, max_new_tokens: int = MAX_NEW_TOKENS) -> list[TableBox]:
        """Tables of an image (PIL or a file; of several pages the first).

        Raises `WorkError` where the file is bad or the GPU's memory too small for the page.
        """
        page = list_pages(image)[0].load()
        regions: list[Region] = []
        if self.reader is not None:
            answer = self.reader.answer_batch([page], [self.reader.prompt("markdown")], max_new_tokens)[0]
            if answer is None:
                raise WorkError("too little GPU memory to read this page, even alone")
            regions = parse_regions(answer.text, *page.size)
        return self.finder.find(page, regions)


def _apart(boxes: Sequence[TableBox]) -> list[TableBox]:
    """Without boxes that share most of themselves with an earlier one: DETR's queries may find a table twice."""
    kept: list[TableBox] = []
    for box in boxes:
        if all(_shared(box.box, other.box) < 0.5 for other in kept):
            kept.append(box)
    return kept


def _shared(a: Sequence[float], b: Sequence[float]) -> float:
    """The intersection as a share of the smaller box."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0) * max(height, 0) / smaller if smaller > 0 else 1.0
