"""The pages of a dataset as training examples: a recipe's task mix, chosen per page and epoch."""

import copy
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from ocr2_hf.data.augment import Augmentation
from ocr2_hf.data.collator import Example, PromptEncoder, TargetEncoder
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.page_splitting import Part, find_parts, part_row
from ocr2_hf.data.table_crops import crop_table, crop_tiles
from ocr2_hf.data.tasks import build_example, chosen_table, page_regions, page_tables, suits
from ocr2_hf.data.vision_features import VisionFeatures
from ocr2_hf.document.grounding import Region, encode_regions, has_tags
from ocr2_hf.document.page_files import to_rgb
from ocr2_hf.errors import WorkError

COLUMNS = ("id", "text", "bboxes", "labels", "texts", "width", "height", "prompt", "target")
_UNSUITED = -1


class PageTasks(TorchDataset):
    """Page records -> `Example`s.

    Which task a page gets is drawn by the recipe's weights from those that suit it and fit `max_length`; the draw
    depends on seed, epoch and page alone, so it is the same under any number of workers and processes. Pages that
    fit no task are left out: `dropped` counts them by reason.

    With `overlong="split"` a page too long for the task markdown comes as several examples of that task, cut between
    regions (`ocr2_hf.data.page_splitting`): `split` has its parts by row. Where other tasks fit, it comes whole for
    them too. A page with a region that is too long alone, or with no place to cut, is left out. Other tasks are never
    split: their targets do not say which part of the page they stand for.

    `augment` changes the images, and the boxes with them before the target is written; what it does depends on seed,
    epoch and the page's id alone. Sizes stay, and a coordinate is one token whatever it is: no length changes. A row of
    the task `custom` with grounding tags in its prompt or target is not moved, since its coordinates are text.

    With stored `features` (set them when every page's are there) examples carry those, and no image is decoded.
    """

    features: VisionFeatures | None = None

    def __init__(
        self,
        dataset: Dataset,
        processor,
        tasks: Mapping[str, float],
        prompts: Mapping[str, str] | None = None,
        max_length: int = 4096,
        seed: int = 0,
        overlong: str = "drop",
        augment: Augmentation | None = None,
    ):
        self.dataset, self.prompts, self.seed = dataset, dict(prompts or {}), seed
        self.records = dataset.select_columns([column for column in COLUMNS if column in dataset.column_names])
        self._images = dataset.select_columns(["image"])
        self.settings = ImageSettings.of(processor)
        self.augment = augment or Augmentation()
        self.tasks = [task for task, weight in tasks.items() if weight > 0]
        self.weights = [tasks[task] for task in self.tasks]
        self.lengths = _measure(self.records, processor, self.tasks, self.prompts, self.augment.moves)
        self.fits = (self.lengths > 0) & (self.lengths <= max_length)
        self.split = self._split(processor, max_length) if overlong == "split" else {}
        whole = self.fits.any(axis=1)
        pieces: list[tuple[int, Part | None]] = []
        for row in range(len(dataset)):
            pieces += [(row, None)] * bool(whole[row]) + [(row, part) for part in self.split.get(row, [])]
        self.rows, self.parts = [row for row, _ in pieces], [part for _, part in pieces]
        self._part_lengths = self._measure_parts(processor)
        self.dropped = self._count_dropped()
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()  # seen by workers that already run

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        row, part = self.rows[index], self.parts[index]
        task = self._draw(row) if part is None else "markdown"
        page, epoch = self._record(index), self.epoch
        features = None if self.features is None else self.features[self.view(index)]
        image = self.image(index) if features is None else None
        if self.augment:
            movable = task != "custom" or not has_tags(page["prompt"] + page["target"])
            image, boxes = self.augment(image, page["bboxes"], f"{self.seed}/{epoch}/{page['id']}", movable)
            page = {**page, "bboxes": boxes}
        seed = hash_free_seed(self.seed, epoch)
        prompt, target = build_example(task, page, self.prompts, seed)
        if task == "table":
            image, _ = crop_table(image, chosen_table(page, seed).box, self.settings)
        return Example(page["id"], image, prompt, target, features=features)

    def image(self, index: int) -> Image.Image:
        """The image of an example, or of its part of the page, before augmentation."""
        part, image = self.parts[index], to_rgb(self._images[self.rows[index]]["image"])
        return image if part is None else image.crop(part.crop)

    def view(self, index: int) -> str:
        """What an example shows, whatever its task: a row of the dataset, or a crop of it."""
        part = self.parts[index]
        return str(self.rows[index]) + ("" if part is None else f":{','.join(map(str, part.crop))}")

    def visual_tokens(self) -> list[int]:
        """Of every example."""
        widths, heights = self.records["width"], self.records["height"]
        sizes = [
            (widths[row], heights[row]) if part is None else part.size
            for row, part in zip(self.rows, self.parts, strict=True)
        ]
        return [self.settings.tokens(self.settings.tiles(*size)) for size in sizes]

    def drawn_lengths(self) -> np.ndarray:
        """Tokens of every example in this epoch; of the tasks locate and table, whose region is drawn later, the
        most."""
        columns = {task: column for column, task in enumerate(self.tasks)}
        pieces = zip(self.rows, self.parts, self._part_lengths, strict=True)
        return np.array(
            [self.lengths[row, columns[self._draw(row)]] if part is None else length for row, part, length in pieces]
        )

    def longest_lengths(self) -> np.ndarray:
        """Tokens of every example for the longest of its tasks: no epoch has more."""
        longest = np.where(self.fits, self.lengths, 0).max(axis=1)[self.rows]
        return np.where([part is None for part in self.parts], longest, self._part_lengths)

    def _record(self, index: int) -> Mapping:
        """The page record of an example, without its image."""
        page, part = self.records[self.rows[index]], self.parts[index]
        return page if part is None else part_row(page, part)

    def _split(self, processor, max_length: int) -> dict[int, list[Part]]:
        """The parts of every page that is too long for markdown and can be cut."""
        splitter = Splitter(processor, self.prompts, max_length)
        long = np.flatnonzero(self.lengths[:, self.tasks.index("markdown")] > max_length).tolist()
        texts = self.records.select(long)
        parts = {row: splitter(page) for row, page in zip(long, texts, strict=True)}
        return {row: found for row, found in parts.items() if found}

    def _measure_parts(self, processor) -> list[int]:
        """The sequence length of every example that is a part of a page; 0 for the others."""
        encoder, targets = PromptEncoder(processor), TargetEncoder(processor.tokenizer)
        lengths = [0] * len(self.rows)
        for index, part in enumerate(self.parts):
            if part is not None:
                tiles = self.settings.tiles(*part.size)
                lengths[index] = example_length(self._record(index), "markdown", self.prompts, encoder, targets, tiles)
        return lengths

    def set_epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def unchanged(self) -> "PageTasks":
        """The same examples with the images as they are: for evaluation."""
        pages = copy.copy(self)
        pages.augment = Augmentation()
        return pages

    def with_images(self) -> "PageTasks":
        """The same examples with their images, also where there are stored features: for generation."""
        pages = copy.copy(self)
        pages.features = None
        return pages

    def _draw(self, row: int) -> str:
        fitting = self.fits[row]
        tasks = [task for task, fits in zip(self.tasks, fitting, strict=True) if fits]
        weights = [weight for weight, fits in zip(self.weights, fitting, strict=True) if fits]
        if len(tasks) == 1:
            return tasks[0]
        return random.Random(f"{self.seed}/{self.epoch}/{row}").choices(tasks, weights)[0]

    def _count_dropped(self) -> Counter:
        left_out = np.delete(self.lengths, self.rows, axis=0)
        long = int((left_out > 0).any(axis=1).sum()) if len(left_out) else 0
        return Counter({"longer than max_length": long, "nothing for these tasks": len(left_out) - long}) + Counter()


