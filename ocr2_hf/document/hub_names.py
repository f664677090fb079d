"""How the Hub names its repositories, ORG/NAME, and the model that is fine-tuned."""

import os
import re
from difflib import get_close_matches
from pathlib import Path

BASE_MODEL = "deepseek-community/DeepSeek-OCR-2"  # the library's own layout
ORIGINAL_MODEL = "deepseek-ai/DeepSeek-OCR-2"  # the same weights in the authors' layout
_LONGEST = 96  # characters of a Hub id
_LOOKED_AT = 10_000  # names beside one that is missing; more would take seconds
HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")


def hub_id(name: str | None) -> str | None:
    """`name` where it is a Hub id and no path on this machine: of a folder that is here it would be a path, mistyped or
    gone, and a stranger's repository could have its name."""
    known = bool(name) and len(name) <= _LONGEST and HUB_ID.fullmatch(name)
    return name if known and not os.path.exists(Path(name).parent) else None


def missing_path(path: Path) -> str:
    """What to say of a path that is not there: what is, and the nearest name beside it."""
    above = next(folder for folder in path.absolute().parents if os.path.isdir(folder))
    part = path.absolute().relative_to(above).parts[0]
    names = os.listdir(above) if os.access(above, os.R_OK) else []
    near = "".join(f"; did you mean {above / name}?" for name in get_close_matches(part, names[:_LOOKED_AT], 1))
    return f"there is no folder {path}{near}"
