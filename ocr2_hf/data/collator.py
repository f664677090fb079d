"""Pages into tensors: for training (right-padded, with what is supervised) and for generation (left-padded).

Every coordinate 0..999 must be one token of its own, or no box can be trained or read: the tokenizer is checked for it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.pixels import Pixels, joined, look_up, page_levels
from ocr2_hf.document.grounding import COORDINATE_MAX, TAGS, BoxSpan, Span, find_boxes, grounding_tag
from ocr2_hf.document.model_tokens import find_control_token
from ocr2_hf.errors import UsageError

ROLES = ("text", "coordinate", "tag", "eos")
IGNORED = -100
NO_TEXT = "a token of the model's own and no text; remove it from the annotation and build the dataset again"
# Side by side, as a tokenizer may write the end of one and the beginning of the next in one token.
_TABLE_TAGS = re.compile(r"(?:</?(?:table|thead|tbody|tr|td|th)\b[^>]*>\n*)+")


@dataclass(frozen=True)
class Example:
    """One page and one task: its image, or the stored `features` of it ([visual tokens - 1, encoder width]).

    A `padding` example fills up a process's share of an evaluation and counts for nothing. `source`: the number of its
    dataset in a mixture.
    """

    id: str
    image: Image.Image | None
    prompt: str
    target: str = ""
    padding: bool = False
    features: Tensor | None = None
    source: int | None = None


@dataclass
class Target:
    """A tokenized target: `ids` [T], `weights` [T], and for each of N boxes in it `box_tokens` [N, 5], the places of
    `<|det|>` and the coordinates, and `box_values` [N, 4], 0..999."""

    ids: list[int]
    weights: list[float]
    box_tokens: list[list[int]]
    box_values: list[tuple[int, ...]]


class PromptError(ValueError):
    """A prompt that cannot be asked; the message says why."""


@dataclass
class PromptEncoder:
    """Prompts and images as the stock processor encodes them, without padding."""

    processor: object

    def __post_init__(self) -> None:
        self.settings = ImageSettings.of(self.processor)
        self.tokenizer = self.processor.tokenizer
        self.image_token_id = self.processor.image_token_id
        self._control = control_tokens(self.tokenizer)

    def images(self, images: list[Image.Image], levels: bool = False) -> dict[str, Tensor]:
        """`pixel_values` [B, 3, side, side], `num_local_patches` [B], and `pixel_values_local` [tiles, 3, side,
        side] when any page has tiles. With `levels` they are left for `look_up`."""
        batch = page_levels(images, self.processor.image_processor, self.settings)
        return batch if levels else look_up(batch)

    def prompt(self, prompt: str, tiles: int) -> list[int]:
        """BOS and the prompt's tokens, its `<image>` expanded to the visual tokens of a page with so many tiles."""
        return self.expanded(prompt, self.settings.tokens(tiles))

    def expanded(self, prompt: str, visual_tokens: int) -> list[int]:
        """BOS and the prompt's tokens, its `<image>` expanded to so many visual tokens.

        Raises `PromptError` where it has no `<image>`, several, or another control token.
        """
        ids = self.tokenizer(prompt, add_special_tokens=False).input_ids
        if ids.count(self.image_token_id) != 1:
            raise PromptError(f"the prompt {prompt[:80]!r} must hold `<image>` exactly once")
        if token := _first_of(self._control, [number for number in ids if number != self.image_token_id]):
            raise PromptError(f"the prompt {prompt[:80]!r} must not hold {token}, a control token of the tokenizer")
        place = ids.index(self.image_token_id)
        image = [self.image_token_id] * visual_tokens
        return [self.tokenizer.bos_token_id, *ids[:place], *image, *ids[place + 1 :]]


