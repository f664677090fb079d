"""What the model reads during training: a fixed sample of the evaluation pages, by generation, scored."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate.utils import gather_object

from ocr2_hf.data.collator import Example
from ocr2_hf.data.pages import PageTasks
from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.document.grounding import parse_regions
from ocr2_hf.document.overlay import example_picture
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.summary import summarize
from ocr2_hf.modeling.generation import Generation, generate, prediction_line
from ocr2_hf.publishing.contents import EXAMPLE, EXAMPLE_ANSWER
from ocr2_hf.recipe_fields import READ_METRICS

if TYPE_CHECKING:
    from ocr2_hf.training.trainer import OCR2Trainer


class Sample(torch.utils.data.Dataset):
    """`count` pages, evenly spaced, the same at every evaluation."""

    def __init__(self, pages: PageTasks, count: int):
        self.pages = pages
        self.indices = np.linspace(0, len(pages) - 1, min(count, len(pages))).round().astype(int).tolist()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int):
        return self.pages[self.indices[index]]


def score_sample(trainer: "OCR2Trainer", pages: PageTasks, count: int, keep_example: bool = False) -> dict[str, float]:
    """Read `count` of the pages, each process its share, and score them; the same result on every process.

    With `keep_example` the first of them lies in the run's folder then, as the model reads it now.
    """
    share = trainer.share(Sample(pages, count))
    size = trainer.args.per_device_eval_batch_size
    lines = []
    for start in range(0, len(share), size):
        examples = [share[index] for index in range(start, min(start + size, len(share)))]
        answers = _read(trainer, examples)
        if keep_example and start == 0 and trainer.is_world_process_zero():
            _keep_example(examples[0], answers[0], Path(trainer.args.output_dir))
        pairs = zip(examples, answers, strict=True)
        lines += [_line(example, answer) for example, answer in pairs if not example.padding]
    metrics = summarize(gather_object(lines))
    return {name: metrics[name] for name in READ_METRICS if metrics.get(name) is not None}


def _read(trainer: "OCR2Trainer", examples: list[Example]) -> list[Generation]:
    with trainer.accelerator.autocast():
        return generate(
            trainer.model,
            trainer.processor,
            [example.image for example in examples],
            [example.prompt for example in examples],
            max_new_tokens=trainer.args.eval_max_new_tokens,
            no_repeat_ngram=trainer.args.no_repeat_ngram,
            window=trainer.args.no_repeat_window,
        )


def _line(example: Example, answer: Generation) -> Prediction:
    return prediction_line(example.id, example.prompt, example.target, example.image.size, answer)


def _keep_example(example: Example, answer: Generation, folder: Path) -> None:
    """The page with the regions found on it, and the whole answer as text."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{EXAMPLE}"
    example_picture(example.image, parse_regions(answer.text, *example.image.size)).save(beside, format="PNG")
    beside.replace(folder / EXAMPLE)
    write_whole(folder / EXAMPLE_ANSWER, answer.text)
