"""The stock DeepSeek-OCR-2 whose forward also takes token weights and boxes and returns loss terms.

It adds no parameter but the optional box head, and it saves as the stock class.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from transformers import DeepseekOcr2Config, DeepseekOcr2ForConditionalGeneration, DeepseekOcr2Model
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.deepseek_ocr2.modeling_deepseek_ocr2 import DeepseekOcr2TextExperts, DeepseekOcr2VisionModel
from transformers.utils import ModelOutput

from ocr2_hf.data.collator import IGNORED
from ocr2_hf.document.atomic_files import open_to_readers
from ocr2_hf.document.grounding import COORDINATE_MAX
from ocr2_hf.modeling.box_head import BoxHead, save_box_head, split_box_head
from ocr2_hf.modeling.head import OCR2Head, autocast_dtype
from ocr2_hf.modeling.losses import TERMS, ForwardPass, LossSettings, by_page, term_counts, term_means, weighted_sum

VIEWS_AT_ONCE = 6  # a page's tiles: enough work for a GPU


@dataclass
class OCR2Output(ModelOutput):
    """What a training forward returns.

    `loss`: the loss of this batch on its own. `sums` [pages]: its terms by name (`losses.TERMS`) before they are
    normalised, `counts` [pages]: their normalisers; plain dicts, through which every wrapper finds the tensors.
    `correct` of `tokens` tokens with a weight are right when the truth is fed.
    `bbox_preds` [boxes, 4]: predicted boxes in [0, 1], in the order of `box_tokens`.
    """

    loss: Tensor | None = None
    sums: dict[str, Tensor] | None = None
    counts: dict[str, Tensor] | None = None
    correct: Tensor | None = None
    tokens: Tensor | None = None
    bbox_preds: Tensor | None = None


class _LibraryModel:
    """A subclass of a library model that loads and saves like its parent.

    The library translates key names of checkpoints (the original repository's into its own and back) for its own
    classes only; for a class of somebody else it would load such a checkpoint without its weights.
    """

    @classmethod
    def is_custom_code(cls) -> bool:
        return False


class OCR2PageModel(_LibraryModel, DeepseekOcr2Model):
    """The stock model without its head; every process runs the same modules whatever its pages look like."""

    def forward(self, input_ids: Tensor | None = None, *, vision_features: Tensor | None = None, **inputs):
        """As the stock forward; `vision_features` [visual tokens - pages, encoder width], stored outputs of the vision
        tower for all pages of the batch, stand for the pixels: the tower does not run."""
        if vision_features is None:
            return super().forward(input_ids, **inputs)
        embeds = self.get_input_embeddings()(input_ids)
        if not torch.is_autocast_enabled(vision_features.device.type):
            vision_features = vision_features.to(self.vision_tower.dtype)
        counts = (input_ids == self.config.image_token_id).sum(dim=1) - 1
        # What takes the places of the image tokens: of each page its projected features and the view separator.
        features = self.multi_modal_projector(vision_features).split(counts.tolist())
        pages = torch.cat([torch.cat([page, self.view_separator[None]]) for page in features]).to(embeds.dtype)
        place = self.get_placeholder_mask(input_ids, inputs_embeds=embeds, image_features=pages)
        return super().forward(**inputs | {"inputs_embeds": embeds.masked_scatter(place, pages)})

    def get_image_features(self, pixel_values, pixel_values_local=None, num_local_patches=None, **kwargs):
        """As the stock method; among several processes a batch without tiles runs the vision tower over an empty one.

        The stock tower runs once or twice depending on the batch. Processes that disagree on it hang under FSDP and
        ZeRO-3, and under DDP leave parameters without a gradient. The empty tile's features count zero times. A tower
        that is whole and does not train in every process needs none of that.
        """
        if not torch.is_autocast_enabled(pixel_values.device.type):
            pixel_values = pixel_values.to(self.vision_tower.dtype)
            pixel_values_local = None if pixel_values_local is None else pixel_values_local.to(self.vision_tower.dtype)
        tower = self.vision_tower
        several = torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1
        alone = not several or not (tower.trains or tower.is_sharded)
        if pixel_values_local is not None or alone:
            return super().get_image_features(pixel_values, pixel_values_local, num_local_patches, **kwargs)
        side = self.config.vision_config.sam_config.image_size * 12 // 16  # 768 of 1024: 12 of 16 visual tokens a side
        empty = pixel_values.new_zeros(1, pixel_values.shape[1], side, side)
        counts = [1] + [0] * (pixel_values.shape[0] - 1)
        outputs = super().get_image_features(pixel_values, empty, counts, **kwargs)
        first, *others = outputs.pooler_output
        tile, rest = first.split([144, first.shape[0] - 144])
        outputs.pooler_output = [rest + 0 * tile.sum(), *others]
        return outputs


class OCR2VisionModel(_LibraryModel, DeepseekOcr2VisionModel):
    """The stock vision tower; where nothing of it trains, it keeps nothing for a backward pass, and a large batch of
    views goes through it piece by piece: a view of 1024 pixels takes up to 0.4 GB while it is looked at."""

    @property
    def trains(self) -> bool:
        """Whether any of its weights does."""
        return any(parameter.requires_grad for parameter in self.parameters())

    @property
    def is_sharded(self) -> bool:
        """Whether its weights are gathered layer by layer: all processes must then call it equally often."""
        return is_deepspeed_zero3_enabled() or isinstance(self.sam_encoder.layers[0], FSDPModule)

    def forward(self, pixel_values: Tensor, **kwargs):
        """Views [V, 3, side, side] -> `last_hidden_state` [V, queries, encoder width]."""
        # A trace, as for ONNX, keeps the number of views open; asking for it would bake it in.
        if self.trains or torch.compiler.is_compiling():
            return super().forward(pixel_values, **kwargs)
        with torch.no_grad():
            if len(pixel_values) <= VIEWS_AT_ONCE or self.is_sharded:
                return super().forward(pixel_values, **kwargs)
            pieces = [super(OCR2VisionModel, self).forward(views) for views in pixel_values.split(VIEWS_AT_ONCE)]
        return BaseModelOutput(last_hidden_state=torch.cat([piece.last_hidden_state for piece in pieces]))


class OCR2Experts(DeepseekOcr2TextExperts):
    """The text model's routed experts, whose grouped matrix products follow autocast as every linear layer does.

    The library's `grouped_mm` knows nothing of autocast (read in transformers 5.24): with float32 weights under mixed
    precision it would multiply in float32, at a fraction of the speed and twice the memory, without a word.
    """

    def forward(self, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        """`hidden_states` [tokens, H], `top_k_index` and `top_k_weights` [tokens, K] -> [tokens, H]."""
        dtype = autocast_dtype(hidden_states)
        if dtype is None or self.config._experts_implementation != "grouped_mm":
            return super().forward(hidden_states, top_k_index, top_k_weights)
        tokens, chosen = top_k_index.shape
        experts, order = top_k_index.flatten().sort()
        ends = torch.searchsorted(experts, torch.arange(self.num_experts, device=experts.device), right=True).int()
        inputs = hidden_states.to(dtype)[order // chosen]
        both = F.grouped_mm(inputs, self.gate_up_proj.to(dtype).transpose(1, 2), offs=ends)
        gate, up = both.chunk(2, dim=-1)
        outputs = F.grouped_mm(self.act_fn(gate) * up, self.down_proj.to(dtype).transpose(1, 2), offs=ends)
        places = torch.empty_like(order)
        places[order] = torch.arange(len(order), device=order.device)
        weighted = outputs[places].view(tokens, chosen, -1) * top_k_weights[..., None]
        return weighted.sum(dim=1).to(hidden_states.dtype)


class OCR2Model(_LibraryModel, DeepseekOcr2ForConditionalGeneration):
    """`DeepseekOcr2ForConditionalGeneration` with loss terms.

    Without `token_weights` it behaves as the stock class in everything, its own loss and generation included.
    """

    loss_settings: LossSettings | None = None
    box_head: BoxHead | None

    def __init__(self, config: DeepseekOcr2Config):
        super().__init__(config)
        self._become_ours()

    @classmethod
    def from_stock(cls, model: DeepseekOcr2ForConditionalGeneration) -> "OCR2Model":
        """Turn a loaded stock model into this class, in place: same parameters, more methods."""
        model.__class__ = cls
        model._become_ours()
        return model

    def _become_ours(self) -> None:
        self.model.__class__ = OCR2PageModel
        self.model.vision_tower.__class__ = OCR2VisionModel
        self.lm_head.__class__ = OCR2Head
        for module in self.model.language_model.modules():
            if isinstance(module, DeepseekOcr2TextExperts):
                module.__class__ = OCR2Experts
        self.box_head = None

    @property
    def is_gradient_checkpointing(self) -> bool:
        """As the stock property, without its warning: peft asks by this name, which is on its way out."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.modules())

    def enable_input_require_grads(self) -> None:
        """Nothing. The library calls this when checkpointing is turned on, and its own makes the inputs of text model
        and vision tower ask for gradients: a frozen vision tower would then be run again and differentiated in every
        backward pass, three times its cost. Only reentrant checkpointing needs it, which recipes refuse.
        """

    def choose_experts(self, implementation: str) -> None:
        """How the experts are multiplied (`experts_implementation`); the library takes it on the text model only."""
        self.model.language_model.set_experts_implementation(implementation)

    def add_box_head(self, weights: dict[str, Tensor] | None = None) -> None:
        """Give the model a box head, with these weights or fresh ones, which are the same on every process."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            head = BoxHead(self.config.text_config.hidden_size)
        self.box_head = head.to(device=self.lm_head.weight.device, dtype=self.lm_head.weight.dtype)
        if weights is not None:
            self.box_head.load_state_dict(weights)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_values_local: Tensor | None = None,
        num_local_patches: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        token_weights: Tensor | None = None,
        box_rows: Tensor | None = None,
        box_tokens: Tensor | None = None,
        box_values: Tensor | None = None,
        vision_features: Tensor | None = None,
        **kwargs,
    ):
        """Stock forward, or, with `token_weights`, the loss terms.

        Shapes, for a batch B of length L, padded on the right, with N boxes: `input_ids`, `labels` [B, L];
        `token_weights` [B, L] float32, or its bits as int32 (wrappers that cast inputs to bfloat16 leave integers
        alone); `box_rows` [N]: the page a box is on; `box_tokens` [N, 5]: where its `<|det|>` and its four coordinates
        stand in the sequence; `box_values` [N, 4]: its coordinates 0..999; `vision_features`: see `OCR2PageModel`.
        Everything else as in the stock forward, whose names stand here because `generate` looks for them. Never makes
        logits for positions without a label.
        """
        inputs = {
            "input_ids": input_ids,
            "pixel_values": pixel_values,
            "pixel_values_local": pixel_values_local,
            "num_local_patches": num_local_patches,
            "attention_mask": attention_mask,
            "inputs_embeds": inputs_embeds,
            "vision_features": vision_features,
        }
        if token_weights is None:
            return super().forward(**inputs, labels=labels, logits_to_keep=logits_to_keep, **kwargs)
        targets = {"labels": labels, "token_weights": token_weights}
        targets |= {"box_rows": box_rows, "box_tokens": box_tokens, "box_values": box_values}
        return self._loss_terms(inputs, targets)

    def _loss_terms(self, inputs: dict[str, Tensor | None], targets: dict[str, Tensor]) -> OCR2Output:
        if self.loss_settings is None:
            raise ValueError("set model.loss_settings before asking for loss terms; OCR2Trainer does")
        settings = self.loss_settings
        labels, weights_BL = targets["labels"][:, 1:], targets["token_weights"]
        if weights_BL.dtype == torch.int32:
            weights_BL = weights_BL.view(torch.float32)
        box_rows, box_tokens = targets["box_rows"], targets["box_tokens"]
        # Rows are right-padded: no token looks ahead at the padding, and attention is faster without a mask.
        hidden_BLH = self.model(**inputs | {"attention_mask": None}, use_cache=False).last_hidden_state
        supervised_BL = labels != IGNORED
        weights_N = weights_BL[:, 1:][supervised_BL]
        # Which supervised token predicts a coordinate: the one before it.
        row_of = (supervised_BL.flatten().cumsum(0) - 1).view_as(supervised_BL)
        losses_N, correct, expected = self.lm_head(
            hidden_BLH[:, :-1][supervised_BL],
            labels[supervised_BL],
            weights_N,
            row_of[box_rows[:, None], box_tokens[:, 1:] - 1].flatten(),
            torch.tensor(settings.coordinate_ids, device=hidden_BLH.device),
            settings.chunks,
        )
        if settings.box_source == "expectation":
            predicted = expected.view(-1, 4)
        else:
            # The first position is there so that the head runs, and gets a (zero) gradient, on pages without boxes.
            states = torch.cat([hidden_BLH[:1, 0], hidden_BLH[box_rows, box_tokens[:, 0]]])
            predicted = self.box_head(states)[1:]
        text_B = by_page(losses_N, supervised_BL.nonzero()[:, 0], len(labels))
        truth = targets["box_values"].float() / COORDINATE_MAX
        done = ForwardPass(hidden_BLH, text_B, predicted, truth, box_rows, settings)
        sums = {name: term.sums(done) for name, term in TERMS.items()}
        counts = term_counts(inputs | targets | {"token_weights": weights_BL})
        return OCR2Output(
            loss=weighted_sum(term_means(sums, counts), settings.weights),
            sums=sums,
            counts=counts,
            correct=correct,
            tokens=(weights_N > 0).sum(),
            bbox_preds=predicted,
        )

    def save_pretrained(self, save_directory: str | Path, is_main_process: bool = True, state_dict=None, **kwargs):
        """Save as the stock class, the box head in a file of its own beside it."""
        stock, head = split_box_head(self.state_dict() if state_dict is None else state_dict)
        super().save_pretrained(save_directory, is_main_process=is_main_process, state_dict=stock, **kwargs)
        if is_main_process:
            open_to_readers(save_directory, "*.safetensors")
            save_box_head(head, save_directory)
            self.config.architectures = [DeepseekOcr2ForConditionalGeneration.__name__]
            self.config.save_pretrained(save_directory)
