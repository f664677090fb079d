"""The fields of a recipe: name, type, default, and what each means.

`ModelArguments` and `DataArguments` are ours; `OCR2TrainingArguments` is the library's `TrainingArguments`,
unchanged, plus the fields declared here.
"""

import os
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import torch
from accelerate.utils import DistributedType
from transformers import TrainingArguments

NO_REPEAT_NGRAM, NO_REPEAT_WINDOW = 20, 90  # as the model's authors decode single pages
# What evaluation measures: from the losses' forward pass, and by generation.
HIGHER_IS_BETTER = ("token_accuracy", "bbox_iou")
READ_METRICS = ("cer", "normalized_edit_distance", "bbox_iou", "repetition_rate", "missing_eos_rate")
METRICS = ("loss", "loss_text", "loss_box", "token_accuracy", *READ_METRICS, "guard_cer")


def _field(default: Any, text: str) -> Any:
    """A recipe field with its documentation; mutable defaults are copied."""
    if isinstance(default, dict | list):
        return field(default_factory=lambda: type(default)(default), metadata={"help": text})
    return field(default=default, metadata={"help": text})


@dataclass
class ModelArguments:
    """Which model, and what of it trains."""

    model: str = _field(
        "deepseek-community/DeepSeek-OCR-2",
        "Hub id, directory, or `tiny` or `tiny_reader` for a fresh tiny model.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = _field(
        "auto",
        "Dtype the weights are loaded in. auto: bfloat16 where bf16 is on and every trained weight is an adapter's "
        "(adapters stay float32), else float32, with bf16 as mixed precision.",
    )
    attn_implementation: Literal["auto", "flash_attention_2", "sdpa", "eager"] = _field(
        "auto",
        "Attention of the text model. auto: flash_attention_2 where installed and the GPU allows it, else sdpa.",
    )
    experts_implementation: Literal["grouped_mm", "batched_mm", "eager"] = _field(
        "grouped_mm",
        "How the text model's experts are multiplied: all in one grouped product, in one with the weights copied for "
        "every token, or one expert after the other.",
    )
    train_vision: Literal["none", "encoder", "all", "lora"] = _field(
        "none", "encoder: the 24-layer encoder and its queries; all: SAM too; lora: adapters on the encoder."
    )
    train_projector: bool = _field(False, "Train the linear projector; without adapters the view separator too.")
    train_language: Literal["none", "lora", "full"] = _field("lora", "The text model with embeddings and head.")
    train_box_head: bool = _field(False, "Train the box head (box_source: head).")
    lora_targets: Literal["attention", "attention+shared", "attention+shared+routed"] = _field(
        "attention+shared",
        "Text model layers with adapters; shared: the dense and shared experts; routed: all experts.",
    )
    lora_r: int = _field(16, "Rank of the adapters.")
    lora_alpha: int = _field(32, "Scale of the adapters: alpha / r.")
    lora_dropout: float = _field(0.0, "Dropout before the adapters; not possible with routed experts.")

    @property
    def uses_lora(self) -> bool:
        return self.train_language == "lora" or self.train_vision == "lora"


@dataclass
class DataArguments:
    """Which pages."""

    dataset: str = _field("", "Name of a built dataset or a Hub id to train on.")
    train_split: str = _field("train", "Split to train on.")
    eval_dataset: str | None = _field(None, "Dataset to evaluate on; none: the same dataset.")
    eval_split: str = _field("validation", "Split to evaluate on.")
    guard_dataset: str | None = _field(
        None,
        "General pages that the model must not unlearn to read: their CER is measured on the base and at every "
        "evaluation, and the run ends with status 1 when it gets worse.",
    )
    guard_split: str = _field("test", "Split of guard_dataset to read.")


