"""Which dtype autocast multiplies in, for products that it does not know."""

import torch
from torch import Tensor


def autocast_dtype(tensor: Tensor) -> torch.dtype | None:
    """Autocast's dtype on the tensor's device; None where it is off, or there is none (the meta device)."""
    device = tensor.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)
