"""What is wrong with a recipe wherever it runs: a key against its declaration, and keys against each other.

What only the launch or the machine cannot do is `ocr2_hf.training.launch_checks`'s.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from transformers import get_scheduler

from ocr2_hf.document.plain_yaml import parse_yaml
from ocr2_hf.evaluation.registry import METRICS
from ocr2_hf.recipe_fields import KEYS, LOSS_WEIGHTS, best_model_metrics, split_metric
from ocr2_hf.recipe_library import LIBRARY_ROWS, Get, refusal

Check = Callable[[Get], Iterable[str]]


def checked(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values that are as their keys declare, in their types, and what is wrong with the others."""
    values, problems = {}, []
    for name, value in given.items():
        if name not in KEYS:
            close = difflib.get_close_matches(str(name), KEYS, n=1)
            problems.append(f"{name}: unknown key" + (f"; did you mean {close[0]}?" if close else ""))
            continue
        try:
            values[name] = KEYS[name].adapter.validate_python(value)
        except ValidationError as error:
            problems += _reasons(name, value, error)
    return values, problems


def _reasons(name: str, value: Any, error: ValidationError) -> list[str]:
    """One line for every place in the value that is wrong: `tasks: ocr: -1: input should be ...`."""
    told: dict[str, set[str]] = {}
    # What is wrong inside a mapping is told, and not that a mapping is no string either.
    inside = [detail for detail in error.errors() if isinstance(value, dict) and detail["input"] is not value]
    for detail in inside or error.errors():
        where, inner = name, value
        # pydantic's place: keys of dicts, "[key]" for a key itself, and between them the names of a union's types.
        for step in detail["loc"][:-2] if "[key]" in detail["loc"] else detail["loc"]:
            if isinstance(inner, dict) and step in inner:
                where, inner = f"{where}: {step}", inner[step]
        reason = detail["msg"].removeprefix("Value error, ")
        told.setdefault(f"{where}: {detail['input']!r}", set()).add(reason[0].lower() + reason[1:])
    return [f"{where}: {'; or '.join(sorted(reasons))}" for where, reasons in told.items()]


class _BrokenError(Exception):
    """A value was asked for that is not as its key declares."""


def contradictions(values: Mapping[str, Any], broken: Collection[str] = ()) -> list[str]:
    """What is wrong between checked values; keys that are not given have their defaults.

    `broken` are keys whose values were refused: what depends on one is not told, it would be a guess.
    """

    def get(name: str) -> Any:
        if name in broken:
            raise _BrokenError
        return values[name] if name in values else KEYS[name].default

    def told(check: Check) -> Iterator[str]:
        try:
            yield from check(get)
        except _BrokenError:
            return

    return [problem for check in _CHECKS for problem in told(check)]


def _uses_lora(get: Get) -> bool:
    return "lora" in (get("train_language"), get("train_vision"))


def _in_full(get: Get) -> list[str]:
    """The keys by which weights train themselves, not by an adapter."""
    return [
        *(["train_vision"] if get("train_vision") in ("encoder", "all") else []),
        *(["train_language"] if get("train_language") == "full" else []),
        *(name for name in ("train_projector", "train_box_head") if get(name)),
    ]


def _no_dataset(get: Get) -> Iterator[str]:
    if not get("dataset"):
        yield "dataset: say which built dataset or Hub id to train on"


def _mixture(get: Get) -> Iterator[str]:
    """What is measured on a source is called `SOURCE_loss`, and some names are taken."""
    for key in ("dataset", "eval_dataset"):
        for name in _sources(get(key)):
            if name in ("train", "eval", "guard") or name.startswith("eval_"):
                yield f"{key}: {name}_loss would be taken for another row of the log; build it under another name"
    if not isinstance(get("dataset"), dict) and get("stopping_strategy") != KEYS["stopping_strategy"].default:
        yield "stopping_strategy: without effect, dataset names one dataset"


def _sources(dataset: Any) -> Collection[str]:
    """The sources of a mixture; a single dataset is none."""
    return dataset.keys() if isinstance(dataset, dict) else ()


def _nothing_trains(get: Get) -> Iterator[str]:
    if not _in_full(get) and not _uses_lora(get):
        yield "nothing trains: set train_language, train_vision, train_projector or train_box_head"


def _nothing_to_learn(get: Get) -> Iterator[str]:
    if not any(map(get, LOSS_WEIGHTS)):
        yield f"{', '.join(LOSS_WEIGHTS)}: all are 0, so there is nothing to learn"


