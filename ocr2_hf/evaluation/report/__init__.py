"""`report.html`: one self-contained file that shows an evaluation, or two beside each other, page by page.

The data is JSON that no browser executes, and the script builds the page from it as text, never as HTML. The policy
allows this one style and this one script, by their hashes, and no network.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from tqdm.auto import tqdm

from ocr2_hf.document.atomic_files import write_whole
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.measures import PageMeasure
from ocr2_hf.evaluation.registry import COUNT, DECIMAL, METRICS, PERCENT, SECONDS, Metric, shown_metrics
from ocr2_hf.evaluation.report.images import Images, ReportImages, open_image
from ocr2_hf.evaluation.report.items import report_item
from ocr2_hf.evaluation.report.pages import ReportPages
from ocr2_hf.evaluation.report.selection import MAX_PAGES, middle, select_pages, worst_first

_FOLDER = Path(__file__).parent
_SCRIPTS = ("overview", "page_list", "page_view", "report")
# A metric's form -> how the script writes a page's value.
_SCRIPT_FORMS = {PERCENT: "percent", DECIMAL: "decimal", SECONDS: "seconds", COUNT: "count"}


def write_report(
    lines: Sequence[Prediction],
    metrics: Mapping[str, Any],
    path: str | Path,
    images: Images | None = None,
    title: str = "Evaluation",
    measures: Sequence[PageMeasure] | None = None,
    most: int = MAX_PAGES,
) -> None:
    """Write the report of prediction lines and their metrics (see `summarize_with_intervals`) to `path`, whole or not.

    `images(line)` gives the page's image, None where there is none; by default the file that `line.image` names.
    Where they take more than 50 MB, the images lie in a folder beside the report. `measures` is `measure_pages(lines)`
    where it is known. `most` pages are shown at most (see `selection`), all where it is 0; figures are of all pages.
    """
    intervals = metrics.get("intervals") or {}
    values = [_measured(metric, [metrics.get(metric.name)], intervals.get(metric.name)) for metric in shown_metrics()]
    data = {"names": [title], "breakdowns": _breakdowns(metrics.get("by") or {})}
    pages = ReportPages([lines], None if measures is None else [measures])
    _write(pages, values, data, Path(path), images, title, most)


def write_comparison(
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    metrics: Mapping[str, Any],
    path: str | Path,
    names: tuple[str, str],
    images: Images | None = None,
    notes: Sequence[str] = (),
    measures: tuple[Sequence[PageMeasure], Sequence[PageMeasure]] | None = None,
    most: int = MAX_PAGES,
) -> None:
    """Write the report of two evaluations of the same pages in the same order; `metrics` as `compare` gives them.
    `notes` stand under the values; `measures`, of both, and `most` are as in `write_report`."""
    sides, paired = (metrics["before"], metrics["after"]), metrics.get("paired") or {}
    values = [
        _measured(metric, [side.get(metric.name) for side in sides])
        | _change(metric, metrics["change"].get(metric.name), paired.get(metric.name, {}).get("interval"))
        for metric in shown_metrics()
    ]
    data = {"names": list(names), "breakdowns": [], "notes": list(notes)}
    pages = ReportPages([before, after], measures)
    _write(pages, values, data, Path(path), images, f"{names[0]} and {names[1]}", most)


def _write(
    pages: ReportPages,
    values: Sequence[Mapping[str, Any]],
    data: Mapping[str, Any],
    path: Path,
    images: Images | None,
    title: str,
    most: int,
) -> None:
    badness = pages.badness()
    selected = select_pages(badness, len(pages), most)
    place = {page: number for number, page in enumerate(selected)}
    middles = {name: place.get(middle(worst_first(values))) for name, values in badness.items()}
    drawn = [metric for metric in pages.metrics if "histogram" in metric.places]
    items, images_beside = _items(pages, selected, path, images)
    document = {
        **data,
        "pages": len(pages),
        "figures": [value for value in values if any(number is not None for number in value["numbers"])],
        "measures": list(map(_measure, pages.metrics)),
        "middles": middles,
        "distributions": {metric.name: pages.distribution(metric) for metric in drawn},
        "items": items,
    }
    write_whole(path, _page(title, document, images_beside))


def _items(
    pages: ReportPages, selected: Sequence[int], path: Path, images: Images | None
) -> tuple[list[dict[str, Any]], bool]:
    """The pages that are shown, and whether their images lie beside the report."""
    kept, shown = ReportImages(path), []
    for sides in tqdm(map(pages.__getitem__, selected), total=len(selected), desc="report", unit="page", delay=2):
        lines = [line for line, *_ in sides]
        image = next(filter(None, map(images or open_image, lines)), None)
        kept.add(image)
        size = (lines[0].width, lines[0].height) if lines[0].width and lines[0].height else image and image.size
        shown.append((sides, size))
    return [report_item(*page, source) for page, source in zip(shown, kept.sources, strict=True)], kept.beside


def _page(title: str, data: Mapping[str, Any], images_beside: bool) -> str:
    """A whole HTML document that shows `data`. `title` is plain text."""
    style, template = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("report.css", "page.html"))
    parts = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{parts}\n}})();\n'
    return Template(template).substitute(
        title=escape(title),
        folder=" 'self' file:" if images_beside else "",
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=_json(data),
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(data: Mapping[str, Any]) -> str:
    """JSON in which nothing can end the element it stands in, or begin another."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def _measured(metric: Metric, numbers: list[float | None], interval: Sequence[float] | None = None) -> dict[str, Any]:
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


def _change(metric: Metric, change: float | None, interval: Sequence[float] | None) -> dict[str, Any]:
    """The change and what the pages say about it: better, worse, or not to be told apart."""
    return {
        "change": metric.shown(change, signed=True),
        "better": (change > 0) == metric.higher_is_better if change else None,
        "certain": interval and not interval[0] <= 0 <= interval[1],
        "paired": interval and [metric.shown(end, signed=True) for end in interval],
    }


def _measure(metric: Metric) -> dict[str, Any]:
    """What pages are sorted by."""
    return {
        "name": metric.name,
        "label": metric.directed_label,
        "short": metric.short,
        "form": _SCRIPT_FORMS[metric.form],
        "more_is_better": metric.higher_is_better,
    }


def _breakdowns(by: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Tables of metrics by label, script, language, task; one of a single row would repeat the headline."""
    tables = []
    for kind, groups in by.items():
        places = [metric for metric in METRICS.values() if "breakdown" in metric.places]
        metrics = [m for m in places if any(group.get(m.name) is not None for group in groups.values())]
        if len(groups) > (0 if kind == "label" else 1) and metrics:
            counted = "boxes" if kind == "label" else "pages"
            heads = [kind.capitalize(), counted, *(metric.directed_label for metric in metrics)]
            rows = [
                [value, f"{group.get(counted, 0):,}", *(metric.shown(group.get(metric.name)) for metric in metrics)]
                for value, group in groups.items()
            ]
            tables.append({"kind": kind, "heads": heads, "rows": rows})
    return tables
