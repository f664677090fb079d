"""What cannot be done with a recipe here, as it was launched: refused by name, before anything heavy loads.

What is wrong with a recipe wherever it runs is `ocr2_hf.recipe_checks`'s; here are the machine, the launcher and its
settings.
"""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import torch
from accelerate.utils import broadcast_object_list, gather_object
from transformers import Trainer
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.training_args import OptimizerNames, ParallelMode

from ocr2_hf.data.load import load_dataset
from ocr2_hf.data.page_tasks import check_boxes
from ocr2_hf.data.shares import shares_of
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.load import context_length
from ocr2_hf.publishing.contents import STATE_FILE
from ocr2_hf.recipe import OCR2TrainingArguments, Recipe
from ocr2_hf.recipe_fields import KEYS, LIBRARY, OURS, DataArguments
from ocr2_hf.training.run_folder import named_checkpoint


def end_all(refusal: str | None) -> None:
    """Raise `WorkError` on every process where the first one has a reason, such as a locked folder."""
    (told,) = broadcast_object_list([refusal])
    if told:
        raise WorkError(told)


def check_launch(recipe: Recipe, args: OCR2TrainingArguments) -> None:
    """Raise `UsageError` with everything that this launch of the recipe cannot do; `args` are the recipe's."""
    problems = [
        *_machine_problems(recipe, args),
        *_launcher_problems(recipe, args),
        *_batch_problems(args),
        *_resume_problems(args),
    ]
    _refuse(problems or [*_folder_problems(args)])


def check_machine(recipe: Recipe, args: OCR2TrainingArguments) -> None:
    """Raise `UsageError` with what the recipe asks for and this machine has not, however it was launched."""
    _refuse([*_machine_problems(recipe, args)])


def check_context(recipe: Recipe) -> None:
    """Raise `UsageError` where sequences, of the recipe or of a stage, may be longer than the model's context; only the
    model's configuration is read."""
    context = context_length(recipe.model.model)
    longest = max(get("max_length") for get in _each_stage(recipe))
    if longest > context:
        raise UsageError(
            f"max_length: {longest} is more than the {context} tokens that {recipe.model.model} can read; set at most "
            f"{context}, and overlong: split for longer pages"
        )


def check_pages(recipe: Recipe) -> None:
    """Raise `UsageError` where a dataset or split is not there, or the recipe, or a stage, asks for boxes that no page
    has."""
    data = recipe.data
    pages = {name: load_dataset(name, data.train_split, columns=data.columns) for name in shares_of(data.dataset)}
    for get in _each_stage(recipe):
        check_boxes(pages, get("tasks"), get("prompts"))
    if any(get("eval_strategy") != "no" for get in _each_stage(recipe)):
        _check_evaluation(data)


def _check_evaluation(data: DataArguments) -> None:
    """A later stage may be the first that evaluates; and the message says what to do."""
    try:
        for name in shares_of(data.eval_dataset or data.dataset):
            load_dataset(name, data.eval_split, columns=data.columns)
    except UsageError as error:
        raise UsageError(
            f"{error}; the recipe evaluates on eval_split: name another by --eval_split, leave evaluation out by "
            "--eval_strategy no, or build a split with pages by --split rank and --val"
        ) from None


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UsageError(f"this recipe cannot be trained as it was launched\n{listed}")


def _machine_problems(recipe: Recipe, args: OCR2TrainingArguments) -> Iterator[str]:
    if args.fp16 and args.device.type == "cpu":
        yield "fp16: there is no GPU here, and a CPU would train in float32 without a word; use bf16: true, or neither"
    asked = [args.report_to, *(stage.values.get("report_to") or [] for stage in recipe.stages)]
    trackers = {name for names in asked for name in ([names] if isinstance(names, str) else names)}
    for name in sorted(trackers - {"all", "none", *get_available_reporting_integrations()}):
        yield f"report_to: {name} is not installed here; install it, or set none"
    yield from dict.fromkeys(problem for each in _each_stage(recipe) for problem in _stage_problems(each, args))


def _each_stage(recipe: Recipe) -> Iterator[Callable[[str], Any]]:
    """What gives the values of the recipe, or of each of its stages."""
    for own in [stage.values for stage in recipe.stages] or [{}]:
        yield lambda name, own=own: own.get(name, recipe.training(name))


