"""Read pages: batched greedy generation with a guard against loops, a limit of time, and how sure the model was."""

import codecs
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.convert_slow_tokenizer import bytes_to_unicode

from ocr2_hf.data.collator import GenerationCollator
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.pixels import Pixels, look_up
from ocr2_hf.decoding import CPU_PAGES, MOST_PAGES, NO_REPEAT_NGRAM, NO_REPEAT_WINDOW
from ocr2_hf.document.grounding import parse_regions
from ocr2_hf.document.predictions import Prediction

_PROMPT = 64  # tokens
_OF_GPU = 0.9  # of its memory; the rest is in pieces, or others'
_VISION = 3 * 2**30  # bytes; what the vision tower takes for the views that it looks at at once (`VIEWS_AT_ONCE`)
_BESIDE = 1.5  # a page's pixels, activations and the copy of a layer's cache, beside its cache


@dataclass
class Generation:
    """One answer. `tokens` generated (EOS included); `finished`: EOS came; `seconds`: the batch's time / its size.

    `timed_out`: the time was up before the end. `probabilities` are the model's own of the tokens in `text`, before the
    guard against loops forbids any; `token_ends` is where each ends in `text`. Both are empty where they are unknown.
    """

    text: str
    tokens: int
    finished: bool
    seconds: float
    timed_out: bool = False
    probabilities: tuple[float, ...] = ()
    token_ends: tuple[int, ...] = ()


class SlidingNoRepeatNgram(LogitsProcessor):
    """Forbid a token that would repeat an n-gram of the last `window` tokens of the answer.

    As the model's authors decode: 20 in 90 for single pages. Tokens in `exempt` may always come (table cells repeat).
    The first `prompt_length` tokens are the question: an answer may repeat them, `locate` must.
    """

    def __init__(self, ngram: int, window: int, exempt: frozenset[int] = frozenset(), prompt_length: int = 0):
        self.ngram, self.window, self.exempt, self.prompt_length = ngram, window, exempt, prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`input_ids` [B, L], `scores` [B, V] of the next token -> `scores`, -inf where a token is forbidden."""
        start = max(self.prompt_length, input_ids.shape[1] - self.window)
        if input_ids.shape[1] - start < self.ngram:
            return scores
        rows = enumerate(input_ids[:, start:].tolist())
        banned = [(row, token) for row, sequence in rows for token in self._completions(sequence) - self.exempt]
        if banned:
            scores[tuple(zip(*banned, strict=True))] = -float("inf")
        return scores

    def _completions(self, sequence: list[int]) -> set[int]:
        """The tokens that once followed what the sequence ends with.

        This runs for every page of a batch at every token: only where the last token stands are whole n-grams compared.
        """
        length = self.ngram - 1
        ending, last = sequence[-length:], sequence[-1]
        found, place = set(), length - 1
        while (place := _next(sequence, last, place)) is not None:
            if sequence[place - length + 1 : place + 1] == ending:
                found.add(sequence[place + 1])
            place += 1
        return found


class TokenProbabilities(LogitsProcessor):
    """Keeps the probability of every token that was chosen; must be the first of the processors.

    Holds one step's logits at a time, and what it keeps stays on the device until the end.
    """

    def __init__(self) -> None:
        self._steps: list[Tensor] = []
        self._logits: Tensor | None = None
        self._total: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`input_ids` [B, L], `scores` [B, V] of the next token -> `scores` as they are."""
        self._keep(input_ids[:, -1])
        # The processors that follow write into `scores`, but only where a token is forbidden: never at the chosen one.
        self._logits, self._total = scores, scores.logsumexp(dim=-1)
        return scores

    def of(self, answers: Tensor) -> list[list[float]]:
        """The probability of every token of `answers` [B, T], B lists of T; what follows an end is included."""
        self._keep(answers[:, -1])
        return torch.stack(self._steps, dim=1).tolist()

    def _keep(self, chosen: Tensor) -> None:
        if self._logits is not None:
            logits = self._logits.gather(1, chosen[:, None]).squeeze(1)
            self._steps.append((logits - self._total).exp())


def _next(sequence: list[int], token: int, start: int) -> int | None:
    """The first place of `token` from `start` on that has a place after it."""
    try:
        return sequence.index(token, start, len(sequence) - 1)
    except ValueError:
        return None


