"""The model card: what the Hub reads at its top, and for people what it is, how to use it, how good it is, how it was
made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.evaluation.omnidocbench.scores import BENCHMARK_METRICS
from ocr2_hf.evaluation.registry import METRICS, Metric, shown_metrics
from ocr2_hf.modeling.file_names import MODEL_TYPE
from ocr2_hf.publishing.contents import CURVES_FILE, Contents, hub_id
from ocr2_hf.publishing.evaluations import Evaluation
from ocr2_hf.recipe_file import RECIPE_FILE

TAG = "ocr2_hf"  # by it a later push knows a repository as its own
TASK = "image-text-to-text"
LONGEST_ANSWER = 1500
TINY_NAMES = ("tiny", "tiny_reader")  # built, not loaded


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
    sections = [_head(facts), _example(facts), _use(facts), _results(facts), _training(facts), _reproduce(facts)]
    if facts.license_id:
        sections.append(f"## Licence\n\n{facts.license_id}")
    text = "\n\n".join(section for section in sections if section)
    return f"---\n{_metadata(facts).to_yaml()}\n---\n\n{text}\n"


def _metadata(facts: CardFacts) -> ModelCardData:
    contents, dataset = facts.contents, facts.recipe.get("dataset")
    relation = {"base_model_relation": "adapter" if contents.is_adapter else "finetune"} if contents.base else {}
    results = [result for evaluation in facts.evaluations for result in _hub_results(evaluation)]
    return ModelCardData(
        base_model=contents.base,
        datasets=[dataset] if hub_id(dataset) else None,
        eval_results=results or None,
        library_name="peft" if contents.is_adapter else "transformers",
        license=facts.license_id,
        metrics=sorted({result.metric_type for result in results} & {"cer", "wer"}) or None,
        model_name=_name(facts) if results else None,
        pipeline_tag=TASK,
        tags=[TAG, "ocr", "document-layout", MODEL_TYPE, *(["lora"] if contents.is_adapter else [])],
        **relation,
    )


def _hub_results(evaluation: Evaluation) -> list[EvalResult]:
    told = (metric for metric in METRICS.values() if "card" in metric.places)
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=evaluation.dataset,
            dataset_name=evaluation.dataset,
            dataset_split=evaluation.split,
            metric_type=metric.name,
            metric_name=metric.label,
            metric_value=round(evaluation.metrics[metric.name], 6),
        )
        for metric in _measured(evaluation, told)
    ]


def _measured(evaluation: Evaluation, metrics: Iterable[Metric]) -> list[Metric]:
    """Those of the metrics, of an evaluation on OmniDocBench of the benchmark's own, that were measured."""
    metrics = BENCHMARK_METRICS if evaluation.is_omnidocbench else metrics
    return [metric for metric in metrics if evaluation.metrics.get(metric.name) is not None]


def _name(facts: CardFacts) -> str:
    return facts.repo.rpartition("/")[2]


def _head(facts: CardFacts) -> str:
    contents = facts.contents
    kind = "LoRA adapters for DeepSeek-OCR-2" if contents.is_adapter else "A DeepSeek-OCR-2"
    if contents.base:
        origin = f"of [{contents.base}](https://huggingface.co/{contents.base})"
    elif contents.base_goes_along:
        origin = "of a base that lies in `base/` here"
    else:
        origin = "from weights of its trainer's own"
    dataset = facts.recipe.get("dataset")
    on = f" on {_dataset(dataset)}" if dataset else ""
    return f"# {_name(facts)}\n\n{kind}, fine-tuned{on} {origin}: reads pages, and says where what it reads stands."


def _dataset(name: str) -> str:
    return f"[{name}](https://huggingface.co/datasets/{name})" if hub_id(name) else f"the dataset `{_plain(name)}`"


def _example(facts: CardFacts) -> str:
    if facts.answer is None:
        return ""
    answer = facts.answer if len(facts.answer) <= LONGEST_ANSWER else facts.answer[:LONGEST_ANSWER] + " ..."
    fence = "```" if "```" not in answer else "~~~~~~"
    return f"![A page with the regions the model found](example.png)\n\nIts answer:\n\n{fence}text\n{answer}\n{fence}"


