"""The report of two evaluations of the same pages beside each other."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ocr2_hf.evaluation.files import write_whole
from ocr2_hf.evaluation.report import (
    FIGURES,
    MAX_IMAGES,
    Images,
    card,
    error_of,
    figure,
    open_image,
    raw_panel,
    sheet,
    text_panel,
)
from ocr2_hf.evaluation.report_page import LEGEND, page
from ocr2_hf.evaluation.summary import Line, summarize


def write_comparison(
    before: Sequence[Line],
    after: Sequence[Line],
    metrics: Mapping[str, Any],
    path: str | Path,
    names: tuple[str, str],
    images: Images | None = None,
) -> None:
    """The side-by-side report of the same pages in the same order, the most worsened first."""
    pages = [(a, b, summarize([a]), summarize([b])) for a, b in zip(before, after, strict=True)]
    pages.sort(key=lambda page: error_of(page[2]) - error_of(page[3]))
    cards = []
    for rank, (a, b, a_scores, b_scores) in enumerate(pages):
        image = (images(a) if images else open_image(a) or open_image(b)) if rank < MAX_IMAGES else None
        sides = "".join(
            f"<div>{text_panel(name + ', CER ' + figure('cer', scores['cer']), line)}"
            f"{sheet(line, image)}{raw_panel(line)}</div>"
            for name, line, scores in ((names[0], a, a_scores), (names[1], b, b_scores))
        )
        cards.append(card(b, b_scores, sides, is_open=rank == 0))
    body = [
        f"<h1>{escape(names[0])} &rarr; {escape(names[1])}</h1>",
        f'<p class="soft">{len(pages)} pages that both evaluations have.</p>',
        _table(metrics, names),
        '<h2>Pages</h2><p class="soft">Most worsened first.</p>',
        LEGEND,
        *cards,
    ]
    write_whole(path, page(f"{names[0]} and {names[1]}", "\n".join(body)))


def _table(metrics: dict[str, Any], names: tuple[str, str]) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("", *names, "change"))
    rows = "".join(
        f"<tr><td>{label}</td>"
        + "".join(f"<td>{figure(name, metrics[side][name])}</td>" for side in ("before", "after"))
        + f"<td>{figure(name, metrics['change'][name], signed=True)}</td></tr>"
        for name, (label, _) in FIGURES.items()
    )
    return f"<table><tr>{heads}</tr>{rows}</table>"