@dataclass
class Splitter:
    """Cuts the markdown target of a page (a row without its image) into parts that fit `max_length`."""

    processor: object
    prompts: Mapping[str, str]
    max_length: int

    def __post_init__(self) -> None:
        self.encoder = PromptEncoder(self.processor)

    def __call__(self, page: Mapping) -> list[Part]:
        size = page["width"], page["height"]
        boxes = np.asarray(page["bboxes"], dtype=float).reshape(-1, 4)
        prompt, _ = build_example("markdown", page, self.prompts)

        def room(width: int, height: int) -> int:
            tiles = self.encoder.settings.tiles(width, height)
            return self.max_length - len(self.encoder.prompt(prompt, tiles)) - 1  # the end has a token too

        return find_parts(boxes, [self._tokens(region, size) for region in page_regions(page)], size, room)

    def _tokens(self, region: Region, size: tuple[int, int]) -> int:
        """What a region takes, last of its part or before another. The sum over a run is what the run takes: every
        region begins with a tag, at which the tokenizer always cuts, and its box is four tokens wherever it stands."""
        block = encode_regions([region], *size)
        ends = self.encoder.tokenizer([block, block + "\n\n"], add_special_tokens=False).input_ids
        return max(map(len, ends))


def hash_free_seed(seed: int, epoch: int) -> int:
    """One number from two; Python's own hash differs between processes."""
    return seed * 1_000_003 + epoch


def _measure(
    records: Dataset, processor, tasks: list[str], prompts: Mapping[str, str], moves: bool = False
) -> np.ndarray:
    """Sequence lengths [pages, tasks], -1 where the task does not suit the page, of records without images. What an
    augmentation `moves` may take more tiles in the task table."""
    encoder = PromptEncoder(processor)
    targets = TargetEncoder(processor.tokenizer)
    lengths = np.full((len(records), len(tasks)), _UNSUITED, dtype=np.int64)
    for row, page in enumerate(records):
        for column, task in enumerate(tasks):
            if suits(task, page):
                tiles = _tiles(page, task, encoder.settings, moves)
                lengths[row, column] = example_length(page, task, prompts, encoder, targets, tiles)
    return lengths


def _tiles(page: Mapping, task: str, settings: ImageSettings, moves: bool) -> int:
    size = page["width"], page["height"]
    if task == "table":
        return crop_tiles([table.box for table in page_tables(page)], *size, settings, moves)
    return settings.tiles(*size)


def example_length(
    page: Mapping, task: str, prompts: Mapping[str, str], encoder: PromptEncoder, targets: TargetEncoder, tiles: int
) -> int:
    """Tokens of a page (a row without its image) for a task: image, prompt and target. `WorkError` where it holds what
    cannot be trained on."""
    try:
        prompt, target = build_example(task, page, prompts, seed=None)
        ids = targets(target).ids
        if encoder.image_token_id in ids:
            raise ValueError("its text holds <image>, which stands for the page itself")
        return len(encoder.prompt(prompt, tiles)) + len(ids)
    except ValueError as error:
        raise WorkError(f"page {page['id']!r} cannot be trained on ({task}): {error}") from error
