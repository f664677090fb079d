"""The dataclasses behind a recipe YAML: every field, its type, what it means, and which combinations make no sense.

A recipe is a flat YAML. Its keys are the fields of `ModelArguments`, `DataArguments` and `OCR2TrainingArguments`;
the last is the library's `TrainingArguments`, unchanged, plus the fields declared here. `--key value` on the command
line overrides. All problems of a recipe are told in one message, before anything loads.
"""

import difflib
import os
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from accelerate.utils import DistributedType
from pydantic import ConfigDict, TypeAdapter, ValidationError
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from ocr2_hf.data.collator import ROLES
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.errors import UsageError

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

    model: str = _field("deepseek-community/DeepSeek-OCR-2", "Hub id, directory, or `tiny` for a fresh tiny model.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = _field(
        "auto",
        "Dtype the weights are loaded in. auto: bfloat16 where bf16 is on and every trained weight is an adapter's "
        "(adapters stay float32), else float32, with bf16 as mixed precision.",
    )
    attn_implementation: Literal["auto", "flash_attention_2", "sdpa", "eager"] = _field(
        "auto",
        "Attention of the text model. auto: flash_attention_2 where installed and the GPU allows it, else sdpa.",
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

    tasks: dict[str, float] = _field({"markdown": 1.0}, "Task -> share of the examples: ocr, markdown, locate, custom.")
    prompts: dict[str, str] = _field({}, "Task -> prompt, where it differs from the model's own.")
    max_length: int = _field(4096, "Longest sequence in tokens, visual ones included; for longer pages see overlong.")
    overlong: Literal["drop", "split"] = _field(
        "drop",
        "Pages longer than max_length. drop: left out; split: pages of the markdown task become several, cut between "
        "regions, each with the part of the image that shows its regions. Both are counted.",
    )
    max_patches: int | None = _field(None, "Tiles a page may be cut into, 2 to 6; none: as the processor says.")
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
_LIBRARY = {item.name for item in fields(TrainingArguments)}
OURS = tuple(item.name for block in BLOCKS for item in fields(block) if item.name not in _LIBRARY)
# What makes a run this run: a checkpoint made with another value of one of these is not resumed.
IDENTITY = (
    *(name for name in OURS if not name.startswith(("eval_", "no_repeat_", "early_stopping_", "guard_tolerance"))),
    *("learning_rate", "weight_decay", "seed", "per_device_train_batch_size", "gradient_accumulation_steps", "stages"),
)


# What a stage cannot set for itself.
WHOLE_RUN = (
    *("model", "dtype", "output_dir", "num_train_epochs", "max_steps", "seed"),
    *("deepspeed", "fsdp", "bf16", "fp16", "guard_dataset", "guard_split", "guard_pages"),
)


@dataclass(frozen=True)
class Stage:
    """One stage of progressive training: its share of the steps, and the keys it sets over the recipe's."""

    name: str
    share: float
    values: dict[str, Any]


@dataclass
class Recipe:
    """A checked recipe. `values` has every key that was given, in its type; the blocks have all fields."""

    model: ModelArguments
    data: DataArguments
    values: dict[str, Any]
    stages: list[Stage] = field(default_factory=list)

    @classmethod
    def of(cls, values: dict[str, Any], stages: Sequence[Stage] = ()) -> "Recipe":
        """From checked values."""
        blocks = [block(**{f.name: values[f.name] for f in fields(block) if f.name in values}) for block in BLOCKS[:2]]
        return cls(*blocks, values, list(stages))

    def training_arguments(self) -> OCR2TrainingArguments:
        """The training block; building it looks at devices and starts the process group.

        Raises `UsageError` with the library's own words for what the library refuses.
        """
        try:
            args = OCR2TrainingArguments(**_renamed(self._of(OCR2TrainingArguments)))
        except (ValueError, ImportError) as error:
            raise UsageError(f"the recipe's training block is refused: {error}") from error
        problems = _machine_problems(args)
        if problems:
            raise UsageError("; ".join(problems))
        return args

    def training(self, name: str) -> Any:
        """A field of the training block, given or default, without building the block."""
        return self.values.get(name, _default(OCR2TrainingArguments, name))

    def resolved(self) -> dict[str, Any]:
        """Every field of ours and every other key that was given, as plain values for a YAML file."""
        known = _known()
        names = [name for name in known if name in OURS or name in IDENTITY or name in self.values]
        resolved = {name: self.values.get(name, _default(known[name], name)) for name in names}
        stages = [{"name": stage.name, "share": stage.share, **stage.values} for stage in self.stages]
        return resolved | ({"stages": stages} if stages else {})

    def save(self, path: str | Path) -> None:
        """Write the resolved recipe; written beside and moved into place."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".yaml.tmp")
        beside.write_text(yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True), encoding="utf-8")
        beside.replace(path)

    def _of(self, block: type) -> dict[str, Any]:
        names = {item.name for item in fields(block)}
        return {name: value for name, value in self.values.items() if name in names}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """`gradient_checkpointing` is the name in transformers 5.17; later ones call it otherwise and warn about it."""
    if "activation_checkpointing" not in _LIBRARY:
        return values
    return {name.replace("gradient_checkpointing", "activation_checkpointing"): v for name, v in values.items()}


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and the command line's `--key value` over it.

    Raises `UsageError` with every problem found: unknown keys, wrong types, contradictions.
    """
    given = read_yaml(path) | parse_overrides(overrides)
    problems: list[str] = []
    stages = _stages(given.pop("stages", None), problems)
    values = dict(_typed(given, problems))
    if not problems:
        # With stages, what counts is what each of them makes of the recipe.
        problems += [] if stages else contradictions(values)
        problems += [
            f"stage {stage.name}: {problem}" for stage in stages for problem in contradictions(values | stage.values)
        ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UsageError(f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''} in the recipe\n{listed}")
    return Recipe.of(values, stages)


def _stages(given: Any, problems: list[str]) -> list[Stage]:
    """The `stages` of a recipe; what is wrong with them is added to `problems`."""
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(stage, dict) and "name" in stage for stage in given):
        problems.append("stages: must be a list of mappings, each with a name")
        return []
    stages = []
    for stage in given:
        found: list[str] = []
        values = dict(_typed({k: v for k, v in stage.items() if k not in ("name", "share")}, found))
        share = stage.get("share", 1 / len(given))
        if not re.fullmatch(r"[\w-]+", str(stage["name"])):
            found.append("its name becomes a folder's: letters, digits, _ and - only")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            found.append(f"share: {share!r} is not a number above 0 and up to 1")
            share = 0.0
        found += [f"{name}: is the same in all stages; set it above" for name in values if name in WHOLE_RUN]
        problems += [f"stage {stage['name']}: {problem}" for problem in found]
        stages.append(Stage(str(stage["name"]), float(share), values))
    if len({stage.name for stage in stages}) < len(stages):
        problems.append("stages: two have one name")
    if not problems and abs(sum(stage.share for stage in stages) - 1) > 1e-6:
        problems.append(f"stages: the shares add up to {sum(stage.share for stage in stages):g}, not to 1")
    return stages


class _NoDuplicates(yaml.SafeLoader):
    """YAML takes the last of two equal keys without a word; in a recipe that is a mistake."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping; `UsageError` for a missing file, broken YAML, or anything that is not a mapping."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        # The safe loader plus the check above: plain values only.
        content = yaml.load(text, Loader=_NoDuplicates)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"{path} must be a YAML mapping of recipe keys to values")
    return content


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`--key value`, `--key=value` or `--flag` (true) -> keys and values; later ones win.

    `--local_rank`, which launchers add, is the library's business and passes.
    """
    values: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise UsageError(f"{word!r}: overrides are written --key value")
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        values[name.replace("-", "_")] = value
    values.pop("local_rank", None)
    return {name: _plain(name, value) for name, value in values.items()}


def _plain(name: str, text: str) -> Any:
    """Dicts, lists and null are read as YAML. Everything else stays text, which the types coerce."""
    if not text.startswith(("{", "[")) and text != "null":
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--{name} {text}: not valid YAML ({str(error).splitlines()[0]})") from error


def _known() -> dict[str, type]:
    return {item.name: block for block in BLOCKS for item in fields(block) if item.init}


def _default(block: type, name: str) -> Any:
    item = next(item for item in fields(block) if item.name == name)
    return item.default_factory() if callable(item.default_factory) else item.default


def _typed(given: dict[str, Any], problems: list[str]) -> typing.Iterator[tuple[str, Any]]:
    known = _known()
    hints = {block: typing.get_type_hints(block) for block in BLOCKS}
    for name, value in given.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name}: unknown key" + (f"; did you mean {close[0]}?" if close else ""))
            continue
        try:
            adapter = TypeAdapter(hints[known[name]][name], config=ConfigDict(arbitrary_types_allowed=True))
            yield name, adapter.validate_python(value)
        except ValidationError as error:
            reasons = {detail["msg"][0].lower() + detail["msg"][1:] for detail in error.errors()}
            problems.append(f"{name}: {value!r}: {'; or '.join(sorted(reasons))}")


