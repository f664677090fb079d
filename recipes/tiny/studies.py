"""Studies on the tiny base, results with their spread over seeds: which loss, what to train, what is forgotten.

    python recipes/tiny/studies.py boxes       cross-entropy alone, or SmoothL1 beside it: source, beta, weight, stages
    python recipes/tiny/studies.py policies    adapters or all weights, vision frozen or trained
    python recipes/tiny/studies.py forgetting  new pages alone, or some of the base's own pages among them; the guard
    python recipes/tiny/studies.py tags        what a weight on the tags of tables does for tables

Every run fine-tunes recipes/tiny/base with recipes/tiny/lora.yaml and the changes that the table names, on the tickets
of the quickstart, and reads pages that were held out; tags with recipes/tiny/financial_statements.yaml on its pages.
Runs that are there are not made again: a killed study goes on where it was. Several processes may share the seeds of a
study; the last call, with all seeds, prints the whole table.
"""

import argparse
import json
import logging
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import torch
import yaml

from ocr2_hf import load_dataset
from ocr2_hf.commands import evaluate, train
from ocr2_hf.data.collator import Example, TrainingCollator, coordinate_token_ids
from ocr2_hf.data.tasks import PROMPTS, build_target
from ocr2_hf.document.grounding import COORDINATE_MAX
from ocr2_hf.document.page_files import to_rgb
from ocr2_hf.errors import UsageError, WorkError, run_command
from ocr2_hf.evaluation.boxes import box_iou
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.modeling.losses import LossSettings
from ocr2_hf.recipe import read_yaml

ROOT = Path(__file__).resolve().parent.parent.parent
BASE = "recipes/tiny/base"
RECIPE = "recipes/tiny/lora.yaml"
TICKETS, TYPED, STATEMENTS = 350, 150, 700
HELD_OUT = 0.15
# One pass: after two, all variants of the loss have boxes as good as they get here.
COMMON = {
    "model": BASE,
    "dataset": "study_tickets",
    "num_train_epochs": 1,
    "per_device_train_batch_size": 8,
    "eval_strategy": "no",
    "save_strategy": "no",
    "report_to": "none",
}
BOXES = {"cer": "CER", "bbox_iou": "mean IoU", "box_f1_50": "F1 at IoU 0.5", "box_f1_75": "F1 at IoU 0.75"}
TABLES = {"cer": "CER", "teds": "TEDS", "teds_s": "TEDS, structure", "cell_recall": "cells read right"}
# Half of the recipe's steps: after all of them nearly every table is right, after a quarter none is a table.
TAGS = {"dataset": "study_statements", "max_steps": 180, "save_strategy": "no"}


@dataclass(frozen=True)
class Variant:
    """A row of a study: its name, and the keys of the recipe that it sets."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Test:
    """Pages that every run of a study reads, and what is measured on them; `prefix` and `place` tell them apart."""

    dataset: str = "study_tickets"
    task: str = "markdown"
    metrics: Mapping[str, str] = field(default_factory=lambda: BOXES)
    prefix: str = ""
    place: str = ""

    @property
    def heads(self) -> dict[str, str]:
        """Of the columns of the table, by the names of their values."""
        return {self.prefix + name: head + self.place for name, head in self.metrics.items()}


@dataclass(frozen=True)
class Study:
    """Variants of one recipe, all with `values` too, and the pages they read."""

    variants: Sequence[Variant]
    recipe: str = RECIPE
    values: Mapping[str, Any] = field(default_factory=lambda: COMMON)
    tests: Sequence[Test] = (Test(),)


def boxes_study() -> list[Variant]:
    """Cross-entropy alone; SmoothL1 on the expectation or on a head, two betas, two weights; each also in stages."""
    plain = [Variant("cross-entropy", {"box_weight": 0.0})]
    for source in ("expectation", "head"):
        for beta in (0.1, 1.0):
            for weight in (0.5, 5.0):
                values = {"box_source": source, "box_beta": beta, "box_weight": weight}
                plain.append(Variant(f"{source}, beta {beta:g}, weight {weight:g}", values | _head(source)))
    return [*plain, *(Variant(f"{variant.name}, in stages", _in_stages(variant.values)) for variant in plain)]


def policies_study() -> list[Variant]:
    """What trains. Weights that train themselves take a third of the adapters' learning rate."""
    full = {"train_language": "full", "learning_rate": 1.0e-3}
    return [
        Variant("LoRA on the text model, projector"),
        Variant("the same, LoRA on the encoder", {"train_vision": "lora"}),
        Variant("text model and projector in full", full),
        Variant("the same, encoder in full", full | {"train_vision": "encoder"}),
        Variant("the same, encoder and SAM in full", full | {"train_vision": "all"}),
    ]