@dataclass
class OCR2TrainingArguments(TrainingArguments):
    """The library's `TrainingArguments` with the tutorial's defaults, plus tasks, losses and evaluation."""

    output_dir: str = _field("runs/ocr2", "Where checkpoints, the final model and recipe.yaml go.")
    learning_rate: float = _field(2e-5, "Peak learning rate of everything that has no own rate.")
    weight_decay: float = _field(0.01, "AdamW weight decay; not on biases and norms.")
    lr_scheduler_type: str = _field("cosine", "Learning rate schedule.")
    num_train_epochs: float = _field(10.0, "Passes over the pages.")
    logging_steps: float = _field(100, "Optimizer steps between two log rows.")
    remove_unused_columns: bool = _field(False, "Must be false: the collator reads whole page records.")
    report_to: str | list[str] | None = _field("none", "Trackers, e.g. tensorboard.")
    push_to_hub: bool = _field(
        False, "Push the model as `ocr2 push` does; the Hub is asked before training starts whether it may be."
    )
    hub_model_id: str | None = _field(None, "ORG/NAME to push to.")
    hub_strategy: Literal["end", "every_save"] = _field(
        "end", "When to push: once trained, or at every save too, beside the training."
    )

    tasks: dict[str, float] = _field(
        {"markdown": 1.0}, "Task -> share of the examples: ocr, markdown, locate, table, custom."
    )
    prompts: dict[str, str] = _field({}, "Task -> prompt, where it differs from the model's own.")
    max_length: int = _field(4096, "Longest sequence in tokens, visual ones included; for longer pages see overlong.")
    overlong: Literal["drop", "split"] = _field(
        "drop",
        "Pages longer than max_length. drop: left out; split: pages of the markdown task become several, cut between "
        "regions, each with the part of the image that shows its regions. Both are counted.",
    )
    max_patches: int | None = _field(None, "Tiles a page may be cut into, 2 to 6; none: as the processor says.")
    augment: str | dict[str, Any] = _field(
        "light",
        "How images change in training, never in evaluation: none, light (colour jitter), scan, photo, or a mapping of "
        "operations to strengths (see ocr2_hf/data/augment.py). Boxes move with the pixels.",
    )
    cache_vision_features: bool = _field(
        False,
        "Run the frozen vision encoder over the pages once, before training, keep its outputs on disk and train from "
        "them; for train_vision: none and augment: none. Evaluation's loss is from them too; reading by generation is "
        "from the images.",
    )
    vision_cache_dir: str | None = _field(
        None, "Where they lie, on a disk all machines share; none: vision_features in the datasets cache."
    )
    tokens_per_batch: int | None = _field(
        None,
        "Micro-batches of pages of like length with so many tokens at most, visual and text, padding included; "
        "per_device_train_batch_size is then the most pages of one. none: that many pages each, whatever their length.",
    )
    text_weight: float = _field(1.0, "Weight of the text loss.")
    box_weight: float = _field(0.5, "Weight of the box loss.")
    box_beta: float = _field(0.1, "Where SmoothL1 turns linear, in units of the page's side.")
    box_source: Literal["expectation", "head"] = _field(
        "expectation",
        "Predicted boxes: the mean of the coordinate softmax (no new weights), or the box head.",
    )
    token_weights: dict[str, float] = _field({}, "Role -> weight in the text loss: text, coordinate, tag, eos.")
    label_weights: dict[str, float] = _field({}, "Region label -> factor on the weights of its tokens.")
    loss_chunks: int = _field(8, "In how many pieces logits are computed; more takes less memory.")
    vision_learning_rate: float | None = _field(None, "Learning rate of SAM, encoder and queries.")
    projector_learning_rate: float | None = _field(None, "Learning rate of the projector.")
    box_head_learning_rate: float | None = _field(None, "Learning rate of the box head, which starts at random.")
    eval_pages: int = _field(16, "Pages read by generation at each evaluation, for CER and box IoU; 0: none.")
    eval_max_new_tokens: int = _field(1024, "Longest answer of that generation, in tokens.")
    guard_pages: int = _field(32, "Pages of guard_dataset read by generation, the same at every evaluation.")
    guard_tolerance: float = _field(0.02, "By how much the CER on them may be above the base's.")
    early_stopping_patience: int | None = _field(
        None, "Evaluations in a row without a better metric_for_best_model after which training ends; none: never."
    )
    no_repeat_ngram: int = _field(
        NO_REPEAT_NGRAM,
        "Generation, in evaluation and later from the saved model, repeats no run of so many tokens; 0: it may.",
    )
    no_repeat_window: int = _field(NO_REPEAT_WINDOW, "Among how many last tokens of the answer.")
    hub_example: bool = _field(
        True,
        "Push example.png too: a page of the evaluation with the regions found on it. False for pages of a secret.",
    )

    def __post_init__(self) -> None:
        # The library takes every metric that is not called a loss for one that should grow: with `cer` it would keep
        # the worst checkpoint.
        metric = (self.metric_for_best_model or "").removeprefix("eval_")
        if self.greater_is_better is None and metric in METRICS:
            self.greater_is_better = metric in HIGHER_IS_BETTER
        # Without this, launched processes on a machine without a GPU would each train alone.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        self.dataloader_pin_memory = self.dataloader_pin_memory and not self.use_cpu
        super().__post_init__()
        self._allow_fsdp_on_cpu()
        if self.device.type == "cpu":
            # transformers 5.17 asks torch to load an optimizer onto "cpu:0", which it cannot.
            self.__dict__["_setup_devices"] = torch.device("cpu")

    def _allow_fsdp_on_cpu(self) -> None:
        """accelerate wraps in FSDP only where it believes in GPUs; on a CPU it would run DDP without a word."""
        fsdp = os.environ.get("ACCELERATE_USE_FSDP") == "true"
        if fsdp and self.device.type == "cpu" and self.distributed_state.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_state.distributed_type = DistributedType.MULTI_GPU


BLOCKS = (ModelArguments, DataArguments, OCR2TrainingArguments)
LIBRARY = {item.name for item in fields(TrainingArguments)}
OURS = tuple(item.name for block in BLOCKS for item in fields(block) if item.name not in LIBRARY)
# Stored features change nothing but the time a step takes.
_NOT_IDENTITY = (
    *("eval_", "no_repeat_", "early_stopping_", "guard_tolerance", "hub_"),
    *("cache_vision_features", "vision_cache_dir"),
)
# What makes a run this run: a checkpoint made with another value of one of these is not resumed.
IDENTITY = (
    *(name for name in OURS if not name.startswith(_NOT_IDENTITY)),
    *("learning_rate", "weight_decay", "seed", "per_device_train_batch_size", "gradient_accumulation_steps", "stages"),
)


def known_fields() -> dict[str, type]:
    return {item.name: block for block in BLOCKS for item in fields(block) if item.init}


def default_of(block: type, name: str) -> Any:
    item = next(item for item in fields(block) if item.name == name)
    return item.default_factory() if callable(item.default_factory) else item.default
