"""What becomes of each field of the library's `TrainingArguments`: used, refused, or without effect.

Every field has one row. A field of which only some values are refused, or without effect, has the row that says so.
What two fields make wrong together is in `ocr2_hf.recipe_checks`. A default is never refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

Get = Callable[[str], Any]


@dataclass(frozen=True)
class Row:
    """What becomes of a field, why, and for which of its values: `holds(value, get)`; `get` has those of all keys."""

    kind: Literal["used", "refused", "without effect"]
    reason: str = ""
    holds: Callable[[Any, Get], bool] = lambda value, get: True


def _rows(kind: Literal["refused", "without effect"], names: str, reason: str, holds=Row.holds) -> dict[str, Row]:
    return dict.fromkeys(names.split(), Row(kind, reason, holds))


_refused, _without_effect = partial(_rows, "refused"), partial(_rows, "without effect")

# Beginnings of names. The last has other weights in training than in evaluation.
_OPTIMIZERS = ("galore", "apollo", "lomo", "adalomo", "schedule_free")
_CHECKPOINTING = {"every_n_layers", "offload", "preserve_rng_state", "determinism_check", "debug", "use_reentrant"}


def _checkpointing(value: Any, get: Get) -> bool:
    """Reentrant checkpointing needs inputs with gradients, which cost a frozen vision tower its whole backward pass."""
    return not isinstance(value, dict) or bool(value.get("use_reentrant")) or not set(value) <= _CHECKPOINTING


def _not_reported_to(*trackers: str) -> Callable[[Any, Get], bool]:
    """Whether none of the trackers, or none at all where none is named, is reported to."""

    def holds(value: Any, get: Get) -> bool:
        asked = get("report_to") or "none"
        asked = {asked} if isinstance(asked, str) else set(asked)
        return not asked - {"none"} if not trackers else not asked & {"all", *trackers}

    return holds


# First batches, then precision and memory, then logs, evaluation and checkpoints, then loading and launching.
_USED = """
    output_dir num_train_epochs max_steps per_device_train_batch_size gradient_accumulation_steps
    per_device_eval_batch_size seed data_seed use_cpu full_determinism resume_from_checkpoint
    learning_rate lr_scheduler_type lr_scheduler_kwargs warmup_steps optim_args weight_decay
    adam_beta1 adam_beta2 adam_epsilon max_grad_norm neftune_noise_alpha bf16 fp16 tf32
    activation_checkpointing gradient_checkpointing torch_empty_cache_steps
    torch_compile torch_compile_backend torch_compile_mode
    logging_strategy logging_steps logging_first_step logging_nan_inf_filter log_level
    log_level_replica log_on_each_node disable_tqdm report_to include_num_input_tokens_seen
    debug skip_memory_metrics eval_strategy eval_steps eval_delay eval_on_start
    save_strategy save_steps save_total_limit load_best_model_at_end metric_for_best_model
    greater_is_better push_to_hub hub_model_id hub_private_repo hub_strategy
    dataloader_drop_last dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers
    dataloader_prefetch_factor dataloader_multiprocessing_context accelerator_config deepspeed
    ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_backend ddp_timeout
