"""What the model reads during training: a fixed sample of the evaluation pages, by generation, scored."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.utils.data import Subset

from ocr2_hf.data.collator import Example
from ocr2_hf.data.mixture import PageMixture
from ocr2_hf.data.page_tasks import PageTasks, ProcessShare
from ocr2_hf.document.atomic_files import whole_file, write_whole
from ocr2_hf.document.grounding import parse_regions
from ocr2_hf.document.overlay import example_picture
from ocr2_hf.evaluation.registry import training_metrics
from ocr2_hf.evaluation.summary import summarize
from ocr2_hf.modeling.adapters import base_of
from ocr2_hf.modeling.generation import Generation, generate, prediction_line
from ocr2_hf.publishing.contents import EXAMPLE, EXAMPLE_ANSWER
from ocr2_hf.recipe import OCR2TrainingArguments

# How long an answer may be, as a multiple of the sample's longest reference. Letters read wrong take more tokens than
# words read right: 1.4 times as many where one in ten is wrong (DeepSeek's vocabulary, synthetic articles). Such a page
# comes to its end; a loop does not.
MARGIN = 1.5


@dataclass(frozen=True)
class Sample:
    """The pages of a set that are read during training: the `indices` of its examples, evenly spaced in every source
    and the same at every evaluation. An answer may take `limit` tokens, EOS included; `cut` references take more."""

    indices: tuple[int, ...]
    limit: int
    cut: int

    @classmethod
    def of(cls, pages: PageTasks | PageMixture, count: int, limit: int | None, context: int) -> "Sample":
        """`count` of the pages. `limit` None: `MARGIN` times what the longest of their references takes; the margin
        ends where the longest of their prompts and an answer fill the model's `context` (tokens)."""
        indices = pages.spread(count)
        prompts, references = zip(*map(pages.token_counts, indices), strict=True)
        longest = max(references)
        limit = limit or max(longest, min(math.ceil(MARGIN * longest), context - max(prompts)))
        return cls(tuple(indices), limit, sum(tokens > limit for tokens in references))


def context_of(model: nn.Module) -> int:
    """How many tokens a sequence of the model may have, prompt and answer."""
    return base_of(model).config.get_text_config().max_position_embeddings


def score_sample(
    model: nn.Module,
    processor,
    accelerator: Accelerator,
    args: OCR2TrainingArguments,
    pages: PageTasks | PageMixture,
    count: int,
    keep_example: bool = False,
) -> dict[str, float]:
    """Read `count` of the pages, each process its share, and score them, those of each source of a mixture alone too;
    the same result on every process.

    The pages are those of `Sample`; `references_cut` is measured where its limit cuts some. With `keep_example` the
    first of them lies in the run's folder then, as the model reads it now.
    """
    sample = Sample.of(pages, count, args.eval_max_new_tokens, context_of(model))
    share = ProcessShare(Subset(pages, sample.indices), accelerator.process_index, accelerator.num_processes)
    size = args.per_device_eval_batch_size
    lines = []
    for start in range(0, len(share), size):
        examples = [share[index] for index in range(start, min(start + size, len(share)))]
        with accelerator.autocast():
            answers = generate(
                model,
                processor,
                [example.image for example in examples],
                [example.prompt for example in examples],
                max_new_tokens=sample.limit,
                no_repeat_ngram=args.no_repeat_ngram,
                window=args.no_repeat_window,
            )
        if keep_example and start == 0 and accelerator.is_main_process:
            _keep_example(examples[0], answers[0], Path(args.output_dir))
        lines += [
            (example.source, prediction_line(example.id, example.prompt, example.target, example.image.size, answer))
            for example, answer in zip(examples, answers, strict=True)
            if not example.padding
        ]
    lines = gather_object(lines)
    read = _scores(line for _, line in lines)
    for number, name in enumerate(pages.sources if isinstance(pages, PageMixture) else ()):
        own = _scores(line for source, line in lines if source == number)
        read |= {f"{name}_{metric}": value for metric, value in own.items()}
    return read | ({"references_cut": float(sample.cut)} if sample.cut else {})


def _scores(lines: Iterable[dict]) -> dict[str, float]:
    metrics = summarize(list(lines))
    return {m.name: metrics[m.name] for m in training_metrics("reading") if metrics[m.name] is not None}


def _keep_example(example: Example, answer: Generation, folder: Path) -> None:
    """The page with the regions found on it, and the whole answer as text."""
    picture = example_picture(example.image, parse_regions(answer.text, *example.image.size))
    with whole_file(folder / EXAMPLE) as beside:
        picture.save(beside, format="PNG")
    write_whole(folder / EXAMPLE_ANSWER, answer.text)
