"""`OCR2Trainer`: the library's `Trainer` with the two loss terms, exact under any split of the batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from transformers import DeepseekOcr2ForConditionalGeneration, Trainer, TrainerCallback

from ocr2_hf.data.augment import Augmentation
from ocr2_hf.data.collator import Example, TrainingCollator
from ocr2_hf.data.coordinates import coordinate_token_ids
from ocr2_hf.data.pages import PageTasks
from ocr2_hf.data.token_batches import TokenBatches
from ocr2_hf.errors import Preempted, WorkError
from ocr2_hf.modeling.adapters import Count, base_of, group_of, trainable_counts, write_portable_adapter
from ocr2_hf.modeling.box_head import load_box_head, save_box_head, split_box_head
from ocr2_hf.modeling.losses import LossSettings
from ocr2_hf.modeling.model import OCR2Model
from ocr2_hf.recipe import OCR2TrainingArguments
from ocr2_hf.training.checkpoints import mark_complete, mark_incomplete, rotate
from ocr2_hf.training.curves import CurvesCallback
from ocr2_hf.training.early_stopping import EarlyStopping
from ocr2_hf.training.generated_evaluation import score_sample
from ocr2_hf.training.guard import Guard
from ocr2_hf.training.preemption import Preemption
from ocr2_hf.training.vision_cache import cache_vision


class OCR2Trainer(Trainer):
    """Fine-tune DeepSeek-OCR-2 on page records.

    `loss = text_weight * loss_text + box_weight * loss_box`. Each term is a sum divided by a normaliser that is
    itself summed over the whole optimizer step, every micro-batch and every process: the sum of token weights, and
    the number of boxes.

    Args:
        model: from `ocr2_hf.modeling.load.load_model`, through `apply_policy` for LoRA; a stock
            `DeepseekOcr2ForConditionalGeneration` will do.
        args: tasks, losses and everything of `TrainingArguments`.
        processor: the model's `DeepseekOcr2Processor`; saved with every checkpoint.
        train_dataset, eval_dataset: page records, from `ocr2_hf.load_dataset`.
        guard_dataset: page records that the model must not unlearn to read; read before the first step and at every
            evaluation. `train` and `evaluate` raise `WorkError` when that goes worse than `guard_tolerance` allows.
    """

    # `compute_loss` normalises over the accumulated batch itself (the library asks this from 5.2x on).
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: nn.Module,
        args: OCR2TrainingArguments | None = None,
        *,
        processor,
        train_dataset: Dataset | None = None,
        eval_dataset: Dataset | None = None,
        guard_dataset: Dataset | None = None,
        **kwargs,
    ):
        args = args or OCR2TrainingArguments()
        model = _ours(model)
        base_of(model).loss_settings = _loss_settings(args, processor)
        if args.box_source == "head" and base_of(model).box_head is None:
            base_of(model).add_box_head()
        if args.max_patches is not None:
            processor.image_processor.max_patches = args.max_patches  # saved with the processor
        self.processor = processor
        self._terms = torch.zeros(2)  # loss_text and loss_box of this process, summed since the last log row
        self._term_steps = 0
        super().__init__(
            model=model,
            args=args,
            data_collator=TrainingCollator(processor, args.token_weights, args.label_weights),
            train_dataset=None if train_dataset is None else self._pages(train_dataset, args, augmented=True),
            eval_dataset=None if eval_dataset is None else self._pages(eval_dataset, args),
            processing_class=processor,
            **kwargs,
        )
        self.model_accepts_loss_kwargs = True
        if isinstance(self.train_dataset, PageTasks):
            self.add_callback(_TellEpoch(self.train_dataset))
        if args.early_stopping_patience is not None:
            self.add_callback(EarlyStopping(args.early_stopping_patience))
        self.guard = None if guard_dataset is None else Guard(self, self._pages(guard_dataset, args))
        if self.guard is not None:
            self.add_callback(self.guard)
        self.add_callback(CurvesCallback())
        self.add_callback(Preemption(self.accelerator))

    def _pages(self, dataset: Dataset, args: OCR2TrainingArguments, augmented: bool = False) -> PageTasks:
        augment = Augmentation.of(args.augment) if augmented else None
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
            cache_vision(self, base_of(self.model))

    def get_train_dataloader(self) -> DataLoader:
        """As the library's; with `tokens_per_batch` its batches are `TokenBatches`."""
        args, tokens = self.args, self.args.tokens_per_batch
        if tokens is None:
            return super().get_train_dataloader()
        processes = self.accelerator.num_processes
        batches = TokenBatches(self.train_dataset, tokens, args.per_device_train_batch_size, processes, args.seed)
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=batches,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
        )
        return self.accelerator.prepare(loader)

    # --- the loss of an optimizer step

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device) -> tuple[list, Tensor]:
        """The micro-batches of one optimizer step and its two normalisers, summed over them and over all processes.

        Returns `(batches, [sum of token weights, number of boxes])`; the library hands the second to `compute_loss`.
        """
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        weights = sum((batch["token_weights"].sum() for batch in batches), torch.zeros(()))
        boxes = sum(len(batch["box_rows"]) for batch in batches)
        sums = torch.tensor([float(weights), float(boxes)], device=device)
        self._term_steps += 1
        return batches, self.accelerator.reduce(sums, reduction="sum")

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ):
        """This micro-batch's share in the step's loss, times the number of processes, over which gradients average."""
        outputs = model(**inputs)
        if num_items_in_batch is None:
            return (outputs.loss, outputs) if return_outputs else outputs.loss
        weight_sum, boxes = num_items_in_batch
        text = outputs.text_sum / weight_sum.clamp(min=torch.finfo(torch.float32).tiny)
        box = outputs.box_sum / boxes.clamp(min=1)
        self._terms = self._terms.to(text.device) + torch.stack([text.detach().float(), box.detach().float()])
        loss = (self.args.text_weight * text + self.args.box_weight * box) * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """As the library, with the token weights as the bits of integers: before the forward the library casts
        floating inputs to bfloat16 for DeepSpeed, and FSDP does at its start."""
        return super()._prepare_inputs(inputs | {"token_weights": inputs["token_weights"].view(torch.int32)})

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add `loss_text` and `loss_box`, means over the optimizer steps since the last row, to rows of training."""
        if "loss" in logs and self._term_steps:
            text, box = (self.accelerator.reduce(self._terms, reduction="sum") / self._term_steps).tolist()
            logs = {"loss": logs["loss"], "loss_text": text, "loss_box": box} | logs
            self._terms, self._term_steps = torch.zeros_like(self._terms), 0
        super().log(logs, start_time)

    # --- learning rates

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The library's optimizer; with a group of parameters per learning rate where the recipe names several."""
        if self.optimizer is not None or not any(self._own_rates().values()):
            return super().create_optimizer(model)
        optimized = self.model if model is None else model
        decaying = set(self.get_decay_parameter_names(optimized))
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in optimized.named_parameters():
            if parameter.requires_grad:
                rate = self._own_rates().get(group_of(name)) or self.args.learning_rate
                decay = self.args.weight_decay if name in decaying else 0.0
                groups.setdefault((rate, decay), []).append(parameter)
        optimizer, options = self.get_optimizer_cls_and_kwargs(self.args, optimized)
        # The group at the recipe's own rate first: it is the one the library logs.
        ordered = sorted(groups.items(), key=lambda item: item[0][0] != self.args.learning_rate)
        self.optimizer = optimizer(
            [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in ordered],
            **options,
        )
        return self.optimizer

    def _own_rates(self) -> dict[str, float | None]:
        return {
            "vision_sam": self.args.vision_learning_rate,
            "vision_encoder": self.args.vision_learning_rate,
            "projector": self.args.projector_learning_rate,
            "box_head": self.args.box_head_learning_rate,
        }

    # --- evaluation

    def evaluate(
        self,
        eval_dataset: Dataset | PageTasks | None = None,
        ignore_keys=None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Loss terms and teacher-forced token accuracy over all pages, and what generation reads on `eval_pages` of
        them.

        Terms are sums over sums, over all processes; no page counts twice. Returns and logs `eval_loss`,
        `eval_loss_text`, `eval_loss_box`, `eval_token_accuracy`, `eval_cer`, `eval_bbox_iou` and more.
        """
        pages = eval_dataset if eval_dataset is not None else self.eval_dataset
        if pages is None:
            raise ValueError("evaluate needs an eval_dataset, here or when the trainer is made")
        pages = pages.unchanged() if isinstance(pages, PageTasks) else self._pages(pages, self.args)
        model = self._model_to_evaluate()
        model.eval()
        metrics = self._loss_terms(model, pages)
        if self.args.eval_pages:
            metrics |= score_sample(self, pages.with_images(), self.args.eval_pages, keep_example=True)
        if self.guard is not None:
            metrics["guard_cer"] = self.guard.cer()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        name = f"eval_{(self.args.metric_for_best_model or 'loss').removeprefix('eval_')}"
        if name not in metrics:
            raise WorkError(
                f"metric_for_best_model: {name} cannot be measured on these evaluation pages; measured: "
                f"{', '.join(sorted(metrics))}"
            )
        return super()._determine_best_metric(metrics, trial)

    @torch.no_grad()
    def _loss_terms(self, model: nn.Module, pages: PageTasks) -> dict[str, float]:
        sums = torch.zeros(6, device=self.args.device, dtype=torch.float32)
        longest_first = Subset(pages, (-pages.drawn_lengths()).argsort(kind="stable").tolist())  # little padding
        loader = DataLoader(
            self.share(longest_first),
            batch_size=self.args.per_device_eval_batch_size,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
        )
        for batch in loader:
            with self.compute_loss_context_manager():
                out = model(**self._prepare_inputs(batch))
            terms = (out.text_sum, out.weight_sum, out.box_sum, out.boxes, out.correct, out.tokens)
            sums += torch.stack([term.float() for term in terms])
        text, weight, box, boxes, correct, tokens = self.accelerator.reduce(sums, reduction="sum").tolist()
        loss_text, loss_box = text / max(weight, 1e-12), box / max(boxes, 1.0)
        return {
            "loss": self.args.text_weight * loss_text + self.args.box_weight * loss_box,
            "loss_text": loss_text,
            "loss_box": loss_box,
            "token_accuracy": correct / max(tokens, 1.0),
        }

    def share(self, pages: torch.utils.data.Dataset) -> "Share":
        """This process's part of the pages; all processes get equally many, filled up with padding examples."""
        return Share(pages, self.accelerator.process_index, self.accelerator.num_processes)

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

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As the library, but a checkpoint counts only when every process has saved its part, and the old ones go only
        then."""
        run = self._get_output_dir(trial=trial)
        checkpoint = Path(run) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            mark_incomplete(checkpoint)
        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_complete(checkpoint)
            rotate(run, limit, self.state.best_model_checkpoint)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save and isinstance(self.model, PeftModel):
            directory = output_dir or self.args.output_dir
            write_portable_adapter(directory)
            save_box_head(split_box_head(self.model.state_dict() if state_dict is None else state_dict)[1], directory)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """As the library, but for weights saved by `save_pretrained`: their key names are the original repository's,
        and the library's `load_state_dict` would load none of them and only warn."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._load_weights(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            self._load_weights(self.state.best_model_checkpoint)

    def _load_weights(self, checkpoint: str) -> None:
        if isinstance(self.model, PeftModel):
            self.model.load_adapter(checkpoint, self.model.active_adapters[0], is_trainable=True)
        else:
            # What trains is float32 also where the rest is not.
            saved = OCR2Model.from_pretrained(checkpoint, dtype=torch.float32, use_safetensors=True)
            self.model.load_state_dict(saved.state_dict(), strict=False)
        head = load_box_head(checkpoint)
        if head is not None:
            base_of(self.model).box_head.load_state_dict(head)


class Share(torch.utils.data.Dataset):
    """Every `processes`-th page, from `process` on; the last may be a padding example."""

    def __init__(self, pages: torch.utils.data.Dataset, process: int, processes: int):
        self.pages, self.process, self.processes = pages, process, processes

    def __len__(self) -> int:
        return -(-len(self.pages) // self.processes)

    def __getitem__(self, index: int) -> Example:
        page = index * self.processes + self.process
        if page < len(self.pages):
            return self.pages[page]
        return replace(self.pages[0], padding=True)


class _TellEpoch(TrainerCallback):
    """Tasks are drawn anew each epoch."""

    def __init__(self, pages: PageTasks):
        self.pages = pages

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self.pages.set_epoch(int(state.epoch or 0))


def _ours(model: nn.Module) -> nn.Module:
    if isinstance(model, OCR2Model | PeftModel):
        return model
    if isinstance(model, DeepseekOcr2ForConditionalGeneration):
        return OCR2Model.from_stock(model)
    raise TypeError(f"OCR2Trainer trains DeepseekOcr2ForConditionalGeneration, not {type(model).__name__}")


def _loss_settings(args: OCR2TrainingArguments, processor) -> LossSettings:
    return LossSettings(
        coordinate_ids=coordinate_token_ids(processor.tokenizer),
        text_weight=args.text_weight,
        box_weight=args.box_weight,
        box_beta=args.box_beta,
        box_source=args.box_source,
        chunks=args.loss_chunks,
    )