def reading_task(recipe: dict[str, Any]) -> tuple[str, str]:
    """The task with the largest share in the recipe, and its prompt; `markdown` where it says none."""
    tasks = {task: share for task, share in (recipe.get("tasks") or {}).items() if task in PROMPTS}
    task = max(tasks, key=tasks.__getitem__) if tasks else "markdown"
    return task, (recipe.get("prompts") or {}).get(task, PROMPTS[task])


def _use(facts: CardFacts) -> str:
    task, prompt = reading_task(facts.recipe)
    return "\n".join(
        [
            "## Use",
            "",
            f"With transformers {'and peft ' if facts.contents.is_adapter else ''}alone:",
            "",
            "```python",
            *_use_code(facts, prompt),
            "```",
            "",
            "Before a region's text an answer may say `<|ref|>label<|/ref|><|det|>[[x0, y0, x1, y1]]<|/det|>`, with",
            "coordinates from 0 to 999 of the page's width and height. `ocr2_hf` reads them for you:",
            "",
            "```bash",
            f"ocr2 read page.png --model {facts.repo} --task {task} --output_dir read",
            "```",
        ]
    )


def _use_code(facts: CardFacts, prompt: str) -> list[str]:
    adapter, repo, base = facts.contents.is_adapter, f'"{facts.repo}"', f'"{facts.contents.base}"'
    imports = [
        *(["from huggingface_hub import snapshot_download"] if facts.contents.base_goes_along else []),
        *(["from peft import PeftModel"] if adapter else []),
        "from PIL import Image",
        "from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig",
    ]
    fetch = []
    # The library takes the adapter's config for that of any folder of the repository.
    if facts.contents.base_goes_along:
        fetch, repo, base = [f"folder = snapshot_download({repo})"], "folder", 'f"{folder}/base"'
    return [
        *imports,
        "",
        *fetch,
        f"processor = AutoProcessor.from_pretrained({repo})",
        f"model = AutoModelForImageTextToText.from_pretrained({base if adapter else repo})",
        *([f"model = PeftModel.from_pretrained(model, {repo})"] if adapter else []),
        f"reading = GenerationConfig.from_pretrained({repo})  # greedy, and without loops",
        "",
        'page = Image.open("page.png").convert("RGB")',
        f"prompt = {_quoted(prompt)}",
        'inputs = processor(images=page, text=prompt, return_tensors="pt").to(model.device, model.dtype)',
        'answer = model.generate(**inputs, generation_config=reading)[0, inputs["input_ids"].shape[1] :]',
        "print(processor.decode(answer).removesuffix(processor.tokenizer.eos_token))",
    ]


