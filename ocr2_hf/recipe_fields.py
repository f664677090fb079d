"""The keys of a recipe, each declared once: type, range, default, help, and whether it is part of a run's identity.

`OCR2TrainingArguments` is the library's `TrainingArguments`, unchanged, plus the keys of pages and losses and what it
declares itself; all other classes are ours.
"""

import inspect
import os
import typing
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import torch
from accelerate.utils import DistributedType
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
)
from pydantic import Field as Range
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from ocr2_hf.data.augment import augment_problems
from ocr2_hf.data.collator import ROLES
from ocr2_hf.data.column_names import COLUMNS, parse_columns
from ocr2_hf.data.shares import STOPPING_STRATEGIES, STOPPING_STRATEGY
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.decoding import NO_REPEAT_NGRAM, NO_REPEAT_WINDOW
from ocr2_hf.document.hub_names import BASE_MODEL
from ocr2_hf.document.model_tokens import prompt_problem
from ocr2_hf.errors import UsageError
from ocr2_hf.evaluation.registry import training_metrics

ColumnName = Literal[COLUMNS]
TaskName = Literal[tuple(PROMPTS)]
Role = Literal[ROLES]


def _key(default: Any, text: str, *, identity: bool = True, whole_run: bool = False) -> Any:
    """A recipe key with its help; mutable defaults are copied.

    `identity`: a checkpoint made with another value is not resumed. `whole_run`: a stage cannot set it for itself.
    """
    about = {"help": text, "identity": identity, "whole_run": whole_run}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: type(default)(default), metadata=about)
    return field(default=default, metadata=about)


# A key that may change while a run goes on.
_changeable = partial(_key, identity=False)


