"""What is counted of the pages of a dataset before training: tokens by task, regions, texts. Counted once and kept.

No count depends on the shares of tasks or on augmentation, and only where long pages are cut on `max_length`: a later
stage, a resumed run and `plan` find what the first start has counted.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import tokenizers
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm

from ocr2_hf.data.collator import NO_TEXT, PromptEncoder, TargetEncoder, control_tokens
from ocr2_hf.data.images import crop_tiles
from ocr2_hf.data.kept_arrays import kept_arrays
from ocr2_hf.data.page_splitting import PageSection, section_row, split_page
from ocr2_hf.data.tasks import (
    CHOOSING,
    PROMPTS,
    Row,
    build_example,
    has_text,
    is_silent,
    own_texts,
    page_tables,
    regions_without_text,
    suits,
)
from ocr2_hf.document.model_tokens import find_model_token
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.processors import usable_processors

_TOGETHER = 64  # pages that a process takes at a time
_WORTH_A_PROCESS = 500  # pages; fewer are counted while another process starts
_NAMES = ("labels", "roles")

Result = TypeVar("Result")


@dataclass(frozen=True)
class PageCounts:
    """Of every page [pages]: `text` [pages, tasks], the tokens of its prompt and target, -1 where the task does not
    suit it; `table_tiles`, the most tiles that any of its tables takes (0 where the task table is not asked for);
    whether it `has_text`, and is `silent` (`ocr2_hf.data.tasks`); its `regions`, and those without text.

    `labels` are those of the regions in the targets, `roles` those of the tokens.
    """

    text: np.ndarray
    table_tiles: np.ndarray
    has_text: np.ndarray
    silent: np.ndarray
    regions: np.ndarray
    regions_without_text: np.ndarray
    labels: set[str]
    roles: set[str]

    @classmethod
    def of(
        cls, records: Dataset, encoder: PromptEncoder, tasks: Sequence[str], prompts: Mapping[str, str]
    ) -> "PageCounts":
        """Of page records, which need no images. `WorkError` for the first that holds what cannot be trained on."""

        def count() -> dict[str, np.ndarray]:
            parts = over_pages(records, partial(_count, encoder, tasks, prompts), "counting tokens")
            values = {each.name: [getattr(part, each.name) for part in parts] for each in fields(cls)}
            names = {name: json.dumps(sorted(set().union(*values.pop(name)))).encode() for name in _NAMES}
            packed = {name: np.frombuffer(text, np.uint8) for name, text in names.items()}
            return packed | {name: np.concatenate(arrays) for name, arrays in values.items()}

        made_by = _made_by(records, encoder, tasks, prompts)
        if "table" in tasks:
            made_by["images"] = asdict(encoder.settings)
        arrays = kept_arrays("page_counts", made_by, count)
        return cls(**(arrays | {name: set(json.loads(arrays[name].tobytes())) for name in _NAMES}))


def page_sections(
    records: Dataset, rows: Sequence[int], encoder: PromptEncoder, prompts: Mapping[str, str], max_length: int
) -> list[tuple[int, PageSection, int]]:
    """Where the pages at these rows, which are too long for the task markdown, are cut: row, section, and the tokens
    of its prompt and target. A page that cannot be cut has none."""
    if not rows:
        return []

    def cut() -> dict[str, np.ndarray]:
        parts = over_pages(records.select(rows), partial(_cut, encoder, prompts, max_length), "splitting long pages")
        found = zip(rows, chain.from_iterable(parts), strict=True)
        flat = [(row, each.first, each.last, *each.crop, text) for row, cuts in found for each, text in cuts]
        return {"sections": np.array(flat, dtype=np.int64).reshape(-1, 8)}

    images = {"images": asdict(encoder.settings), "max_length": max_length}
    made_by = _made_by(records, encoder, ["markdown"], prompts) | images
    found = kept_arrays("page_sections", made_by, cut)["sections"].tolist()
    return [(row, PageSection(first, last, tuple(crop)), text) for row, first, last, *crop, text in found]


def text_length(
    page: Row, task: str, prompts: Mapping[str, str], encoder: PromptEncoder, targets: TargetEncoder
) -> int:
    """Tokens of a page (a row without its image) for a task: BOS, prompt, target and EOS, without the visual ones.
    `WorkError` where it holds what cannot be trained on."""
    try:
        prompt, target = build_example(task, page, prompts, seed=None)
        texts = "\n".join(own_texts(task, page))  # no token reaches over a line's end
        if found := find_model_token(texts):
            raise ValueError(f"its text holds {found[0]}, {NO_TEXT}")
        if task in CHOOSING:  # the longest is measured, another may be drawn
            targets(texts)
        return len(encoder.expanded(prompt, visual_tokens=0)) + len(targets(target).ids)
    except ValueError as error:
        raise WorkError(f"page {page['id']!r} cannot be trained on ({task}): {error}") from error


def over_pages(records: Dataset, of: Callable[[Sequence[Row]], Result], told: str) -> list[Result]:
    """`of` all pages, some at a time, in order, by all processors; what it raises first is raised."""
    # A generator of its own: the loader draws a number, and a run must train the same whether it counts or not.
    loader = DataLoader(
        _Parts(records, of),
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=min(usable_processors(), len(records) // _WORTH_A_PROCESS),
        generator=torch.Generator(),
    )
    results = []
    with tqdm(total=len(records), desc=told, unit="page", disable=None, leave=False) as bar:
        for result in loader:
            if isinstance(result, Exception):
                raise result
            results.append(result)
            bar.update(min(_TOGETHER, len(records) - bar.n))
    return results


class _Parts(TorchDataset):
    """What a function makes of some pages after the other, or the exception it raises."""

    def __init__(self, records: Dataset, of: Callable[[Sequence[Row]], Any]):
        self.records, self.of = records, of

    def __len__(self) -> int:
        return max(1, -(-len(self.records) // _TOGETHER))

    def __getitem__(self, part: int) -> Any:
        columns = self.records[part * _TOGETHER : (part + 1) * _TOGETHER]
        try:
            return self.of([dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)])
        except (UsageError, WorkError) as error:
            return error


def _as_it_is(result: Any) -> Any:
    """A loader would make tensors of arrays."""
    return result


def _count(
    encoder: PromptEncoder, tasks: Sequence[str], prompts: Mapping[str, str], pages: Sequence[Row]
) -> PageCounts:
    targets = TargetEncoder(encoder.tokenizer)
    text = np.full((len(pages), len(tasks)), -1, dtype=np.int32)
    table_tiles = np.zeros(len(pages), dtype=np.int32)
    for row, page in enumerate(pages):
        for column, task in enumerate(tasks):
            if suits(task, page):
                text[row, column] = text_length(page, task, prompts, encoder, targets)
        if "table" in tasks and (tables := page_tables(page)):
            boxes = [table.box for table in tables]
            table_tiles[row] = crop_tiles(boxes, page["width"], page["height"], encoder.settings)
    return PageCounts(
        text,
        table_tiles,
        has_text=np.array([has_text(page) for page in pages], dtype=bool),
        silent=np.array([is_silent(page) for page in pages], dtype=bool),
        regions=np.array([len(page["texts"]) for page in pages], dtype=np.int32),
        regions_without_text=np.array([regions_without_text(page) for page in pages], dtype=np.int32),
        labels=targets.labels,
        roles=targets.roles,
    )


def _cut(
    encoder: PromptEncoder, prompts: Mapping[str, str], max_length: int, pages: Sequence[Row]
) -> list[list[tuple[PageSection, int]]]:
    targets = TargetEncoder(encoder.tokenizer)
    return [
        [
            (section, text_length(section_row(page, section), "markdown", prompts, encoder, targets))
            for section in split_page(page, encoder, prompts, max_length)
        ]
        for page in pages
    ]


def _made_by(
    records: Dataset, encoder: PromptEncoder, tasks: Sequence[str], prompts: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that the tokens of texts depend on, but the code."""
    tokenizer = encoder.tokenizer
    tokenizer("")  # leaves no truncation and padding behind, as every call does
    written = hashlib.blake2b(tokenizer.backend_tokenizer.to_str().encode(), digest_size=16).hexdigest()
    asked = PROMPTS | dict(prompts)
    return {
        "dataset": records._fingerprint,
        "tokenizer": [tokenizers.__version__, written, tokenizer.bos_token_id, tokenizer.eos_token_id],
        "control": sorted(control_tokens(tokenizer).items()),
        "tasks": [[task, asked[task]] for task in tasks],
    }
