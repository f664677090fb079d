"""Read pages: batched greedy generation with a guard against loops."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList

from ocr2_hf.data.collator import GenerationCollator
from ocr2_hf.data.grounding import parse_regions


@dataclass
class Generation:
    """One answer. `tokens` generated (EOS included); `finished`: EOS came; `seconds`: the batch's time / its size."""

    text: str
    tokens: int
    finished: bool
    seconds: float


class SlidingNoRepeatNgram(LogitsProcessor):
    """Forbid a token that would repeat an n-gram of the last `window` tokens.

    As the model's authors decode: 20 in 90 for single pages. Tokens in `exempt` may always come (table cells repeat).
    """

    def __init__(self, ngram: int, window: int, exempt: frozenset[int] = frozenset()):
        self.ngram, self.window, self.exempt = ngram, window, exempt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        for row, sequence in enumerate(input_ids[:, -self.window :].tolist()):
            banned = list(self._completions(sequence) - self.exempt)
            scores[row, banned] = -float("inf")
        return scores

    def _completions(self, sequence: list[int]) -> set[int]:
        n = self.ngram
        prefix = sequence[-(n - 1) :]
        return {sequence[i + n - 1] for i in range(len(sequence) - n + 1) if sequence[i : i + n - 1] == prefix}


@torch.no_grad()
def generate(
    model: nn.Module,
    processor,
    images: list[Image.Image],
    prompts: list[str],
    *,
    max_new_tokens: int,
    no_repeat_ngram: int = 20,
    window: int = 90,
) -> list[Generation]:
    """Answer one batch of pages, greedily; the grounding tags stay in the text.

    `no_repeat_ngram` 0 turns the guard against loops off.
    """
    tokenizer = processor.tokenizer
    device = next(model.parameters()).device
    batch = GenerationCollator(processor)(images, prompts)
    pixels = {"pixel_values", "pixel_values_local"}
    batch = {k: v.to(device, model.dtype) if k in pixels else v.to(device) for k, v in batch.items()}
    guard = [SlidingNoRepeatNgram(no_repeat_ngram, window, _exempt(tokenizer))] if no_repeat_ngram else []
    start = time.perf_counter()
    output = model.generate(
        **batch,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        use_cache=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        logits_processor=LogitsProcessorList(guard),
    )
    answers = output[:, batch["input_ids"].shape[1] :].tolist()
    seconds = (time.perf_counter() - start) / len(images)
    return [_generation(tokenizer, ids, seconds) for ids in answers]


def prediction_line(
    page: str, prompt: str, reference: str, size: tuple[int, int], answer: Generation
) -> dict[str, Any]:
    """A line of predictions.jsonl; the reference's boxes are read from its text, on the grid the model speaks."""
    return {
        "id": page,
        "prompt": prompt,
        "prediction": answer.text,
        "reference": reference,
        "width": size[0],
        "height": size[1],
        "regions": _regions(answer.text, size),
        "reference_regions": _regions(reference, size),
        "seconds": answer.seconds,
        "tokens": answer.tokens,
        "finished": answer.finished,
    }


def _regions(text: str, size: tuple[int, int]) -> list[dict[str, Any]]:
    return [asdict(region) | {"box": list(region.box)} for region in parse_regions(text, *size)]


def _generation(tokenizer, ids: list[int], seconds: float) -> Generation:
    finished = tokenizer.eos_token_id in ids
    length = ids.index(tokenizer.eos_token_id) if finished else len(ids)
    text = tokenizer.decode(ids[:length], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Generation(text, length + finished, finished, seconds)


def _exempt(tokenizer) -> frozenset[int]:
    vocabulary = tokenizer.get_vocab()
    return frozenset(vocabulary[tag] for tag in ("<td>", "</td>") if tag in vocabulary)
