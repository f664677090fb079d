"""A reader that returns recorded answers: for what follows once a model has answered. It is no model."""

from collections.abc import Sequence

from PIL import Image

from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.document.grounding import Region, encode_regions
from ocr2_hf.modeling.generation import Generation
from ocr2_hf.reading.reader import DocumentReader

LAYOUT, TABLE = PROMPTS["markdown"], PROMPTS["table"]


class RecordedReader:
    """Answers `layouts` to the layout prompt, `tables` to the table prompt, each in order; None: memory too small.

    Of `places` the box of a text that is to be located. What it was shown is in `shown`.
    """

    image_settings = ImageSettings(
        global_side=1024, tile_side=768, patch=16, downsample=4, min_patches=2, max_patches=6
    )
    prompts = PROMPTS
    prompt = DocumentReader.prompt

    def __init__(self, layouts: Sequence[str], tables: Sequence[str] = (), places=None, finished: bool = True) -> None:
        self.layouts, self.tables, self.places = list(layouts), list(tables), places or {}
        self.finished, self.shown = finished, []

    def fitting_pages(self, max_new_tokens: int) -> int:
        return 8

    def answer_batch(
        self, images: list[Image.Image], prompts: list[str], max_new_tokens: int
    ) -> list[Generation | None]:
        self.shown += list(zip(images, prompts, strict=True))
        texts = map(self._answer, prompts)
        return [None if text is None else Generation(text, 9, self.finished, 0.1) for text in texts]

    def _answer(self, prompt: str) -> str | None:
        if prompt == LAYOUT:
            return self.layouts.pop(0)
        if prompt == TABLE:
            return self.tables.pop(0)
        text = prompt.split("<|ref|>")[1].split("<|/ref|>")[0]
        box = self.places.get(text)
        return "" if box is None else f"<|ref|>{text}<|/ref|><|det|>[{list(box)}]<|/det|>"


def layout(size: tuple[int, int], *regions: tuple[str, tuple[float, float, float, float], str]) -> str:
    """Regions (label, box in pixels, text) as the model writes them."""
    return encode_regions([Region(*region) for region in regions], *size)
