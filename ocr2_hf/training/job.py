"""One run of a recipe: load what it names, train, save."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from datasets import Dataset
from peft import PeftModel
from transformers.trainer_utils import set_seed

from ocr2_hf.data.load import load_dataset
from ocr2_hf.data.mixture import DatasetMixture, PageMixture, sources_of
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.shares import shares_of
from ocr2_hf.document.atomic_files import write_json
from ocr2_hf.errors import WorkError
from ocr2_hf.modeling.adapters import apply_policy, base_of, continue_adapter, counts_table, same_adapter
from ocr2_hf.modeling.load import load_model, load_processor
from ocr2_hf.modeling.model_files import BASE_FOLDER
from ocr2_hf.modeling.tiny import TINY_SIZES
from ocr2_hf.publishing.contents import POLICY_FILE
from ocr2_hf.recipe import OCR2TrainingArguments, Recipe
from ocr2_hf.recipe_fields import DataArguments
from ocr2_hf.training.callbacks import HubSaves
from ocr2_hf.training.generated_evaluation import Sample, context_of
from ocr2_hf.training.run_folder import mark_complete, mark_incomplete, resume_from, save_identity
from ocr2_hf.training.trainer import OCR2Trainer

logger = logging.getLogger(__name__)


def build_trainer(recipe: Recipe, args: OCR2TrainingArguments) -> OCR2Trainer:
    """Load data, processor and model as the recipe says; logs what trains and what was left out.

    Raises `WorkError` where no pages are left.
    """
    set_seed(args.seed)
    data = recipe.data
    pages = {"train_dataset": load_pages(data, data.dataset, data.train_split)}
    if args.eval_strategy != "no":
        pages["eval_dataset"] = load_pages(data, data.eval_dataset or data.dataset, data.eval_split)
    model, processor = load_to_train(recipe, args)
    if data.guard_dataset is not None:
        pages["guard_dataset"] = load_dataset(data.guard_dataset, data.guard_split, columns=data.columns)
    trainer = OCR2Trainer(model, args, processor=processor, **pages)
    if recipe.training("push_to_hub") and recipe.training("hub_strategy") == "every_save":
        trainer.add_callback(HubSaves())
    _tell(trainer)
    trainer.cache_vision()
    return trainer


def load_pages(data: DataArguments, dataset: str | Mapping[str, float], split: str) -> Dataset | DatasetMixture:
    """The pages that one of a recipe's datasets names."""
    loaded = {name: load_dataset(name, split, columns=data.columns) for name in shares_of(dataset)}
    if isinstance(dataset, str):
        return loaded[dataset]
    return DatasetMixture(loaded, dataset, data.stopping_strategy)


def load_to_train(recipe: Recipe, args: OCR2TrainingArguments):
    """The model, frozen and adapted as the recipe says, and its processor.

    An adapter goes on training where the recipe asks for the same adapter; otherwise it is merged first, and the merged
    model becomes the base.
    """
    policy = recipe.model
    model = load_model(policy.model, training_dtype(recipe, args), policy.attn_implementation, trainable=True)
    base_of(model).choose_experts(policy.experts_implementation)
    processor = load_processor(policy.model)
    fresh_base = policy.model in TINY_SIZES
    if isinstance(model, PeftModel):
        if policy.uses_lora and same_adapter(model, policy):
            return continue_adapter(model, policy, args.box_source == "head"), processor
        model, fresh_base = model.merge_and_unload(), True
    if args.box_source == "head" and model.box_head is None:
        model.add_box_head()
    if fresh_base and policy.uses_lora:
        _keep_base(model, processor, args)
    return apply_policy(model, policy), processor


def training_dtype(recipe: Recipe, args: OCR2TrainingArguments) -> str:
    """The dtype the weights are loaded in; weights that train themselves stay float32."""
    if recipe.model.dtype != "auto":
        return recipe.model.dtype
    only_adapters = recipe.model.uses_lora and recipe.model.train_language != "full"
    return "bfloat16" if args.bf16 and only_adapters else "float32"


