"""Mixtures: how many examples of each source an epoch has, which, drawn how; trained, told, evaluated, resumed."""

import logging
import math
from collections import Counter

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset, concatenate_datasets
from hypothesis import given
from hypothesis import strategies as some
from torch.utils.data import DataLoader

from helpers.tiny_pages import page_dataset, page_row, plain_pages, processor, text_model
from helpers.trainings import QUICK, rows
from ocr2_hf import DatasetMixture, OCR2Trainer
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.mixture import PageMixture
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.shares import STOPPING_STRATEGIES, apportioned, epoch_counts
from ocr2_hf.data.token_batches import TokenBatches
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.losses import named_losses, stacked_terms
from ocr2_hf.recipe import OCR2TrainingArguments, load_recipe
from ocr2_hf.training import job

FIRST, ALL = STOPPING_STRATEGIES
TASKS = {"markdown": 1.0, "ocr": 1.0, "locate": 1.0}


def lines_of(name: str, count: int) -> Dataset:
    rows = [page_row(f"{name}{i}", (120, 90), [f"{name} {i}", "Total"], 2) for i in range(count)]
    return Dataset.from_list(rows, features=FEATURES)


def questions() -> Dataset:
    """Pages without text and boxes, each with a question of its own."""
    page = page_row("q", (130, 100), ["Sum 4.50"], 0) | {"prompt": "<image>\nWhich sum?", "target": "4.50"}
    return Dataset.from_list([page | {"id": f"q{i}", "text": ""} for i in range(3)], features=FEATURES)


def mixture(sizes: dict[str, int], shares: dict[str, float], strategy=FIRST, seed=0) -> PageMixture:
    sources = {name: PageTasks(lines_of(name, size), processor(), TASKS, seed=seed) for name, size in sizes.items()}
    return PageMixture(sources, shares, strategy)


def seen(pages: PageMixture, epoch: int) -> list[tuple[str, str, str]]:
    """Id, prompt and target of every example of an epoch."""
    pages.set_epoch(epoch)
    return [(each.id, each.prompt, each.target) for each in (pages[index] for index in range(len(pages)))]


# --- shares

PARTS = some.dictionaries(
    some.text("abcdef", min_size=1, max_size=3),
    some.tuples(some.integers(1, 3000), some.sampled_from([0.05, 0.1, 0.2, 1 / 3, 0.5, 0.7, 1, 3])),
    min_size=1,
    max_size=5,
)


@given(PARTS, some.sampled_from(STOPPING_STRATEGIES))
def test_an_epoch_has_the_shares_and_ends_where_it_says(parts, strategy):
    total = sum(share for _, share in parts.values())
    sizes = {name: size for name, (size, _) in parts.items()}
    shares = {name: share / total for name, (_, share) in parts.items()}
    try:
        counts = epoch_counts(sizes, shares, strategy)
    except WorkError as error:
        assert strategy == FIRST and "set stopping_strategy: all_exhausted" in str(error)
        return
    examples = sum(counts.values())
    assert all(abs(counts[name] - share * examples) < 1 for name, share in shares.items())
    if strategy == FIRST:  # no page twice, and one example more of each would be too many
        assert all(counts[name] <= size for name, size in sizes.items())
        assert any((examples + 1) * share > sizes[name] - 1e-3 for name, share in shares.items())
    else:  # every page of every source, and no more than it takes
        assert all(counts[name] >= size for name, size in sizes.items())
        assert any((examples - 1) * share < sizes[name] + 1e-3 for name, share in shares.items())


def test_what_is_left_over_goes_to_the_largest_remainders():
    assert apportioned(10, {"a": 0.56, "b": 0.37, "c": 0.07}) == {"a": 5, "b": 4, "c": 1}


def test_too_small_a_share_and_a_source_without_pages_are_refused():
    with pytest.raises(WorkError, match=r"^b: with so small a share not one of the 3 examples .*, which ends with a"):
        mixture({"a": 3, "b": 50}, {"a": 99, "b": 1})
    sources = {"a": PageTasks(lines_of("a", 2), processor(), TASKS), "b": PageTasks(questions(), processor(), TASKS)}
    with pytest.raises(WorkError, match="no pages of b are left: 3 nothing for these tasks"):
        PageMixture(sources, {"a": 1, "b": 1}, FIRST)
    with pytest.raises(UsageError, match="needs a share above 0"):
        DatasetMixture({"a": lines_of("a", 2)}, {"b": 1})
    with pytest.raises(UsageError, match="stopping_strategy 'never' is none of first_exhausted, all_exhausted"):
        DatasetMixture({"a": lines_of("a", 2)}, {"a": 1}, "never")