def forgetting_study() -> list[Variant]:
    """Tickets alone, or with slips like those that the base learnt from; the guard ends a run that forgets."""
    # All tickets, and half as many slips.
    mixed = {"dataset": {"study_tickets": 2, "study_slips": 1}}
    # Looked at when the pass is over: on the way there, after 10 steps, all of them read the base's pages worse.
    guard = {"guard_dataset": "study_typed", "guard_tolerance": 0.1, "eval_pages": 0, "eval_strategy": "epoch"}
    guard |= {"eval_dataset": "study_tickets", "eval_split": "test", "save_strategy": "epoch"}
    return [
        Variant("tickets alone"),
        Variant("tickets, a third of the learning rate", {"learning_rate": 1.0e-3}),
        Variant("two tickets to a slip", mixed),
        Variant("tickets alone, guarded", guard),
        Variant("two tickets to a slip, guarded", guard | mixed),
    ]


def tags_study() -> list[Variant]:
    """Tables with the weight of their tags as it is, and as the recipe has it."""
    return [Variant(f"tag weight {weight:g}", {"token_weights": {"tag": weight}}) for weight in (1.0, 2.0)]


def _head(source: str) -> dict[str, Any]:
    return {"train_box_head": True} if source == "head" else {}


def _in_stages(values: Mapping[str, Any]) -> dict[str, Any]:
    """The tutorial's two stages: text alone with a frozen head, then both terms."""
    late = {name: values[name] for name in ("box_weight", "train_box_head") if name in values}
    rest = {name: value for name, value in values.items() if name not in late}
    stages = [{"name": "text", "share": 0.5, "box_weight": 0.0}, {"name": "joint", "share": 0.5, **late}]
    return rest | {"stages": stages}