def _must(hold: Callable[[Any], Any], otherwise: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if not hold(value):
            raise ValueError(otherwise)
        return value

    return AfterValidator(check)


def _augmentation(value: str | dict[str, Any]) -> str | dict[str, Any]:
    if problems := augment_problems(value):
        raise ValueError("; ".join(problems))
    return value


def _columns(value: Any) -> Any:
    """A mapping, or what the command line has: image=scan,text=label."""
    try:
        return parse_columns(value) if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(str(error).removeprefix("columns: ")) from None


def _prompt(value: str) -> str:
    if problem := prompt_problem(value):
        raise ValueError(problem)
    return value


_TRACKERS = ("none", "all", *INTEGRATION_TO_CALLBACK)
Tracker = Annotated[str, _must(lambda name: name in _TRACKERS, f"is none of {', '.join(_TRACKERS)}")]
_HAS_A_TASK = _must(lambda tasks: sum(tasks.values()) > 0, "no task has a share above 0")
_LEARNS_TO_END = _must(
    lambda weights: weights.get("eos") != 0, "a model that never learns to end does not end; give eos a weight"
)


Shares = dict[str, PositiveFloat]


@dataclass
class ModelArguments:
    """Which model, and what of it trains."""

    model: str = _key(
        BASE_MODEL,
        "Hub id, directory, or `tiny` or `tiny_reader` for a fresh tiny model.",
        whole_run=True,
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = _key(
        "auto",
        "Dtype the weights are loaded in. auto: bfloat16 where bf16 is on and every trained weight is an adapter's "
        "(adapters stay float32), else float32, with bf16 as mixed precision.",
        whole_run=True,
    )
    attn_implementation: Literal["auto", "flash_attention_2", "sdpa", "eager"] = _key(
        "auto", "Attention of the text model. auto: flash_attention_2 where installed and the GPU allows it, else sdpa."
    )
    experts_implementation: Literal["grouped_mm", "batched_mm", "eager"] = _key(
        "grouped_mm",
        "How the text model's experts are multiplied: all in one grouped product, in one with the weights copied for "
        "every token, or one expert after the other.",
    )
    train_vision: Literal["none", "encoder", "all", "lora"] = _key(
        "none", "encoder: the 24-layer encoder and its queries; all: SAM too; lora: adapters on the encoder."
    )
    train_projector: bool = _key(False, "Train the linear projector; without adapters the view separator too.")
    train_language: Literal["none", "lora", "full"] = _key("lora", "The text model with embeddings and head.")
    train_box_head: bool = _key(False, "Train the box head (box_source: head).")
    lora_targets: Literal["attention", "attention+shared", "attention+shared+routed"] = _key(
        "attention+shared",
        "Text model layers with adapters; shared: the dense and shared experts; routed: all experts.",
    )
    lora_r: PositiveInt = _key(16, "Rank of the adapters.")
    lora_alpha: PositiveInt = _key(32, "Scale of the adapters: alpha / r.")
    lora_dropout: Annotated[float, Range(ge=0, lt=1)] = _key(
        0.0, "Dropout before the adapters; not possible with routed experts."
    )

    @property
    def uses_lora(self) -> bool:
        """Whether anything trains by adapters."""
        return self.train_language == "lora" or self.train_vision == "lora"


@dataclass
class DataArguments:
    """Which pages."""

    dataset: str | Shares = _key(
        "",
        "Name of a built dataset, a Hub id, or a folder of Parquet files or of images with metadata; or several, each "
        "with its share of the examples: "
        "{letters: 0.8, general: 0.2}.",
    )
    stopping_strategy: Literal[STOPPING_STRATEGIES] = _key(
        STOPPING_STRATEGY,
        "Several datasets: an epoch ends before any page comes twice (first_exhausted), or once every page was there, "
        "those of the smaller ones several times (all_exhausted).",
    )
    train_split: str = _key("train", "Split to train on.")
    eval_dataset: str | Shares | None = _changeable(
        None,
        "Dataset to evaluate on; or several, as in `dataset`, each alone and all together by their shares; null: the "
        "same as `dataset`.",
    )
    eval_split: str = _changeable("validation", "Split to evaluate on.")
    columns: Annotated[dict[ColumnName, str], BeforeValidator(_columns)] = _changeable(
        {},
        "What datasets of others, on the Hub or in a folder, call their columns where not image and text, the same for "
        "all of them: image=scan,text=label.",
        whole_run=True,
    )
    guard_dataset: str | None = _key(
        None,
        "General pages that the model must not unlearn to read: their CER is measured on the base and at every "
        "evaluation, and the run ends with status 1 when it gets worse.",
        whole_run=True,
    )
    guard_split: str = _key("test", "Split of guard_dataset to read.", whole_run=True)


@dataclass
class PageArguments:
    """What is made of the pages: questions and answers, sequences, batches."""

    tasks: Annotated[dict[TaskName, NonNegativeFloat], _HAS_A_TASK] = _key(
        {"markdown": 1.0}, "Task -> share of the examples: ocr, markdown, locate, table, custom."
    )
    prompts: dict[TaskName, Annotated[str, AfterValidator(_prompt)]] = _key(
        {}, "Task -> prompt, where it differs from the model's own."
    )
    max_length: PositiveInt = _key(
        4096, "Longest sequence in tokens, visual ones included; for longer pages see overlong."
    )
    overlong: Literal["drop", "split"] = _key(
        "drop",
        "Pages longer than max_length. drop: left out; split: pages of the markdown task become several, cut between "
        "regions, each with the part of the image that shows its regions. Both are counted.",
    )
    max_patches: Annotated[int, Range(ge=2, le=6)] | None = _key(
        None, "Tiles a page may be cut into, 2 to 6; null: as the processor says."
    )
    augment: Annotated[str | dict[str, Any], AfterValidator(_augmentation)] = _key(
        "light",
        "How images change in training, never in evaluation: none, light (colour jitter), scan, photo, or a mapping of "
        "operations to strengths (see ocr2_hf/data/augment.py). Boxes move with the pixels.",
    )
    cache_vision_features: bool = _changeable(
        False,
        "Run the frozen vision encoder over the pages once, before training, keep its outputs on disk and train from "
        "them; for train_vision: none and augment: none. Evaluation's loss is from them too; reading by generation is "
        "from the images.",
    )
    vision_cache_dir: str | None = _changeable(
        None,
        "Where they lie, on a disk all machines share; null: vision_features in the datasets cache.",
    )
    tokens_per_batch: PositiveInt | None = _key(
        None,
        "Micro-batches of pages of like length with so many tokens at most, visual and text, padding included; "
        "per_device_train_batch_size is then the most pages of one. null: that many pages each, whatever their length.",
    )


@dataclass
class LossArguments:
    """The terms of the loss and their weights: `NAME_weight` is that of the term NAME in `ocr2_hf.modeling.losses`."""

    text_weight: NonNegativeFloat = _key(1.0, "Weight of the text loss.")
    box_weight: NonNegativeFloat = _key(0.5, "Weight of the box loss.")
    box_beta: NonNegativeFloat = _key(0.1, "Where SmoothL1 turns linear, in units of the page's side.")
    box_source: Literal["expectation", "head"] = _key(
        "expectation", "Predicted boxes: the mean of the coordinate softmax (no new weights), or the box head."
    )
    token_weights: Annotated[dict[Role, NonNegativeFloat], _LEARNS_TO_END] = _key(
        {}, "Role -> weight in the text loss: text, coordinate, tag, eos."
    )
    label_weights: dict[str, NonNegativeFloat] = _key({}, "Region label -> factor on the weights of its tokens.")
    loss_chunks: PositiveInt = _key(8, "In how many pieces logits are computed; more takes less memory.")


@dataclass
class OCR2TrainingArguments(LossArguments, PageArguments, TrainingArguments):
    """The library's `TrainingArguments` with the tutorial's defaults, plus tasks, losses and evaluation."""

    output_dir: str = _changeable("runs/ocr2", "Where checkpoints, the final model and recipe.yaml go.", whole_run=True)
    learning_rate: NonNegativeFloat = _key(2e-5, "Peak learning rate of everything that has no own rate.")
    weight_decay: NonNegativeFloat = _key(0.01, "AdamW weight decay; not on biases and norms.")
    lr_scheduler_type: str = _changeable("cosine", "Learning rate schedule.")
    num_train_epochs: PositiveFloat = _changeable(10.0, "Passes over the pages.", whole_run=True)
    logging_steps: PositiveFloat = _changeable(100, "Optimizer steps between two log rows.")
    remove_unused_columns: bool = _changeable(False, "Must be false: the collator reads whole page records.")
    report_to: Tracker | list[Tracker] | None = _changeable("none", "Trackers, e.g. tensorboard.")
    push_to_hub: bool = _changeable(
        False,
        "Push the model as `ocr2 push` does; the Hub is asked before training starts whether it may be.",
        whole_run=True,
    )
    hub_model_id: str | None = _changeable(None, "ORG/NAME to push to.", whole_run=True)
    hub_strategy: Literal["end", "every_save"] = _changeable(
        "end", "When to push: once trained, or at every save too, beside the training.", whole_run=True
    )

    vision_learning_rate: NonNegativeFloat | None = _key(None, "Learning rate of SAM, encoder and queries.")
    projector_learning_rate: NonNegativeFloat | None = _key(None, "Learning rate of the projector.")
    box_head_learning_rate: NonNegativeFloat | None = _key(
        None, "Learning rate of the box head, which starts at random."
    )
    eval_pages: NonNegativeInt = _changeable(
        16, "Pages read by generation at each evaluation, for CER and box IoU; 0: none."
    )
    eval_max_new_tokens: PositiveInt | None = _changeable(
        None,
        "Longest answer of that generation, and of guard_dataset's, in tokens; null: half as many again as the longest "
        "reference among the pages read, within the model's context. A number that cuts references is told.",
    )
    guard_pages: PositiveInt = _key(
        32, "Pages of guard_dataset read by generation, the same at every evaluation.", whole_run=True
    )
    guard_tolerance: NonNegativeFloat = _changeable(0.02, "By how much the CER on them may be above the base's.")
    early_stopping_patience: PositiveInt | None = _changeable(
        None,
        "Evaluations in a row without a better metric_for_best_model after which training ends; null: never.",
    )
    no_repeat_ngram: NonNegativeInt = _changeable(
        NO_REPEAT_NGRAM,
        "Generation, in evaluation and later from the saved model, repeats no run of so many tokens; 0: it may.",
    )
    no_repeat_window: NonNegativeInt = _changeable(NO_REPEAT_WINDOW, "Among how many last tokens of the answer.")
    hub_example: bool = _changeable(
        True,
        "Push example.png too: a page of the evaluation with the regions found on it. False for pages of a secret.",
        whole_run=True,
    )

    @property
    def mixed_dtype(self) -> torch.dtype | None:
        """Autocast's; None without mixed precision."""
        return torch.bfloat16 if self.bf16 else torch.float16 if self.fp16 else None

    def __post_init__(self) -> None:
        # The library takes every metric that is not called a loss for one that should grow: with `cer` it would keep
        # the worst checkpoint.
        metric = (self.metric_for_best_model or "").removeprefix("eval_")
        if self.greater_is_better is None:
            self.greater_is_better = best_model_metrics().get(split_metric(metric)[1])
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


LOSS_WEIGHTS = tuple(item.name for item in fields(LossArguments) if item.name.endswith("_weight"))


def best_model_metrics() -> dict[str, bool]:
    """What `metric_for_best_model` can be -> whether more of it is better."""
    losses = ("loss", *(f"loss_{name.removesuffix('_weight')}" for name in LOSS_WEIGHTS))
    return dict.fromkeys(losses, False) | {metric.name: metric.higher_is_better for metric in training_metrics()}


def split_metric(name: str) -> tuple[str, str]:
    """The source of a mixture and the metric that `SOURCE_cer` names; "" and the name where no metric ends so."""
    known = best_model_metrics()
    metric = max((each for each in known if name.endswith(f"_{each}")), key=len, default=name)
    return ("", name) if name in known else (name.removesuffix(metric).removesuffix("_"), metric)


# The class behind the Training block is that of supervised training; a key `method` is to choose among others here.
BLOCKS = (ModelArguments, DataArguments, OCR2TrainingArguments)
LIBRARY = {item.name for item in fields(TrainingArguments)}
# What `_key` says of our keys, for those that only the library declares.
_LIBRARY_IDENTITY = ("seed", "data_seed", "per_device_train_batch_size", "gradient_accumulation_steps")
_LIBRARY_WHOLE_RUN = ("max_steps", "seed", "deepspeed", "bf16", "fp16", "hub_private_repo", "resume_from_checkpoint")
_Seed = Annotated[int, Range(ge=0, lt=2**32)]
_Beta = Annotated[float, Range(ge=0, lt=1)]
# Types with ranges, of those whose own types take what ends in a traceback, or in no training at all.
_LIBRARY_TYPES = {
    **dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size"), PositiveInt),
    **dict.fromkeys(("gradient_accumulation_steps", "ddp_timeout"), PositiveInt),
    **dict.fromkeys(("save_total_limit", "torch_empty_cache_steps", "ddp_bucket_cap_mb"), PositiveInt | None),
    **dict.fromkeys(("warmup_steps", "eval_delay", "max_grad_norm", "adam_epsilon"), NonNegativeFloat),
    "max_steps": Annotated[
        int, _must(lambda n: n == -1 or n > 0, "must be above 0, or -1: as many as the epochs have")
    ],
    "save_steps": PositiveFloat,
    "eval_steps": PositiveFloat | None,
    "neftune_noise_alpha": PositiveFloat | None,
    "adam_beta1": _Beta,
    "adam_beta2": _Beta,
    "seed": _Seed,
    "data_seed": _Seed | None,
    "dataloader_num_workers": NonNegativeInt,
    "dataloader_prefetch_factor": PositiveInt | None,
    "dataloader_multiprocessing_context": Literal["fork", "spawn", "forkserver"] | None,
    "include_num_input_tokens_seen": bool | Literal["all", "non_padding", "no"],
    "parallelism_config": Any,  # refused with its reason, whatever it is
}


@dataclass(frozen=True)
class Key:
    """A recipe key as it was declared: in which block, with which type and range."""

    field: Field
    block: type
    type: Any

    @property
    def default(self) -> Any:
        """A new copy where it can be changed."""
        made = self.field.default_factory
        return made() if callable(made) else self.field.default

    @property
    def help(self) -> str:
        """What the key does, on one line."""
        return " ".join(self.field.metadata.get("help", "").split())

    @property
    def identity(self) -> bool:
        """Whether a run with another value is another run, which no checkpoint of this one goes on as."""
        return self.field.metadata.get("identity", self.field.name in _LIBRARY_IDENTITY)

    @property
    def whole_run(self) -> bool:
        """Whether all stages have the same value."""
        return self.field.metadata.get("whole_run", self.field.name in _LIBRARY_WHOLE_RUN)

    @property
    def declared_in(self) -> type:
        """The class that declares it: the block, or one that the block inherits from."""
        return next(each for each in self.block.__mro__ if self.field.name in inspect.get_annotations(each))

    @cached_property
    def adapter(self) -> TypeAdapter:
        """Checks and coerces a value."""
        return TypeAdapter(self.type, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))


def _declared(block: type) -> dict[str, Key]:
    types = typing.get_type_hints(block, include_extras=True)
    return {item.name: Key(item, block, _type(item, types[item.name])) for item in fields(block) if item.init}


def _type(item: Field, declared: Any) -> Any:
    """A field's type. Where the library lists choices beside a plain type, they are the type."""
    if choices := item.metadata.get("choices"):
        declared = Literal[tuple(choices)] if item.default is not None else Literal[tuple(choices)] | None
    return _LIBRARY_TYPES.get(item.name, declared)


KEYS: dict[str, Key] = {name: key for block in BLOCKS for name, key in _declared(block).items()}
OURS = tuple(name for name in KEYS if name not in LIBRARY)
# What makes a run this run.
IDENTITY = (*(name for name, key in KEYS.items() if key.identity), "stages")
