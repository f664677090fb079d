"""`report.html`: one self-contained file that shows an evaluation, or two beside each other, page by page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.document.page_files import PageSource
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import WorkError
from ocr2_hf.evaluation.registry import COUNT, DECIMAL, METRICS, PERCENT, SECONDS, Metric, shown_metrics
from ocr2_hf.evaluation.report_images import ReportImages
from ocr2_hf.evaluation.report_items import listed_metrics, report_item
from ocr2_hf.evaluation.report_page import page

Images = Callable[[Prediction], Image.Image | None]

# A metric's form -> how the script writes a page's value.
_SCRIPT_FORMS = {PERCENT: "percent", DECIMAL: "decimal", SECONDS: "seconds", COUNT: "count"}


def write_report(
    lines: Sequence[Prediction],
    metrics: Mapping[str, Any],
    path: str | Path,
    images: Images | None = None,
    title: str = "Evaluation",
) -> None:
    """Write the report of prediction lines and their metrics (see `summarize_with_intervals`) to `path`, whole or not.

    `images(line)` gives the page's image, None where there is none; by default the file that `line.image` names.
    Where they take more than 50 MB, the images lie in a folder beside the report.
    """
    intervals = metrics.get("intervals") or {}
    figures = [_measured(metric, [metrics.get(metric.name)], intervals) for metric in shown_metrics()]
    data = {"names": [title], "breakdowns": _breakdowns(metrics.get("by") or {})}
    _write([[line] for line in lines], figures, data, Path(path), images, title)


def write_comparison(
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    metrics: Mapping[str, Any],
    path: str | Path,
    names: tuple[str, str],
    images: Images | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report of two evaluations of the same pages in the same order; `metrics` as `compare` gives them.
    `notes` stand under the figures."""
    sides, paired = (metrics["before"], metrics["after"]), metrics.get("paired") or {}
    figures = [
        _measured(metric, [side.get(metric.name) for side in sides], {})
        | _change(metric, metrics["change"].get(metric.name), paired.get(metric.name))
        for metric in shown_metrics()
    ]
    data = {"names": list(names), "breakdowns": [], "notes": list(notes)}
    pages = [list(pair) for pair in zip(before, after, strict=True)]
    _write(pages, figures, data, Path(path), images, f"{names[0]} and {names[1]}")


def open_image(line: Prediction) -> Image.Image | None:
    """The image file that `line.image` names; None where there is none or it cannot be read."""
    if line.image is None:
        return None
    try:
        return PageSource(line.image).load_for_reading().image
    except WorkError:
        return None  # the figures matter more than one picture


def _write(
    pages: Sequence[Sequence[Prediction]],
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


def _size(line: Prediction, image: Image.Image | None) -> tuple[int, int] | None:
    """Width and height of the page that its boxes are on."""
    if line.width and line.height:
        return line.width, line.height
    return image.size if image else None


def _measured(metric: Metric, numbers: list[float | None], intervals: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    interval = intervals.get(metric.name)
    return {
        "name": metric.name,
        "label": metric.directed_label,
        "group": metric.group,
        "headline": "headline" in metric.places,
        "meaning": metric.directed_meaning,
        "share": metric.form in (PERCENT, DECIMAL),  # lies in [0, 1], mostly
        "numbers": numbers,
        "values": [metric.shown(number) for number in numbers],
        "interval": interval and {"numbers": list(interval), "values": [metric.shown(end) for end in interval]},
    }


def _change(metric: Metric, change: float | None, paired: Mapping[str, Any] | None) -> dict[str, Any]:
    """The change and what the pages say about it: better, worse, or not to be told apart."""
    better = None if not change else (change > 0) == metric.higher_is_better
    certain = None
    if paired:
        low, high = paired["interval"]
        certain = low > 0 or high < 0
    return {
        "change": metric.shown(change, signed=True),
        "better": better,
        "certain": certain,
        "paired": paired and [metric.shown(end, signed=True) for end in paired["interval"]],
    }


def _measures(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What pages are sorted by: the metrics of the list that any page has."""
    scores = [side["scores"] for item in items for side in item["sides"]]
    return [
        {
            "name": metric.name,
            "label": metric.directed_label,
            "short": metric.short,
            "form": _SCRIPT_FORMS[metric.form],
            "more_is_better": metric.higher_is_better,
            "histogram": "histogram" in metric.places,
        }
        for metric in listed_metrics()
        if any(page[metric.name] is not None for page in scores)
    ]


def _breakdowns(by: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Tables of figures by label, script, language, task; one of a single row would repeat the headline."""
    tables = []
    for kind, groups in by.items():
        metrics = [
            metric
            for metric in METRICS.values()
            if "breakdown" in metric.places and any(group.get(metric.name) is not None for group in groups.values())
        ]
        if len(groups) > (0 if kind == "label" else 1) and metrics:
            counted = "boxes" if kind == "label" else "pages"
            heads = [kind.capitalize(), counted, *(metric.directed_label for metric in metrics)]
            rows = [
                [value, f"{group.get(counted, 0):,}", *(metric.shown(group.get(metric.name)) for metric in metrics)]
                for value, group in groups.items()
            ]
            tables.append({"kind": kind, "heads": heads, "rows": rows})
    return tables
