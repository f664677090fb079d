"""`DocumentReader`: a saved model that reads images and PDFs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image

from ocr2_hf.data.grounding import Region, parse_regions, plain_text
from ocr2_hf.data.overlay import draw_overlay
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.generation import Generation, generate
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.reading.onnx_model import is_onnx_folder, load_onnx_model
from ocr2_hf.reading.pages import PageSource, Source, is_pdf, list_pages
from ocr2_hf.reading.saved_recipe import read_saved_recipe
from ocr2_hf.reading.tables import read_tables
from ocr2_hf.recipe_checks import loop_guard_problems
from ocr2_hf.recipe_fields import NO_REPEAT_NGRAM, NO_REPEAT_WINDOW

MAX_NEW_TOKENS = 4096


@dataclass(frozen=True)
class Page:
    """What was read on one page.

    `raw` is the model's answer with its grounding tags; `width`, `height` and the regions' boxes are pixels
    of the page as read (upright; a PDF at 144 dpi). `finished` is False when the answer was cut at the token
    limit. `seconds` is the batch's time divided by its size.
    """

    raw: str
    width: int
    height: int
    finished: bool
    tokens: int
    seconds: float
    source: PageSource

    @property
    def regions(self) -> list[Region]:
        """Regions in reading order; empty when the answer has no boxes."""
        return parse_regions(self.raw, self.width, self.height)

    @property
    def text(self) -> str:
        """The text without grounding tags, regions on lines of their own."""
        return plain_text(self.raw)

    @property
    def markdown(self) -> str:
        """The text without grounding tags, regions parted by a blank line."""
        before = plain_text(self.raw.partition("<|ref|>")[0])
        blocks = [before, *(region.text for region in self.regions)]
        return "\n\n".join(block for block in blocks if block) or self.text

    @property
    def tables(self) -> list[pd.DataFrame]:
        """The HTML tables of the text, cells as text."""
        return read_tables(self.raw)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the image, ready for JSON."""
        names = ("text", "markdown", "width", "height", "raw", "finished", "tokens", "seconds")
        return {
            "file": None if isinstance(self.source.source, Image.Image) else str(self.source.source),
            "page": self.source.number + 1,
            **{name: getattr(self, name) for name in names},
            "regions": [{**asdict(region), "box": list(region.box)} for region in self.regions],
            "tables": [table.to_numpy().tolist() for table in self.tables],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def save_overlay(self, path: str | Path) -> None:
        """Write the page with its regions drawn on it (`draw_overlay`); the suffix gives the format."""
        draw_overlay(self.source.load(), self.regions).save(path)


class DocumentReader:
    """Reads pages with a DeepSeek-OCR-2: `DocumentReader.from_pretrained("runs/letters").read("scan.png")`.

    `prompts` overrides the prompts of tasks. No answer repeats `no_repeat_ngram` tokens within its last
    `no_repeat_window`, so that a loop is broken; 0 turns that off.
    """

    def __init__(
        self,
        model,
        processor,
        prompts: Mapping[str, str] | None = None,
        no_repeat_ngram: int = NO_REPEAT_NGRAM,
        no_repeat_window: int = NO_REPEAT_WINDOW,
    ) -> None:
        for problem in loop_guard_problems(no_repeat_ngram, no_repeat_window):
            raise UsageError(problem)
        self.model, self.processor = model.eval(), processor
        self.prompts = {**PROMPTS, **(prompts or {})}
        self.no_repeat_ngram, self.no_repeat_window = no_repeat_ngram, no_repeat_window

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype = "auto",
        attn_implementation: str = "auto",
        no_repeat_ngram: int | None = None,
        no_repeat_window: int | None = None,
    ) -> "DocumentReader":
        """Load a directory (a model, an adapter, ONNX graphs) or a Hub id; `device` None is the GPU where there is one.

        ONNX graphs are read by ONNX Runtime on the CPU, in float32.

        A directory that `ocr2 train` wrote is read with the prompts it was trained with, and with the guard against
        loops it was evaluated with where `no_repeat_ngram` and `no_repeat_window` say nothing else.
        """
        recipe = read_saved_recipe(name)
        ngram = recipe.no_repeat_ngram if no_repeat_ngram is None else no_repeat_ngram
        window = recipe.no_repeat_window if no_repeat_window is None else no_repeat_window
        for problem in loop_guard_problems(ngram, window):
            raise UsageError(problem)
        if is_onnx_folder(name):
            model = load_onnx_model(name, device, dtype)
        else:
            model = load_model(name, dtype=dtype, attn_implementation=attn_implementation)
            model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(model, load_processor(name), recipe.prompts, ngram, window)

    def read(
        self,
        source: Source | list[Source],
        task: str = "markdown",
        prompt: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int = 8,
    ) -> Page | list[Page]:
        """Read an image (PIL or a file) -> `Page`; a PDF, a multi-page TIFF or a list -> list of `Page`.

        `prompt` is asked in place of the task's own; for `locate` it is the text to find, for `custom` it is
        needed. Raises `WorkError` naming a file that cannot be read, before or at its page.
        """
        prompt = self.prompt(task, prompt)
        many = isinstance(source, list | tuple)
        sources = [page for item in (source if many else [source]) for page in list_pages(item)]
        images = ((page, page.load()) for page in sources)
        pages = list(self.stream(images, prompt, max_new_tokens, batch_size))
        return pages if many or is_pdf(source) or len(pages) > 1 else pages[0]

    def stream(
        self,
        images: Iterable[tuple[PageSource, Image.Image]],
        prompt: str,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int = 8,
    ) -> Iterator[Page]:
        """Read pages as they come, `batch_size` at a time, in order; `prompt` as `self.prompt` gives it."""
        images = iter(images)
        while batch := list(islice(images, batch_size)):
            answers = self.generate([image for _, image in batch], [prompt] * len(batch), max_new_tokens)
            for (source, image), answer in zip(batch, answers, strict=True):
                yield _page(source, image, answer)

    def generate(
        self, images: list[Image.Image], prompts: list[str], max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[Generation]:
        """Answer one batch of RGB pages, each with its own whole prompt."""
        guard = {"no_repeat_ngram": self.no_repeat_ngram, "window": self.no_repeat_window}
        return generate(self.model, self.processor, images, prompts, max_new_tokens=max_new_tokens, **guard)

    def prompt(self, task: str, prompt: str | None = None) -> str:
        """The whole prompt of a task. Raises `UsageError` on an unknown task or a missing prompt."""
        if task not in self.prompts:
            raise UsageError(f"unknown task {task!r}; known: {', '.join(self.prompts)}")
        if prompt is None and task in ("locate", "custom"):
            raise UsageError(f"the task {task!r} needs a prompt: what to locate or to ask")
        if prompt is None:
            return self.prompts[task]
        if task == "locate" and "<|ref|>" not in prompt:
            return self.prompts[task].replace("TEXT", prompt)
        return prompt if "<image>" in prompt else f"<image>\n{prompt}"


def _page(source: PageSource, image: Image.Image, answer: Generation) -> Page:
    return Page(answer.text, *image.size, answer.finished, answer.tokens, answer.seconds, source)
