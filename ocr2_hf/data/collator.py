"""Pages into tensors: for training (right-padded, with what is supervised) and for generation (left-padded)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from ocr2_hf.data.coordinates import box_token_indices, token_at
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.document.grounding import find_boxes

ROLES = ("text", "coordinate", "tag", "eos")
IGNORED = -100
_TABLE_TAG = re.compile(r"</?(?:table|thead|tbody|tr|td|th)\b[^>]*>")


@dataclass(frozen=True)
class Example:
    """One page and one task: its image, or the stored `features` of it ([visual tokens - 1, encoder width]).

    A `padding` example fills up a process's share of an evaluation and counts for nothing.
    """

    id: str
    image: Image.Image | None
    prompt: str
    target: str = ""
    padding: bool = False
    features: Tensor | None = None


@dataclass
class Target:
    """A tokenized target: `ids` [T], `weights` [T], and per box its five places in it and its coordinates."""

    ids: list[int]
    weights: list[float]
    box_tokens: list[list[int]] = field(default_factory=list)
    box_values: list[list[int]] = field(default_factory=list)


@dataclass
class PromptEncoder:
    """Prompts and images as the stock processor encodes them, without padding."""

    processor: object

    def __post_init__(self) -> None:
        self.settings = ImageSettings.of(self.processor)
        self.tokenizer = self.processor.tokenizer
        self.image_token_id = self.processor.image_token_id

    def images(self, images: list[Image.Image]) -> dict[str, Tensor]:
        """`pixel_values` [B, 3, side, side], `num_local_patches` [B], and `pixel_values_local` [tiles, 3, side,
        side] when any page has tiles."""
        batch = self.processor.image_processor(images, return_tensors="pt", **self.settings.call_arguments())
        return dict(batch)

    def prompt(self, prompt: str, tiles: int) -> list[int]:
        """BOS and the prompt's tokens, its `<image>` expanded to the visual tokens of a page with so many tiles."""
        return self.expanded(prompt, self.settings.tokens(tiles))

    def expanded(self, prompt: str, visual_tokens: int) -> list[int]:
        """BOS and the prompt's tokens, its `<image>` expanded to so many visual tokens."""
        ids = self.tokenizer(prompt, add_special_tokens=False).input_ids
        if ids.count(self.image_token_id) != 1:
            raise ValueError(f"the prompt {prompt[:80]!r} must hold `<image>` exactly once")
        place = ids.index(self.image_token_id)
        image = [self.image_token_id] * visual_tokens
        return [self.tokenizer.bos_token_id, *ids[:place], *image, *ids[place + 1 :]]


@dataclass
class TargetEncoder:
    """Targets as tokens with a weight each: the weight of the token's role times that of its region's label."""

    tokenizer: object
    token_weights: Mapping[str, float] = field(default_factory=dict)
    label_weights: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, target: str) -> Target:
        encoding = self.tokenizer(target, add_special_tokens=False, return_offsets_mapping=True)
        offsets = [tuple(span) for span in encoding.offset_mapping]
        starts = token_at(offsets)
        weights = [self._role("text")] * len(offsets)
        for match in _TABLE_TAG.finditer(target):
            _assign(weights, offsets, match.span(), self._role("tag"))
        encoded = Target(list(encoding.input_ids), weights)
        for span in find_boxes(target):
            tokens = box_token_indices(span, offsets, starts)
            _assign(weights, offsets, span.tag, self._role("tag"))
            for index in tokens[1:]:
                weights[index] = self._role("coordinate")
            _scale(weights, offsets, (span.tag[0], span.end), self.label_weights.get(span.label, 1.0))
            encoded.box_tokens.append(tokens)
            encoded.box_values.append(list(span.values))
        encoded.ids.append(self.tokenizer.eos_token_id)
        weights.append(self._role("eos"))
        return encoded

    def _role(self, role: str) -> float:
        return self.token_weights.get(role, 1.0)


def _assign(weights: list[float], offsets: list[tuple[int, int]], span: tuple[int, int], value: float) -> None:
    for index in _inside(offsets, span):
        weights[index] = value


def _scale(weights: list[float], offsets: list[tuple[int, int]], span: tuple[int, int], factor: float) -> None:
    if factor != 1.0:
        for index in _inside(offsets, span):
            weights[index] *= factor