# --- which pages


def test_a_source_in_parts_gives_all_its_pages_before_any_comes_again():
    pages = mixture({"large": 7, "small": 3}, {"large": 0.4, "small": 0.6})
    assert pages.counts == {"large": 2, "small": 3}
    epochs = [[name for name, _, _ in seen(pages, epoch)] for epoch in range(7)]
    assert all(len(set(names)) == 5 and names[2:] == ["small0", "small1", "small2"] for names in epochs)
    assert Counter(name for names in epochs for name in names[:2]) == {f"large{i}": 2 for i in range(7)}
    assert [names[:2] for names in epochs[:3]] != [["large0", "large1"], ["large2", "large3"], ["large4", "large5"]]


def test_a_repeated_source_gives_every_page_equally_often_and_draws_its_tasks_anew():
    pages = mixture({"large": 9, "small": 2}, {"large": 2, "small": 1}, ALL)
    assert pages.counts == {"large": 9, "small": 5}  # 13.5 examples are 14
    repeated = [seen(pages, epoch)[9:] for epoch in range(8)]
    for epoch in repeated:
        assert sorted(Counter(name for name, _, _ in epoch).values()) == [2, 3]
    assert len({prompt for epoch in repeated for name, prompt, _ in epoch if name == "small0"}) >= 3
    assert any(len({prompt for name, prompt, _ in epoch if name == "small0"}) > 1 for epoch in repeated)


def test_a_source_that_comes_once_an_epoch_is_drawn_as_it_would_be_alone():
    pages = mixture({"a": 4, "b": 8}, {"a": 1, "b": 1})
    alone = PageTasks(lines_of("a", 4), processor(), TASKS)
    for epoch in range(3):
        alone.set_epoch(epoch)
        expected = [alone[index] for index in range(4)]
        assert seen(pages, epoch)[:4] == [(each.id, each.prompt, each.target) for each in expected]


def test_seed_and_epoch_alone_decide_not_the_order_of_names_nor_the_workers():
    sizes, shares = {"a": 4, "b": 9}, {"a": 1.0, "b": 1.0}
    pages = mixture(sizes, shares, seed=3)
    backwards = mixture(dict(reversed(sizes.items())), dict(reversed(shares.items())), seed=3)
    first, later = seen(pages, 0), seen(pages, 5)
    assert first != later and first == seen(pages, 0) == seen(backwards, 0) and later == seen(backwards, 5)
    assert [name for name, _, _ in seen(mixture(sizes, shares, seed=4), 0)] != [name for name, _, _ in first]
    loader = DataLoader(pages, batch_size=4, num_workers=2, persistent_workers=True, collate_fn=lambda batch: batch)
    for epoch, expected in ((0, first), (5, later)):  # workers that run hear of the epoch
        pages.set_epoch(epoch)
        assert [(each.id, each.prompt, each.target) for batch in loader for each in batch] == expected


def test_lengths_are_those_of_the_examples_and_never_above_the_longest():
    sources = {
        "mixed": PageTasks(page_dataset(), processor(), {"markdown": 1.0, "ocr": 1.0}),
        "lines": PageTasks(lines_of("l", 7), processor(), {"markdown": 1.0, "ocr": 1.0}),
    }
    for strategy in STOPPING_STRATEGIES:
        pages = PageMixture(sources, {"mixed": 0.5, "lines": 0.5}, strategy)
        for epoch in range(3):
            pages.set_epoch(epoch)
            drawn = pages.drawn_lengths()
            assert drawn.tolist() == [sum(pages.token_counts(index)) for index in range(len(pages))]
            assert (np.sort(drawn) <= np.sort(pages.longest_lengths())).all()
            batches = [index for batch in TokenBatches(pages, 2000, 4) for index in batch]
            assert set(batches) == set(range(len(pages)))


