"""Every field of the library's `TrainingArguments` is used, refused with a reason, or said to be without effect."""

import logging
import sys
from types import ModuleType

import pytest
import torch
import yaml
from transformers import trainer_optimizer

from helpers.trainings import trainer_for
from ocr2_hf.commands import train
from ocr2_hf.errors import UsageError, run_command
from ocr2_hf.modeling.adapters import apply_policy
from ocr2_hf.modeling.tiny import build_tiny_model
from ocr2_hf.recipe import ModelArguments, load_recipe
from ocr2_hf.recipe_fields import KEYS, LIBRARY
from ocr2_hf.recipe_library import LIBRARY_ROWS
from ocr2_hf.training.job import _tell
from ocr2_hf.training.launch_checks import check_context, check_launch

# Fields that the oldest supported release may lack.
LATER = {
    *("activation_checkpointing", "activation_checkpointing_kwargs", "trackio_bucket_id", "trackio_static_space_id"),
    *("dataloader_multiprocessing_context", "dataloader_in_order", "ddp_static_graph"),
}
# Of every row a value that it is about.
REFUSED = {
    "optim": "galore_adamw",
    "optim_target_modules": "all-linear",
    "label_smoothing_factor": 0.1,
    "bf16_full_eval": True,
    "fp16_full_eval": True,
    "activation_checkpointing_kwargs": {"use_reentrant": True},
    "gradient_checkpointing_kwargs": {"use_reentrant": True},
    "use_liger_kernel": True,
    "liger_kernel_config": {"rope": True},
    "use_cache": True,
    "auto_find_batch_size": True,
    "save_only_model": True,
    "save_on_each_node": True,
    "enable_jit_checkpoint": True,
    "ignore_data_skip": True,
    "restore_callback_states_from_checkpoint": True,
    "hub_token": "hf_abc",
    "hub_always_push": True,
    "hub_revision": "dev",
    "train_sampling_strategy": "group_by_length",
    "remove_unused_columns": True,
    "dataloader_in_order": False,
    "fsdp": "full_shard",
    "fsdp_config": {"version": 2},
    "parallelism_config": {"tp_size": 2},
    "ddp_static_graph": True,
}
WITHOUT_EFFECT = {
    "average_tokens_across_devices": False,
    "run_name": "third try",
    "project": "letters",
    "trackio_space_id": "me/letters",
    "trackio_bucket_id": "me/bucket",
    "trackio_static_space_id": "me/static",
    "prediction_loss_only": True,
    "include_for_metrics": ["inputs"],
    "batch_eval_metrics": True,
    "eval_do_concat_batches": False,
    "eval_accumulation_steps": 4,
    "eval_use_gather_object": True,
    "label_names": ["labels"],
    "length_column_name": "tokens",
    "local_rank": 1,
    "do_train": True,
    "do_eval": True,
    "do_predict": True,
}


def named(kind: str) -> set[str]:
    return {name for name, row in LIBRARY_ROWS.items() if row.kind == kind}


@pytest.fixture
def written(tmp_path):
    """Writes a recipe of a dataset that is not there; returns its path."""

    def write(**values) -> str:
        path, base = tmp_path / "recipe.yaml", {"model": "tiny", "dataset": "nowhere"}
        path.write_text(yaml.safe_dump(base | {"output_dir": str(tmp_path / "run")} | values))
        return str(path)

    return write


