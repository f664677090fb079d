"""The pages of a dataset as training examples: a recipe's task mix, chosen per page and epoch."""

import copy
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import compress

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from ocr2_hf.data.augment import Augmentation
from ocr2_hf.data.collator import NO_TEXT, Example, PromptEncoder, TargetEncoder
from ocr2_hf.data.columns import has_boxes
from ocr2_hf.data.images import crop_table, crop_tiles
from ocr2_hf.data.page_rows import page_row
from ocr2_hf.data.page_splitting import PageSection, section_row, split_page
from ocr2_hf.data.tasks import (
    CHOOSING,
    PROMPTS,
    box_tasks,
    build_example,
    chosen_table,
    has_text,
    is_silent,
    own_texts,
    page_tables,
    regions_without_text,
    suits,
)
from ocr2_hf.data.vision_features import VisionFeatures
from ocr2_hf.document.grounding import GROUNDING, has_tags
from ocr2_hf.document.model_tokens import find_model_token
from ocr2_hf.errors import UsageError, WorkError

COLUMNS = ("id", "text", "bboxes", "labels", "texts", "width", "height", "prompt", "target")


class PageTasks(TorchDataset):
    """Page records -> `Example`s.

    Which task a page gets is drawn by the recipe's weights from those that suit it and fit `max_length`; the draw
    depends on seed, epoch and page alone, so it is the same under any number of workers and processes. Pages that
    fit no task are left out: `dropped` counts them by reason.

    With `overlong="split"` a page too long for the task markdown comes as several examples of that task, cut between
    regions (`ocr2_hf.data.page_splitting`): `split` has its sections by row. Where other tasks fit, it comes whole for
    them too. A page with a region that is too long alone, or with no place to cut, is left out. Other tasks are never
    split: their targets do not say which section of the page they stand for.

    `augment` changes the images, and the boxes with them before the target is written; what it does depends on seed,
    epoch and the page's id alone. Sizes stay, and a coordinate is one token whatever it is: no length changes. A row of
    the task `custom` with grounding tags in its prompt or target is not moved, since its coordinates are text.

    `lengths` [pages, tasks] are tokens of image, prompt and target, -1 where the task does not suit the page; `fits`
    [pages, tasks] says which may be drawn. `rows` and `sections` are those of the examples, None for a whole page.

    `regions` are those of all pages; `pages_without_text` and `regions_without_text` are counted among all too.

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
        self._images = dataset.select_columns(["id", "image"])
        self._encoder, self._targets = encoder, targets = PromptEncoder(processor), TargetEncoder(processor.tokenizer)
        self.settings = encoder.settings
        self.augment = augment or Augmentation()
        self.tasks = [task for task, weight in tasks.items() if weight > 0]
        self.weights = [tasks[task] for task in self.tasks]
        self.regions = self.regions_without_text = self.pages_without_text = 0
        self._has_text = np.zeros(len(self.records), bool)
        length = partial(example_length, prompts=self.prompts, encoder=encoder, targets=targets)
        self.lengths = self._measure(length)
        self.fits = (self.lengths > 0) & (self.lengths <= max_length)
        self.split = self._split(encoder, max_length) if overlong == "split" else {}
        whole = self.fits.any(axis=1)
        self.rows: list[int] = []
        self.sections: list[PageSection | None] = []
        for row in range(len(dataset)):
            shown = [None] * bool(whole[row]) + self.split.get(row, [])
            self.rows += [row] * len(shown)
            self.sections += shown
        self._section_lengths: list[int | None] = [None] * len(self.rows)
        for index, section in enumerate(self.sections):
            if section is not None:
                tiles = self.settings.tiles(*section.size)
                self._section_lengths[index] = length(self._record(index), "markdown", tiles=tiles)
        left_out = np.delete(self.lengths, self.rows, axis=0)
        long = int((left_out > 0).any(axis=1).sum())
        self.dropped = +Counter({"longer than max_length": long, "nothing for these tasks": len(left_out) - long})
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()  # seen by workers that already run

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        return self.example(index, self.epoch)

    def example(self, index: int, epoch: int) -> Example:
        """An example as this epoch draws it."""
        task, page, choice = self._task(index, epoch), self._record(index), self._choice(epoch)
        features = None if self.features is None else self.features[self.view(index)]
        image = self.image(index) if features is None else None
        if self.augment:
            movable = task != "custom" or not has_tags(page["prompt"] + page["target"])
            image, boxes = self.augment(image, page["bboxes"], f"{self.seed}/{epoch}/{page['id']}", movable)
            page = {**page, "bboxes": boxes}
        prompt, target = build_example(task, page, self.prompts, choice)
        if task == "table":
            image, _ = crop_table(image, chosen_table(page, choice).box, self.settings)
        return Example(page["id"], image, prompt, target, features=features)

    def image(self, index: int) -> Image.Image:
        """The image of an example, or of its section of the page, before augmentation."""
        section, image = self.sections[index], page_row(self._images, self.rows[index])["image"]
        return image if section is None else image.crop(section.crop)

    def view(self, index: int) -> str:
        """What an example shows, whatever its task: a row of the dataset, or a crop of it."""
        section = self.sections[index]
        return str(self.rows[index]) + ("" if section is None else f":{','.join(map(str, section.crop))}")

    def token_counts(self, index: int, epoch: int | None = None) -> tuple[int, int]:
        """Tokens of an example without augmentation: of its prompt with the image, and of its target with EOS."""
        epoch = self.epoch if epoch is None else epoch
        task, page, choice = self._task(index, epoch), self._record(index), self._choice(epoch)
        prompt, target = build_example(task, page, self.prompts, choice)
        size = page["width"], page["height"]
        tiles = self.settings.tiles(*size)
        if task == "table":
            tiles = crop_tiles([chosen_table(page, choice).box], *size, self.settings)
        return len(self._encoder.prompt(prompt, tiles)), len(self._targets(target).ids)

    def check_texts(self, name: str) -> None:
        """`WorkError`, with the dataset's `name`, where no page that suits a task has text: it would learn silence.

        A markdown prompt of the recipe's own may well ask for boxes alone.
        """
        for task in {"ocr", "markdown"}.intersection(self.tasks):  # other tasks suit no page without
            suited = self.lengths[:, self.tasks.index(task)] > 0
            asks_for_boxes = task == "markdown" and task in self.prompts
            if suited.any() and not asks_for_boxes and not (suited & self._has_text).any():
                raise WorkError(
                    f"{name}: none of the {suited.sum()} pages for the task {task} has any text: the model would learn "
                    "to write none; build it with texts, or leave the task out; for boxes alone, give markdown a "
                    "prompt of your own that asks for them (prompts)"
                )

    @property
    def labels(self) -> set[str]:
        """Labels of the regions in the pages' targets, as they were when the pages were measured."""
        return self._targets.labels

    @property
    def roles(self) -> set[str]:
        """Roles of the tokens in the pages' targets, likewise."""
        return self._targets.roles

    def spread(self, count: int) -> list[int]:
        """So many examples, all where there are fewer, evenly spaced."""
        return np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int).tolist()

    def visual_tokens(self) -> list[int]:
        """How many every example has."""
        whole = list(zip(self.records["width"], self.records["height"], strict=True))
        sizes = [section.size if section else whole[row] for row, section in zip(self.rows, self.sections, strict=True)]
        return [self.settings.tokens(self.settings.tiles(*size)) for size in sizes]

    def drawn_lengths(self, epoch: int | None = None) -> np.ndarray:
        """Tokens [examples] in this epoch; of the tasks locate and table, whose region is drawn later, the most."""
        epoch = self.epoch if epoch is None else epoch
        return self._example_lengths(lambda row: self.lengths[row, self.tasks.index(self._draw(row, epoch))])

    def longest_lengths(self) -> np.ndarray:
        """Tokens [examples] for the longest task of each: no epoch has more."""
        return self._example_lengths(np.where(self.fits, self.lengths, 0).max(axis=1).__getitem__)

    def _example_lengths(self, of_row: Callable[[int], int]) -> np.ndarray:
        """Tokens [examples]: of a whole page by its row, of a section what was measured."""
        lengths = zip(self.rows, self._section_lengths, strict=True)
        return np.array([of_row(row) if length is None else length for row, length in lengths])

    def _record(self, index: int) -> Mapping:
        """The page record of an example, without its image."""
        page, section = self.records[self.rows[index]], self.sections[index]
        return page if section is None else section_row(page, section)

    def _measure(self, length: Callable[..., int]) -> np.ndarray:
        """`lengths`, and the counts of texts. What an augmentation moves may take more tiles in the task table."""
        lengths = np.full((len(self.records), len(self.tasks)), -1, dtype=np.int64)
        for row, page in enumerate(self.records):
            self._has_text[row] = has_text(page)
            self.pages_without_text += is_silent(page)
            self.regions += len(page["texts"])
            self.regions_without_text += regions_without_text(page)
            size = page["width"], page["height"]
            for column, task in enumerate(self.tasks):
                if not suits(task, page):
                    continue
                tiles = self.settings.tiles(*size)
                if task == "table":
                    boxes = [table.box for table in page_tables(page)]
                    tiles = crop_tiles(boxes, *size, self.settings, self.augment.moves)
                lengths[row, column] = length(page, task, tiles=tiles)
        return lengths

    def _split(self, encoder: PromptEncoder, max_length: int) -> dict[int, list[PageSection]]:
        """The sections of every page that is too long for markdown and can be cut."""
        long = np.flatnonzero(self.lengths[:, self.tasks.index("markdown")] > max_length).tolist()
        pages = zip(long, self.records.select(long), strict=True)
        return {row: found for row, page in pages if (found := split_page(page, encoder, self.prompts, max_length))}

    def set_epoch(self, epoch: int) -> None:
        """Draw as in this epoch from now on, in workers that already run too."""
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """The epoch whose tasks are drawn."""
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

    def _choice(self, epoch: int) -> int:
        """The seed by which tasks choose a region; Python's own hash of the two differs between processes."""
        return self.seed * 1_000_003 + epoch

    def _task(self, index: int, epoch: int) -> str:
        return self._draw(self.rows[index], epoch) if self.sections[index] is None else "markdown"

    def _draw(self, row: int, epoch: int) -> str:
        tasks, weights = (list(compress(each, self.fits[row])) for each in (self.tasks, self.weights))
        if len(tasks) == 1:
            return tasks[0]
        return random.Random(f"{self.seed}/{epoch}/{row}").choices(tasks, weights)[0]