def test_what_an_epoch_has_is_told():
    told = mixture({"general": 8, "letters": 2}, {"general": 0.5, "letters": 0.5}).told().splitlines()
    assert told == [
        "examples of an epoch: 4",
        "  general   50.0%        2 of 8 pages: all of them within 4 epochs",
        "  letters   50.0%        2 of 2 pages: runs out, and the epoch ends",
    ]
    told = mixture({"general": 8, "letters": 2}, {"general": 0.5, "letters": 0.5}, ALL).told().splitlines()
    assert told[1:] == [
        "  general   50.0%        8 of 8 pages: runs out, and the epoch ends",
        "  letters   50.0%        8 of 2 pages: runs out and is repeated, 4.0 times in all",
    ]


# --- trained


def trainer_for(folder, datasets: dict, shares: dict, strategy=FIRST, **values) -> OCR2Trainer:
    args = OCR2TrainingArguments(output_dir=str(folder), **(QUICK | values))
    data = DatasetMixture(datasets, shares, strategy)
    return OCR2Trainer(text_model(), args, processor=processor(), train_dataset=data, eval_dataset=data)


def test_sources_of_different_kinds_side_by_side_each_with_its_losses(tmp_path):
    """Boxes, text alone, questions; a row's loss is of all pages, and of each source alone what its pages cost."""
    datasets = {"boxes": page_dataset(boxes=(2, 1, 1, 3)), "text": page_dataset(boxes=(0, 0, 0, 0)), "ask": questions()}
    tasks = {"markdown": 1.0, "custom": 1.0}
    values = {"tasks": tasks, "per_device_train_batch_size": 9, "learning_rate": 0.0, "num_train_epochs": 1}
    trainer = trainer_for(tmp_path, datasets, dict.fromkeys(datasets, 1.0), **values)
    trainer.train()
    (row,) = rows(trainer)
    model, pages = trainer.model.eval(), trainer.train_dataset
    by_hand = {}
    for number, name in enumerate(pages.sources):
        own = [page for page in map(pages.__getitem__, range(len(pages))) if page.source == number]
        assert len(own) == 3
        batch = trainer._prepare_inputs(trainer.data_collator(own))
        assert batch.pop("sources").tolist() == [number] * 3
        with torch.no_grad():
            out = model(**batch)
        by_hand[name] = stacked_terms(out.sums, out.counts).sum(dim=1)
    for name, totals in by_hand.items():
        for term, value in named_losses(totals, model.loss_settings.weights).items():
            assert row[f"{name}_{term}"] == pytest.approx(value, rel=1e-4), (name, term)
    for term, value in named_losses(sum(by_hand.values()), model.loss_settings.weights).items():
        assert row[term] == pytest.approx(value, rel=1e-4), term
    assert row["boxes_loss_box"] > 0
    assert not {"text_loss_box", "ask_loss_box"} & row.keys()  # nothing was measured there


