"""Curves take a second to draw, longer than a short training: they are drawn where they are tested (test_curves.py)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from PIL import Image


def _blank(log_history: list, path: str | Path) -> None:
    Image.new("RGB", (1, 1)).save(path, "PNG")


@contextmanager
def blank_curves() -> Iterator[None]:
    """Training writes a picture of one pixel, in every module that is loaded by now."""
    users = [module for name, module in sys.modules.items() if name.startswith("ocr2_hf.training.")]
    users = [module for module in users if hasattr(module, "draw_curves")]
    patches = [patch.object(module, "draw_curves", _blank) for module in users]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()
