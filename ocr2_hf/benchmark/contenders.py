"""The contenders of a benchmark: this package's trainer by a recipe, and beside it the stock `Trainer` with the model's
own loss, or this trainer by the recipe with something changed.

Both get the same pages in the same order, weights of the same size, and, where nothing was changed, the same arguments
of training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from datasets import Dataset
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset
from transformers import Trainer, TrainingArguments
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

from ocr2_hf.benchmark.workload import STOCK
from ocr2_hf.data.collator import IGNORED
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.page_rows import page_row
from ocr2_hf.data.tasks import build_example
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.head import OCR2Head
from ocr2_hf.modeling.load import choose_attention, image_backend, load_processor
from ocr2_hf.modeling.model import OCR2Experts, OCR2Model, OCR2PageModel, OCR2VisionModel
from ocr2_hf.modeling.original_layout import image_processor_class
from ocr2_hf.modeling.tiny import TINY_SIZES, build_tiny_model, build_tiny_tokenizer
from ocr2_hf.planning import budget
from ocr2_hf.recipe import OCR2TrainingArguments, Recipe, load_recipe
from ocr2_hf.training.job import training_dtype
from ocr2_hf.training.trainer import OCR2Trainer

_OUR_CLASSES = (OCR2Model, OCR2PageModel, OCR2VisionModel, OCR2Experts, OCR2Head)  # the last base of each is stock


def first_stage(recipe: Recipe) -> Recipe:
    """The recipe; of one with stages, its first."""
    return Recipe.of(recipe.values | recipe.stages[0].values) if recipe.stages else recipe


def bench_processor(recipe: Recipe) -> DeepseekOcr2Processor:
    """The recipe's processor. The real model's is not downloaded: its image settings stand around the tiny tokenizer,
    whose text takes one token a letter; how fast a token trains does not depend on its text."""
    name = recipe.model.model
    processor = _real_size_processor() if name in budget.REAL_IDS else load_processor(name)
    if max_patches := recipe.training("max_patches"):
        processor.image_processor.max_patches = max_patches
    return processor


def bench_model(recipe: Recipe, args: OCR2TrainingArguments, processor) -> nn.Module:
    """A model with random weights at the recipe's size, on the device of the arguments, frozen and adapted."""
    policy, dtype = recipe.model, getattr(torch, training_dtype(recipe, args))
    attention = choose_attention(policy.attn_implementation, dtype)
    if policy.model in TINY_SIZES:
        model = build_tiny_model(seed=args.seed, name=policy.model).to(args.device, dtype)
        model.set_attn_implementation(attention)
    else:
        config = budget.model_config(policy.model)
        with args.device:  # nothing is downloaded or copied
            model = OCR2Model._from_config(config, dtype=dtype, attn_implementation=attention)
        model.config.image_token_id = model.model.config.image_token_id = processor.image_token_id
    if args.box_source == "head":
        model.add_box_head()
    model.choose_experts(policy.experts_implementation)
    return apply_policy(model, policy)


@dataclass(frozen=True)
class Contender:
    """What is measured: its name in the results, `trainer` for the stock trainer, and its recipe."""

    name: str
    recipe: Recipe

    def trainer(self, run: Recipe, args: OCR2TrainingArguments, pages: Dataset, processor) -> Trainer:
        """Its trainer for a `run` of the recipe. The stock one is what one would write with the libraries alone: their
        `Trainer`, their model and its loss, their processor."""
        model = bench_model(run, args, processor)
        if self.name != STOCK:
            return OCR2Trainer(model, args, processor=processor, train_dataset=pages)
        # The library's part of the recipe's training block, with this package's defaults.
        values = {name: getattr(args, name) for name in ("use_cpu", "dataloader_pin_memory")}
        stock_args = TrainingArguments(**run.library_arguments() | values)
        collator, rows = ProcessorCollator(processor), StockPages(pages)
        return Trainer(as_stock(model), stock_args, data_collator=collator, train_dataset=rows)

    @property
    def runs_vision(self) -> bool:
        """Whether the vision tower runs in its steps."""
        return self.name == STOCK or not self.recipe.training("cache_vision_features")


def baseline(recipe: Recipe, against: Sequence[str], path: str, overrides: Sequence[str]) -> Contender:
    """What `recipe`, of `path` with `overrides`, is put against: the stock trainer (`trainer`), or itself with keys
    changed (`KEY=VALUE`).

    Raises `UsageError` for both at once, and for what is wrong with the changed recipe.
    """
    if list(against) == [STOCK]:
        return Contender(STOCK, recipe)
    if STOCK in against:
        raise UsageError(f"--against is either {STOCK} or changes of the recipe, not both")
    changed = load_recipe(path, [*overrides, *(f"--{change}" for change in against)])
    return Contender(", ".join(against), first_stage(changed))


def as_stock(model: nn.Module) -> nn.Module:
    """The same weights in the library's own classes, in place."""
    for module in model.modules():
        if type(module) in _OUR_CLASSES:
            module.__class__ = type(module).__bases__[-1]
    return model


class StockPages(TorchDataset):
    """Rows of image, prompt and target, as a folder of images with captions would give them."""

    def __init__(self, pages: Dataset) -> None:
        self.images = pages.select_columns(["id", "image"])
        self.texts = [build_example("markdown", page) for page in pages.remove_columns(["image"])]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> dict:
        prompt, target = self.texts[index]
        return {"image": page_row(self.images, index)["image"], "prompt": prompt, "target": target}


@dataclass
class ProcessorCollator:
    """A plain collator around the stock processor: one call over the batch; padding and image tokens get no label."""

    processor: DeepseekOcr2Processor

    def __post_init__(self) -> None:
        self.images = ImageSettings.of(self.processor).call_arguments()
        self.processor.tokenizer.padding_side = "right"

    def __call__(self, rows: list[dict]) -> dict[str, Tensor]:
        """B rows -> the processor's tensors, of them `input_ids`, `attention_mask`; and `labels`: each [B, length]."""
        end = self.processor.tokenizer.eos_token
        batch = self.processor(
            images=[row["image"] for row in rows],
            text=[row["prompt"] + row["target"] + end for row in rows],
            return_tensors="pt",
            padding=True,
            **self.images,
        )
        labels = batch["input_ids"].clone()
        labels[(batch["attention_mask"] == 0) | (labels == self.processor.image_token_id)] = IGNORED
        return {**batch, "labels": labels}


def _real_size_processor() -> DeepseekOcr2Processor:
    half = [0.5, 0.5, 0.5]
    images = image_processor_class(image_backend())(image_mean=half, image_std=half)
    return DeepseekOcr2Processor(images, build_tiny_tokenizer())
