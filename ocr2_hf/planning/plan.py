"""What a recipe needs before anything runs: tokens of its pages, FLOPs and memory of its steps, under every launch."""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from torch import nn

from ocr2_hf.data.collator import PromptEncoder
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.load import built_datasets, known_names, load_dataset
from ocr2_hf.data.page_tasks import PageTasks, check_boxes
from ocr2_hf.data.shares import shares_of
from ocr2_hf.data.tasks import PROMPTS
from ocr2_hf.data.token_batches import TokenStatistics
from ocr2_hf.data.vision_features import feature_bytes
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.adapters import base_of
from ocr2_hf.modeling.load import load_processor
from ocr2_hf.modeling.tiny import TINY_SIZES
from ocr2_hf.planning import budget
from ocr2_hf.planning.memory import Launch, StepMemory, process_bytes, step_memory
from ocr2_hf.recipe import OCR2TrainingArguments, Recipe
from ocr2_hf.training.job import training_dtype

PROMPT_TOKENS = 12  # of the model's own prompts, with BOS, where its tokenizer is not at hand
TARGET_TOKENS = 600


@dataclass(frozen=True, eq=False)
class Plan:
    """A recipe and the pages it is planned for: (tiles, tokens of prompt and target) of a usual and of the longest;
    `why_not_measured`: the recipe's own, where nobody asked for others."""

    recipe: Recipe
    args: OCR2TrainingArguments
    images: ImageSettings
    usual: tuple[int, int]
    longest: tuple[int, int]
    prompt_tokens: int
    statistics: TokenStatistics | None
    why_not_measured: str | None = None

    @cached_property
    def model(self) -> nn.Module:
        """An outline on the meta device: shapes, dtypes and what trains."""
        return budget.outline(self.recipe.model, self.dtype, box_head=self.args.box_source == "head")

    @property
    def dtype(self) -> str:
        """The dtype the weights are loaded in."""
        return training_dtype(self.recipe, self.args)

    def step(self, page: tuple[int, int]) -> budget.Step:
        """A micro-batch of the recipe over such pages; with `tokens_per_batch` as many as fit."""
        tiles, text = page
        batch, tokens = self.args.per_device_train_batch_size, self.args.tokens_per_batch
        if tokens is not None:
            batch = max(1, min(batch, tokens // (self.images.tokens(tiles) + text)))
        return budget.Step(
            batch=batch,
            tiles=tiles,
            visual_tokens=self.images.tokens(tiles),
            target_tokens=text - self.prompt_tokens,
            chunks=self.args.loss_chunks,
            checkpointing=bool(self.args.gradient_checkpointing),
            prompt_tokens=self.prompt_tokens,
        )

    def flops(self) -> dict[str, int]:
        """FLOPs by part of a micro-batch of usual pages."""
        step = self.step(self.usual)
        parts = budget.step_flops(self.recipe.model, self.images, step).flops(step.checkpointing)
        return parts | {"vision forward": 0} if self.args.cache_vision_features else parts

    def stored_features(self) -> tuple[int, int] | None:
        """Pages, and bytes of their stored vision features: all that train, or a usual one where none are at hand. None
        where the recipe stores none."""
        if not self.args.cache_vision_features:
            return None
        known = self.statistics is not None and self.statistics.pages
        visual = self.statistics.visual.tolist() if known else [self.images.tokens(self.usual[0])]
        width = base_of(self.model).config.vision_config.encoder_config.hidden_size
        return len(visual), feature_bytes(visual, width)

    @cache  # noqa: B019  # a plan lives as long as its command
    def memory(self, checkpointing: bool) -> StepMemory:
        """Memory of a micro-batch of the longest pages."""
        return step_memory(
            self.recipe.model,
            self.images,
            replace(self.step(self.longest), checkpointing=checkpointing),
            self.dtype,
            self.args.mixed_dtype,
            str(self.args.optim),
            accumulates=self.args.gradient_accumulation_steps > 1,
            box_head=self.args.box_source == "head",
        )

    def launched(self, launch: Launch, checkpointing: bool) -> int:
        """Bytes of one process under a launch configuration."""
        width = 4 if self.args.mixed_dtype is None and self.dtype == "float32" else 2
        return process_bytes(launch, self.memory(checkpointing), self.model, width)


def make_plan(
    recipe: Recipe, args: OCR2TrainingArguments, page: tuple[int, int] | None, target_tokens: int | None
) -> Plan:
    """Plan for the pages of the recipe's dataset where it is built; for a page of this size in pixels and target where
    they are given, or there is no dataset."""
    images = budget.image_settings(recipe.model.model, args.max_patches)
    prompt = _prompt_tokens(recipe, args)
    statistics = None if page or target_tokens else page_statistics(recipe, args)
    if statistics is not None and statistics.pages:
        return Plan(recipe, args, images, statistics.page(0.5), statistics.page(1.0), prompt, statistics)
    tiles = images.tiles(*(page or (1240, 1754)))
    text = prompt + (target_tokens or TARGET_TOKENS)
    length = images.tokens(tiles) + text
    if length > args.max_length:
        raise UsageError(
            f"a page of {length:,} tokens ({images.tokens(tiles):,} visual) is longer than max_length "
            f"{args.max_length} and would be left out: raise max_length, lower max_patches, "
            "or set --page and --target_tokens"
        )
    why_not = None if page or target_tokens or statistics is not None else _why_not_measured(recipe)
    return Plan(recipe, args, images, (tiles, text), (tiles, text), prompt, statistics, why_not)


def page_statistics(recipe: Recipe, args: OCR2TrainingArguments) -> TokenStatistics | None:
    """Of the recipe's pages; None where a dataset is not built here, or the model's tokenizer is not at hand."""
    names = shares_of(recipe.data.dataset)
    if not names.keys() <= built_datasets().keys():
        return None
    try:
        processor = load_processor(recipe.model.model)
    except UsageError:
        return None
    if args.max_patches is not None:
        processor.image_processor.max_patches = args.max_patches
    options = (processor, args.tasks, args.prompts, args.max_length, args.seed, args.overlong)
    pages = {name: load_dataset(name, recipe.data.train_split) for name in names}
    check_boxes(pages, args.tasks, args.prompts)
    sources = {name: PageTasks(each, *options) for name, each in pages.items()}
    for name, pages in sources.items():
        pages.check_texts(name)
    return TokenStatistics.joined([TokenStatistics.of(pages) for pages in sources.values()])


def _why_not_measured(recipe: Recipe) -> str:
    names = shares_of(recipe.data.dataset).keys()
    if missing := sorted(names - built_datasets().keys()):
        return f"not built here: {', '.join(missing)} ({known_names()})"
    return f"the tokenizer of {recipe.model.model} is not at hand to measure the pages of {' and '.join(names)}"


def _prompt_tokens(recipe: Recipe, args: OCR2TrainingArguments) -> int:
    """BOS and the prompt of the task with the largest share, without the image."""
    if recipe.model.model not in TINY_SIZES and not Path(recipe.model.model).is_dir():
        return PROMPT_TOKENS
    encoder = PromptEncoder(load_processor(recipe.model.model))
    task = max(args.tasks, key=args.tasks.get)
    return len(encoder.prompt(args.prompts.get(task, PROMPTS[task]), 0)) - encoder.settings.tokens(0)