def run(trainer: OCR2Trainer, recipe: Recipe) -> None:
    """Train from the last complete checkpoint, if there is one; save model, recipe and trainer state."""
    args = trainer.args
    if trainer.is_world_process_zero():
        save_identity(recipe, args.output_dir)
        counts = {group: asdict(count) for group, count in trainer.counts().items()}
        write_json(Path(args.output_dir) / POLICY_FILE, {"policy": asdict(recipe.model), "parameters": counts})
    mark_incomplete(args.output_dir)
    checkpoint = resume_from(args)
    if checkpoint:
        logger.info("going on from %s", checkpoint)
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    finally:
        trainer.save_state()
    if trainer.eval_dataset is not None:
        trainer.log_metrics("eval", trainer.evaluate())
    trainer.save_model()
    trainer.save_state()
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        mark_complete(args.output_dir)
    logger.info("saved %s", args.output_dir)


def _keep_base(model, processor, args: OCR2TrainingArguments) -> None:
    """An adapter is worth nothing without its base: one that lies nowhere else is kept beside the adapter."""
    base = Path(args.output_dir) / BASE_FOLDER
    with args.main_process_first(desc="saving the base"):
        if args.process_index == 0:
            model.save_pretrained(base)
            processor.save_pretrained(base)
    model.name_or_path = model.config.name_or_path = str(base)


def _tell(trainer: OCR2Trainer) -> None:
    logger.info("what trains:\n%s", counts_table(trainer.counts()))
    _tell_idle_weights(trainer.train_dataset, trainer.args)
    guard, args = trainer.guard and trainer.guard.pages, trainer.args
    named = {"training": trainer.train_dataset, "evaluation": trainer.eval_dataset, "guard": guard}
    read = {"evaluation": args.eval_pages, "guard": args.guard_pages}
    for name, pages in named.items():
        if pages is None:
            continue
        for source, each in sources_of(pages).items():
            _tell_left_out(f"{source} {name}".strip(), each)
        if not len(pages):
            raise WorkError(f"no {name} pages are left")
        if count := read.get(name):
            _tell_cut(name, Sample.of(pages, count, args.eval_max_new_tokens, context_of(trainer.model)))
    if isinstance(trainer.train_dataset, PageMixture):
        logger.info("%s", trainer.train_dataset.told())


def _tell_left_out(name: str, pages: PageTasks) -> None:
    if pages.regions_without_text or pages.pages_without_text:
        level = logging.WARNING if pages.pages_without_text else logging.INFO  # pictures have none
        counts = pages.pages_without_text, len(pages.records), name, pages.regions_without_text, pages.regions
        logger.log(level, "%d of %d %s pages and %d of %d regions have no text", *counts)
    for reason, count in pages.dropped.items():
        logger.warning("%d %s pages left out: %s", count, name, reason)
    if pages.split:
        parts = sum(map(len, pages.split.values()))
        logger.warning("%d %s pages longer than max_length split into %d parts", len(pages.split), name, parts)


def _tell_idle_weights(pages: PageTasks | PageMixture, args: OCR2TrainingArguments) -> None:
    """Weights of labels and roles that no page has, with those there are."""
    sources = sources_of(pages).values()
    labels, roles = ({name for each in sources for name in getattr(each, kind)} for kind in ("labels", "roles"))
    if missing := args.token_weights.keys() - roles:
        _tell_idle("token_weights", missing, roles)
    if missing := args.label_weights.keys() - labels:
        # In the task locate the label of a region is its text.
        shown = {label for each in sources for label in chain.from_iterable(each.records["labels"])}
        _tell_idle("label_weights", missing, labels & shown)


def _tell_idle(key: str, missing: Iterable[str], there: Iterable[str]) -> None:
    named = ", ".join(sorted(there)) or "none"
    logger.warning("%s: no training page has %s in its target; there are: %s", key, ", ".join(sorted(missing)), named)


def _tell_cut(name: str, sample: Sample) -> None:
    if sample.cut:
        logger.warning(
            "eval_max_new_tokens %d cuts %d of the %d references read in %s: the best model would not score 0 there; "
            "null takes the length from the references",
            *(sample.limit, sample.cut, len(sample.indices), name),
        )
