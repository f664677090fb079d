"""The values of the model card; its text is in model_card.md.jinja.

The card says what the Hub reads at its top, and to people what the model is, how to use it, how good it is and how it
was made. What users wrote, names, prompts and answers, is a value and never a part of the template.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ocr2_hf.data.shares import shares_of
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.document.hub_names import hub_id
from ocr2_hf.evaluation.omnidocbench.scores import BENCHMARK_METRICS
from ocr2_hf.evaluation.registry import METRICS, Metric, shown_metrics
from ocr2_hf.modeling.model_files import MODEL_TYPE, TINY_NAMES
from ocr2_hf.publishing.contents import TAG, Contents
from ocr2_hf.publishing.evaluations import Evaluation

TASK = "image-text-to-text"
# Of Markdown, where HTML's escapes would be shown as they are; the filters keep values inside spans and cells.
_TEMPLATES = Environment(  # noqa: S701
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True)
class CardFacts:
    """What a card tells. `recipe` and `state` are the run's recipe.yaml and trainer_state.json, {} where there is none;
    `answer` is what the model wrote for the page of the example picture, None without one."""

    repo: str
    contents: Contents
    license_id: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    evaluations: Sequence[Evaluation] = ()
    answer: str | None = None


def model_card(facts: CardFacts) -> str:
    """README.md of the repository."""
    recipe, contents = facts.recipe, facts.contents
    name = facts.repo.rpartition("/")[2]
    task, prompt = reading_task(recipe)
    return _TEMPLATES.get_template("model_card.md.jinja").render(
        facts=facts,
        contents=contents,
        recipe=recipe,
        name=name,
        metadata=_metadata(facts, name).to_yaml(),
        datasets=list(shares_of(recipe.get("dataset"))),
        task=task,
        prompt=_quoted(prompt),
        metrics=METRICS.values(),
        last=_last_evaluation(facts.state),
        settings=_settings(recipe),
        base_is_missing=not (contents.base or contents.base_goes_along or recipe.get("model") in TINY_NAMES),
        version=_version(),
    )


def _metadata(facts: CardFacts, name: str) -> ModelCardData:
    contents = facts.contents
    on_hub = [name for name in shares_of(facts.recipe.get("dataset")) if hub_id(name)]
    relation = {"base_model_relation": "adapter" if contents.is_adapter else "finetune"} if contents.base else {}
    told = [metric for metric in METRICS.values() if "card" in metric.places]
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=evaluation.dataset,
            dataset_name=evaluation.dataset,
            dataset_split=evaluation.split,
            metric_type=metric.name,
            metric_name=metric.label,
            metric_value=round(evaluation.metrics[metric.name], 6),
        )
        for evaluation in facts.evaluations
        for metric in _measured(evaluation, told)
    ]
    return ModelCardData(
        base_model=contents.base,
        datasets=on_hub or None,
        eval_results=results or None,
        library_name="peft" if contents.is_adapter else "transformers",
        license=facts.license_id,
        metrics=sorted({result.metric_type for result in results} & {"cer", "wer"}) or None,
        model_name=name if results else None,
        pipeline_tag=TASK,
        tags=[TAG, "ocr", "document-layout", MODEL_TYPE, *(["lora"] if contents.is_adapter else [])],
        **relation,
    )


def _measured(evaluation: Evaluation, metrics: Iterable[Metric] | None = None) -> list[Metric]:
    """Those of the metrics that were measured; by default of those that tables show, of an evaluation on OmniDocBench
    always of the benchmark's own."""
    if evaluation.is_omnidocbench:
        metrics = BENCHMARK_METRICS
    elif metrics is None:
        metrics = shown_metrics()
    return [metric for metric in metrics if evaluation.metrics.get(metric.name) is not None]


def _last_evaluation(state: dict[str, Any]) -> dict[str, float]:
    """The metrics of the run's last evaluation, without their prefix; {} where there was none."""
    rows = [row for row in state.get("log_history") or [] if "eval_loss" in row]
    return {name.removeprefix("eval_"): value for name, value in rows[-1].items()} if rows else {}


def reading_task(recipe: dict[str, Any]) -> tuple[str, str]:
    """The task with the largest share in the recipe, and its prompt; `markdown` where it says none."""
    tasks = {task: share for task, share in (recipe.get("tasks") or {}).items() if task in PROMPTS}
    task = max(tasks, key=tasks.__getitem__) if tasks else "markdown"
    return task, (recipe.get("prompts") or {}).get(task, PROMPTS[task])


def _settings(recipe: dict[str, Any]) -> list[str]:
    """The keys of the recipe that the card shows."""
    names = ("train_vision", "train_projector", "train_language", "lora_targets", "lora_r", "lora_alpha", "tasks")
    names += ("learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "max_length", "augment")
    # The weights of the loss's terms are recipe keys that end so.
    names += (*(name for name in recipe if name.endswith("_weight")), "box_source")
    lora = "lora" in (recipe.get("train_language"), recipe.get("train_vision"))
    return [name for name in names if name in recipe and (lora or "lora_" not in name)]


def _version() -> str:
    try:
        return version("ocr2_hf")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "from a checkout"


def _plain(value: Any) -> str:
    """A value of the user's on one line, without what would end a code span or a table."""
    return " ".join(str(value).split()).replace("`", "'")


def _quoted(text: str) -> str:
    """A Python literal in double quotes."""
    return '"' + repr(text)[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


_TEMPLATES.filters |= {"plain": _plain, "measured": _measured, "is_on_hub": hub_id}