@dataclass
class TargetEncoder:
    """Targets as tokens with a weight each: the weight of the token's role times that of its region's label.

    A token that has the end of a tag and the text behind it (`>(`) is text: no other token says it.

    `labels` and `roles` are those met so far.
    """

    tokenizer: object
    token_weights: Mapping[str, float] = field(default_factory=dict)
    label_weights: Mapping[str, float] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set, init=False)
    roles: set[str] = field(default_factory=lambda: {"text", "eos"}, init=False)

    def __post_init__(self) -> None:
        self._control = control_tokens(self.tokenizer)

    def __call__(self, target: str) -> Target:
        """Tokens of the target and of EOS. Raises `UsageError` where a coordinate is not one token, `ValueError` where
        the target holds a control token."""
        encoding = self.tokenizer(target, add_special_tokens=False, return_offsets_mapping=True)
        if token := _first_of(self._control, encoding.input_ids):
            raise ValueError(f"its text holds {token}, {NO_TEXT}")
        tokens = _TokenSpans(encoding.offset_mapping)
        role = {name: self.token_weights.get(name, 1.0) for name in ROLES}
        weights = np.full(len(encoding.input_ids), role["text"], dtype=float)
        for inside in tokens.inside([match.span() for match in _TABLE_TAGS.finditer(target)]):
            weights[inside] = role["tag"]
            self.roles.add("tag")
        boxes = find_boxes(target)
        box_tokens = tokens.of_boxes(boxes)
        for box, tag, (_, *coordinates) in zip(boxes, tokens.inside([b.tag for b in boxes]), box_tokens, strict=True):
            weights[tag] = role["tag"]
            weights[coordinates] = role["coordinate"]
            self.labels.add(box.label)
        labelled = [(span, self.label_weights.get(box.label, 1.0)) for box in boxes for span in box.spans]
        for inside, (_, weight) in zip(tokens.inside([span for span, _ in labelled]), labelled, strict=True):
            weights[inside] *= weight
        weights[tokens.empty] = role["text"]
        if boxes:
            self.roles |= {"tag", "coordinate"}
        ids = [*encoding.input_ids, self.tokenizer.eos_token_id]
        return Target(ids, [*weights.tolist(), role["eos"]], box_tokens, [box.values for box in boxes])


class _TokenSpans:
    """Which characters each token of a text has, searched by halves: tokens are in the order of the text."""

    def __init__(self, offsets: Sequence[Span]):
        """`offsets`: the characters (start, end) of each token, as a tokenizer gives them."""
        self._starts, self._ends = np.array(offsets, dtype=int).reshape(-1, 2).T
        self.empty = self._starts == self._ends

    def inside(self, spans: Sequence[Span]) -> list[slice]:
        """For each span the tokens with all their characters in it, and the empty ones between them."""
        starts, ends = np.array(spans, dtype=int).reshape(-1, 2).T
        first, last = np.searchsorted(self._starts, starts), np.searchsorted(self._ends, ends, side="right")
        return list(map(slice, first.tolist(), last.tolist()))

    def places(self, spans: Sequence[Span]) -> list[int | None]:
        """For each span the index of the token that has just these characters; None where none has."""
        starts, ends = np.array(spans, dtype=int).reshape(-1, 2).T
        own, wanted = self._starts << 32 | self._ends, starts << 32 | ends
        found = np.searchsorted(own, wanted, side="right") - 1
        return [int(place) if there else None for place, there in zip(found, own[found] == wanted, strict=True)]

    def of_boxes(self, boxes: Sequence[BoxSpan]) -> list[list[int]]:
        """Where `<|det|>` and the four coordinates of each region stand among the tokens."""
        places = self.places([span for box in boxes for span in (box.det, *box.coordinates)])
        rows = [places[first : first + 5] for first in range(0, len(places), 5)]
        for box, row in zip(boxes, rows, strict=True):
            if None in row:
                values = list(box.values)
                raise UsageError(f"the tokenizer splits the box {values} of a {box.label!r} region differently")
        return rows


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Id -> token of what a tokenizer has and no text holds: all that is special there, or added with the name of a
    control token. Tags of regions and tables are none, whether they are special or not."""
    special = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    added = tokenizer.added_tokens_decoder.items()
    special |= {number: each.content for number, each in added if each.special or find_control_token(each.content)}
    return {n: token for n, token in special.items() if token not in TAGS and not _TABLE_TAGS.fullmatch(token)}


def _first_of(tokens: Mapping[int, str], ids: Iterable[int]) -> str | None:
    return next((tokens[number] for number in ids if number in tokens), None)


def coordinate_token_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The token ids of "0".."999", as the tokenizer writes them inside a box.

    Raises `UsageError` when a coordinate is not exactly one token, or two share one.
    """
    ids: list[int] = []
    for start in range(0, COORDINATE_MAX + 1, 4):
        text = grounding_tag("text", range(start, start + 4))
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        (box,) = find_boxes(text)
        for value, place in zip(box.values, _TokenSpans(encoding.offset_mapping).places(box.coordinates), strict=True):
            if place is None:
                raise UsageError(
                    f"the tokenizer of {tokenizer.name_or_path!r} does not write the coordinate {value} of {text!r} "
                    "as one token: boxes cannot be trained with it; use the tokenizer of DeepSeek-OCR-2"
                )
            ids.append(encoding.input_ids[place])
    if len(set(ids)) != len(ids):
        raise UsageError(f"the tokenizer of {tokenizer.name_or_path!r} writes two coordinates as the same token")
    return tuple(ids)