def refusal(path: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    return str(caught.value)


class TestRows:
    def test_every_field_of_the_installed_library_has_one(self):
        assert set(LIBRARY_ROWS) >= LIBRARY, f"classify {sorted(LIBRARY - set(LIBRARY_ROWS))}"

    def test_none_is_of_a_field_that_is_gone(self):
        assert set(LIBRARY_ROWS) - LIBRARY <= LATER

    def test_each_says_why_but_those_that_are_used(self):
        assert {name for name, row in LIBRARY_ROWS.items() if not row.reason} == named("used")

    def test_each_is_tried_below(self):
        assert named("refused") == set(REFUSED) and named("without effect") == set(WITHOUT_EFFECT)

    def test_no_default_is_refused(self, written):
        defaults = {name: KEYS[name].default for name in LIBRARY if name in KEYS}
        assert load_recipe(written(**defaults | {"output_dir": "x"})).without_effect() == []


@pytest.mark.parametrize("name", sorted(LIBRARY & set(REFUSED)))
def test_what_does_harm_is_refused_with_its_reason(name, written, capsys):
    assert run_command(train.main, [written(**{name: REFUSED[name]})]) == 2
    told = capsys.readouterr().err
    assert "1 problem in the recipe" in told and f"  - {name}: " in told and LIBRARY_ROWS[name].reason in told
    assert "hf_abc" not in told


def test_what_has_no_effect_is_said_at_the_start(written, caplog, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    given = {name: value for name, value in WITHOUT_EFFECT.items() if name in LIBRARY}
    assert run_command(train.main, [written(**given)]) == 2  # there is no dataset
    told = [record.getMessage() for record in caplog.records if "without effect" in record.getMessage()]
    assert told == [f"{name}: without effect: {LIBRARY_ROWS[name].reason}" for name in sorted(given)]


def test_names_of_runs_are_used_by_trackers(written):
    recipe = load_recipe(written(report_to="tensorboard", run_name="third", project="letters"))
    assert [line.split(":")[0] for line in recipe.without_effect()] == ["project"]
    assert load_recipe(written(report_to="all", run_name="third", project="letters")).without_effect() == []


def test_stages_are_heard_too(written):
    stages = [{"name": "one", "do_predict": True}, {"name": "two", "do_predict": True}]
    assert len(load_recipe(written(stages=stages)).without_effect()) == 1


@pytest.mark.parametrize("name", ["apollo_adamw", "lomo", "adalomo", "galore_adafactor_layerwise", "schedule_free_sgd"])
def test_optimizers_that_do_not_hear_the_recipe(name, written):
    assert f"optim: {name}: is not made for this trainer" in refusal(written(optim=name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("per_device_train_batch_size", "per_device_eval_batch_size") for value in (0, -1)),
        *((name, value) for name in ("num_train_epochs", "gradient_accumulation_steps") for value in (0, -1)),
        *((name, value) for name in ("logging_steps", "save_steps", "eval_steps") for value in (0, -1)),
        *(("max_steps", 0), ("max_steps", -2), ("save_total_limit", 0), ("warmup_steps", -1), ("eval_delay", -1)),
        *(("dataloader_num_workers", -1), ("dataloader_prefetch_factor", 0), ("max_grad_norm", -1), ("seed", -1)),
        *(("seed", 2**32), ("data_seed", -1), ("adam_beta1", 1), ("adam_beta2", -0.1), ("adam_epsilon", -1)),
        *(("torch_empty_cache_steps", 0), ("ddp_timeout", 0), ("ddp_bucket_cap_mb", 0), ("neftune_noise_alpha", 0)),
        *(("num_train_epochs", float("inf")), ("learning_rate", float("nan")), ("log_level", "loud")),
        *(("include_num_input_tokens_seen", "some"), ("ddp_backend", "post"), ("train_sampling_strategy", "shuffled")),
    ],
)
def test_values_that_ended_in_a_traceback_or_in_no_training(name, value, written):
    assert f"- {name}: {value!r}: " in refusal(written(**{name: value}))


def test_shares_of_the_steps_and_what_is_not_set_are_accepted(written):
    values = {"save_steps": 0.5, "eval_steps": 0.25, "logging_steps": 0.1, "warmup_steps": 0.03, "max_steps": -1}
    load_recipe(written(**values, save_total_limit=None, log_level="info", ddp_backend="gloo", data_seed=0))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "One of min_lr or min_lr_rate should be set"),
        ({"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {"power": 2}}, "unexpected keyword argument 'power'"),
        ({"optim_args": "momentum"}, "optim_args: 'momentum' is not written name=value"),
        ({"dataloader_persistent_workers": True}, "without effect, dataloader_num_workers is 0"),
        ({"eval_on_start": True}, "eval_on_start: there are no evaluations"),
        ({"load_best_model_at_end": True, "save_strategy": "no"}, "load_best_model_at_end: there are no evaluations"),
        ({"save_strategy": "best", "metric_for_best_model": "loss"}, "save_strategy: best: there are no evaluations"),
        ({"save_strategy": "best", "eval_strategy": "epoch"}, "save_strategy: best: by which measure?"),
        ({"gradient_checkpointing_kwargs": {"every": 2}}, "can hold debug, determinism_check, every_n_layers"),
        (
            {"resume_from_checkpoint": "run/checkpoint-1", "stages": [{"name": "one"}]},
            "resume_from_checkpoint: each stage goes on from its own last checkpoint",
        ),
    ],
)
def test_fields_that_do_harm_together(values, told, written):
    assert told in refusal(written(**values))


def test_a_schedule_with_arguments_is_accepted(written):
    load_recipe(written(lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.1}))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"optim": "adamw_8bit"}, "optim: adamw_8bit, optim_args: None: You need to install `bitsandbytes`"),
        ({"optim": "sgd", "optim_args": "momentum=much"}, "optim: sgd, optim_args: momentum=much: could not convert"),
        ({"stages": [{"name": "one"}, {"name": "two", "optim": "adamw_torch_8bit"}]}, "optim: adamw_torch_8bit"),
        ({"accelerator_config": {"even_batches": False}}, "even_batches: false: a process without a batch"),
        ({"accelerator_config": {"use_seedable_sampler": False}}, "a stopped run goes on with other pages"),
        (
            {"accelerator_config": {"gradient_accumulation_kwargs": {"num_steps": 2}}},
            "num_steps: set gradient_accumulation_steps",
        ),
        ({"resume_from_checkpoint": "run/checkpoint-1"}, "run/checkpoint-1 is no checkpoint"),
        ({"gradient_checkpointing_kwargs": {"offload": True}}, "offload: there is no GPU here"),
    ],
)
def test_what_this_launch_or_machine_cannot_do(values, told, written):
    recipe = load_recipe(written(**values))
    with pytest.raises(UsageError) as caught:
        check_launch(recipe, recipe.training_arguments())
    assert told in str(caught.value) and str(caught.value).count("\n") == 1


