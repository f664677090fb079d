"""`report.html`: one self-contained file that shows an evaluation, worst pages first.

Everything that was read from a page, a file or a model is data and is escaped; the page runs no script.
"""

import base64
import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from rapidfuzz.distance import Levenshtein

from ocr2_hf.evaluation.boxes import match_boxes
from ocr2_hf.evaluation.files import write_whole
from ocr2_hf.evaluation.report_page import LEGEND, page
from ocr2_hf.evaluation.robustness import ends_in_loop
from ocr2_hf.evaluation.summary import Line, boxes, summarize
from ocr2_hf.evaluation.text import strip_grounding

Images = Callable[[Line], Image.Image | None]

MAX_IMAGES = 100  # about 100 kB each: the file stays one that a browser opens at once
IMAGE_SIDE = 1000

FIGURES = {
    "text_accuracy": ("Text accuracy", "{:.1%}"),
    "cer": ("Character errors", "{:.1%}"),
    "wer": ("Word errors", "{:.1%}"),
    "bbox_iou": ("Box IoU", "{:.3f}"),
    "inference_time": ("Time per page", "{:.2f} s"),
    "tokens_per_page": ("Tokens per page", "{:,.0f}"),
    "repetition_rate": ("End in a loop", "{:.1%}"),
    "missing_eos_rate": ("Never end", "{:.1%}"),
}
# A word, a single character of a script without spaces, a run of blanks, or any other character.
_SPACELESS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"\s+|[{_SPACELESS}]|[^\W{_SPACELESS}]+|.")


def write_report(
    lines: Sequence[Line],
    metrics: Mapping[str, Any],
    path: str | Path,
    images: Images | None = None,
    title: str = "Evaluation",
) -> None:
    """Write the report of prediction lines and their metrics (see `summarize`) to `path`, whole or not.

    `images(line)` gives the page's image, None where there is none; by default the file that `line["image"]`
    names. The worst `MAX_IMAGES` pages are shown with their image.
    """
    ranked = sorted(((summarize([line]), line) for line in lines), key=lambda pair: -error_of(pair[0]))
    cards = []
    for rank, (scores, line) in enumerate(ranked):
        image = (images or open_image)(line) if rank < MAX_IMAGES else None
        body = sheet(line, image) + text_panel("Text", line) + raw_panel(line)
        cards.append(card(line, scores, body, is_open=rank == 0))
    note = f" The first {MAX_IMAGES} have their image." if len(ranked) > MAX_IMAGES else ""
    body = [
        f'<h1>{escape(title)}</h1><p class="soft">{len(lines):,} pages</p>',
        figures(metrics),
        f'<h2>Pages</h2><p class="soft">Worst first.{note} Open a page to see it.</p>',
        LEGEND,
        *cards,
    ]
    write_whole(path, page(title, "\n".join(body)))


def open_image(line: Line) -> Image.Image | None:
    """The image file that `line["image"]` names; None where there is none or it cannot be read."""
    if not isinstance(line.get("image"), str):
        return None
    try:
        with Image.open(line["image"]) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # the figures matter more than one picture


def figure(name: str, value: float | int | None, signed: bool = False) -> str:
    """A metric as people read it, an en dash where it was not measured; `signed` for a change."""
    form = FIGURES[name][1].replace("{:", "{:+") if signed else FIGURES[name][1]
    return "\N{EN DASH}" if value is None else form.format(value)


def metrics_table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Metrics beside each other as lines of text, a column per name; in "change" numbers have a sign."""
    rows = [f"{'':18}" + "".join(f"{name:>12}" for name in columns)] if any(columns) else []
    for name, (label, _) in FIGURES.items():
        values = [figure(name, metrics[name], column == "change") for column, metrics in columns.items()]
        rows.append(f"{label:18}" + "".join(f"{value:>12}" for value in values))
    return "\n".join(rows)


def figures(metrics: Mapping[str, Any]) -> str:
    tiles = (
        f"<div><dt>{label}</dt><dd>{figure(name, metrics.get(name))}</dd></div>" for name, (label, _) in FIGURES.items()
    )
    return f'<dl class="figures">{"".join(tiles)}</dl>'


def card(line: Line, scores: Mapping[str, Any], body: str, is_open: bool = False) -> str:
    """One page: a row with its scores that opens to `body`."""
    troubles = {"loop": ends_in_loop(line["prediction"]), "no end": line.get("finished") is False}
    chips = " ".join(f'<span class="chip">{name}</span>' for name, present in troubles.items() if present)
    cer, seconds = scores["cer"], scores["inference_time"]
    meter = "" if cer is None else f'<meter value="{min(cer, 1):.4f}" aria-label="character errors"></meter>'
    return f"""<details class="page"{" open" if is_open else ""}>
