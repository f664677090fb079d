"""The text model's routed experts, whose grouped matrix products follow autocast as every linear layer does.

The library's `grouped_mm` knows nothing of autocast (read in transformers 5.23): with float32 weights under mixed
precision it would multiply in float32, at a fraction of the speed and twice the memory, without a word.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.deepseek_ocr2.modeling_deepseek_ocr2 import DeepseekOcr2TextExperts

from ocr2_hf.modeling.autocast import autocast_dtype


class OCR2Experts(DeepseekOcr2TextExperts):
    """The stock experts; under autocast `grouped_mm` multiplies in autocast's dtype."""

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