def check_boxes(datasets: Mapping[str, Dataset], tasks: Mapping[str, float], prompts: Mapping[str, str]) -> None:
    """`UsageError` where tasks ask for boxes and no page of the `datasets`, by name, has any."""
    if not (asking := box_tasks(tasks, prompts)) or any(map(has_boxes, datasets.values())):
        return
    advice = ["build it with boxes"]
    if any(any(map(str.strip, dataset["text"])) for dataset in datasets.values()):
        plain = PROMPTS["markdown"].replace(GROUNDING, "").replace("\n", "\\n")
        advice.append("train text alone by --tasks '{ocr: 1}'")
        advice.append(f"markdown without boxes by --tasks '{{markdown: 1}}' --prompts '{{markdown: \"{plain}\"}}'")
    if any(target is not None for dataset in datasets.values() for target in dataset["target"]):
        advice.append("its questions by --tasks '{custom: 1}'")
    raise UsageError(
        f"{', '.join(datasets)}: no page has boxes, and the recipe asks for them (tasks: {', '.join(asking)}): "
        + ", or ".join(advice)
    )


class ProcessShare(TorchDataset):
    """Every `processes`-th page, from `process` on; all processes get equally many, filled up with padding examples."""

    def __init__(self, pages: TorchDataset, process: int, processes: int):
        self.pages, self.process, self.processes = pages, process, processes

    def __len__(self) -> int:
        return -(-len(self.pages) // self.processes)

    def __getitem__(self, index: int) -> Example:
        page = index * self.processes + self.process
        if page < len(self.pages):
            return self.pages[page]
        return replace(self.pages[0], padding=True)


def example_length(
    page: Mapping, task: str, prompts: Mapping[str, str], encoder: PromptEncoder, targets: TargetEncoder, tiles: int
) -> int:
    """Tokens of a page (a row without its image) for a task: image, prompt and target. `WorkError` where it holds what
    cannot be trained on."""
    try:
        prompt, target = build_example(task, page, prompts, seed=None)
        texts = "\n".join(own_texts(task, page))  # no token reaches over a line's end
        if found := find_model_token(texts):
            raise ValueError(f"its text holds {found[0]}, {NO_TEXT}")
        if task in CHOOSING:  # the longest is measured, another may be drawn
            targets(texts)
        return len(encoder.prompt(prompt, tiles)) + len(targets(target).ids)
    except ValueError as error:
        raise WorkError(f"page {page['id']!r} cannot be trained on ({task}): {error}") from error
