"""Predictions over a dataset, by one process or many, streamed line by line: a killed run goes on where it was."""

import gc
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from ocr2_hf.data.images import crop_table
from ocr2_hf.data.page_rows import page_row
from ocr2_hf.data.pixels import Pixels
from ocr2_hf.data.tasks import build_example, build_target, chosen_table, suits
from ocr2_hf.decoding import MAX_NEW_TOKENS
from ocr2_hf.document.atomic_files import drop_half_line
from ocr2_hf.document.model_tokens import prompt_problem
from ocr2_hf.document.predictions import Prediction, json_line, read_predictions, write_predictions
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.generation import prediction_line
from ocr2_hf.reading.look_ahead import look_ahead
from ocr2_hf.reading.reader import DocumentReader, read_saved_recipe, size_of
from ocr2_hf.reading.references import has_boxes, page_facts
from ocr2_hf.reading.resume_log import process_file, process_files

# The first to finish waits for the last, and a share of a large evaluation takes hours.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """This process's `rank` among `count`, and the `device` it reads on.

    A launcher started them; without one this process is alone. They meet over gloo, on GPUs too: what they exchange is
    the names of pages.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @classmethod
    def join(cls) -> "Processes":
        """Meet the others that the launcher started (it set WORLD_SIZE, RANK, LOCAL_RANK)."""
        count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        if count > 1:
            dist.init_process_group("gloo", timeout=_PATIENCE, rank=rank, world_size=count)
        on_gpu = torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "false").lower() != "true"
        local = int(os.environ.get("LOCAL_RANK", "0"))
        # More processes than GPUs share them.
        device = f"cuda:{local % torch.cuda.device_count()}" if on_gpu else "cpu"
        return cls(rank, count, device)

    @property
    def main(self) -> bool:
        """Whether this is the one that gathers, scores and prints."""
        return self.rank == 0

    def share(self, value: Any) -> Any:
        """What the main process has; the others wait for it."""
        box = [value]
        if self.count > 1:
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def end_all(self, refusal: str | None) -> None:
        """Raise `WorkError` on all of them where the main process has a reason."""
        if told := self.share(refusal):
            self.leave()
            raise WorkError(told)

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    def leave(self) -> None:
        """The last thing that they do together."""
        if self.count > 1:
            dist.barrier()
            gc.collect()  # gloo's threads must not free tensors while Python shuts down
            dist.destroy_process_group()


def default_task(model: str | Path, dataset: Dataset) -> str:
    """The recipe's heaviest task; without a recipe `markdown` where pages have boxes, else `ocr`."""
    if tasks := read_saved_recipe(model).tasks:
        return max(tasks, key=tasks.get)
    return "markdown" if has_boxes(dataset) else "ocr"


def predict_dataset(
    reader: DocumentReader,
    dataset: Dataset,
    task: str,
    path: str | Path,
    batch_size: int | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    processes: Processes | None = None,
    asked: Mapping[int, int] | None = None,
) -> list[Prediction]:
    """Answer every page of `dataset` (page records) greedily, a line per page in `path`, in the dataset's order.

    Pages that are there already are skipped: the caller sees to it that they were made with the same settings
    (`start_or_resume`). The references are the task's targets; reference boxes are read from them, on the grid of
    0..999 that the model speaks. Of several `processes` each answers its share of the batches into a file of its own;
    the first gathers them and returns the lines, the others return none. Raises `WorkError` when two pages have one id,
    when no page suits the task, or when one has a prompt that cannot be asked. Pages that do not suit the task are left
    out and counted on the screen; those whose references take more than `max_new_tokens` are counted there too.
    `asked` is what `asked_pages` told with the reader's prompts, where that is known.
    """
    path, processes = Path(path), processes or Processes()
    batch_size = batch_size or reader.fitting_pages(max_new_tokens)
    ids, lengths = list(dataset["id"]), asked_pages(dataset, task, reader.prompts) if asked is None else asked
    if len(lengths) < len(ids) and processes.main:
        print(f"{len(ids) - len(lengths)} pages have nothing for the task {task!r} and are left out")
    if processes.main and (cut := _count_cut(reader, dataset, task, lengths, max_new_tokens)):
        print(f"{cut} pages have references longer than --max_new_tokens {max_new_tokens}: their answers are cut off")
    done = processes.share({line.id for line in _gather(path, ids)} if processes.main else None)
    pending = [batch for batch in plan_batches(lengths, batch_size) if any(ids[index] not in done for index in batch)]
    share = pending[processes.rank :: processes.count]
    name = f"reading (1 of {processes.count} processes)" if processes.count > 1 else "reading"
    progress = tqdm(total=sum(map(len, share)), desc=name, unit="page", disable=not processes.main)
    load = partial(_load, reader, dataset, task)
    ahead = look_ahead(chain.from_iterable(share), load, lambda page: size_of(page[1]), batch_size)
    with progress, closing(ahead), open(process_file(path, processes.rank), "a", encoding="utf-8") as file:
        for batch in share:
            lines = _answer(reader, [loaded() for _, loaded in islice(ahead, len(batch))], task, max_new_tokens)
            # A batch that a kill cut in two is read again whole: answers can depend on a page's neighbours.
            file.writelines(json_line(line) for line in lines if line.id not in done)
            file.flush()
            progress.update(len(batch))
    processes.wait()
    return _all_read(path, ids, [ids[index] for index in lengths]) if processes.main else []


