"""A recipe's types, overrides and contradictions; every problem in one message."""

import pytest
import yaml

from ocr2_hf.errors import UsageError
from ocr2_hf.recipe import OCR2TrainingArguments, load_recipe, parse_overrides
from ocr2_hf.recipe_fields import IDENTITY
from ocr2_hf.training.run_folder import check_same_run

MINIMAL = {"model": "tiny", "dataset": "letters"}


@pytest.fixture
def recipe(tmp_path):
    def load(text: str | None = None, *overrides: str, **values):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(MINIMAL | values) if text is None else text, encoding="utf-8")
        return load_recipe(path, overrides)

    return load


def problems(recipe, *overrides, **values) -> str:
    with pytest.raises(UsageError) as caught:
        recipe(None, *overrides, **values)
    return str(caught.value)


def test_yaml_numbers_that_yaml_reads_as_text_become_numbers(recipe):
    assert recipe("model: tiny\ndataset: x\nlearning_rate: 2e-5\n").training("learning_rate") == 2e-5


def test_the_defaults_are_the_tutorials(recipe):
    args = recipe(output_dir="unused").training_arguments()
    assert (args.learning_rate, args.weight_decay, args.num_train_epochs, args.logging_steps) == (
        2e-5,
        0.01,
        10,
        100,
    )
    assert (args.lr_scheduler_type, args.optim, args.text_weight, args.box_weight) == (
        "cosine",
        "adamw_torch_fused",
        1,
        0.5,
    )


def test_overrides_win_and_are_coerced(recipe):
    loaded = recipe(
        None,
        "--lora_r",
        "8",
        "--bf16=false",
        "--train_projector",
        "--tasks",
        "{ocr: 1, markdown: 3}",
        bf16=True,
    )
    assert loaded.model.lora_r == 8 and loaded.model.train_projector is True
    assert loaded.training("bf16") is False and loaded.training("tasks") == {"ocr": 1.0, "markdown": 3.0}


def test_none_is_a_word_and_null_is_nothing(recipe):
    loaded = recipe(None, "--train_vision", "none", "--max_patches", "null", train_vision="all", max_patches=4)
    assert loaded.model.train_vision == "none" and loaded.training("max_patches") is None


def test_a_launchers_local_rank_passes():
    assert parse_overrides(["--local_rank=1", "--seed", "3"]) == {"seed": "3"}


def test_words_that_are_no_overrides_are_refused():
    with pytest.raises(UsageError, match="'extra': overrides are written --key value"):
        parse_overrides(["extra"])


def test_three_mistakes_are_told_at_once(recipe):
    message = problems(recipe, learning_rte=1e-4, lora_r="many", train_vision="some")
    assert "3 problems" in message
    assert "learning_rte: unknown key; did you mean learning_rate?" in message
    assert "lora_r: 'many': input should be a valid integer" in message
    assert "train_vision: 'some': input should be 'none', 'encoder', 'all' or 'lora'" in message


def test_problems_of_every_kind_are_told_in_one_message(recipe):
    message = problems(
        recipe, learning_rte=1e-4, lora_r="many", loss_chunks=0, tasks={"ocr": -1, "translate": 1}, push_to_hub=True
    )
    assert message.splitlines()[0].endswith("6 problems in the recipe")
    for told in (
        "learning_rte: unknown key; did you mean learning_rate?",
        "lora_r: 'many': input should be a valid integer",
        "loss_chunks: 0: input should be greater than 0",
        "tasks: ocr: -1: input should be greater than or equal to 0",
        "tasks: 'translate': input should be 'ocr', 'markdown'",
        "hub_model_id: None is not ORG/NAME",
    ):
        assert told in message


def test_what_depends_on_a_broken_value_is_not_guessed(recipe):
    message = problems(recipe, train_language="none", train_vision="some", cache_vision_features=True, augment="fog")
    assert "2 problems" in message and "nothing trains" not in message and "cache_vision_features" not in message


