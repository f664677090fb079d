"""The box head: a small MLP that reads a region's box off the hidden state at `<|det|>`.

Stock DeepSeek-OCR-2 has no such module, so it is saved beside the stock weights, in a file of its own.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ocr2_hf.document.atomic_files import open_to_readers
from ocr2_hf.errors import UsageError
from ocr2_hf.modeling.model_files import BOX_HEAD_FILE
from ocr2_hf.modeling.tensors import listed, read_file, tensor_problems

BOX_HEAD_PREFIX = "box_head."


class BoxHead(nn.Module):
    """Hidden states [N, hidden] -> boxes [N, 4], xyxy in [0, 1] of the page."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.hidden = nn.Linear(hidden_size, hidden_size)
        self.box = nn.Linear(hidden_size, 4)

    def forward(self, states: Tensor) -> Tensor:
        """`states` [N, hidden], one for each box -> boxes [N, 4]."""
        states = nn.functional.gelu(self.hidden(states.to(self.hidden.weight.dtype)))
        return self.box(states).sigmoid()


def split_box_head(state_dict: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A model's state dict -> (all but the box head, the box head's own with its own key names)."""
    head = {name: tensor for name, tensor in state_dict.items() if BOX_HEAD_PREFIX in name}
    stock = {name: tensor for name, tensor in state_dict.items() if name not in head}
    return stock, {name.rpartition(BOX_HEAD_PREFIX)[2]: tensor for name, tensor in head.items()}


def save_box_head(head: dict[str, Tensor], directory: str | Path) -> None:
    """Write the box head's weights beside a checkpoint; nothing when there are none."""
    if head:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in head.items()}
        save_file(tensors, Path(directory) / BOX_HEAD_FILE, metadata={"format": "pt"})
        open_to_readers(directory, BOX_HEAD_FILE)


def load_box_head(directory: str | Path, hidden_size: int) -> dict[str, Tensor] | None:
    """The box head's weights beside a checkpoint, or None. Raises `UsageError` where they are not those of a head on
    hidden states of this size."""
    path = Path(directory) / BOX_HEAD_FILE
    if not path.is_file():
        return None
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in BoxHead(hidden_size).state_dict().items()}
    if wrong := tensor_problems(read_file(path), wanted):
        raise UsageError(f"{path} is not the box head of this model: {listed(wrong)}")
    return load_file(path)
