"""Fine-tune DeepSeek-OCR-2 on a folder of annotated pages. The names below load when they are first used."""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "load_dataset": "ocr2_hf.data.load",
    "DatasetMixture": "ocr2_hf.data.mixture",
    "OCR2Trainer": "ocr2_hf.training.trainer",
    "OCR2TrainingArguments": "ocr2_hf.recipe",
    "DocumentReader": "ocr2_hf.reading.reader",
    "FinancialStatementParser": "ocr2_hf.statements.parser",
    "TableDetector": "ocr2_hf.statements.table_detector",
}
__all__ = [*_HOME]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'ocr2_hf' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