def _adapters(get: Get) -> Iterator[str]:
    if get("train_vision") == "lora" and get("train_language") == "full":
        yield (
            "train_vision: lora with train_language: full: peft cannot load a text model saved beside adapters again; "
            "use train_vision: encoder or all"
        )
    names = ("lora_targets", "lora_r", "lora_alpha", "lora_dropout")
    given = [name for name in names if get(name) != KEYS[name].default]
    if given and not _uses_lora(get):
        yield f"{', '.join(given)}: without effect, neither train_language nor train_vision is lora"
    if get("lora_dropout") and get("train_language") == "lora" and get("lora_targets").endswith("routed"):
        yield "lora_dropout: peft cannot drop out before routed experts; set 0 or leave routed out"


def _precision(get: Get) -> Iterator[str]:
    """Weights that train are float32 whatever `dtype` says of the others; mixed precision lets the two meet."""
    if get("bf16") and get("fp16"):
        yield "bf16 and fp16: choose one"
    mixed = "bf16" if get("bf16") else "fp16" if get("fp16") else ""
    dtype, in_full = get("dtype"), _in_full(get)
    if (dtype, mixed) in (("bfloat16", "fp16"), ("float16", "bf16")):
        yield f"dtype: {dtype} and {mixed}: two kinds of 16 bits; set dtype: auto"
    elif dtype == "bfloat16" and not mixed and set(in_full) - {"train_box_head"}:
        yield (
            "dtype: bfloat16 with bf16 off: parts trained in full are float32 and cannot meet bfloat16 weights without "
            "mixed precision; set bf16: true, or dtype: float32"
        )
    if dtype == "float16" and in_full:
        yield (
            f"dtype: float16: weights that train themselves ({', '.join(in_full)}) lose small steps in it; use auto, "
            "with fp16: true for mixed precision"
        )


def _library(name: str, get: Get) -> Iterator[str]:
    return refusal(name, KEYS[name].default, get)


