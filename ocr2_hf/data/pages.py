"""The pages of a dataset as training examples: a recipe's task mix, chosen per page and epoch."""

import random
from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from ocr2_hf.data.collator import Example, PromptEncoder, TargetEncoder
from ocr2_hf.data.images import to_rgb
from ocr2_hf.data.tasks import build_example, suits
from ocr2_hf.errors import WorkError

COLUMNS = ("id", "text", "bboxes", "labels", "texts", "width", "height", "prompt", "target")
_UNSUITED = -1


class PageTasks(TorchDataset):
    """Page records -> `Example`s.

    Which task a page gets is drawn by the recipe's weights from those that suit it and fit `max_length`; the draw
    depends on seed, epoch and page alone, so it is the same under any number of workers and processes. Pages that
    fit no task are left out: `dropped` counts them by reason.
    """

    def __init__(
        self,
        dataset: Dataset,
        processor,
        tasks: Mapping[str, float],
        prompts: Mapping[str, str] | None = None,
        max_length: int = 4096,
        seed: int = 0,
    ):
        self.dataset, self.prompts, self.seed = dataset, dict(prompts or {}), seed
        self.tasks = [task for task, weight in tasks.items() if weight > 0]
        self.weights = [tasks[task] for task in self.tasks]
        self.lengths = _measure(dataset, processor, self.tasks, self.prompts)
        self.fits = (self.lengths > 0) & (self.lengths <= max_length)
        self.rows = np.flatnonzero(self.fits.any(axis=1))
        self.dropped = self._count_dropped()
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()  # seen by workers that already run

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        row = int(self.rows[index])
        return self.example(row, self._draw(row))

    def example(self, row: int, task: str) -> Example:
        """The example of a row of the dataset for one task."""
        page = self.dataset[row]
        prompt, target = build_example(task, page, self.prompts, seed=hash_free_seed(self.seed, int(self._epoch)))
        return Example(page["id"], to_rgb(page["image"]), prompt, target)

    def set_epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    def _draw(self, row: int) -> str:
        fitting = self.fits[row]
        tasks = [task for task, fits in zip(self.tasks, fitting, strict=True) if fits]
        weights = [weight for weight, fits in zip(self.weights, fitting, strict=True) if fits]
        return random.Random(f"{self.seed}/{int(self._epoch)}/{row}").choices(tasks, weights)[0]

    def _count_dropped(self) -> Counter:
        left_out = np.delete(self.lengths, self.rows, axis=0)
        long = int((left_out > 0).any(axis=1).sum()) if len(left_out) else 0
        return Counter({"longer than max_length": long, "nothing for these tasks": len(left_out) - long}) + Counter()


def hash_free_seed(seed: int, epoch: int) -> int:
    """One number from two; Python's own hash differs between processes."""
    return seed * 1_000_003 + epoch


def _measure(dataset: Dataset, processor, tasks: list[str], prompts: Mapping[str, str]) -> np.ndarray:
    """Sequence lengths [pages, tasks], -1 where the task does not suit the page. Decodes no image."""
    encoder = PromptEncoder(processor)
    targets = TargetEncoder(processor.tokenizer)
    texts = dataset.select_columns([column for column in COLUMNS if column in dataset.column_names])
    lengths = np.full((len(dataset), len(tasks)), _UNSUITED, dtype=np.int64)
    for row, page in enumerate(texts):
        tiles = encoder.settings.tiles(page["width"], page["height"])
        for column, task in enumerate(tasks):
            if suits(task, page):
                lengths[row, column] = _length(page, task, prompts, encoder, targets, tiles)
    return lengths


def _length(page: dict, task: str, prompts, encoder: PromptEncoder, targets: TargetEncoder, tiles: int) -> int:
    try:
        prompt, target = build_example(task, page, prompts, seed=None)
        ids = targets(target).ids
        if encoder.image_token_id in ids:
            raise ValueError("its text holds <image>, which stands for the page itself")
        return len(encoder.prompt(prompt, tiles)) + len(ids)
    except ValueError as error:
        raise WorkError(f"page {page['id']!r} cannot be trained on ({task}): {error}") from error