def _quoted(text: str) -> str:
    """A Python literal in double quotes."""
    return '"' + repr(text)[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def _results(facts: CardFacts) -> str:
    parts = []
    for evaluation in facts.evaluations:
        split = f", split `{_plain(evaluation.split)}`" if evaluation.split else ""
        task = evaluation.settings.get("task")
        rows = _rows(evaluation)
        parts.append(
            f"{evaluation.dataset}{split}, {evaluation.metrics['pages']:,} pages"
            + (f", task `{_plain(task)}`" if task else "")
            + f" (`{evaluation.published_name}`):\n\n"
            + _table(("", "value", "95 % interval"), rows)
        )
    if not parts and (row := _last_evaluation(facts.state)):
        measured = (metric for name, metric in METRICS.items() if name in row)
        shown = [(metric.directed_label, metric.shown(row[metric.name]), "") for metric in measured]
        shown = [("Loss \N{DOWNWARDS ARROW}", f"{row['loss']:.4f}", ""), *shown]
        split, sample = _plain(facts.recipe.get("eval_split", "validation")), facts.recipe.get("eval_pages", "some")
        told = f"Measured in training on the split `{split}`; errors and boxes on {sample} pages of it:"
        parts.append(f"{told}\n\n" + _table(("", "value", ""), shown))
    if not parts:
        return ""
    return "\n\n".join(["## Results", *parts, "Arrows point to the better values."])


def _rows(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Label with an arrow to the better values, value, interval."""
    metrics, intervals = evaluation.metrics, evaluation.metrics.get("intervals") or {}
    return [
        (
            metric.directed_label,
            metric.shown(metrics[metric.name]),
            " to ".join(map(metric.shown, intervals.get(metric.name) or ())),
        )
        for metric in _measured(evaluation, shown_metrics())
    ]


def _last_evaluation(state: dict[str, Any]) -> dict[str, float]:
    """The figures of the run's last evaluation, without their prefix."""
    rows = [row for row in state.get("log_history") or [] if "eval_loss" in row]
    return {name.removeprefix("eval_"): value for name, value in rows[-1].items()} if rows else {}


def _training(facts: CardFacts) -> str:
    recipe, state = facts.recipe, facts.state
    if not recipe:
        return ""
    names = ("train_vision", "train_projector", "train_language", "lora_targets", "lora_r", "lora_alpha", "tasks")
    names += ("learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "max_length", "augment")
    # The weights of the loss's terms are recipe keys that end so.
    names += (*(name for name in recipe if name.endswith("_weight")), "box_source")
    lora = recipe.get("train_language") == "lora" or recipe.get("train_vision") == "lora"
    shown = [(name, _plain(recipe[name])) for name in names if name in recipe and (lora or "lora_" not in name)]
    if state:
        shown += [("steps", f"{state.get('global_step', 0):,}"), ("epochs", f"{state.get('epoch') or 0:g}")]
    curves = f"\n\n![Losses and figures over the steps]({CURVES_FILE})" if CURVES_FILE in facts.contents.files else ""
    return "## Training\n\n" + _table(("", ""), shown) + f"\n\nAll of it is in `{RECIPE_FILE}`." + curves


def _reproduce(facts: CardFacts) -> str:
    dataset, model = facts.recipe.get("dataset"), facts.recipe.get("model")
    if not dataset:
        return ""
    run, folder = f"runs/{_name(facts)}", _name(facts)
    missing = []
    if not hub_id(dataset):
        missing.append(f"the dataset `{_plain(dataset)}`: build one under this name first")
    overrides = [f"--output_dir {run}"]
    if facts.contents.base_goes_along:
        overrides.append(f"--model {folder}/base")
    elif facts.contents.base and facts.contents.base != model:
        overrides.append(f"--model {facts.contents.base}")
    elif facts.contents.base is None and model not in TINY_NAMES:
        missing.append(f"the base `{_plain(model)}`: give another with `--model`")
    if facts.recipe.get("push_to_hub"):
        overrides.append("--push_to_hub false")
    lines = [f"hf download {facts.repo} --local-dir {folder}"]
    lines.append(f"accelerate launch -m ocr2_hf train {folder}/{RECIPE_FILE} {' '.join(overrides)}")
    lines += [
        f"ocr2 evaluate --model {run} --dataset {each.dataset} --split {each.split} --output_dir {run}/{each.name}"
        for each in facts.evaluations
        if "dataset" in each.settings and each.split
    ]
    told = "".join(f"Not on the Hub is {what}.\n\n" for what in missing)
    code = "\n".join(lines)
    return f"## Reproduce\n\n{told}```bash\n{code}\n```\n\nPushed with ocr2_hf {_version()}."


def _version() -> str:
    try:
        return version("ocr2_hf")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "from a checkout"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---" for _ in head], *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _plain(value: Any) -> str:
    """A value of the user's on one line, without what would end a code span or a table."""
    return " ".join(str(value).split()).replace("`", "'")


def card_license(path: Path) -> str | None:
    """The licence that the card in a directory names."""
    if not path.is_file():
        return None
    from huggingface_hub import ModelCard

    license_id = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True).data.license
    return license_id if isinstance(license_id, str) else None