def contradictions(values: dict[str, Any]) -> list[str]:
    """What is wrong with values that each have the right type."""

    def get(name: str) -> Any:
        return values.get(name, _default(_known()[name], name))

    model = ModelArguments(**{f.name: get(f.name) for f in fields(ModelArguments)})
    return [
        *_model_contradictions(model, values),
        *_range_problems(get),
        *_name_problems(get),
        *_box_contradictions(model, get),
        *_rate_contradictions(model, values),
        *_guard_contradictions(get),
        *_best_model_contradictions(get),
        *loop_guard_problems(get("no_repeat_ngram"), get("no_repeat_window")),
        *([] if get("dataset") else ["dataset: say which built dataset or Hub id to train on"]),
        *(
            ["remove_unused_columns: must be false, the collator reads whole rows"]
            if get("remove_unused_columns")
            else []
        ),
        *(["bf16 and fp16: choose one"] if get("bf16") and get("fp16") else []),
    ]


def _model_contradictions(model: ModelArguments, values: dict[str, Any]) -> list[str]:
    problems = []
    trained = (
        model.train_vision != "none",
        model.train_projector,
        model.train_language != "none",
        model.train_box_head,
    )
    if not any(trained):
        problems.append("nothing trains: set train_language, train_vision, train_projector or train_box_head")
    names = ("lora_targets", "lora_r", "lora_alpha", "lora_dropout")
    given = [name for name in names if values.get(name, getattr(ModelArguments, name)) != getattr(ModelArguments, name)]
    if given and not model.uses_lora:
        problems.append(f"{', '.join(given)}: without effect, neither train_language nor train_vision is lora")
    if model.train_vision == "lora" and model.train_language == "full":
        problems.append(
            "train_vision: lora with train_language: full: peft cannot load a text model saved beside adapters again; "
            "use train_vision: encoder or all"
        )
    in_full = [
        *(["train_vision"] if model.train_vision in ("encoder", "all") else []),
        *(["train_language"] if model.train_language == "full" else []),
        *(name for name in ("train_projector", "train_box_head") if getattr(model, name)),
    ]
    if model.dtype == "float16" and in_full:
        problems.append(
            f"dtype: float16: weights that train themselves ({', '.join(in_full)}) lose small steps in it; use auto, "
            "with fp16: true for mixed precision"
        )
    if model.lora_dropout and model.train_language == "lora" and model.lora_targets.endswith("routed"):
        problems.append("lora_dropout: peft cannot drop out before routed experts; set 0 or leave routed out")
    return problems


