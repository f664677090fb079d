"""The name that `ocr2_hf.statements` had first: its modules are found under it too."""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "statements")]