def test_problems_of_stages_are_told_beside_the_recipes(recipe):
    stages = [
        {"name": "one", "share": 0.5, "lora_r": 0, "seed": 1},
        {"name": "two", "share": 0.5, "train_vision": "all", "vision_learning_rate": -1, "train_language": "none"},
        {"name": "three", "share": 0.5, "train_language": "none", 4: 4},
    ]
    message = problems(recipe, loss_chunks=0, vision_learning_rate=1e-5, stages=stages)
    assert "9 problems" in message
    for told in (
        "- loss_chunks: 0",
        "stage one: lora_r: 0",
        "stage one: seed: is the same in all stages",
        "stage one: vision_learning_rate: without effect",
        "stage two: vision_learning_rate: -1",
        "stage three: 4: unknown key",
        "stage three: nothing trains",
        "stage three: vision_learning_rate: without effect",
        "stages: the shares add up to 1.5",
    ):
        assert told in message


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"train_language": "none"}, "nothing trains"),
        ({"train_language": "full", "lora_r": 8}, "lora_r: without effect"),
        (
            {"lora_targets": "attention+shared+routed", "lora_dropout": 0.1},
            "cannot drop out before routed experts",
        ),
        ({"train_vision": "lora", "train_language": "full"}, "peft cannot load"),
        ({"train_box_head": True}, "only with box_source: head"),
        ({"box_source": "head"}, "needs train_box_head"),
        ({"box_source": "head", "train_box_head": True, "box_weight": 0}, "no gradient"),
        ({"vision_learning_rate": 1e-5}, "vision_learning_rate: without effect"),
        ({"text_weight": 0, "box_weight": 0}, "nothing to learn"),
        (
            {"tasks": {"ocr": 1, "translate": 1}},
            "tasks: 'translate': input should be 'ocr', 'markdown', ",
        ),
        ({"tasks": {"ocr": 0}}, "no task has a share above 0"),
        ({"token_weights": {"word": 2}}, "token_weights: 'word': input should be 'text', 'coordinate', 'tag' or 'eos'"),
        ({"token_weights": {"eos": -1}}, "token_weights: eos: -1: input should be greater than or equal to 0"),
        ({"token_weights": {"eos": 0}}, "token_weights: {'eos': 0}: a model that never learns to end does not end"),
        ({"overlong": "split", "tasks": {"ocr": 1}}, "overlong: split: only targets of the task markdown"),
        ({"overlong": "cut"}, "overlong: 'cut': input should be 'drop' or 'split'"),
        ({"no_repeat_window": 19}, "no_repeat_window: 19 is shorter than no_repeat_ngram: 20"),
        ({"no_repeat_ngram": 1}, "no_repeat_ngram: 1: must be 0 (off) or at least 2"),
        ({"dtype": "bfloat16", "train_projector": True}, "dtype: bfloat16 with bf16 off: parts trained in full are"),
        ({"dtype": "bfloat16", "train_language": "full"}, "set bf16: true, or dtype: float32"),
        ({"dtype": "bfloat16", "fp16": True}, "dtype: bfloat16 and fp16: two kinds of 16 bits"),
        ({"dtype": "float16", "bf16": True}, "dtype: float16 and bf16: two kinds of 16 bits"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor: 0.1: the weighted loss has no smoothing"),
        ({"train_sampling_strategy": "group_by_length"}, "pages have no column of lengths"),
        ({"cache_vision_features": True}, "augment: light changes them in every epoch; set augment: none"),
        (
            {"cache_vision_features": True, "augment": "none", "train_vision": "lora"},
            "cache_vision_features: with train_vision: lora the vision encoder's outputs change at every step",
        ),
        (
            {"cache_vision_features": True, "augment": "none", "tasks": {"markdown": 1, "table": 1}},
            "cache_vision_features: the task table shows a piece of a page",
        ),
        ({"vision_cache_dir": "/x"}, "vision_cache_dir: without effect, cache_vision_features is off"),
        ({"tokens_per_batch": 4000}, "tokens_per_batch: 4000 is less than max_length: 4096"),
        ({"tokens_per_batch": 8192, "train_sampling_strategy": "sequential"}, "puts pages of like length together"),
        ({"tokens_per_batch": 8192, "dataloader_drop_last": True}, "dataloader_drop_last: with tokens_per_batch"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram: -1: input should be greater than or equal to 0"),
        ({"prompts": {"ocr": "Free OCR."}}, "must hold <image> exactly once"),
        ({"prompts": {"ocr": "<image>\n<|User|>Read."}}, "must not hold <|User|>, a control token of the model's own"),
        ({"max_patches": 9}, "max_patches: 9: input should be less than or equal to 6"),
        ({"loss_chunks": 0}, "loss_chunks: 0: input should be greater than 0"),
        ({"box_beta": -0.1}, "box_beta: -0.1: input should be greater than or equal to 0"),
        ({"lora_dropout": 1}, "lora_dropout: 1: input should be less than 1"),
        ({"label_weights": {"table": -1}}, "label_weights: table: -1: input should be greater than or equal to 0"),
        ({"learning_rate": -1e-5}, "learning_rate: -1e-05: input should be greater than or equal to 0"),
        ({"gradient_checkpointing_kwargs": {"use_reentrant": True}}, "only the other kind is made for this model"),
        (
            {"report_to": "tensorbord"},
            "report_to: 'tensorbord': input should be a valid list; or is none of none, ",
        ),
        ({"dataset": ""}, "say which built dataset"),
        ({"remove_unused_columns": True}, "remove_unused_columns: True: must be false"),
        ({"bf16": True, "fp16": True}, "choose one"),
        ({"guard_dataset": "general"}, "guard_dataset: it is read at evaluations, and there are none"),
        ({"guard_pages": 4, "guard_tolerance": 0.1}, "guard_pages, guard_tolerance: without effect"),
        (
            {"guard_dataset": "general", "eval_strategy": "epoch", "guard_pages": 0},
            "guard_pages: 0: input",
        ),
        (
            {"guard_dataset": "general", "eval_strategy": "epoch", "guard_tolerance": -1},
            "guard_tolerance: -1: input should be greater than or equal to 0",
        ),
        ({"early_stopping_patience": 3}, "counts evaluations, and eval_strategy is no"),
        ({"early_stopping_patience": 3, "eval_strategy": "epoch"}, "set load_best_model_at_end: true"),
        ({"early_stopping_patience": 0}, "early_stopping_patience: 0: input should be greater than 0"),
        ({"metric_for_best_model": "accuracy"}, "metric_for_best_model: 'accuracy' is none of loss, "),
        ({"metric_for_best_model": "eval_cer", "eval_pages": 0}, "cer is measured by generation, and eval_pages is 0"),
        ({"metric_for_best_model": "guard_cer"}, "there is no guard_dataset"),
        ({"push_to_hub": True}, "hub_model_id: None is not ORG/NAME"),
        ({"push_to_hub": True, "hub_model_id": "letters"}, "hub_model_id: 'letters' is not ORG/NAME"),
        (
            {"push_to_hub": True, "hub_model_id": "me/x", "hub_strategy": "checkpoint"},
            "should be 'end' or 'every_save'",
        ),
        ({"push_to_hub": True, "hub_model_id": "me/x", "hub_always_push": True}, "hub_always_push: True: is not heard"),
        ({"push_to_hub": True, "hub_model_id": "me/x", "hub_revision": "dev"}, "hub_revision: dev: is not heard"),
        ({"hub_token": "hf_abc"}, "hub_token: the recipe is saved beside the model and pushed with it"),
        ({"stages": [{"name": "one", "hub_example": False}]}, "hub_example: is the same in all stages"),
        ({"metric_for_best_model": "cer", "greater_is_better": True}, "would keep the worst checkpoint by cer"),
        ({"metric_for_best_model": "bbox_iou", "greater_is_better": False}, "would keep the worst checkpoint by bbox"),
    ],
)
def test_contradictions_are_refused_by_name(recipe, values, told):
    assert told in problems(recipe, **values)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: [", "not valid YAML"),
        ("- model", "must be a YAML mapping"),
        ("", "must be a YAML mapping"),
        ("1: tiny", "must be a YAML mapping"),
        ("model: tiny\nmodel: other", "the key 'model' stands twice"),
        ("model: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_broken_yaml_is_refused(recipe, text, told):
    with pytest.raises(UsageError, match=told):
        recipe(text)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_what_the_library_refuses_is_told_in_its_words(recipe):
    with pytest.raises(UsageError, match=r"training block is refused: .*load_best_model_at_end"):
        recipe(load_best_model_at_end=True, eval_strategy="steps", save_strategy="epoch").training_arguments()


def test_the_library_is_not_to_push_itself(recipe, tmp_path):
    """It would upload the whole folder: pickles, and evaluations with the pages' texts and images."""
    loaded = recipe(push_to_hub=True, hub_model_id="me/letters", output_dir=str(tmp_path))
    args = loaded.training_arguments()
    assert loaded.training("push_to_hub") and not args.push_to_hub
    assert (args.hub_model_id, args.hub_strategy, args.hub_example) == ("me/letters", "end", True)


def test_where_a_run_is_pushed_to_may_change_while_it_goes_on(recipe, tmp_path):
    recipe().save(tmp_path / "run" / "recipe.yaml")
    check_same_run(recipe(push_to_hub=True, hub_model_id="me/x", hub_example=False), tmp_path / "run")


def test_the_best_checkpoint_by_cer_is_the_lowest(tmp_path):
    assert OCR2TrainingArguments(output_dir=str(tmp_path), metric_for_best_model="cer").greater_is_better is False
    assert OCR2TrainingArguments(output_dir=str(tmp_path), metric_for_best_model="eval_cer").greater_is_better is False
    for name, greater in (
        ("bbox_iou", True),
        ("token_accuracy", True),
        ("repetition_rate", False),
        ("guard_cer", False),
    ):
        arguments = OCR2TrainingArguments(output_dir=str(tmp_path), metric_for_best_model=name)
        assert arguments.greater_is_better is greater, name


def test_what_makes_a_run_this_run_is_as_it_was():
    """Runs of the version before go on: a name that comes or goes would compare what they did not mean."""
    assert set(IDENTITY) == {
        *("model", "dtype", "attn_implementation", "experts_implementation", "train_vision", "train_projector"),
        *("train_language", "train_box_head", "lora_targets", "lora_r", "lora_alpha", "lora_dropout", "dataset"),
        *("stopping_strategy", "train_split", "guard_dataset", "guard_split", "guard_pages", "tasks", "prompts"),
        *("max_length", "overlong", "max_patches", "augment", "tokens_per_batch", "text_weight", "box_weight"),
        *("box_beta", "box_source", "token_weights", "label_weights", "loss_chunks", "learning_rate"),
        *("vision_learning_rate", "projector_learning_rate", "box_head_learning_rate", "weight_decay", "seed"),
        *("stages", "per_device_train_batch_size", "gradient_accumulation_steps", "data_seed"),
    }


def test_more_patience_or_tolerance_goes_on_with_the_same_run(recipe, tmp_path):
    run = {"guard_dataset": "general", "eval_strategy": "epoch", "save_strategy": "epoch"}
    recipe(**run).save(tmp_path / "run" / "recipe.yaml")
    check_same_run(recipe(**run, guard_tolerance=0.5), tmp_path / "run")
    check_same_run(recipe(**run, load_best_model_at_end=True, early_stopping_patience=2), tmp_path / "run")
    with pytest.raises(UsageError, match="guard_pages: 32 there, 8 now"):
        check_same_run(recipe(**run, guard_pages=8), tmp_path / "run")


def test_a_guard_and_early_stopping_by_cer_are_accepted(recipe, tmp_path):
    args = recipe(
        guard_dataset="general",
        early_stopping_patience=3,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="cer",
        output_dir=str(tmp_path),
    ).training_arguments()
    assert (args.guard_pages, args.guard_tolerance, args.early_stopping_patience) == (32, 0.02, 3)


def test_a_run_goes_on_with_and_without_stored_features_but_not_with_other_batches(recipe, tmp_path):
    recipe(augment="none").save(tmp_path / "run" / "recipe.yaml")
    check_same_run(recipe(augment="none", cache_vision_features=True, vision_cache_dir="/x"), tmp_path / "run")
    with pytest.raises(UsageError, match="tokens_per_batch: None there, 8192 now"):
        check_same_run(recipe(augment="none", tokens_per_batch=8192), tmp_path / "run")


def test_the_resolved_recipe_loads_again_as_the_same(recipe, tmp_path):
    first = recipe(token_weights={"eos": 2}, num_train_epochs=3)
    first.save(tmp_path / "out" / "recipe.yaml")
    again = load_recipe(tmp_path / "out" / "recipe.yaml")
    assert again.resolved() == first.resolved() and again.training("token_weights") == {"eos": 2.0}