def _range_problems(get) -> list[str]:
    at_least = {
        "lora_r": 1, "lora_alpha": 1, "lora_dropout": 0, "max_length": 1, "text_weight": 0, "box_weight": 0,
        "box_beta": 0, "loss_chunks": 1, "eval_pages": 0, "eval_max_new_tokens": 1, "learning_rate": 0,
        "guard_pages": 1, "guard_tolerance": 0,
    }  # fmt: skip
    problems = [f"{name}: {get(name)} is less than {low}" for name, low in at_least.items() if get(name) < low]
    if get("lora_dropout") >= 1:
        problems.append(f"lora_dropout: {get('lora_dropout')} must be less than 1")
    if get("max_patches") is not None and not 2 <= get("max_patches") <= 6:
        problems.append(f"max_patches: {get('max_patches')} is not between 2 and 6, what the model was trained with")
    if get("text_weight") == 0 and get("box_weight") == 0:
        problems.append("text_weight and box_weight are both 0: there is nothing to learn")
    return problems


def _name_problems(get) -> list[str]:
    problems = []
    for name, known in (("tasks", PROMPTS), ("prompts", PROMPTS), ("token_weights", ROLES)):
        for key in get(name):
            if key not in known:
                problems.append(f"{name}: {key!r} is none of {', '.join(known)}")
    for name in ("tasks", "token_weights", "label_weights"):
        problems += [f"{name}: {key}: {value} is negative" for key, value in get(name).items() if value < 0]
    if get("token_weights").get("eos") == 0:
        problems.append("token_weights: eos: 0: a model that never learns to end does not end; give it a weight")
    if get("overlong") == "split" and not get("tasks").get("markdown"):
        problems.append("overlong: split: only targets of the task markdown have regions to cut at; use drop")
    if not sum(get("tasks").values()) > 0:
        problems.append("tasks: no task has a share above 0")
    for task, prompt in get("prompts").items():
        if prompt.count("<image>") != 1:
            problems.append(f"prompts: {task}: {prompt!r} must hold <image> exactly once")
    return problems