def test_how_a_step_is_split_changes_nothing_and_a_source_without_pages_has_no_row(tmp_path):
    datasets = {"boxes": plain_pages(), "lines": lines_of("l", 2)}
    results = []
    for size in (6, 2):
        values = {"per_device_train_batch_size": size, "gradient_accumulation_steps": 6 // size, "num_train_epochs": 1}
        trainer = trainer_for(tmp_path, datasets, {"boxes": 2, "lines": 1}, **values)
        trainer.train()
        results.append(rows(trainer))
    names = [name for name in results[0][0] if "loss" in name]
    assert len(names) == 9
    ((whole,), (split,)) = results
    assert [split[name] for name in names] == pytest.approx([whole[name] for name in names], rel=1e-4)
    trainer = trainer_for(tmp_path, datasets, {"boxes": 2, "lines": 1}, per_device_train_batch_size=1, max_steps=6)
    trainer.train()
    assert Counter("boxes_loss" in row for row in rows(trainer)) == {True: 4, False: 2}
    assert all(("boxes_loss" in row) != ("lines_loss" in row) for row in rows(trainer))


def test_evaluation_counts_all_pages_and_weighs_sources_by_their_shares(tmp_path):
    datasets = {"boxes": page_dataset(), "lines": lines_of("l", 6)}
    both = trainer_for(tmp_path, datasets, {"boxes": 0.8, "lines": 0.2}, eval_pages=4, eval_max_new_tokens=4)
    metrics = both.evaluate()
    both.args.eval_pages = 0
    alone = {name: both.evaluate(data) for name, data in datasets.items()}
    for name, own in alone.items():
        for metric in ("loss", "loss_text", "loss_box", "token_accuracy"):
            assert metrics[f"eval_{name}_{metric}"] == pytest.approx(own[f"eval_{metric}"], rel=1e-5)
    # Of tokens and boxes as many as pages in these shares would have.
    totals = {name: both._loss_totals(both.model, pages) for name, pages in both.eval_dataset.sources.items()}
    weighted = totals["boxes"] * 0.8 / 4 + totals["lines"] * 0.2 / 6
    assert metrics["eval_loss_text"] == pytest.approx((weighted[0] / weighted[2]).item(), rel=1e-5)
    assert metrics["eval_loss_box"] == pytest.approx((weighted[1] / weighted[3]).item(), rel=1e-5)
    between = sorted(own["eval_loss_text"] for own in alone.values())
    assert between[0] < metrics["eval_loss_text"] < between[1]
    assert {"eval_cer", "eval_boxes_cer", "eval_lines_cer"} <= metrics.keys()
    assert both.eval_dataset.spread(4) == [0, 2, 3, 4]  # 3.2 pages and 0.8, in whole numbers


def test_the_best_checkpoint_can_be_one_sources(tmp_path):
    values = {"eval_strategy": "epoch", "save_strategy": "epoch", "metric_for_best_model": "lines_loss"}
    datasets = {"boxes": plain_pages(), "lines": lines_of("l", 2)}
    trainer = trainer_for(tmp_path, datasets, {"boxes": 1, "lines": 1}, load_best_model_at_end=True, **values)
    trainer.train()
    measured = [row["eval_lines_loss"] for row in trainer.state.log_history if "eval_lines_loss" in row]
    assert len(measured) == 2 and trainer.state.best_metric == min(measured)


def test_a_stopped_mixture_goes_on_in_the_middle_of_an_epoch(tmp_path):
    """With a part of one source, and one that is repeated; and with batches of tokens."""
    datasets = {"boxes": lines_of("b", 7), "lines": lines_of("l", 3)}
    for number, more in enumerate(({}, {"tokens_per_batch": 2048})):
        values = {"tasks": TASKS, "save_strategy": "steps", "save_steps": 2, "max_steps": 4, "augment": "scan"} | more
        whole, again = (
            trainer_for(tmp_path / f"{number}{name}", datasets, {"boxes": 2, "lines": 3}, strategy, **values)
            for name, strategy in (("whole", ALL), ("again", ALL))
        )
        whole.train()
        again.train(resume_from_checkpoint=str(tmp_path / f"{number}whole/checkpoint-2"))
        names = [name for name in rows(whole)[-1] if "loss" in name or name == "grad_norm"]
        found, expected = ([[row.get(n) for n in names] for row in rows(each)[2:]] for each in (again, whole))
        assert found == expected and len(found) == 2
        for name, tensor in again.model.named_parameters():
            assert torch.equal(tensor, whole.model.get_parameter(name)), name


def test_every_source_has_its_stored_features(tmp_path, caplog):
    values = {"augment": "none", "cache_vision_features": True, "vision_cache_dir": str(tmp_path / "cache")}
    datasets = {"boxes": plain_pages(), "lines": lines_of("l", 2)}
    caplog.set_level(logging.INFO)
    stored = trainer_for(tmp_path, datasets, {"boxes": 2, "lines": 1}, max_steps=1, **values)
    stored.train()
    assert "vision features of 4 boxes training pages" in caplog.text
    assert "vision features of 2 lines evaluation pages" in caplog.text
    live = trainer_for(tmp_path, datasets, {"boxes": 2, "lines": 1}, max_steps=1, augment="none")
    live.train()
    batch = stored.data_collator([stored.train_dataset[index] for index in (0, 5)])
    assert "vision_features" in batch and batch["sources"].tolist() == [0, 1]
    for name in ("loss", "loss_text"):
        assert rows(stored)[0][name] == pytest.approx(rows(live)[0][name], rel=1e-3)


# --- in a recipe


def recipe_of(folder, *overrides: str, **values):
    path = folder / "recipe.yaml"
    given = {"model": "tiny", "dataset": {"letters": 0.8, "general": 0.2}, "output_dir": str(folder / "run")}
    path.write_text(yaml.safe_dump(given | values))
    return load_recipe(path, overrides)


def test_a_recipe_and_the_command_line_name_shares(tmp_path):
    assert recipe_of(tmp_path).data.dataset == {"letters": 0.8, "general": 0.2}
    words = ("--dataset", "{letters: 4, org/general: 1}", "--eval_dataset={letters: 1}", "--stopping_strategy", ALL)
    data = recipe_of(tmp_path, *words).data
    assert (data.dataset, data.eval_dataset) == ({"letters": 4, "org/general": 1}, {"letters": 1})
    assert data.stopping_strategy == ALL
    recipe_of(tmp_path).save(tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml").data.dataset == {"letters": 0.8, "general": 0.2}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dataset", "{a: 1, a: 2}"], "the key 'a' stands twice"),
        (["--dataset", "{a: 0}"], "dataset: a: 0: input should be greater than 0"),
        (["--dataset", "{a: x}"], "dataset: a: 'x': input should be a valid number"),
        (["--dataset", "[a, b]"], "dataset: ['a', 'b']: input should be a valid dictionary; or "),
        (["--dataset", "{}"], "dataset: say which built dataset"),
        (["--dataset", "{eval: 1, a: 1}"], "dataset: eval_loss would be taken for another row of the log"),
        (["--eval_dataset", "{guard: 1}"], "eval_dataset: guard_loss would be taken"),
        (["--dataset", "a", "--stopping_strategy", ALL], "stopping_strategy: without effect, dataset names one"),
        (["--stopping_strategy", "never"], "input should be 'first_exhausted' or 'all_exhausted'"),
        (["--metric_for_best_model", "other_cer"], "'other_cer' is none of loss, "),
        (["--metric_for_best_model", "letters_cer", "--eval_dataset", "b"], "'letters_cer' is none of"),
    ],
)
def test_what_is_no_mixture_is_one_clear_problem(tmp_path, words, told):
    with pytest.raises(UsageError) as error:
        recipe_of(tmp_path, *words, eval_strategy="epoch")
    assert told in str(error.value) and str(error.value).count("\n  - ") in (0, 1)


