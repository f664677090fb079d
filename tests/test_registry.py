"""A metric is one row and one function: a test adds one, and finds it wherever metrics are shown or asked for."""

import json
from pathlib import Path

import evaluate
import pytest
from accelerate import Accelerator
from lxml import html

from helpers.tiny_pages import page_dataset, processor, text_model
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.registry import DEFINITIONS, METRICS, PERCENT, Metric, metrics_table
from ocr2_hf.evaluation.report import write_comparison, write_report
from ocr2_hf.evaluation.summary import compare, definitions_note, summarize, summarize_with_intervals
from ocr2_hf.publishing.contents import Contents
from ocr2_hf.publishing.evaluations import Evaluation
from ocr2_hf.publishing.model_card import CardFacts, model_card
from ocr2_hf.recipe import OCR2TrainingArguments, load_recipe
from ocr2_hf.training.curves import all_panels
from ocr2_hf.training.generated_evaluation import score_sample

LABEL = "Digits lost ↓"


def measure_digits(line: Prediction) -> dict[str, float]:
    """Digits of the reference that the prediction has not, wherever they stand."""
    lost = sum(max(0, line.reference.count(digit) - line.prediction.count(digit)) for digit in "0123456789")
    return {"lost_digits": lost, "digits": sum(map(str.isdigit, line.reference))}


@pytest.fixture
def added(monkeypatch) -> Metric:
    row = Metric(
        *("digits_lost", "Digits lost", PERCENT, "lower", "digits of the reference that were not read"),
        *("lost_digits", "digits"),
        group="Text",
        measure=measure_digits,
        short="digits",
        training="reading",
        places={"headline", "card", "breakdown"},
        inputs="text",
    )
    monkeypatch.setitem(METRICS, row.name, row)
    return row


@pytest.fixture
def pages() -> list[Prediction]:
    texts = [("1234", "1234", "ocr"), ("12", "1234", "markdown"), ("a", "b", "ocr")]
    return [Prediction(str(n), *pair, task=task) for n, (*pair, task) in enumerate(texts)]


def data_of(path: Path) -> dict:
    return json.loads(html.parse(path).xpath("//script[@type='application/json']/text()")[0])


def test_it_is_counted_with_its_interval_and_by_task(added, pages):
    metrics = summarize_with_intervals(pages)
    assert metrics["digits_lost"] == 2 / 8
    low, high = metrics["intervals"]["digits_lost"]
    assert 0 <= low < 2 / 8 < high <= 1
    assert {task: part["digits_lost"] for task, part in metrics["by"]["task"].items()} == {"ocr": 0, "markdown": 0.5}
    assert summarize(pages[2:])["digits_lost"] is None  # no digit to lose


def test_a_comparison_knows_which_way_it_points(added, pages, tmp_path):
    right = [Prediction(page.id, page.reference, page.reference) for page in pages]
    metrics = compare(pages, right)
    assert metrics["paired"]["digits_lost"]["better_by"] == 0.25
    assert metrics_table({"change": metrics["change"]}).splitlines()[-1] == f"{LABEL:26}{'-25.0%':>12}"
    write_comparison(pages, right, metrics, tmp_path / "report.html", ("before", "after"))
    (figure,) = [figure for figure in data_of(tmp_path / "report.html")["figures"] if figure["name"] == "digits_lost"]
    assert (figure["label"], figure["values"], figure["better"]) == (LABEL, ["25.0%", "0.0%"], True)


def test_the_report_shows_it_above_in_the_list_and_by_task(added, pages, tmp_path):
    write_report(pages, summarize_with_intervals(pages), tmp_path / "report.html")
    data = data_of(tmp_path / "report.html")
    (figure,) = [figure for figure in data["figures"] if figure["name"] == "digits_lost"]
    assert (figure["headline"], figure["group"], figure["label"]) == (True, "Text", LABEL)
    assert figure["meaning"] == "digits of the reference that were not read; lower is better"
    (measure,) = [measure for measure in data["measures"] if measure["name"] == "digits_lost"]
    assert (measure["label"], measure["short"], measure["more_is_better"]) == (LABEL, "digits", False)
    assert [item["sides"][0]["scores"]["digits_lost"] for item in data["items"]] == [0, 0.5, None]
    (table,) = [table for table in data["breakdowns"] if table["kind"] == "task"]
    assert LABEL in table["heads"]


