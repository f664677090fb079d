"""The pages of a dataset as training examples: a recipe's task mix, chosen per page and epoch."""

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from ocr2_hf.data.augment import Augmentation
from ocr2_hf.data.collator import Example, PromptEncoder, TargetEncoder
from ocr2_hf.data.columns import has_boxes
from ocr2_hf.data.images import crop_table, crop_tiles
from ocr2_hf.data.page_counts import PageCounts, page_sections
from ocr2_hf.data.page_rows import page_row
from ocr2_hf.data.page_splitting import PageSection, section_row
from ocr2_hf.data.tasks import PROMPTS, box_tasks, build_example, chosen_table
from ocr2_hf.data.vision_features import VisionFeatures
from ocr2_hf.document.grounding import GROUNDING, has_tags
from ocr2_hf.errors import UsageError, WorkError

_BLOCK = 4  # numbers that Philox makes at a time

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
    [pages, tasks] says which may be drawn; `tiles` [pages] are those of whole pages. `rows` are those of the examples,
    `sections` has those of the examples that show no whole page. The texts are counted once (`PageCounts`).

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
        self._encoder, self._targets = PromptEncoder(processor), TargetEncoder(processor.tokenizer)
        self.settings = self._encoder.settings
        self.augment = augment or Augmentation()
        self.tasks = [task for task, weight in tasks.items() if weight > 0]
        self.weights = [tasks[task] for task in self.tasks]
        self._counts = counts = PageCounts.of(self.records, self._encoder, self.tasks, self.prompts)
        self.regions, self.regions_without_text = int(counts.regions.sum()), int(counts.regions_without_text.sum())
        self.pages_without_text = int(counts.silent.sum())
        sizes = self.records.with_format("numpy", columns=["width", "height"])[:]
        self.tiles = self.settings.page_tiles(np.stack([sizes["width"], sizes["height"]], axis=1))
        self.lengths = self._lengths()
        self.fits = (self.lengths > 0) & (self.lengths <= max_length)
        long_rows = self._long(max_length) if overlong == "split" else []
        self._lay_out(page_sections(self.records, long_rows, self._encoder, self.prompts, max_length))
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
        section, image = self.sections.get(index), page_row(self._images, int(self.rows[index]))["image"]
        return image if section is None else image.crop(section.crop)

    def view(self, index: int) -> str:
        """What an example shows, whatever its task: a row of the dataset, or a crop of it."""
        section = self.sections.get(index)
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
            if suited.any() and not asks_for_boxes and not (suited & self._counts.has_text).any():
                raise WorkError(
                    f"{name}: none of the {suited.sum()} pages for the task {task} has any text: the model would learn "
                    "to write none; build it with texts, or leave the task out; for boxes alone, give markdown a "
                    "prompt of your own that asks for them (prompts)"
                )

    @property
    def labels(self) -> set[str]:
        """Labels of the regions in the pages' targets, as they were when the pages were measured."""
        return self._counts.labels

    @property
    def roles(self) -> set[str]:
        """Roles of the tokens in the pages' targets, likewise."""
        return self._counts.roles

    def spread(self, count: int) -> list[int]:
        """So many examples, all where there are fewer, evenly spaced."""
        return np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int).tolist()

    def visual_tokens(self) -> list[int]:
        """How many every example has."""
        tiles = self.tiles[self.rows]
        tiles[list(self.sections)] = [self.settings.tiles(*section.size) for section in self.sections.values()]
        return self.settings.tokens(tiles).tolist()

    def drawn_lengths(self, epoch: int | None = None) -> np.ndarray:
        """Tokens [examples] in this epoch; of the tasks locate and table, whose region is drawn later, the most."""
        columns = self._drawn(self.epoch if epoch is None else epoch)
        return self._example_lengths(np.take_along_axis(self.lengths, columns[:, None], axis=1)[:, 0])

    def longest_lengths(self) -> np.ndarray:
        """Tokens [examples] for the longest task of each: no epoch has more."""
        return self._example_lengths(np.where(self.fits, self.lengths, 0).max(axis=1))

    def _example_lengths(self, of_pages: np.ndarray) -> np.ndarray:
        """Tokens [examples]: of whole pages these [pages], of sections what was measured."""
        lengths = of_pages[self.rows]
        lengths[list(self.sections)] = self._section_lengths
        return lengths

    def _record(self, index: int) -> Mapping:
        """The page record of an example, without its image."""
        page, section = self.records[int(self.rows[index])], self.sections.get(index)
        return page if section is None else section_row(page, section)

    def _lengths(self) -> np.ndarray:
        """`lengths`. What an augmentation moves may take more tiles in the task table."""
        tiles = np.repeat(self.tiles[:, None], len(self.tasks), axis=1)
        if "table" in self.tasks:
            cut = self.settings.max_patches if self.augment.moves else self._counts.table_tiles
            tiles[:, self.tasks.index("table")] = np.where(self.tiles > 0, cut, 0)
        return np.where(self._counts.text > 0, self._counts.text + self.settings.tokens(tiles), -1)

    def _long(self, max_length: int) -> list[int]:
        """The rows of pages that are too long for the task markdown."""
        return np.flatnonzero(self.lengths[:, self.tasks.index("markdown")] > max_length).tolist()

    def _lay_out(self, sections: list[tuple[int, PageSection, int]]) -> None:
        """`rows`, `sections` and `split`: of every page first the whole, where it fits a task, then what it is cut
        into (row, section, tokens of its text)."""
        whole, cut = np.flatnonzero(self.fits.any(axis=1)), np.array([row for row, _, _ in sections], dtype=np.int64)
        rows = np.concatenate([whole, cut])
        order = np.argsort(rows, kind="stable")
        self.rows = rows[order]
        places = np.argsort(order)[len(whole) :].tolist()
        self.sections = {place: section for place, (_, section, _) in zip(places, sections, strict=True)}
        lengths = [text + self.settings.tokens(self.settings.tiles(*each.size)) for _, each, text in sections]
        self._section_lengths = np.array(lengths, dtype=np.int64)
        self.split: dict[int, list[PageSection]] = {}
        for row, section, _ in sections:
            self.split.setdefault(row, []).append(section)

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
        if index in self.sections:
            return "markdown"
        row = int(self.rows[index])
        chance = self._chances(epoch, row // _BLOCK).random(_BLOCK)[row % _BLOCK]
        return self.tasks[int(self._chosen(self.fits[row : row + 1], chance)[0])]

    def _drawn(self, epoch: int) -> np.ndarray:
        """The number of the task of every page in this epoch."""
        return self._chosen(self.fits, self._chances(epoch).random(len(self.fits)))

    def _chances(self, epoch: int, block: int = 0) -> np.random.Generator:
        """One number for each page from 0 to 1, from this block of pages on. Any of them can be had without those
        before: workers ask for one page, the batches of an epoch for all."""
        return np.random.Generator(np.random.Philox(key=[self.seed, epoch], counter=block))

    def _chosen(self, fits: np.ndarray, chances: np.ndarray | float) -> np.ndarray:
        """The number of the task [pages] that each chance falls on, in the proportion of the weights of those that fit
        [pages, tasks]."""
        ends = np.cumsum(fits * np.array(self.weights, dtype=float), axis=1)
        return (np.expand_dims(chances * ends[:, -1], 1) >= ends[:, :-1]).sum(axis=1)


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
