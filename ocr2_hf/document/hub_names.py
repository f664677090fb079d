"""How the Hub names its repositories, ORG/NAME, and the model that is fine-tuned."""

import re
from pathlib import Path

BASE_MODEL = "deepseek-community/DeepSeek-OCR-2"  # the library's own layout
ORIGINAL_MODEL = "deepseek-ai/DeepSeek-OCR-2"  # the same weights in the authors' layout
HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")


def hub_id(name: str | None) -> str | None:
    """`name` where it is a Hub id and no path on this machine."""
    return name if name and HUB_ID.fullmatch(name) and not Path(name).exists() else None
