"""The name that `ocr2_hf.statements` had first, for `python -m ocr2_hf.reading.statements.scores`."""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "statements")]