def test_the_model_card_tells_it_to_people_and_to_the_hub(added, pages, tmp_path):
    evaluation = Evaluation(tmp_path / "test", summarize_with_intervals(pages), {"dataset": "letters", "split": "test"})
    card = model_card(CardFacts("me/letters", Contents({}, False, None, None), evaluations=[evaluation]))
    assert f"| {LABEL} | 25.0% |" in card and "type: digits_lost" in card


def test_evaluate_loads_it_by_name(added, repo):
    module = evaluate.load(str(repo / "ocr2_hf/evaluation/metrics"), "digits_lost")
    assert module.compute(predictions=["12", "a"], references=["1234", "b"]) == {"digits_lost": 0.5}
    assert "lower is better" in module.description


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.inputs == "text"])
def test_modules_give_the_figures_of_an_evaluation(name, repo):
    """The module `teds` was once another TEDS than that of `ocr2 evaluate`."""
    table = "<table><thead><tr><th><b>a</b></th></tr></thead><tr><td>{}</td></tr></table> \\[x^2\\] and 12 words\n\nb"
    predictions, references = [table.format("x" + "<br/>" * 300), "b"], [table.format("y"), "bc"]
    lines = [Prediction(str(n), *pair) for n, pair in enumerate(zip(predictions, references, strict=True))]
    module = evaluate.load(str(repo / "ocr2_hf/evaluation/metrics"), name)
    assert module.compute(predictions=predictions, references=references)[name] == pytest.approx(summarize(lines)[name])


@pytest.mark.parametrize(
    ("predicted", "reference", "figure"),
    [
        ("<table><tr><td>a</td></tr></table>", "<table><thead><tr><td>a</td></tr></thead></table>", 1.0),
        ("<table><tr><td><b>a</b></td></tr></table>", "<table><tr><td>a</td></tr></table>", 1.0),
        # A wrong cell is wrong, whatever stands in it.
        (f"<table><tr><td>x{'<br/>' * 300}</td></tr></table>", "<table><tr><td>y</td></tr></table>", 0.5),
    ],
)
def test_teds_by_hand(predicted, reference, figure, repo):
    module = evaluate.load(str(repo / "ocr2_hf/evaluation/metrics/teds"))
    assert module.compute(predictions=[predicted], references=[reference]) == {"teds": figure}


def test_every_row_is_whole():
    table = "|a|\n|-|\n\\[x\\]"
    for name, metric in METRICS.items():
        assert metric.name == name and metric.label and metric.meaning
        assert metric.directed_meaning.endswith(("higher is better", "lower is better"))
        assert metric.sum or metric.over_all or metric.training, "it is measured somewhere"
        assert not metric.places or metric.group, "what is shown has a group"
        counted = metric.measure(Prediction("a", table, f"{table}\n\nb")) if metric.measure else {}
        assert not counted or metric.sum in counted, "its own function counts it"


def test_an_evaluation_of_other_definitions_is_told():
    assert "definitions 1" in definitions_note("runs/old", {"cer": 0.1})
    assert definitions_note("runs/new", {"cer": 0.1, "definitions": DEFINITIONS}) is None
    assert definitions_note("runs/none", {}) is None


def test_a_recipe_can_choose_the_best_model_by_it(added, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("dataset: pages\neval_strategy: epoch\neval_pages: 4\nmetric_for_best_model: digits_lost\n")
    recipe = load_recipe(path, ["--output_dir", str(tmp_path)])
    assert recipe.training_arguments().greater_is_better is False


def test_training_measures_it_and_its_curve_is_drawn(added, tmp_path):
    pages = PageTasks(page_dataset(), processor(), {"ocr": 1.0})
    args = OCR2TrainingArguments(output_dir=str(tmp_path), eval_max_new_tokens=2)
    read = score_sample(text_model().eval(), processor(), Accelerator(cpu=True), args, pages, 1)
    assert 0 < read["digits_lost"] <= 1
    (errors,) = [panel for panel in all_panels() if "lower" in panel.title]
    assert errors.columns["eval_digits_lost"][0] == "Digits lost"