def _stage_problems(get: Callable[[str], Any], args: OCR2TrainingArguments) -> Iterator[str]:
    """The optimizer is made once, for a look: some have packages of their own, each has arguments of its own."""
    values = {name: get(name) for name in LIBRARY if name in KEYS} | {"parallel_mode": args.parallel_mode}
    try:
        values["optim"] = OptimizerNames(get("optim"))
        kind, options = Trainer.get_optimizer_cls_and_kwargs(SimpleNamespace(**values))
        kind([torch.nn.Parameter(torch.zeros(1))], **options)
    except (ImportError, ValueError, TypeError, RuntimeError) as error:
        yield f"optim: {get('optim')}, optim_args: {get('optim_args')}: {error}"
    for name in ("activation_checkpointing_kwargs", "gradient_checkpointing_kwargs"):
        options = get(name) if name in KEYS else None
        if isinstance(options, dict) and options.get("offload") and args.device.type == "cpu":
            yield f"{name}: offload: there is no GPU here whose memory it would spare; leave it out"


def _launcher_problems(recipe: Recipe, args: OCR2TrainingArguments) -> Iterator[str]:
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched != args.world_size:
        yield f"{launched} processes were launched, but {args.world_size} train together"
    elif args.parallel_mode == ParallelMode.NOT_DISTRIBUTED and args.n_gpu > 1:
        yield (
            f"one process sees {args.n_gpu} GPUs: start one for each with accelerate launch --num_processes "
            f"{args.n_gpu}, or show it one with CUDA_VISIBLE_DEVICES=0"
        )
    given = {name for each in (recipe, *recipe.stages) for name, value in each.values.items() if value is not None}
    rates = [name for name in OURS if name.endswith("_learning_rate") and name in given]
    if rates and args.deepspeed_plugin is not None and "optimizer" in args.deepspeed_plugin.deepspeed_config:
        yield (
            f"{', '.join(rates)}: the DeepSpeed JSON has an optimizer of its own, which has one learning rate for all; "
            "remove its optimizer section (DeepSpeed then takes the recipe's), or these keys"
        )
    if os.environ.get("ACCELERATE_USE_FSDP") == "true" and os.environ.get("FSDP_VERSION", "1") != "2":
        yield (
            "FSDP version 1 flattens weights that train together with weights that do not; set fsdp_version: 2, as in "
            "accelerate_configs/fsdp2.yaml"
        )


def _batch_problems(args: OCR2TrainingArguments) -> Iterator[str]:
    """Ways to share out a batch that would tear pages from their boxes."""
    if args.accelerator_config.dispatch_batches:
        yield "accelerator_config: dispatch_batches cuts batches by rows, boxes have rows of their own; false"
    if args.accelerator_config.split_batches and args.tokens_per_batch is not None:
        yield "accelerator_config: split_batches cuts batches of equal size, those of tokens_per_batch are not; false"
    if not args.accelerator_config.even_batches:
        yield "accelerator_config: even_batches: false: a process without a batch lets the others wait for ever; true"
    if not args.accelerator_config.use_seedable_sampler:
        yield "accelerator_config: use_seedable_sampler: false: a stopped run goes on with other pages; true"
    if "num_steps" in (args.accelerator_config.gradient_accumulation_kwargs or {}):
        yield "accelerator_config: num_steps: set gradient_accumulation_steps, which the recipe's run is known by"
    parallel = args.parallelism_config
    sizes = {name: getattr(parallel, name, 1) for name in ("tp_size", "cp_size", "sp_size")}
    if split := [f"{name} {size}" for name, size in sizes.items() if size > 1]:
        yield f"parallelism_config: {', '.join(split)}: every process must have whole pages; set 1"


def _resume_problems(args: OCR2TrainingArguments) -> Iterator[str]:
    named = named_checkpoint(args)
    if named is not None and not (Path(named) / STATE_FILE).is_file():
        yield f"resume_from_checkpoint: {named} is no checkpoint; leave it out, the run's last one is found"


def _folder_problems(args: OCR2TrainingArguments) -> Iterator[str]:
    """Every process saves its part of a checkpoint and looks for it: machines that do not share the folder would each
    keep a piece, and only the first would resume."""
    if int(os.environ.get("LOCAL_WORLD_SIZE", "1")) >= args.world_size:
        return
    (nonce,) = broadcast_object_list([uuid4().hex])
    sign = Path(args.output_dir) / f".shared-{nonce}"
    if args.process_index == 0:
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()
    args.distributed_state.wait_for_everyone()
    blind = gather_object([] if sign.exists() else [platform.node()])
    if args.process_index == 0:
        sign.unlink()
    if blind:
        names = ", ".join(sorted(set(blind)))
        yield f"output_dir: {args.output_dir} of machine 0 is not there on {names}; name a folder on a disk all share"
