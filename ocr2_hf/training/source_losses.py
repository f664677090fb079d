"""The losses of each source of a mixture, for the log."""

from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from ocr2_hf.modeling.losses import TERMS, named_losses, stacked_terms


class SourceLosses:
    """Sums the terms of the pages of each source until they are told; `names` are the sources in their order, `totals`
    [2 * terms, sources]."""

    def __init__(self, names: Sequence[str]):
        self.names = list(names)
        self.totals = torch.zeros(2 * len(TERMS), len(self.names))

    def add(self, sources: Tensor, sums: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> None:
        """Count a batch: the number of each page's source [B], and its terms."""
        self.totals = self.totals.to(sources.device).index_add(1, sources, stacked_terms(sums, counts))

    def told(self, accelerator: Accelerator, weights: Mapping[str, float]) -> dict[str, float]:
        """`SOURCE_loss`, `SOURCE_loss_text` and so on of the pages since the last call, over all processes; nothing of
        a source that had none."""
        totals = accelerator.reduce(self.totals, reduction="sum").cpu()
        self.totals = torch.zeros_like(self.totals)
        return {
            f"{source}_{name}": value
            for source, own in zip(self.names, totals.unbind(dim=1), strict=True)
            if own[len(TERMS) :].any()
            for name, value in named_losses(own, weights).items()
        }
