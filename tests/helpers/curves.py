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
    """Training writes a picture of one pixel, where its modules are loaded by now."""
    users = [
        sys.modules[name] for name in ("ocr2_hf.training.curves", "ocr2_hf.training.stages") if name in sys.modules
    ]
    patches = [patch.object(module, "draw_curves", _blank) for module in users]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()