def _all_read(path: Path, ids: Sequence[str], asked: Collection[str]) -> list[Prediction]:
    """The gathered lines, held against the pages that were asked: figures of fewer would look like those of all."""
    lines = _gather(path, ids)
    if missing := sorted(set(asked) - {line.id for line in lines}):
        told = f"{len(missing)} of {len(asked)} pages that were read, e.g. {missing[0]!r}, have no line in {path}"
        raise WorkError(f"{told}: another program wrote there; run the command again")
    return lines


def asked_pages(dataset: Dataset, task: str, prompts: Mapping[str, str]) -> dict[int, int]:
    """The pages that suit the task: index -> bytes of the reference. Raises `WorkError` as `predict_dataset`."""
    ids = list(dataset["id"])
    if twice := [page for page, count in Counter(ids).items() if count > 1]:
        raise WorkError(f"{len(twice)} page ids come more than once, e.g. {twice[0]!r}: make them unique")
    rows = enumerate(dataset.remove_columns("image"))
    lengths = {index: _reference_bytes(task, row, prompts) for index, row in rows if suits(task, row)}
    if not lengths:
        raise WorkError(f"none of the {len(ids)} pages suits the task {task!r}; choose another --task")
    return lengths


def plan_batches(lengths: Mapping[int, int], batch_size: int) -> list[list[int]]:
    """Pages (index -> length of the reference) in batches of about one length, the longest first.

    A batch takes as many steps as its longest answer, and the reference is the best guess of it. The longest come
    first, so that what does not fit into memory fails at once. The batches depend on nothing else: not on what is
    done, not on how many processes share them.
    """
    ordered = sorted(lengths, key=lambda index: (-lengths[index], index))
    return [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]


def _reference_bytes(task: str, row: Mapping[str, Any], prompts: Mapping[str, str]) -> int:
    """How long the reference of a page is. Raises `WorkError` where the page cannot be asked about."""
    try:
        prompt, reference = build_example(task, row, prompts)
        if problem := prompt_problem(prompt):
            raise ValueError(f"its prompt {problem}")
    except ValueError as error:
        raise WorkError(f"page {row['id']!r} cannot be asked ({task}): {error}") from error
    return len(reference.encode())


def _count_cut(
    reader: DocumentReader, dataset: Dataset, task: str, lengths: Mapping[int, int], max_new_tokens: int
) -> int:
    """Of how many pages the reference and its EOS are longer; `lengths` are bytes, and a token is a byte or more."""
    rows = dataset.select([index for index, size in lengths.items() if size + 1 > max_new_tokens])
    targets = (build_target(task, row) for row in rows.remove_columns("image"))
    encoded = (reader.processor.tokenizer(target, add_special_tokens=False).input_ids for target in targets)
    return sum(len(ids) + 1 > max_new_tokens for ids in encoded)


def _gather(path: Path, ids: Sequence[str]) -> list[Prediction]:
    """What all processes wrote, in one file and in the order of `ids`; half a line at an end is dropped."""
    others, lines = process_files(path), {}
    for file in (path, *others):
        if file.exists():
            drop_half_line(file)
            for line in read_predictions(file):
                lines.setdefault(line.id, line)
    ordered = [lines[page] for page in ids if page in lines]
    write_predictions(path, ordered)
    # After the whole file is in place: a kill in between leaves lines twice, never none.
    for file in others:
        file.unlink()
    return ordered


def _answer(
    reader: DocumentReader,
    pages: list[tuple[Mapping[str, Any], Image.Image | Pixels]],
    task: str,
    max_new_tokens: int,
) -> list[Prediction]:
    """The lines of one batch of pages, as `_load` gives them."""
    examples = [build_example(task, row, reader.prompts) for row, _ in pages]
    answers = reader.answer_batch([seen for _, seen in pages], [prompt for prompt, _ in examples], max_new_tokens)
    if None in answers:
        told = "too little GPU memory to read this page, even alone"
        raise WorkError(f"page {pages[answers.index(None)][0]['id']!r}: {told}")
    return [
        replace(prediction_line(row["id"], *example, (row["width"], row["height"]), answer), **page_facts(row, task))
        for (row, _), example, answer in zip(pages, examples, answers, strict=True)
    ]


def _load(
    reader: DocumentReader, dataset: Dataset, task: str, index: int
) -> tuple[dict[str, Any], Image.Image | Pixels]:
    """A page's record, and its image as the model sees it."""
    row = page_row(dataset, index)
    image = row.pop("image")
    if task == "table":
        image, _ = crop_table(image, chosen_table(row).box, reader.image_settings)
    return row, reader.prepare(image)