def test_a_metric_of_a_source_knows_which_way_is_better(tmp_path):
    for metric, greater in (("letters_cer", False), ("general_bbox_iou", True), ("eval_letters_loss_text", False)):
        recipe = recipe_of(tmp_path, metric_for_best_model=metric, eval_strategy="epoch")
        assert recipe.training_arguments().greater_is_better is greater


def test_a_job_loads_every_source_and_tells_of_them(tmp_path, monkeypatch, caplog):
    pages = {"letters": page_dataset(), "general": lines_of("general", 5)}
    asked = []

    def load(name, split, columns):
        asked.append((name, split))
        return pages[name]

    monkeypatch.setattr(job, "load_dataset", load)
    caplog.set_level(logging.INFO)
    values = {"eval_strategy": "epoch", "eval_dataset": "general", "label_weights": {"title": 2.0, "stamp": 3.0}}
    values |= {"max_length": 600, "tasks": {"markdown": 1.0}, "eval_pages": 0}
    recipe = recipe_of(tmp_path, "--dataset", "{letters: 1, general: 1}", **values)
    trainer = job.build_trainer(recipe, recipe.training_arguments())
    assert asked == [("letters", "train"), ("general", "train"), ("general", "validation")]
    assert "letters training pages left out: longer than max_length" in caplog.text
    assert "label_weights: no training page has stamp in its target; there are: text, title" in caplog.text
    assert trainer.train_dataset.told() in caplog.text and "general   50.0%" in caplog.text
    assert math.isclose(sum(trainer.train_dataset.shares.values()), 1) and len(trainer.eval_dataset) == 5


def test_training_says_how_many_pages_have_no_text_and_refuses_a_source_that_has_none(tmp_path, monkeypatch, caplog):
    boxes = page_dataset().map(lambda row: {"text": "", "texts": [""] * len(row["texts"])})
    loaded = {
        "letters": concatenate_datasets([page_dataset(), boxes.select([0, 2])]),
        "general": lines_of("general", 5),
    }
    monkeypatch.setattr(job, "load_dataset", lambda name, split, columns: loaded[name])
    recipe = recipe_of(tmp_path, eval_strategy="no", tasks={"markdown": 1.0})
    job.build_trainer(recipe, recipe.training_arguments())
    assert "2 of 6 letters training pages and 3 of 9 regions have no text" in caplog.text
    assert "general training pages and" not in caplog.text
    loaded["letters"] = boxes
    with pytest.raises(WorkError, match=r"^letters: none of the 4 pages for the task markdown has any text"):
        job.build_trainer(recipe, recipe.training_arguments())
