"""The predictions file: one JSON object per page; every score is computed from these lines alone.

`{id, prompt, prediction, reference, width, height, regions, reference_regions, seconds, tokens, finished}`.
`prediction` and `reference` are text as the model writes it, grounding tags and all; a region is `{"label":
str, "box": [x0, y0, x1, y1] in pixels, "text": str}`. Only `id`, `prediction` and `reference` must be there:
predictions made elsewhere may know no more, and where a dataset gives the references, not those. Extra keys are kept:
`image` is a path the report shows, `task` and `language` are what figures are broken down by, `missing` is true where
a page was to be read and has no prediction.
"""

import json
import math
from pathlib import Path
from typing import Any

from ocr2_hf.errors import UsageError, WorkError

_NUMBERS = ("width", "height", "seconds", "tokens")
_TEXTS = ("prompt", "task", "language")
_REGIONS = ("regions", "reference_regions")
_ADVICE = {
    "id": "; give every page a name of its own",
    "prediction": "; leave the line out where a page was not read",
    "reference": "; write it into the line, or name the --dataset that has it",
}


def read_predictions(path: str | Path, with_reference: bool = True) -> list[dict[str, Any]]:
    """Every line, checked. Raises UsageError if there is no file, WorkError at the first bad line.

    Without `with_reference` lines may lack theirs.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such predictions file")
    lines, seen = [], set()
    try:
        rows = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise WorkError(f"{path} is not UTF-8 text ({error}); give a JSON lines file") from None
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        try:
            line = json.loads(row)
            check_line(line, with_reference)
        except ValueError as error:
            raise WorkError(f"{path}, line {number}: {error}") from None
        if line["id"] in seen:
            raise WorkError(f"{path}, line {number}: the page {line['id']!r} comes twice; keep one line per page")
        seen.add(line["id"])
        lines.append(line)
    return lines


def check_line(line: Any, with_reference: bool = True) -> None:
    """Raises ValueError, naming key and value, when `line` cannot be scored."""
    if not isinstance(line, dict):
        raise ValueError(f"expected a JSON object, found {str(line)[:60]!r}")
    for key in ("id", "prediction"):
        if not isinstance(line.get(key), str):
            raise ValueError(f"{key!r} must be text, found {_short(line.get(key))}{_ADVICE[key]}")
    reference = line.get("reference")
    if not isinstance(reference, str) and (with_reference or reference is not None):
        raise ValueError(f"'reference' must be text, found {_short(reference)}{_ADVICE['reference']}")
    for key in _TEXTS:
        if not isinstance(line.get(key), str | None):
            raise ValueError(f"{key!r} must be text or null, found {_short(line[key])}")
    for key in _NUMBERS:
        value = line.get(key)
        if value is not None and not (_is_number(value) and value >= 0):
            raise ValueError(f"{key!r} must be a number of at least 0 or null, found {_short(value)}")
    for key in ("finished", "missing"):
        if not isinstance(line.get(key), bool | None):
            raise ValueError(f"{key!r} must be true, false or null, found {_short(line[key])}")
    for key in _REGIONS:
        if not isinstance(line.get(key), list | None):
            raise ValueError(f"{key!r} must be a list or null, found {_short(line[key])}")
        for index, region in enumerate(line.get(key) or []):
            box = region.get("box") if isinstance(region, dict) else None
            if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
                raise ValueError(f"{key}[{index}] needs a 'box' of four finite numbers, found {str(region)[:80]}")
            for name in ("label", "text"):
                if not isinstance(region.get(name), str | None):
                    raise ValueError(f"{key}[{index}]: {name!r} must be text or null, found {_short(region[name])}")


def _short(value: Any) -> str:
    return repr(value if isinstance(value, int | float | None) else str(value)[:60])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
