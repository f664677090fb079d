"""What is wrong with a recipe whose values each have the right type: ranges, unknown names, contradictions."""

from dataclasses import fields
from typing import Any

from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from ocr2_hf.data.augment import augment_problems
from ocr2_hf.data.collator import ROLES
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.recipe_fields import (
    HIGHER_IS_BETTER,
    METRICS,
    READ_METRICS,
    ModelArguments,
    OCR2TrainingArguments,
    default_of,
    known_fields,
)


def contradictions(values: dict[str, Any]) -> list[str]:
    """What is wrong with values that each have the right type."""

    def get(name: str) -> Any:
        return values.get(name, default_of(known_fields()[name], name))

    model = ModelArguments(**{f.name: get(f.name) for f in fields(ModelArguments)})
    return [
        *_model_contradictions(model, values),
        *_precision_contradictions(model, get),
        *_checkpointing_problems(values),
        *_unheard(get),
        *_range_problems(get),
        *_name_problems(get),
        *augment_problems(get("augment")),
        *_cache_contradictions(model, get),
        *_batch_contradictions(get),
        *_box_contradictions(model, get),
        *_rate_contradictions(model, values),
        *_guard_contradictions(get),
        *_best_model_contradictions(get),
        *loop_guard_problems(get("no_repeat_ngram"), get("no_repeat_window")),
        *_hub_problems(get),
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


def _precision_contradictions(model: ModelArguments, get) -> list[str]:
    """Weights that train are float32 whatever `dtype` says of the others; mixed precision lets the two meet."""
    mixed = "bf16" if get("bf16") else "fp16" if get("fp16") else ""
    if (model.dtype, mixed) in (("bfloat16", "fp16"), ("float16", "bf16")):
        return [f"dtype: {model.dtype} and {mixed}: two kinds of 16 bits; set dtype: auto"]
    in_full = model.train_vision in ("encoder", "all") or model.train_projector or model.train_language == "full"
    if model.dtype == "bfloat16" and not mixed and in_full:
        return [
            "dtype: bfloat16 with bf16 off: parts trained in full are float32 and cannot meet bfloat16 weights without "
            "mixed precision; set bf16: true, or dtype: float32"
        ]
    return []


def _checkpointing_problems(values: dict[str, Any]) -> list[str]:
    """Reentrant checkpointing needs inputs with gradients, which cost a frozen vision tower its whole backward pass."""
    names = ("gradient_checkpointing_kwargs", "activation_checkpointing_kwargs")
    given = [name for name in names if isinstance(values.get(name), dict) and values[name].get("use_reentrant")]
    return [f"{name}: use_reentrant: true: only the other kind is made for this model; leave it out" for name in given]


def _unheard(get) -> list[str]:
    """Fields of the library's that would be heard by its own loss or sampler, and are not by ours."""
    problems = []
    if get("label_smoothing_factor"):
        problems.append("label_smoothing_factor: the weighted loss has no smoothing; leave it out")
    if get("train_sampling_strategy") in ("group_by_length", "batch_rebalance"):
        problems.append(
            f"train_sampling_strategy: {get('train_sampling_strategy')}: pages have no column of lengths; use random, "
            "or set tokens_per_batch"
        )
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


def _cache_contradictions(model: ModelArguments, get) -> list[str]:
    """Stored outputs of the vision encoder stand still."""
    if not get("cache_vision_features"):
        without = get("vision_cache_dir") is not None
        return ["vision_cache_dir: without effect, cache_vision_features is off"] if without else []
    problems = []
    if model.train_vision != "none":
        problems.append(
            f"cache_vision_features: with train_vision: {model.train_vision} the vision encoder's outputs change at "
            "every step; set train_vision: none, or leave the cache out"
        )
    if get("augment") not in ("none", {}):
        problems.append(
            f"cache_vision_features: images are encoded once, before training, and augment: {get('augment')} changes "
            "them in every epoch; set augment: none, or leave the cache out"
        )
    if get("tasks").get("table"):
        problems.append(
            "cache_vision_features: the task table shows a piece of a page, another for each table, pages are encoded "
            "whole; leave the task or the cache out"
        )
    return problems


def _batch_contradictions(get) -> list[str]:
    tokens = get("tokens_per_batch")
    if tokens is None:
        return []
    problems = []
    if tokens < get("max_length"):
        problems.append(
            f"tokens_per_batch: {tokens} is less than max_length: {get('max_length')}, so the longest pages would fit "
            "in no batch; raise it, or lower max_length"
        )
    if get("train_sampling_strategy") == "sequential":
        problems.append("train_sampling_strategy: sequential: tokens_per_batch puts pages of like length together")
    if get("dataloader_drop_last"):
        problems.append("dataloader_drop_last: with tokens_per_batch no batch is short; leave it out")
    return problems


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
        given = [name for name in names if get(name) != default_of(known_fields()[name], name)]
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


def _hub_problems(get) -> list[str]:
    if get("hub_token"):
        return [
            "hub_token: the recipe is saved beside the model and pushed with it; log in with `hf auth login` or set "
            "HF_TOKEN"
        ]
    if not get("push_to_hub"):
        return []
    problems = [
        f"{name}: is not heard; the model goes to the main branch, and a save is passed over while the one before is "
        "on its way"
        for name in ("hub_revision", "hub_always_push")
        if name in known_fields() and get(name)
    ]
    if (get("hub_model_id") or "").count("/") != 1:
        problems.append(f"hub_model_id: {get('hub_model_id')!r} is not ORG/NAME, where push_to_hub is to push to")
    return problems


def machine_problems(args: OCR2TrainingArguments) -> list[str]:
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