@dataclass
class TrainingCollator:
    """Examples -> a right-padded batch with labels, token weights and box targets.

    For two pages of which the first has one box (V visual tokens, P prompt tokens, T target tokens):

        input_ids      [2, L]  BOS, prompt with V image tokens in place, target, EOS, padding
        attention_mask [2, L]  1 up to EOS
        labels         [2, L]  -100 but for the target and EOS
        token_weights  [2, L]  0 but for the target and EOS
        box_rows       [1]     0
        box_tokens     [1, 5]  where `<|det|>` and x1, y1, x2, y2 stand in the sequence
        box_values     [1, 4]  coordinates, 0..999
        pixel_values, pixel_values_local, num_local_patches: as the stock image processor returns them; with `levels`
                       they are left for `ocr2_hf.data.pixels.look_up`, which the model's process calls

    Examples with stored features have no image: instead of the last three there is

        vision_features [V - 2, width]  the pages' features one after the other; a separator a page has none

    Examples of a mixture have in addition

        sources        [2]     the number of each page's dataset

    Never truncates: pages that are too long are left out before (`PageTasks`). A padding example keeps its labels
    but has weight 0 and no boxes.
    """

    processor: object
    token_weights: Mapping[str, float] = field(default_factory=dict)
    label_weights: Mapping[str, float] = field(default_factory=dict)
    levels: bool = False

    def __post_init__(self) -> None:
        self.prompts = PromptEncoder(self.processor)
        self.targets = TargetEncoder(self.processor.tokenizer, self.token_weights, self.label_weights)

    def __call__(self, examples: list[Example]) -> dict[str, Tensor]:
        """The batch of these examples: all have images, or all have stored features."""
        if examples[0].features is None:
            batch = self.prompts.images([example.image for example in examples], self.levels)
            tokens = [self.prompts.settings.tokens(tiles) for tiles in batch["num_local_patches"].tolist()]
        else:
            batch = {"vision_features": torch.cat([example.features for example in examples])}
            tokens = [len(example.features) + 1 for example in examples]
        prompts = [self.prompts.expanded(example.prompt, n) for example, n in zip(examples, tokens, strict=True)]
        pairs = list(zip(prompts, map(self._target, examples), strict=True))
        boxes = [
            (row, [len(prompt) + index for index in indices], values)
            for row, (prompt, target) in enumerate(pairs)
            for indices, values in zip(target.box_tokens, target.box_values, strict=True)
        ]
        if examples[0].source is not None:
            batch["sources"] = torch.tensor([example.source for example in examples])
        pad = self.prompts.tokenizer.pad_token_id
        return batch | {
            "input_ids": _padded([prompt + target.ids for prompt, target in pairs], pad),
            "attention_mask": _padded([[1] * len(prompt + target.ids) for prompt, target in pairs], 0),
            "labels": _padded([[IGNORED] * len(prompt) + target.ids for prompt, target in pairs], IGNORED),
            "token_weights": _padded([[0.0] * len(prompt) + target.weights for prompt, target in pairs], 0.0),
            "box_rows": torch.tensor([row for row, _, _ in boxes], dtype=torch.long),
            "box_tokens": torch.tensor([indices for _, indices, _ in boxes], dtype=torch.long).view(-1, 5),
            "box_values": torch.tensor([values for _, _, values in boxes], dtype=torch.long).view(-1, 4),
        }

    def _target(self, example: Example) -> Target:
        target = self.targets(example.target)
        return Target(target.ids, [0.0] * len(target.ids), [], []) if example.padding else target


@dataclass
class GenerationCollator:
    """Images and prompts -> a left-padded batch for `generate`: input_ids and attention_mask [B, L], and the pixels,
    with `levels` as `TrainingCollator` has them."""

    processor: object
    levels: bool = False

    def __post_init__(self) -> None:
        self.prompts = PromptEncoder(self.processor)

    def pixels(self, image: Image.Image) -> Pixels:
        """An RGB image as the model sees it; any thread may make it ahead of its batch."""
        return self.prompts.images([image], self.levels)

    def __call__(self, images: Sequence[Image.Image | Pixels], prompts: list[str]) -> dict[str, Tensor]:
        """The batch of RGB images, or of what `pixels` made of them, each with its prompt."""
        batch = joined([self.pixels(image) if isinstance(image, Image.Image) else image for image in images])
        tiles = batch["num_local_patches"].tolist()
        rows = [self.prompts.prompt(prompt, n) for prompt, n in zip(prompts, tiles, strict=True)]
        ids = _padded(rows, self.prompts.tokenizer.pad_token_id, "left")
        return batch | {"input_ids": ids, "attention_mask": _padded([[1] * len(row) for row in rows], 0, "left")}


def _padded(rows: list[list[float]], value: float, side: str = "right") -> Tensor:
    """Rows of any length as a tensor [rows, longest], filled up with `value`."""
    tensors = [torch.tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value, padding_side=side)