def _schedule(get: Get) -> Iterator[str]:
    """Some schedules want arguments of their own, and none takes unknown ones: it is made once for a look."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    kind, options = get("lr_scheduler_type"), get("lr_scheduler_kwargs")
    try:
        get_scheduler(kind, optimizer, 1, 2, parse_yaml(options) if isinstance(options, str) else options)
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        yield f"lr_scheduler_type: {kind} with lr_scheduler_kwargs: {options}: {error}"


def _optimizer_arguments(get: Get) -> Iterator[str]:
    given = get("optim_args")
    if given and any(word.count("=") != 1 for word in given.split(",")):
        yield f"optim_args: {given!r} is not written name=value, name=value"


def _workers(get: Get) -> Iterator[str]:
    """What is said of processes that load data, where there are none."""
    names = ("dataloader_persistent_workers", "dataloader_prefetch_factor", "dataloader_multiprocessing_context")
    if get("dataloader_num_workers") == 0 and (given := [name for name in names if get(name)]):
        yield f"{', '.join(given)}: without effect, dataloader_num_workers is 0"


def _evaluations(get: Get) -> Iterator[str]:
    if get("eval_strategy") != "no":
        return
    for name in ("eval_on_start", "load_best_model_at_end"):
        if get(name):
            yield f"{name}: there are no evaluations; set eval_strategy: steps or epoch"
    if get("save_strategy") == "best":
        yield "save_strategy: best: there are no evaluations to find it; set eval_strategy: steps or epoch"


def _splitting(get: Get) -> Iterator[str]:
    if get("overlong") == "split" and not get("tasks").get("markdown"):
        yield "overlong: split: only targets of the task markdown have regions to cut at; use drop"


def loop_guard_problems(ngram: int, window: int) -> list[str]:
    """What is wrong with a loop guard that forbids repeating `ngram` tokens within `window`; 0 tokens: no guard."""
    if ngram == 0:
        return []
    if ngram < 2:
        return [f"no_repeat_ngram: {ngram}: must be 0 (off) or at least 2, or no token could come twice"]
    if window < ngram:
        return [f"no_repeat_window: {window} is shorter than no_repeat_ngram: {ngram}, so nothing would ever be found"]
    return []


def _loop_guard(get: Get) -> list[str]:
    return loop_guard_problems(get("no_repeat_ngram"), get("no_repeat_window"))


def _vision_cache(get: Get) -> Iterator[str]:
    """Stored outputs of the vision encoder do not change."""
    if not get("cache_vision_features"):
        if get("vision_cache_dir") is not None:
            yield "vision_cache_dir: without effect, cache_vision_features is off"
        return
    if get("train_vision") != "none":
        yield (
            f"cache_vision_features: with train_vision: {get('train_vision')} the vision encoder's outputs change at "
            "every step; set train_vision: none, or leave the cache out"
        )
    if get("augment") not in ("none", {}):
        yield (
            f"cache_vision_features: images are encoded once, before training, and augment: {get('augment')} changes "
            "them in every epoch; set augment: none, or leave the cache out"
        )
    if get("tasks").get("table"):
        yield (
            "cache_vision_features: the task table shows a piece of a page, another for each table, pages are encoded "
            "whole; leave the task or the cache out"
        )


def _token_batches(get: Get) -> Iterator[str]:
    tokens = get("tokens_per_batch")
    if tokens is None:
        return
    if get("train_sampling_strategy") == "sequential":
        yield "train_sampling_strategy: sequential: tokens_per_batch puts pages of like length together"
    if get("dataloader_drop_last"):
        yield "dataloader_drop_last: with tokens_per_batch no batch is short; leave it out"
    if tokens < get("max_length"):
        yield (
            f"tokens_per_batch: {tokens} is less than max_length: {get('max_length')}, so the longest pages would fit "
            "in no batch; raise it, or lower max_length"
        )


def _box_head(get: Get) -> Iterator[str]:
    trains, source, weight = get("train_box_head"), get("box_source"), get("box_weight")
    if trains and source != "head":
        yield "train_box_head: there is a box head only with box_source: head"
    if trains and weight == 0:
        yield "train_box_head: with box_weight 0 the head gets no gradient"
    if source == "head" and weight > 0 and not trains:
        yield "box_source: head needs train_box_head: true, or box_weight: 0"


def _rate(part: str, get: Get) -> Iterator[str]:
    if get(f"{part}_learning_rate") is not None and get(f"train_{part}") in (False, "none"):
        yield f"{part}_learning_rate: without effect, that part does not train"


def _guard(get: Get) -> Iterator[str]:
    if get("guard_dataset") is None:
        names = ("guard_split", "guard_pages", "guard_tolerance")
        if given := [name for name in names if get(name) != KEYS[name].default]:
            yield f"{', '.join(given)}: without effect, there is no guard_dataset"
    elif get("eval_strategy") == "no":
        yield "guard_dataset: it is read at evaluations, and there are none; set eval_strategy: steps or epoch"


def _early_stopping(get: Get) -> Iterator[str]:
    if get("early_stopping_patience") is None:
        return
    if get("eval_strategy") == "no":
        yield "early_stopping_patience: counts evaluations, and eval_strategy is no; set it to steps or epoch"
    if not get("load_best_model_at_end"):
        yield (
            "early_stopping_patience: set load_best_model_at_end: true, or the run ends with the model that got no "
            "better"
        )


def _best_model(get: Get) -> Iterator[str]:
    if get("save_strategy") == "best" and get("metric_for_best_model") is None:
        yield "save_strategy: best: by which measure? set metric_for_best_model"
    name, known = (get("metric_for_best_model") or "loss").removeprefix("eval_"), best_model_metrics()
    source, metric = split_metric(name)
    sources = _sources(get("eval_dataset") or get("dataset"))
    if metric not in known or (source and source not in sources):
        alone = f", also after {', '.join(f'{each}_' for each in sources)}" if sources else ""
        yield f"metric_for_best_model: {name!r} is none of {', '.join(known)}{alone}"
    greater = get("greater_is_better")
    if greater is not None and greater != known.get(metric, greater):
        yield f"greater_is_better: {greater}: would keep the worst checkpoint by {metric}; leave it out"
    measured = METRICS[metric].training if metric in METRICS else ""
    if measured == "reading" and get("eval_pages") == 0:
        yield f"metric_for_best_model: {metric} is measured by generation, and eval_pages is 0"
    if measured == "guard" and get("guard_dataset") is None:
        yield f"metric_for_best_model: {metric}: there is no guard_dataset"


def _hub(get: Get) -> Iterator[str]:
    if get("push_to_hub") and (get("hub_model_id") or "").count("/") != 1:
        yield f"hub_model_id: {get('hub_model_id')!r} is not ORG/NAME, where push_to_hub is to push to"


_CHECKS: tuple[Check, ...] = (
    *(_no_dataset, _mixture, _nothing_trains, _nothing_to_learn, _adapters, _precision, _splitting),
    *(_loop_guard, _vision_cache, _token_batches, _box_head, _guard, _early_stopping, _best_model, _hub),
    *(partial(_rate, part) for part in ("vision", "projector", "box_head")),
    *(_schedule, _optimizer_arguments, _workers, _evaluations),
    *(partial(_library, name) for name in LIBRARY_ROWS if name in KEYS),
)
