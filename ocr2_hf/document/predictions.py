"""The predictions file: one JSON object per page; every score is computed from these lines alone.

`{id, prompt, prediction, reference, width, height, regions, reference_regions, seconds, tokens, finished}`, a region
being `{"label": str, "box": [x0, y0, x1, y1] in pixels, "text": str}`. Only `id`, `prediction` and `reference` must be
there: predictions made elsewhere may know no more, and where a dataset gives the references, not those.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ocr2_hf.document.atomic_files import whole_file
from ocr2_hf.document.grounding import Region, has_tags, parse_regions
from ocr2_hf.errors import UsageError, WorkError

PREDICTIONS_FILE = "predictions.jsonl"

MAX_LINE_BYTES = 64 * 2**20
_DEEPEST = 50
_FARTHEST = 1e12

_REGIONS = ("regions", "reference_regions")
_ADVICE = {
    "id": "; give every page a name of its own",
    "prediction": "; leave the line out where a page was not read",
    "reference": "; write it into the line, or name the --dataset that has it",
}


@dataclass(frozen=True)
class Prediction:
    """What was predicted for a page, beside what is on it.

    `prediction` and `reference` are text as the model writes it, grounding tags and all; `reference` is "" where it is
    not known yet. `width`, `height` and the boxes of the regions are pixels; regions are None where nobody told them.
    `tokens` were generated in `seconds`, the batch's divided by its pages; `finished` is False where the answer was cut
    off. `image` is a path that the report shows; metrics are broken down by `task` and `language`; `missing` is True
    where a page was to be read and has no prediction. `extra` has the line's other keys, which are kept.
    """

    id: str
    prediction: str
    reference: str = ""
    prompt: str | None = None
    width: int | None = None
    height: int | None = None
    regions: list[Region] | None = None
    reference_regions: list[Region] | None = None
    seconds: float | None = None
    tokens: int | None = None
    finished: bool | None = None
    task: str | None = None
    language: str | None = None
    missing: bool | None = None
    image: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, line: Any, with_reference: bool = True) -> "Prediction":
        """From a line's JSON. Raises ValueError, naming key and value, where it cannot be scored; without
        `with_reference` it may lack that."""
        if not isinstance(line, dict):
            raise ValueError(f"expected a JSON object, found {str(line)[:60]!r}")
        for key, advice in _ADVICE.items():
            may_lack = key == "reference" and not with_reference
            if not isinstance(line.get(key), str | None if may_lack else str):
                raise ValueError(f"{key!r} must be text, found {_short(line.get(key))}{advice}")
        for keys, holds, what in _KINDS:
            for key in keys:
                if line.get(key) is not None and not holds(line[key]):
                    raise ValueError(f"{key!r} must be {what} or null, found {_short(line[key])}")
        known = {name: line[name] for name in _KNOWN if line.get(name) is not None}
        if not isinstance(known.get("image", ""), str):  # no path: another program's
            del known["image"]
        regions = {key: _regions(key, known[key]) for key in _REGIONS if key in known}
        extra = {key: value for key, value in line.items() if key not in known and value is not None}
        return cls(**known | regions, extra=extra)

    def to_dict(self) -> dict[str, Any]:
        """The line as JSON values, without what is not known."""
        values = {name: value for name in _KNOWN if (value := getattr(self, name)) is not None}
        regions = {key: [region.to_dict() for region in values[key]] for key in _REGIONS if key in values}
        return self.extra | values | regions

    def scored_regions(self) -> tuple[list[Region], list[Region]]:
        """The predicted regions and those of the reference, which can be held against each other.

        None of either where the reference is text alone: nobody knows where on the page that stands.
        """
        if not self.reference_regions and self.reference.strip():
            return [], []
        return self.regions or [], self.reference_regions or []

    def boxes(self) -> tuple[list, list]:
        """The boxes [N, 4] and [M, 4] of `scored_regions`."""
        predicted, reference = self.scored_regions()
        return [region.box for region in predicted], [region.box for region in reference]

    def told_regions(self) -> dict[str, list[Region]]:
        """By field, the regions that prediction and reference tell, where the line has none of its own and says how
        large the page is."""
        texts = {"regions": self.prediction, "reference_regions": self.reference}
        sized = self.width and self.height
        return {
            key: parse_regions(text, self.width, self.height)
            for key, text in texts.items()
            if sized and getattr(self, key) is None and has_tags(text)
        }


_KNOWN = tuple(item.name for item in fields(Prediction) if item.name != "extra")


class PredictionsFile(Sequence[Prediction]):
    """The lines of a predictions file that are known to be good, each read when it is asked for: as objects 20,000
    pages take 600 MB. A slice is one of these too; another process is told where its lines begin, and reads them."""

    def __init__(self, path: Path, starts: Sequence[int]):
        self._path, self._starts = path, starts

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return PredictionsFile(self._path, self._starts[index])
        return next(self._read([self._starts[index]]))

    def __iter__(self) -> Iterator[Prediction]:
        return self._read(self._starts)

    def _read(self, starts: Iterable[int]) -> Iterator[Prediction]:
        with open(self._path, "rb") as file:
            for start in starts:
                file.seek(start)
                yield Prediction.from_dict(json.loads(file.readline()))


def read_predictions(path: str | Path, with_reference: bool = True) -> list[Prediction]:
    """Every line, checked. Raises UsageError if there is no file, WorkError at the first bad line.

    Without `with_reference` lines may lack theirs.
    """
    return [line for _, line in _checked_lines(Path(path), with_reference)]


def open_predictions(path: str | Path) -> PredictionsFile:
    """The lines as `read_predictions` has them, without keeping them."""
    return PredictionsFile(Path(path), [start for start, _ in _checked_lines(Path(path))])


def check_predictions(path: str | Path) -> Iterator[Prediction]:
    """The lines as `read_predictions` has them, one after the other."""
    return (line for _, line in _checked_lines(Path(path)))


def _checked_lines(path: Path, with_reference: bool = True) -> Iterator[tuple[int, Prediction]]:
    """Where each line begins, and the line."""
    if not path.is_file():
        raise UsageError(f"{path}: no such predictions file")
    pages: set[str] = set()
    for number, (start, row) in enumerate(_rows(path), 1):
        if not row.strip():
            continue
        try:
            line = Prediction.from_dict(_parsed(row), with_reference)
        except ValueError as error:
            raise WorkError(f"{path}, line {number}: {error}") from None
        if line.id in pages:
            raise WorkError(f"{path}, line {number}: the page {line.id!r} comes twice; keep one line per page")
        pages.add(line.id)
        yield start, line


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    start = 0
    with open(path, "rb") as file:
        while row := file.readline(MAX_LINE_BYTES + 1):
            if len(row) > MAX_LINE_BYTES:
                raise WorkError(f"{path} has a line of over {MAX_LINE_BYTES:,} bytes; give a line for each page")
            try:
                yield start, row.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise WorkError(f"{path} is not UTF-8 text ({error}); give a JSON lines file") from None
            start += len(row)


def _parsed(row: str) -> Any:
    """The JSON of a line; ValueError where it is none, or so deep that Python cannot tell or write it again."""
    try:
        level = [line := json.loads(row)]
    except RecursionError:
        raise ValueError("it is nested thousands of times") from None
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _inner(each)]
    if level:
        raise ValueError(f"it is nested more than {_DEEPEST} times")
    return line


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def json_line(prediction: Prediction) -> str:
    """A line of the predictions file."""
    return json.dumps(prediction.to_dict()) + "\n"


def write_predictions(path: str | Path, lines: Iterable[Prediction]) -> PredictionsFile:
    """Write a predictions file, whole; returns its lines."""
    starts = []
    with whole_file(path) as beside, open(beside, "wb") as file:
        for line in lines:
            starts.append(file.tell())
            file.write(json_line(line).encode())
    return PredictionsFile(Path(path), starts)


def _regions(key: str, found: list[Any]) -> list[Region]:
    regions = []
    for index, region in enumerate(found):
        box = region.get("box") if isinstance(region, dict) else None
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            raise ValueError(f"{key}[{index}] needs a 'box' of four finite numbers, found {str(region)[:80]}")
        for name in ("label", "text"):
            if not isinstance(region.get(name), str | None):
                raise ValueError(f"{key}[{index}]: {name!r} must be text or null, found {_short(region[name])}")
        regions.append(Region(region.get("label") or "", tuple(box), region.get("text") or ""))
    return regions


def _short(value: Any) -> str:
    return repr(value if isinstance(value, int | float | None) else str(value)[:60])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_FARTHEST < value < _FARTHEST


_NUMBERS = ("width", "height", "seconds", "tokens")
# Which keys have values of which kind, in words too.
_KINDS: tuple[tuple[Sequence[str], Callable[[Any], bool], str], ...] = (
    (("prompt", "task", "language"), lambda value: isinstance(value, str), "text"),
    (_NUMBERS, lambda value: _is_number(value) and value >= 0, "a number of at least 0"),
    (("finished", "missing"), lambda value: isinstance(value, bool), "true, false"),
    (_REGIONS, lambda value: isinstance(value, list), "a list"),
)