def _inside(offsets: list[tuple[int, int]], span: tuple[int, int]) -> list[int]:
    return [i for i, (start, end) in enumerate(offsets) if start >= span[0] and end <= span[1] and end > start]


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
        pixel_values, pixel_values_local, num_local_patches: as the stock image processor returns them

    Examples with stored features have no image: instead of the last three there is

        vision_features [V - 2, width]  the pages' features one after the other; a separator a page has none

    Never truncates: pages that are too long are left out before (`PageTasks`). A padding example keeps its labels
    but has weight 0 and no boxes.
    """

    processor: object
    token_weights: Mapping[str, float] = field(default_factory=dict)
    label_weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prompts = PromptEncoder(self.processor)
        self.targets = TargetEncoder(self.processor.tokenizer, self.token_weights, self.label_weights)

    def __call__(self, examples: list[Example]) -> dict[str, Tensor]:
        if examples[0].features is None:
            batch = self.prompts.images([example.image for example in examples])
            tokens = [self.prompts.settings.tokens(tiles) for tiles in batch["num_local_patches"].tolist()]
        else:
            batch = {"vision_features": torch.cat([example.features for example in examples])}
            tokens = [len(example.features) + 1 for example in examples]
        prompts = [self.prompts.expanded(example.prompt, n) for example, n in zip(examples, tokens, strict=True)]
        targets = [self.targets(example.target) for example in examples]
        return batch | self._sequences(prompts, targets, examples) | self._boxes(prompts, targets, examples)

    def _sequences(self, prompts: list[list[int]], targets: list[Target], examples: list[Example]) -> dict[str, Tensor]:
        pad = self.prompts.tokenizer.pad_token_id
        fill = {"input_ids": pad, "attention_mask": 0, "labels": IGNORED, "token_weights": 0.0}
        rows: dict[str, list[Tensor]] = {name: [] for name in fill}
        for prompt, target, example in zip(prompts, targets, examples, strict=True):
            weights = [0.0] * len(target.weights) if example.padding else target.weights
            rows["input_ids"].append(torch.tensor(prompt + target.ids))
            rows["attention_mask"].append(torch.ones(len(prompt) + len(target.ids), dtype=torch.long))
            rows["labels"].append(torch.tensor([IGNORED] * len(prompt) + target.ids))
            rows["token_weights"].append(torch.tensor([0.0] * len(prompt) + weights))
        return {
            name: torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=fill[name])
            for name, tensors in rows.items()
        }

    def _boxes(self, prompts: list[list[int]], targets: list[Target], examples: list[Example]) -> dict[str, Tensor]:
        rows, tokens, values = [], [], []
        for row, (prompt, target, example) in enumerate(zip(prompts, targets, examples, strict=True)):
            if example.padding:
                continue
            rows += [row] * len(target.box_tokens)
            tokens += [[len(prompt) + index for index in indices] for indices in target.box_tokens]
            values += target.box_values
        return {
            "box_rows": torch.tensor(rows, dtype=torch.long),
            "box_tokens": torch.tensor(tokens, dtype=torch.long).view(-1, 5),
            "box_values": torch.tensor(values, dtype=torch.long).view(-1, 4),
        }


@dataclass
class GenerationCollator:
    """Images and prompts -> a left-padded batch for `generate`: input_ids and attention_mask [B, L], and the pixels."""

    processor: object

    def __post_init__(self) -> None:
        self.prompts = PromptEncoder(self.processor)

    def __call__(self, images: list[Image.Image], prompts: list[str]) -> dict[str, Tensor]:
        batch = self.prompts.images(images)
        tiles = batch["num_local_patches"].tolist()
        rows = [torch.tensor(self.prompts.prompt(prompt, n)) for prompt, n in zip(prompts, tiles, strict=True)]
        pad = self.prompts.tokenizer.pad_token_id
        sides = {"batch_first": True, "padding_side": "left"}
        ids = torch.nn.utils.rnn.pad_sequence(rows, padding_value=pad, **sides)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], padding_value=0, **sides)
        return batch | {"input_ids": ids, "attention_mask": mask}