@pytest.mark.parametrize("config", [{"sharded": True}, "nowhere.json"])
def test_an_accelerator_config_that_cannot_be_read(config, written):
    with pytest.raises(UsageError, match="the recipe's training block is refused"):
        load_recipe(written(accelerator_config=config)).training_arguments()


class TestContext:
    def test_sequences_longer_than_it_are_refused_before_anything_loads(self, written, capsys):
        assert run_command(train.main, [written(max_length=100_000)]) == 2
        assert "max_length: 100000 is more than the 4096 tokens that tiny can read" in capsys.readouterr().err

    def test_all_of_it_may_be_used(self, written):
        check_context(load_recipe(written(max_length=4096)))

    def test_of_a_stage(self, written):
        stages = [{"name": "one"}, {"name": "two", "max_length": 5000}]
        with pytest.raises(UsageError, match="max_length: 5000 is more than the 4096"):
            check_context(load_recipe(written(stages=stages)))

    def test_of_a_checkpoint_and_of_its_adapter(self, written, tmp_path):
        model = build_tiny_model()
        model.config.text_config.max_position_embeddings = 2048
        model.save_pretrained(tmp_path / "base")
        model.name_or_path = model.config.name_or_path = str(tmp_path / "base")
        apply_policy(model, ModelArguments()).save_pretrained(tmp_path / "adapter")
        for name in ("base", "adapter"):
            with pytest.raises(UsageError, match="4096 is more than the 2048 tokens"):
                check_context(load_recipe(written(model=str(tmp_path / name))))


def test_weights_of_labels_and_roles_that_no_page_has_are_told(tmp_path, caplog):
    weights = {"label_weights": {"figure": 0.5, "title": 1.5}, "token_weights": {"tag": 2.0, "coordinate": 2.0}}
    caplog.set_level(logging.WARNING, logger="ocr2_hf")
    _tell(trainer_for(tmp_path, **weights))
    assert caplog.messages == ["label_weights: no training page has figure in its target; there are: text, title"]
    caplog.clear()
    _tell(trainer_for(tmp_path, tasks={"ocr": 1.0}, **weights))
    assert caplog.messages == [
        "token_weights: no training page has coordinate, tag in its target; there are: eos, text",
        "label_weights: no training page has figure, title in its target; there are: none",
    ]


def test_data_seed_orders_token_batches(tmp_path):
    orders = {}
    for seed in (None, 0, 1, 2):
        trainer = trainer_for(tmp_path, tokens_per_batch=8192, per_device_train_batch_size=1, data_seed=seed)
        orders[seed] = str(list(trainer.get_train_dataloader().batch_sampler))
    assert len(set(orders.values())) > 1
    same = trainer_for(tmp_path, tokens_per_batch=8192, per_device_train_batch_size=1, data_seed=42)
    assert str(list(same.get_train_dataloader().batch_sampler)) == orders[None]  # 42 is seed's default


def test_own_learning_rates_leave_embeddings_in_32_bits(tmp_path, monkeypatch):
    """What the library does beside making an 8-bit optimizer is done with groups of ours too."""

    class AdamW(torch.optim.AdamW):
        def __init__(self, groups, optim_bits, is_paged, **options):
            super().__init__(groups, **options)

    kept = []

    class GlobalOptimManager:
        @classmethod
        def get_instance(cls):
            return cls

        @classmethod
        def register_module_override(cls, module, name, options):
            kept.append((type(module).__name__, name, options))

    AdamW.__module__ = "bitsandbytes.optim"
    package, optim = ModuleType("bitsandbytes"), ModuleType("bitsandbytes.optim")
    package.optim, optim.AdamW, optim.GlobalOptimManager = optim, AdamW, GlobalOptimManager
    optim.Lion = optim.RMSprop = None
    monkeypatch.setitem(sys.modules, "bitsandbytes", package)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", optim)
    monkeypatch.setattr(trainer_optimizer, "is_bitsandbytes_available", lambda: True)
    model = apply_policy(build_tiny_model(), ModelArguments(train_language="full", train_projector=True))
    optimizer = trainer_for(tmp_path, model=model, optim="adamw_8bit", projector_learning_rate=5e-4).create_optimizer()
    assert ("Embedding", "weight", {"optim_bits": 32}) in kept
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 1e-3, 5e-4, 5e-4]
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert len(grouped) == len(trained) and set(grouped) == trained


def test_the_help_says_what_becomes_of_a_field(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "refused: a stopped run would go on with a fresh optimizer" in told
    assert "without effect: losses are always normalised over all processes" in told