"""
LIBRARY_ROWS: dict[str, Row] = {
    **dict.fromkeys(_USED.split(), Row("used")),
    # Learning rates, optimizer, precision, memory.
    **_refused(
        "optim",
        "is not made for this trainer: it does not hear the recipe's learning rates and weight decay, or has other "
        "weights in training than in evaluation; use adamw_torch_fused, adamw_8bit or adafactor",
        lambda value, get: str(value).startswith(_OPTIMIZERS),
    ),
    **_refused("optim_target_modules", "is for GaLore and APOLLO, which are refused; leave it out"),
    **_refused("label_smoothing_factor", "the weighted loss has no smoothing; leave it out"),
    **_refused(
        "bf16_full_eval fp16_full_eval",
        "evaluation runs in the precision of training; set bf16: true or fp16: true for both",
    ),
    **_refused(
        "activation_checkpointing_kwargs gradient_checkpointing_kwargs",
        f"can hold {', '.join(sorted(_CHECKPOINTING))}; use_reentrant must be false, only the other kind is made for "
        "this model",
        _checkpointing,
    ),
    **_refused(
        "use_liger_kernel liger_kernel_config",
        "this model computes its loss itself, in chunks (loss_chunks); leave it out",
    ),
    **_refused("use_cache", "training reads no cache and would fill one at every step; generation has its own"),
    **_refused(
        "auto_find_batch_size",
        "a smaller batch makes another run than the recipe's; lower per_device_train_batch_size and raise "
        "gradient_accumulation_steps (`ocr2 plan` says what fits)",
    ),
    **_without_effect("average_tokens_across_devices", "losses are always normalised over all processes"),
    # Logging.
    **_without_effect("run_name", "report_to names no tracker", _not_reported_to()),
    **_without_effect(
        "project trackio_space_id trackio_bucket_id trackio_static_space_id",
        "report_to does not name trackio",
        _not_reported_to("trackio"),
    ),
    # Evaluation: terms are summed, and what is read is scored, by `OCR2Trainer.evaluate`.
    **_without_effect(
        "prediction_loss_only include_for_metrics batch_eval_metrics eval_do_concat_batches",
        "evaluation sums losses and reads pages; it keeps no predictions of batches",
    ),
    **_without_effect(
        "eval_accumulation_steps eval_use_gather_object label_names",
        "evaluation sums losses and reads pages; it gathers no predictions of batches",
    ),
    # Checkpoints and resuming.
    **_refused(
        "save_only_model",
        "a stopped run would go on with a fresh optimizer and learning rate schedule; the final model is saved without "
        "them anyway, and save_total_limit saves disk",
    ),
    **_refused("save_on_each_node", "all machines share output_dir, where each would write the same files"),
    **_refused("enable_jit_checkpoint", "a run that gets SIGTERM saves and stops by itself; leave it out"),
    **_refused("ignore_data_skip", "a stopped run would begin its epoch again, with pages it had seen"),
    **_refused(
        "restore_callback_states_from_checkpoint", "what must last over a stop is restored anyway; leave it out"
    ),
    # The Hub.
    **_refused(
        "hub_token",
        "the recipe is saved beside the model and pushed with it; log in with `hf auth login` or set HF_TOKEN",
    ),
    **_refused(
        "hub_always_push hub_revision",
        "is not heard; the model goes to the main branch, and a save is passed over while the one before is on its way",
    ),
    # Loading data.
    **_refused(
        "train_sampling_strategy",
        "pages have no column of lengths; use random, or set tokens_per_batch",
        lambda value, get: value in ("group_by_length", "batch_rebalance"),
    ),
    **_without_effect("length_column_name", "pages have no column of lengths"),
    **_refused("remove_unused_columns", "must be false, the collator reads whole rows"),
    **_refused("dataloader_in_order", "a stopped run finds its place by the order of batches; leave it out"),
    # Launching.
    **_refused(
        "fsdp fsdp_config",
        "weights are split by the launcher: accelerate launch --config_file accelerate_configs/fsdp2.yaml",
    ),
    **_refused("parallelism_config", "every process must have whole pages; leave it out"),
    **_refused("ddp_static_graph", "DDP breaks off at gradient accumulation with it; leave it out"),
    **_without_effect("local_rank", "launchers set it by the environment"),
    **_without_effect("do_train do_eval do_predict", "the command says what is done, eval_strategy when"),
}


def refusal(name: str, usual: Any, get: Get) -> Iterator[str]:
    """What is wrong with the value of a field whose default is `usual`, or nothing."""
    if _speaks("refused", name, usual, get):
        named = name if name == "hub_token" else f"{name}: {get(name)}"  # a token is not to be shown
        yield f"{named}: {LIBRARY_ROWS[name].reason}"


def without_effect(name: str, usual: Any, get: Get) -> Iterator[str]:
    """That nobody hears the value of a field whose default is `usual`, or nothing."""
    if _speaks("without effect", name, usual, get):
        yield f"{name}: without effect: {LIBRARY_ROWS[name].reason}"


def _speaks(kind: str, name: str, usual: Any, get: Get) -> bool:
    """Whether the row of a field is of this kind and about its value. Two ways of being off are one."""
    row = LIBRARY_ROWS.get(name)  # a newer library may have a field that nobody has looked at
    if row is None or row.kind != kind:
        return False
    value = get(name)
    return value != usual and bool(value or usual) and row.holds(value, get)