<summary><b>{escape(line["id"])}</b><span>{chips}</span>
<span>{meter}{figure("cer", cer)} <small>CER</small></span>
<span>{figure("bbox_iou", scores["bbox_iou"])} <small>IoU</small></span>
<small>{figure("inference_time", seconds)}</small></summary>
<div class="body">{body}</div></details>"""


def sheet(line: Line, image: Image.Image | None) -> str:
    """The page's image under its predicted and reference boxes; boxes alone where there is no image."""
    width, height = line.get("width"), line.get("height")
    if image is None and not (width and height):
        return ""
    width, height = (width, height) if width and height else image.size
    blank = f'<div style="aspect-ratio:{width}/{height}"></div>'
    picture = f'<img alt="" src="{_data_uri(image)}">' if image else blank
    pairs = match_boxes(boxes(line, "regions"), boxes(line, "reference_regions"))
    drawn = _rectangles(line, "reference_regions", "reference", {r: iou for _, r, iou in pairs})
    drawn += _rectangles(line, "regions", "predicted", {p: iou for p, _, iou in pairs})
    view = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
    return f'<div class="sheet">{picture}<svg {view}>{drawn}</svg></div>'


def text_panel(heading: str, line: Line) -> str:
    """The prediction with its differences from the reference marked."""
    return f'<div><h3>{escape(heading)}</h3><div class="text" dir="auto">{difference(line)}</div></div>'


def raw_panel(line: Line) -> str:
    """What the model was asked, what it wrote and what it should have written, tags and all."""
    parts = (("Prompt", "prompt"), ("Prediction", "prediction"), ("Reference", "reference"))
    blocks = "".join(f'<h3>{name}</h3><pre dir="auto">{escape(str(line.get(key) or ""))}</pre>' for name, key in parts)
    return f'<details class="raw"><summary>Raw text</summary>{blocks}</details>'


def difference(line: Line) -> str:
    """HTML of the predicted text, word by word: `<del>` is not in the reference, `<ins>` is only there."""
    texts = (strip_grounding(line[key]) for key in ("prediction", "reference"))
    predicted, reference = (_TOKEN.findall(unicodedata.normalize("NFC", text)) for text in texts)
    # Blanks of any kind are equal, as in the metrics.
    same = [[" " if token.isspace() else token for token in side] for side in (predicted, reference)]
    pieces = []
    for step in Levenshtein.opcodes(*same):
        wrong = escape("".join(predicted[step.src_start : step.src_end]))
        right = escape("".join(reference[step.dest_start : step.dest_end]))
        if step.tag == "equal":
            pieces.append(wrong)
        else:
            pieces.append((f"<del>{wrong}</del>" if wrong else "") + (f"<ins>{right}</ins>" if right else ""))
    return "".join(pieces)


def error_of(scores: Mapping[str, Any]) -> float:
    """By what pages are ranked: character errors, or missed boxes where there is no text."""
    if scores["cer"] is not None:
        return scores["cer"]
    return 1 - scores["bbox_iou"] if scores["bbox_iou"] is not None else 0.0


def _rectangles(line: Line, key: str, kind: str, ious: Mapping[int, float]) -> str:
    drawn = []
    for index, region in enumerate(line.get(key) or []):
        x0, y0, x1, y1 = region["box"]
        name = f"{kind} {region.get('label', '')} · IoU {ious.get(index, 0):.2f}\n{region.get('text', '')}"
        place = f'x="{x0:.1f}" y="{y0:.1f}" width="{max(x1 - x0, 0):.1f}" height="{max(y1 - y0, 0):.1f}"'
        drawn.append(f'<rect class="{kind}" {place}><title>{escape(name[:400])}</title></rect>')
    return "".join(drawn)


def _data_uri(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