def fitting_pages(model: nn.Module, processor, max_new_tokens: int) -> int:
    """How many pages a batch may have: on a GPU those whose cache fits beside the weights (an estimate: where it is
    wrong, batches are halved), at most `MOST_PAGES`; on a CPU `CPU_PAGES`."""
    if model.device.type != "cuda":
        return CPU_PAGES
    memory = torch.cuda.get_device_properties(model.device).total_memory
    weights = sum(parameter.nbytes for parameter in model.parameters())
    page = _BESIDE * cache_bytes(model, processor, max_new_tokens)
    return int(min(max((_OF_GPU * memory - weights - _VISION) // page, 1), MOST_PAGES))


def cache_bytes(model: nn.Module, processor, max_new_tokens: int) -> int:
    """The keys and values of a page with all tiles and the longest answer."""
    text, settings = model.config.get_text_config(), ImageSettings.of(processor)
    tokens = settings.tokens(settings.max_patches) + _PROMPT + max_new_tokens
    values = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim
    return values * tokens * model.dtype.itemsize


@torch.no_grad()
def generate(
    model: nn.Module,
    processor,
    images: Sequence[Image.Image | Pixels],
    prompts: list[str],
    *,
    max_new_tokens: int,
    no_repeat_ngram: int = NO_REPEAT_NGRAM,
    window: int = NO_REPEAT_WINDOW,
    max_seconds: float | None = None,
) -> list[Generation]:
    """Answer one batch of pages, greedily, RGB images or what `GenerationCollator.pixels` made of them; the grounding
    tags stay in the text.

    `no_repeat_ngram` 0 turns the guard against loops off. After `max_seconds` (None: never) the answers that have not
    ended are left as they are.
    """
    tokenizer = processor.tokenizer
    device = model.device
    batch = GenerationCollator(processor, levels=True)(images, prompts)
    batch = look_up({name: tensor.to(device) for name, tensor in batch.items()})
    pixels = {"pixel_values", "pixel_values_local"}
    batch = {name: tensor.to(model.dtype) if name in pixels else tensor for name, tensor in batch.items()}
    asked = batch["input_ids"].shape[1]
    probabilities = TokenProbabilities()
    guard = [SlidingNoRepeatNgram(no_repeat_ngram, window, _exempt(tokenizer), asked)] if no_repeat_ngram else []
    start = time.perf_counter()
    output = model.generate(
        **batch,
        max_new_tokens=max_new_tokens,
        max_time=max_seconds,
        do_sample=False,
        use_cache=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        logits_processor=LogitsProcessorList([probabilities, *guard]),
    )
    answers = output[:, asked:]
    rows = zip(answers.tolist(), probabilities.of(answers), strict=True)
    seconds = (time.perf_counter() - start) / len(images)
    return [_generation(tokenizer, *row, seconds, max_new_tokens) for row in rows]


def prediction_line(page: str, prompt: str, reference: str, size: tuple[int, int], answer: Generation) -> Prediction:
    """A line of predictions.jsonl; the reference's boxes are read from its text, on the grid the model speaks."""
    return Prediction(
        id=page,
        prompt=prompt,
        prediction=answer.text,
        reference=reference,
        width=size[0],
        height=size[1],
        regions=parse_regions(answer.text, *size),
        reference_regions=parse_regions(reference, *size),
        seconds=answer.seconds,
        tokens=answer.tokens,
        finished=answer.finished,
    )


def _generation(
    tokenizer, ids: list[int], probabilities: list[float], seconds: float, max_new_tokens: int
) -> Generation:
    finished = tokenizer.eos_token_id in ids
    length = ids.index(tokenizer.eos_token_id) if finished else len(ids)
    text = tokenizer.decode(ids[:length], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    ends = token_ends(tokenizer, ids[:length], text)
    known = tuple(probabilities[:length]) if ends else ()
    timed_out = not finished and length < max_new_tokens
    return Generation(text, length + finished, finished, seconds, timed_out, known, ends)


def token_ends(tokenizer, ids: list[int], text: str) -> tuple[int, ...]:
    """Where each token ends in `text`, which is `ids` decoded; a character of several tokens ends with its last.

    () where the tokenizer does not work byte by byte as DeepSeek's does.
    """
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    decoder, length, ends = codecs.getincrementaldecoder("utf-8")("replace"), 0, []
    for token in tokenizer.convert_ids_to_tokens(ids):
        token = token or ""  # the model has more places than its tokenizer has tokens
        plain = all(character in byte_of for character in token)
        content = bytes(byte_of[character] for character in token) if plain else token.encode("utf-8", "replace")
        length += len(decoder.decode(content))
        ends.append(length)
    length += len(decoder.decode(b"", final=True))
    return tuple(ends) if length == len(text) else ()


def _exempt(tokenizer) -> frozenset[int]:
    vocabulary = tokenizer.get_vocab()
    return frozenset(vocabulary[tag] for tag in ("<td>", "</td>") if tag in vocabulary)