def loop_guard_problems(ngram: int, window: int) -> list[str]:
    """What is wrong with a loop guard that forbids repeating `ngram` tokens within `window`; 0 tokens: no guard."""
    if ngram == 0:
        return []
    if ngram < 2:
        return [f"no_repeat_ngram: {ngram}: must be 0 (off) or at least 2, or no token could come twice"]
    if window < ngram:
        return [f"no_repeat_window: {window} is shorter than no_repeat_ngram: {ngram}, so nothing would ever be found"]
    return []


def _box_contradictions(model: ModelArguments, get) -> list[str]:
    problems = []
    if model.train_box_head and get("box_source") != "head":
        problems.append("train_box_head: there is a box head only with box_source: head")
    if model.train_box_head and get("box_weight") == 0:
        problems.append("train_box_head: with box_weight 0 the head gets no gradient")
    if get("box_source") == "head" and get("box_weight") > 0 and not model.train_box_head:
        problems.append("box_source: head needs train_box_head: true, or box_weight: 0")
    return problems


def _rate_contradictions(model: ModelArguments, values: dict[str, Any]) -> list[str]:
    trained = {
        "vision_learning_rate": model.train_vision != "none",
        "projector_learning_rate": model.train_projector,
        "box_head_learning_rate": model.train_box_head,
    }
    return [
        f"{name}: without effect, that part does not train"
        for name, trains in trained.items()
        if values.get(name) is not None and not trains
    ]


def _guard_contradictions(get) -> list[str]:
    if get("guard_dataset") is None:
        names = ("guard_split", "guard_pages", "guard_tolerance")
        given = [name for name in names if get(name) != _default(_known()[name], name)]
        return [f"{', '.join(given)}: without effect, there is no guard_dataset"] if given else []
    if get("eval_strategy") == "no":
        return ["guard_dataset: it is read at evaluations, and there are none; set eval_strategy: steps or epoch"]
    return []


def _best_model_contradictions(get) -> list[str]:
    problems = []
    patience, metric = get("early_stopping_patience"), (get("metric_for_best_model") or "loss").removeprefix("eval_")
    if patience is not None and patience < 1:
        problems.append(f"early_stopping_patience: {patience} is less than 1; null turns early stopping off")
    if patience is not None and get("eval_strategy") == "no":
        problems.append(
            "early_stopping_patience: counts evaluations, and eval_strategy is no; set it to steps or epoch"
        )
    if patience is not None and not get("load_best_model_at_end"):
        problems.append(
            "early_stopping_patience: set load_best_model_at_end: true, or the run ends with the model that got no "
            "better"
        )
    if metric not in METRICS:
        problems.append(f"metric_for_best_model: {metric!r} is none of {', '.join(METRICS)}")
    if metric in READ_METRICS and get("eval_pages") == 0:
        problems.append(f"metric_for_best_model: {metric} is measured by generation, and eval_pages is 0")
    if metric == "guard_cer" and get("guard_dataset") is None:
        problems.append("metric_for_best_model: guard_cer: there is no guard_dataset")
    greater = get("greater_is_better")
    if greater is not None and metric in METRICS and greater != (metric in HIGHER_IS_BETTER):
        problems.append(f"greater_is_better: {greater}: would keep the worst checkpoint by {metric}; leave it out")
    return problems


def _machine_problems(args: OCR2TrainingArguments) -> list[str]:
    """What the recipe asks for and this machine has not."""
    problems = []
    if args.fp16 and args.device.type == "cpu":
        problems.append(
            "fp16: there is no GPU here, and a CPU would train in float32 without a word; use bf16: true, or neither"
        )
    for tracker in args.report_to:
        if tracker not in INTEGRATION_TO_CALLBACK:
            problems.append(f"report_to: {tracker!r} is none of {', '.join(INTEGRATION_TO_CALLBACK)}")
        elif tracker not in get_available_reporting_integrations():
            problems.append(f"report_to: {tracker} is not installed here; install it, or set report_to: none")
    return problems
