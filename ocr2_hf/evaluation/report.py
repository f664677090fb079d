"""`report.html`: one self-contained file that shows an evaluation, or two beside each other, page by page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from tqdm.auto import tqdm

from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.evaluation.figures import FIGURES, figure
from ocr2_hf.evaluation.report_images import ReportImages
from ocr2_hf.evaluation.report_items import MEASURES, report_item
from ocr2_hf.evaluation.report_page import page
from ocr2_hf.evaluation.summary import HIGHER_IS_BETTER, Line

Images = Callable[[Line], Image.Image | None]

# What a breakdown's table shows, as far as it was measured.
_BREAKDOWN = ("cer", "wer", "bbox_iou", "box_f1_50", "teds", "inference_time")


def write_report(
    lines: Sequence[Line],
    metrics: Mapping[str, Any],
    path: str | Path,
    images: Images | None = None,
    title: str = "Evaluation",
) -> None:
    """Write the report of prediction lines and their metrics (see `summarize_with_intervals`) to `path`, whole or not.

    `images(line)` gives the page's image, None where there is none; by default the file that `line["image"]` names.
    Where they take more than 50 MB, the images lie in a folder beside the report.
    """
    figures = [_measured(name, [metrics.get(name)], metrics.get("intervals") or {}) for name in FIGURES]
    data = {"names": [title], "breakdowns": _breakdowns(metrics.get("by") or {})}
    _write([[line] for line in lines], figures, data, Path(path), images, title)


def write_comparison(
    before: Sequence[Line],
    after: Sequence[Line],
    metrics: Mapping[str, Any],
    path: str | Path,
    names: tuple[str, str],
    images: Images | None = None,
) -> None:
    """Write the report of two evaluations of the same pages in the same order; `metrics` as `compare` gives them."""
    figures = [
        _measured(name, [metrics["before"].get(name), metrics["after"].get(name)], {})
        | _change(name, metrics["change"].get(name), (metrics.get("paired") or {}).get(name))
        for name in FIGURES
    ]
    data = {"names": list(names), "breakdowns": []}
    pages = [list(pair) for pair in zip(before, after, strict=True)]
    _write(pages, figures, data, Path(path), images, f"{names[0]} and {names[1]}")


def open_image(line: Line) -> Image.Image | None:
    """The image file that `line["image"]` names; None where there is none or it cannot be read."""
    if not isinstance(line.get("image"), str):
        return None
    try:
        with Image.open(line["image"]) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # the figures matter more than one picture


def _write(
    pages: Sequence[Sequence[Line]],
    figures: Sequence[Mapping[str, Any]],
    data: Mapping[str, Any],
    path: Path,
    images: Images | None,
    title: str,
) -> None:
    kept, sizes = ReportImages(path), []
    for sides in tqdm(pages, desc="report", unit="page", delay=2):
        found = (images(line) if images else open_image(line) for line in sides)
        image = next(filter(None, found), None)
        kept.add(image)
        sizes.append(_size(sides[0], image))
    items = [report_item(sides, size, source) for sides, size, source in zip(pages, sizes, kept.sources(), strict=True)]
    document = dict(data) | {
        "figures": [shown for shown in figures if any(value is not None for value in shown["numbers"])],
        "measures": _measures(items),
        "items": items,
    }
    write_whole(path, page(title, document, kept.beside))


def _size(line: Line, image: Image.Image | None) -> tuple[int, int] | None:
    """Width and height of the page that its boxes are on."""
    width, height = line.get("width"), line.get("height")
    if width and height:
        return width, height
    return image.size if image else None


def _measured(name: str, numbers: list[float | None], intervals: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    shown = FIGURES[name]
    interval = intervals.get(name)
    return {
        "name": name,
        "label": shown.label,
        "group": shown.group,
        "meaning": shown.meaning,
        "share": "%" in shown.form or shown.form == "{:.3f}",  # lies in [0, 1], mostly
        "numbers": numbers,
        "values": [figure(name, number) for number in numbers],
        "interval": interval and {"numbers": list(interval), "values": [figure(name, end) for end in interval]},
    }


def _change(name: str, change: float | None, paired: Mapping[str, Any] | None) -> dict[str, Any]:
    """The change and what the pages say about it: better, worse, or not to be told apart."""
    better = None if not change else (change > 0) == (name in HIGHER_IS_BETTER)
    certain = None
    if paired:
        low, high = paired["interval"]
        certain = low > 0 or high < 0
    return {
        "change": figure(name, change, signed=True),
        "better": better,
        "certain": certain,
        "paired": paired and [figure(name, end, signed=True) for end in paired["interval"]],
    }


def _measures(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those of MEASURES that any page has."""
    keys = ("name", "label", "short", "form", "more_is_better")
    scores = [side["scores"] for item in items for side in item["sides"]]
    return [
        dict(zip(keys, (name, *shown), strict=True))
        for name, shown in MEASURES.items()
        if any(page[name] is not None for page in scores)
    ]


def _breakdowns(by: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Tables of figures by label, script, language, task; one of a single row would repeat the headline."""
    tables = []
    for kind, groups in by.items():
        names = [name for name in _BREAKDOWN if any(group.get(name) is not None for group in groups.values())]
        if len(groups) > (0 if kind == "label" else 1) and names:
            rows = [
                [
                    value,
                    f"{group.get('boxes', group.get('pages', 0)):,}",
                    *(figure(name, group.get(name)) for name in names),
                ]
                for value, group in groups.items()
            ]
            counted = "boxes" if kind == "label" else "pages"
            heads = [kind.capitalize(), counted, *(FIGURES[name].label for name in names)]
            tables.append({"kind": kind, "heads": heads, "rows": rows})
    return tables