STUDIES = {
    "boxes": Study(boxes_study()),
    "policies": Study(policies_study()),
    "forgetting": Study(
        forgetting_study(), tests=(Test(), Test("study_typed", prefix="base_", place=" on the base's pages"))
    ),
    "tags": Study(
        tags_study(), "recipes/tiny/financial_statements.yaml", TAGS, (Test("study_statements", "table", TABLES),)
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Make what is missing of a study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output_dir", type=Path, default=Path("runs/studies"))
    args = parser.parse_args(argv)
    if not Path(RECIPE).is_file():
        raise UsageError(f"{RECIPE} is not here: run this from the root of the checkout")
    draw_data(args.output_dir / "data")
    rows = []
    study, folder = STUDIES[args.study], args.output_dir / args.study
    for variant in study.variants:
        rows.append((variant.name, [run_variant(study, variant, seed, folder) for seed in args.seeds]))
    table = markdown_table(rows, study.tests)
    (folder / "table.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


def draw_data(folder: Path) -> None:
    """The datasets study_tickets and study_statements (train, test), study_typed (test) and study_slips (train)."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    typed = [fonts / name for name in ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf")]
    _draw(folder / "tickets", "tickets", TICKETS, 1, [fonts / "DejaVuSansMono-BoldOblique.ttf"])
    _draw(folder / "typed", "typed", TYPED, 7, typed)
    _draw(folder / "typed_test", "typed", 50, 99, typed)
    _draw(folder / "statements", "small_statements", STATEMENTS, 1, typed)
    _build("study_statements", "--annotations", folder / "statements", "--split", "rank", "--val", 0, "--test", 0.1)
    _build("study_tickets", "--annotations", folder / "tickets", "--split", "rank", "--val", 0, "--test", HELD_OUT)
    _build("study_typed", "--annotations", folder / "typed_test", "--val", 0, "--test", 1)
    _build("study_slips", "--annotations", folder / "typed", "--val", 0, "--test", 0)


def _draw(folder: Path, kind: str, pages: int, seed: int, fonts: Sequence[Path]) -> None:
    options = ("--kind", kind, "--pages", pages, "--seed", seed, "--size", "192x192", "--damage", 0.2)
    _run("data_scripts/synthesize.py", folder, *options, "--font", *fonts)


def _build(name: str, *options: Any) -> None:
    _run("data_scripts/build_dataset.py", name, *options)


def run_variant(study: Study, variant: Variant, seed: int, folder: Path) -> dict[str, float]:
    """Train and read one variant with one seed; its results, from `figures.json` where it was made before."""
    run = folder / _slug(variant.name) / f"seed-{seed}"
    done = run / "figures.json"
    if not done.is_file():
        run.mkdir(parents=True, exist_ok=True)
        recipe = run / "variant.yaml"
        values = yaml.safe_load(Path(study.recipe).read_text(encoding="utf-8"))
        values |= dict(study.values) | dict(variant.values) | {"seed": seed, "output_dir": str(run / "model")}
        recipe.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        print(f"{variant.name}, seed {seed}", flush=True)
        results = train_and_read(recipe, run, study)
        done.with_suffix(".tmp").write_text(json.dumps(results, indent=2), encoding="utf-8")
        done.with_suffix(".tmp").replace(done)
    return json.loads(done.read_text(encoding="utf-8"))


def train_and_read(recipe: Path, run: Path, study: Study) -> dict[str, float]:
    """What `ocr2 train` and `ocr2 evaluate` make of the recipe, what they say in `log.txt`."""
    with _quietly(run / "log.txt"):
        model = _trained(recipe, run)
        results = {"steps": json.loads((run / "model/trainer_state.json").read_text())["global_step"]}
        for test in study.tests:
            output = run / f"{test.prefix}test"
            words = ("--model", model, "--dataset", test.dataset, "--task", test.task, "--output_dir", output)
            evaluate.main([*map(str, words)])
            measured = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
            results |= {test.prefix + name: measured[name] for name in test.metrics}
        return results | ({"fed_iou": fed_iou(model)} if study is STUDIES["boxes"] else {})


def _trained(recipe: Path, run: Path) -> Path:
    """Where the trained model lies; of a run that the guard ended, its last good checkpoint."""
    try:
        train.main([str(recipe)])
    except WorkError as ended:
        if not str(ended).startswith("guard:"):
            raise
        print(ended)
        return last_good(run)
    return run / "model"


def last_good(run: Path) -> Path:
    """The last checkpoint that the guard let pass; the base where there is none."""
    tolerance = read_yaml(run / "model/recipe.yaml")["guard_tolerance"]
    limit = json.loads((run / "model/guard_base.json").read_text())["cer"] + tolerance
    rows = json.loads((run / "model/trainer_state.json").read_text())["log_history"]
    good = [row["step"] for row in rows if row.get("eval_guard_cer", limit + 1) <= limit]
    return run / f"model/checkpoint-{max(good)}" if good else Path(BASE)


def fed_iou(model_folder: Path) -> float:
    """Mean IoU of `bbox_preds` with the truth fed: what the box loss trains, without reading."""
    recipe = read_yaml(model_folder / "recipe.yaml")
    model, processor = load_model(model_folder).eval(), load_processor(model_folder)
    ids = tuple(coordinate_token_ids(processor.tokenizer))
    model.get_base_model().loss_settings = LossSettings(coordinate_ids=ids, box_source=recipe["box_source"])
    overlaps = []
    for row in load_dataset("study_tickets", split="test"):
        page = Example(row["id"], to_rgb(row["image"]), PROMPTS["markdown"], build_target("markdown", row))
        batch = TrainingCollator(processor)([page])
        with torch.no_grad():
            predicted = model(**batch).bbox_preds
        truth = (batch["box_values"] / COORDINATE_MAX).tolist()
        overlaps += [float(box_iou([p], [t])[0, 0]) for p, t in zip(predicted.tolist(), truth, strict=True)]
    return statistics.fmean(overlaps)


def markdown_table(rows: Sequence[tuple[str, list[dict[str, float]]]], tests: Sequence[Test]) -> str:
    """A line per variant: mean and, after ±, standard deviation over the seeds."""
    names = list(rows[0][1][0])
    heads = {"steps": "steps", "fed_iou": "IoU, truth fed"}
    for test in tests:
        heads |= test.heads
    lines = ["| | " + " | ".join(heads[name] for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for variant, runs in rows:
        lines.append(f"| {variant} | " + " | ".join(_cell(name, [run[name] for run in runs]) for name in names) + " |")
    return "\n".join(lines) + "\n"


def _cell(name: str, values: Sequence[float]) -> str:
    if name == "steps":
        return " ".join(f"{value:.0f}" for value in dict.fromkeys(values))
    scale, form = (100, "{:.1f}") if name.endswith("cer") else (1, "{:.3f}")
    spread = f" ± {form.format(scale * statistics.stdev(values))}" if len(values) > 1 else ""
    return form.format(scale * statistics.fmean(values)) + spread + (" %" if scale == 100 else "")


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter == "." else "-" for letter in name).replace("--", "-")


@contextmanager
def _quietly(path: Path) -> Iterator[None]:
    """All that is said goes into a file."""
    with open(path, "a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        handler = logging.StreamHandler(log)
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)


def _run(*words: Any) -> None:
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
