"""`OCR2Trainer`: the library's `Trainer` with the terms of the loss, exact under any split of the batch."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from transformers import DeepseekOcr2ForConditionalGeneration, ProgressCallback

from ocr2_hf.data.augment import Augmentation
from ocr2_hf.data.collator import TrainingCollator, coordinate_token_ids
from ocr2_hf.data.mixture import DatasetMixture, PageMixture, sources_of
from ocr2_hf.data.page_tasks import PageTasks, ProcessShare, check_boxes
from ocr2_hf.data.pixels import look_up
from ocr2_hf.data.token_batches import TokenBatches
from ocr2_hf.errors import Preempted, WorkError
from ocr2_hf.modeling.adapters import Count, base_of, group_of, load_adapter, trainable_counts, write_portable_adapter
from ocr2_hf.modeling.box_head import load_box_head, save_box_head, split_box_head
from ocr2_hf.modeling.losses import (
    TERMS,
    LossSettings,
    named_losses,
    stacked_terms,
    term_counts,
    term_means,
    term_weights,
    weighted_sum,
)
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.modeling.processor import complete_processor
from ocr2_hf.modeling.tensors import check_weights
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.callbacks import EarlyStopping, EpochOfPages, Preemption
from ocr2_hf.training.costs import Costs
from ocr2_hf.training.curves import CurvesCallback
from ocr2_hf.training.generated_evaluation import score_sample
from ocr2_hf.training.guard import Guard
from ocr2_hf.training.progress_bar import ProgressBar
from ocr2_hf.training.resumed_trainer import ResumedTrainer
from ocr2_hf.training.source_losses import SourceLosses
from ocr2_hf.training.vision_cache import cache_vision

# Group of parameters -> the recipe's key of its learning rate; all others have `learning_rate`.
OWN_RATES = {
    "vision_sam": "vision_learning_rate",
    "vision_encoder": "vision_learning_rate",
    "projector": "projector_learning_rate",
    "box_head": "box_head_learning_rate",
}


class OCR2Trainer(ResumedTrainer):
    """Fine-tune DeepSeek-OCR-2 on page records.

    `loss = text_weight * loss_text + box_weight * loss_box`, the terms of `losses.TERMS`. Each is a sum divided by a
    normaliser that is itself summed over the whole optimizer step, every micro-batch and every process: the sum of
    token weights, and the number of boxes.

    Args:
        model: from `ocr2_hf.modeling.load.load_model`, through `apply_policy` for LoRA; a stock
            `DeepseekOcr2ForConditionalGeneration` will do.
        args: tasks, losses and everything of `TrainingArguments`.
        processor: the model's `DeepseekOcr2Processor`; completed (`ocr2_hf.modeling.processor`) and saved with every
            checkpoint.
        train_dataset, eval_dataset: page records, from `ocr2_hf.load_dataset`, or a `DatasetMixture` of several.
        guard_dataset: page records that the model must not unlearn to read; read before the first step and at every
            evaluation. `train` and `evaluate` raise `WorkError` when that goes worse than `guard_tolerance` allows.
    """

    # `compute_loss` normalises over the accumulated batch itself (the library asks this from 5.2x on).
    loss_is_scaled_for_ga = True
    summed = (*ResumedTrainer.summed, "_means", "_items", "_steps", "_source_totals")

    def __init__(
        self,
        model: nn.Module,
        args: OCR2TrainingArguments | None = None,
        *,
        processor,
        train_dataset: Dataset | DatasetMixture | None = None,
        eval_dataset: Dataset | DatasetMixture | None = None,
        guard_dataset: Dataset | None = None,
        **kwargs,
    ):
        args = args or OCR2TrainingArguments()
        model = _ours(model)
        base, ids = base_of(model), coordinate_token_ids(processor.tokenizer)
        base.loss_settings = LossSettings(ids, term_weights(args), args.box_beta, args.box_source, args.loss_chunks)
        if args.box_source == "head" and base.box_head is None:
            base.add_box_head()
        if args.max_patches is not None:
            processor.image_processor.max_patches = args.max_patches  # saved with the processor
        self.processor = complete_processor(processor)
        self._means = torch.zeros(len(TERMS))  # each term of this process, summed since the last log row
        self._items = torch.zeros(len(TERMS))  # what it is a mean over, of all processes, since then
        self._steps = 0
        self._by_source: SourceLosses | None = None
        super().__init__(
            model=model,
            args=args,
            data_collator=TrainingCollator(processor, args.token_weights, args.label_weights, levels=True),
            train_dataset=None if train_dataset is None else self._pages(train_dataset, args, training=True),
            eval_dataset=None if eval_dataset is None else self._pages(eval_dataset, args),
            processing_class=processor,
            **kwargs,
        )
        self.model_accepts_loss_kwargs = True
        if self.train_dataset is not None:
            sources = {name or "train_dataset": pages for name, pages in sources_of(self.train_dataset).items()}
            check_boxes({name: pages.records for name, pages in sources.items()}, args.tasks, args.prompts)
            for name, pages in sources.items():
                pages.check_texts(name)
            self.add_callback(EpochOfPages(self.train_dataset))
        if isinstance(self.train_dataset, PageMixture):
            self._by_source = SourceLosses(self.train_dataset.sources)
        if args.early_stopping_patience is not None:
            self.add_callback(EarlyStopping(args.early_stopping_patience))
        self.guard = None
        if guard_dataset is not None:
            self.guard = Guard(self._pages(guard_dataset, args), partial(self._read, count=args.guard_pages))
            self.add_callback(self.guard)
        self.add_callback(CurvesCallback())
        self.costs = Costs(self.accelerator)
        self.add_callback(self.costs)
        if self.pop_callback(ProgressCallback):
            self.add_callback(ProgressBar())  # begins once the guard has read
        self.add_callback(Preemption(self.accelerator))

    def _pages(
        self, dataset: Dataset | DatasetMixture, args: OCR2TrainingArguments, training: bool = False
    ) -> PageTasks | PageMixture:
        if isinstance(dataset, DatasetMixture):
            sources = {name: self._pages(part, args, training) for name, part in dataset.datasets.items()}
            return PageMixture(sources, dataset.shares, dataset.stopping_strategy if training else None)
        augment = Augmentation.of(args.augment) if training else None
        return PageTasks(
            dataset, self.processor, args.tasks, args.prompts, args.max_length, args.seed, args.overlong, augment
        )

    def counts(self) -> dict[str, Count]:
        """Trainable and all parameters by group."""
        return trainable_counts(self.model)

    def train(self, *args, **kwargs):
        """As the library's. Ended by the guard (`WorkError`) or by SIGTERM (`Preempted`), it still closes trackers and
        draws the curves."""
        self.cache_vision()
        try:
            return super().train(*args, **kwargs)
        except (WorkError, Preempted):
            self.control = self.callback_handler.on_train_end(self.args, self.state, self.control)
            raise

    # --- pages

    def cache_vision(self) -> None:
        """With `cache_vision_features`: compute what the vision encoder makes of the pages, once; `train` does it too.
        Raises `WorkError` where the disk is full."""
        if self.args.cache_vision_features:
            named = {"training": self.train_dataset, "evaluation": self.eval_dataset}
            tower = base_of(self.model).model.vision_tower
            cache_vision(named, tower, self.processor, self.args, self.is_deepspeed_enabled)

    def get_train_dataloader(self) -> DataLoader:
        """As the library's; with `tokens_per_batch` its batches are `TokenBatches`."""
        args, tokens = self.args, self.args.tokens_per_batch
        if tokens is None:
            return super().get_train_dataloader()
        processes = self.accelerator.num_processes
        seed = args.seed if args.data_seed is None else args.data_seed
        batches = TokenBatches(self.train_dataset, tokens, args.per_device_train_batch_size, processes, seed)
        names = ("num_workers", "pin_memory", "persistent_workers", "prefetch_factor", "multiprocessing_context")
        options = {name: getattr(args, f"dataloader_{name}") for name in names}
        loader = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator, **options)
        return self.accelerator.prepare(loader)

    # --- the loss of an optimizer step

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device) -> tuple[list, Tensor]:
        """The micro-batches of one optimizer step and the normaliser of each term [terms], summed over them and over
        all processes; the library hands the second to `compute_loss`."""
        self.costs.begin_step()
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        counts = [torch.stack([each.sum() for each in term_counts(batch).values()]).to(device) for batch in batches]
        self.costs.count(batches)
        self._steps += 1
        self.took_step = True
        return batches, self.accelerator.reduce(sum(counts, torch.zeros(len(TERMS), device=device)), reduction="sum")

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ):
        """This micro-batch's share in the step's loss, times the number of processes, over which gradients average.

        `inputs`: a batch of `TrainingCollator`; `num_items_in_batch`: the normalisers [terms]. The loss is a scalar.
        """
        inputs = dict(inputs)
        sources = inputs.pop("sources", None)
        outputs = model(**inputs)
        if num_items_in_batch is None:
            return (outputs.loss, outputs) if return_outputs else outputs.loss
        means = term_means(outputs.sums, dict(zip(TERMS, num_items_in_batch, strict=True)))
        self._means = self._means.to(outputs.loss.device) + torch.stack([m.detach().float() for m in means.values()])
        self._items = self._items.to(outputs.loss.device) + num_items_in_batch
        if self._by_source is not None:
            self._by_source.add(sources, outputs.sums, outputs.counts)
        loss = weighted_sum(means, term_weights(self.args)) * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """As the library, with pixel values in place of levels, and the token weights as the bits of integers: before
        the forward the library casts floating inputs to bfloat16 for DeepSpeed, and FSDP does at its start."""
        integers = {"token_weights": inputs["token_weights"].view(torch.int32)}
        return look_up(super()._prepare_inputs(inputs | integers))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to rows of training each term (`loss_text`, `loss_box`) that there was something to measure of, a mean
        over the optimizer steps since the last row; of a mixture, what each source's pages cost since then; and the
        costs (`Costs.row`)."""
        if "loss" in logs and self._steps:
            means = (self.accelerator.reduce(self._means, reduction="sum") / self._steps).tolist()
            measured = zip(TERMS.values(), means, self._items.tolist(), strict=True)
            named = {term.log_name: mean for term, mean, items in measured if items}
            logs = {"loss": logs["loss"]} | named | logs | self.costs.row(self.state)
            if self._by_source is not None:
                logs |= self._by_source.told(self.accelerator, term_weights(self.args))
            self._means, self._items, self._steps = torch.zeros_like(self._means), torch.zeros_like(self._items), 0
        super().log(logs, start_time)

    @property
    def _source_totals(self) -> Tensor | None:
        return self._by_source and self._by_source.totals

    @_source_totals.setter
    def _source_totals(self, totals: Tensor | None) -> None:
        if self._by_source is not None and totals is not None:
            self._by_source.totals = totals

    # --- learning rates

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The library's optimizer; with a group of parameters per learning rate where the recipe names several."""
        if self.optimizer is not None:
            return self.optimizer
        optimizer = super().create_optimizer(model)
        if any(getattr(self.args, key) for key in OWN_RATES.values()):
            optimized = self.model if model is None else model
            optimizer.param_groups.clear()
            for group in optimizer_groups(optimized, self.args, set(self.get_decay_parameter_names(optimized))):
                optimizer.add_param_group(group)
        return optimizer

    # --- evaluation

    def evaluate(
        self,
        eval_dataset: Dataset | DatasetMixture | PageTasks | PageMixture | None = None,
        ignore_keys=None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Loss terms and teacher-forced token accuracy over all pages, and what generation reads on `eval_pages` of
        them.

        Terms are sums over sums, over all processes; no page counts twice. Returns and logs `eval_loss`,
        `eval_loss_text`, `eval_loss_box`, `eval_token_accuracy`, `eval_cer`, `eval_bbox_iou` and more; where
        `eval_max_new_tokens` cuts references of the pages read, `eval_references_cut` of them. Of a mixture all pages
        of every source count, weighted to its share; what was measured on a source alone is there too, as
        `eval_SOURCE_loss`. None of training's random numbers is drawn: it takes the same steps however often it is
        evaluated.
        """
        pages = eval_dataset if eval_dataset is not None else self.eval_dataset
        if pages is None:
            raise ValueError("evaluate needs an eval_dataset, here or when the trainer is made")
        known = isinstance(pages, PageTasks | PageMixture)
        pages = pages.unchanged() if known else self._pages(pages, self.args)
        model = self._model_to_evaluate()
        model.eval()
        with torch.random.fork_rng(devices=[]):  # a loader of pages draws a seed
            metrics = self._loss_terms(model, pages)
        if self.args.eval_pages:
            metrics |= self._read(pages.with_images(), self.args.eval_pages, keep_example=True)
        if self.guard is not None:
            metrics["guard_cer"] = self.guard.cer()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _read(self, pages: PageTasks, count: int, keep_example: bool = False) -> dict[str, float]:
        self.model_wrapped.eval()
        return score_sample(self.model, self.processor, self.accelerator, self.args, pages, count, keep_example)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        name = f"eval_{(self.args.metric_for_best_model or 'loss').removeprefix('eval_')}"
        if name not in metrics:
            raise WorkError(
                f"metric_for_best_model: {name} cannot be measured on these evaluation pages; measured: "
                f"{', '.join(sorted(metrics))}"
            )
        return super()._determine_best_metric(metrics, trial)

    def _loss_terms(self, model: nn.Module, pages: PageTasks | PageMixture) -> dict[str, float]:
        totals = {name: self._loss_totals(model, each) for name, each in sources_of(pages).items()}
        if not isinstance(pages, PageMixture):
            return self._means_of(totals[""])
        weights = {name: share * len(pages) / len(pages.sources[name]) for name, share in pages.shares.items()}
        metrics = self._means_of(sum(weights[name] * total for name, total in totals.items()))
        return metrics | {
            f"{name}_{metric}": value
            for name, total in totals.items()
            for metric, value in self._means_of(total).items()
        }

    def _means_of(self, totals: Tensor) -> dict[str, float]:
        correct, tokens = totals[-2:].tolist()
        return named_losses(totals[:-2], term_weights(self.args)) | {"token_accuracy": correct / max(tokens, 1)}

    @torch.no_grad()
    def _loss_totals(self, model: nn.Module, pages: PageTasks) -> Tensor:
        """Sums and normalisers of the terms, tokens predicted right and tokens [2 terms + 2], over all processes."""
        totals = torch.zeros(2 * len(TERMS) + 2, device=self.args.device)
        longest_first = Subset(pages, (-pages.drawn_lengths()).argsort(kind="stable").tolist())  # little padding
        loader = DataLoader(
            ProcessShare(longest_first, self.accelerator.process_index, self.accelerator.num_processes),
            batch_size=self.args.per_device_eval_batch_size,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
        )
        for batch in loader:
            with self.compute_loss_context_manager():
                out = model(**self._prepare_inputs(batch))
            terms = stacked_terms(out.sums, out.counts).sum(dim=1)
            totals += torch.cat([terms, torch.stack([out.correct, out.tokens]).float()])
        return self.accelerator.reduce(totals, reduction="sum").cpu().double()

    def _model_to_evaluate(self) -> nn.Module:
        """The model as `train` wrapped it, or, where no training went before, wrapped now."""
        if self.model_wrapped is not self.model or self.accelerator._models:
            return self.model_wrapped
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            self.model_wrapped = self.accelerator.prepare(self.model)
        else:
            self.model_wrapped = self.accelerator.prepare_model(self.model, evaluation_mode=True)
        if self.is_fsdp_enabled:
            self.model = self.model_wrapped
        if self.is_deepspeed_enabled:
            self.deepspeed = self.model_wrapped
        return self.model_wrapped

    # --- checkpoints

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """As the library; an adapter gets names that loaders of this model know, and the box head beside it."""
        super()._save(output_dir, state_dict)
        if self.args.should_save and isinstance(self.model, PeftModel):
            folder = output_dir or self.args.output_dir
            write_portable_adapter(folder)
            save_box_head(split_box_head(self.model.state_dict() if state_dict is None else state_dict)[1], folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_weights(self.model, resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            load_weights(self.model, self.state.best_model_checkpoint)


def _ours(model: nn.Module) -> nn.Module:
    if isinstance(model, OCR2Model | PeftModel):
        return model
    if isinstance(model, DeepseekOcr2ForConditionalGeneration):
        return OCR2Model.from_stock(model)
    raise TypeError(f"OCR2Trainer trains DeepseekOcr2ForConditionalGeneration, not {type(model).__name__}")


def optimizer_groups(model: nn.Module, args: OCR2TrainingArguments, decaying: Collection[str]) -> list[dict[str, Any]]:
    """What trains, a group for each learning rate and weight decay; only parameters named in `decaying` decay.

    The group at the recipe's own rate comes first: it is the one the library logs.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = OWN_RATES.get(group_of(name))
            rate = (getattr(args, own) if own else None) or args.learning_rate
            decay = args.weight_decay if name in decaying else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    ordered = sorted(groups.items(), key=lambda item: item[0][0] != args.learning_rate)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in ordered]


def load_weights(model: nn.Module, checkpoint: str) -> None:
    """Load what `save_pretrained` wrote: its key names are the original repository's, and the library's own
    `load_state_dict` would load none of them and only warn. Raises `UsageError` for a broken checkpoint."""
    if isinstance(model, PeftModel):
        load_adapter(model, Path(checkpoint), trainable=True)
    else:
        check_weights(Path(checkpoint), model.config)
        # What trains is float32 also where the rest is not.
        saved = OCR2Model.from_pretrained(checkpoint, dtype=torch.float32, use_safetensors=True)
        model.load_state_dict(saved.state_dict(), strict=False)
    base = base_of(model)
    if (head := load_box_head(checkpoint, base.config.text_config.hidden_size)) is not None:
        base.box_head.load_state_dict(head)
