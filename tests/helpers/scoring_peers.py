"""The tools that others score with, on the same input: jiwer, apted and pycocotools beside this package's functions.

    python tests/helpers/scoring_peers.py [--pages 300] [--rounds 3]

Draws synthetic predictions and takes turns; a row says how long each took (processor seconds, the median), their ratio
and how far the two figures are apart. The tools are of the extra `dev`; tests compare with them by the functions here.
"""

import argparse
import contextlib
import io
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

if __name__ == "__main__":  # the package of this checkout, also where none or another is installed
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import jiwer
import lxml.html
from apted import APTED, Config
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rapidfuzz.distance import Levenshtein

from ocr2_hf.benchmark.predictions import make_predictions
from ocr2_hf.document.grounding import plain_text
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.boxes import Detections
from ocr2_hf.evaluation.tables import teds
from ocr2_hf.evaluation.text import character_error_rate, normalize_text, word_error_rate

TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
LabelledBox = tuple[str, Sequence[float]]


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    print("| figure | of | tool | its s | ours, s | times as fast | figures apart by |\n|---|---|---|---|---|---|---|")
    for name, of, tool, theirs, ours in contests(list(make_predictions(args.pages))):
        rounds = [(processor_seconds(theirs), processor_seconds(ours)) for _ in range(args.rounds)]
        (their_seconds, our_seconds), apart = (
            map(statistics.median, zip(*([seconds for seconds, _ in turn] for turn in rounds), strict=True)),
            max(abs(their_value - our_value) for (_, their_value), (_, our_value) in rounds),
        )
        ratio = their_seconds / our_seconds
        print(f"| {name} | {of} | {tool} | {their_seconds:.3f} | {our_seconds:.3f} | {ratio:.1f} | {apart:.1g} |")
    return 0


Contest = tuple[str, str, str, Callable[[], float], Callable[[], float]]


def contests(lines: Sequence[Prediction]) -> list[Contest]:
    """(figure, what it is of, tool, its value, our value), the values still to be computed, of the same lines."""
    predictions, references = zip(*((_text(line.prediction), _text(line.reference)) for line in lines), strict=True)
    found = (tuple(map(TABLE.findall, (line.prediction, line.reference))) for line in lines)
    tables = [(made[0], wanted[0]) for made, wanted in found if made and wanted]
    regions = [[[(r.label, r.box) for r in side] for side in line.scored_regions()] for line in lines]
    predicted, wanted = map(list, zip(*regions, strict=True))
    pages, pairs = f"{len(lines)} pages", f"{len(tables)} tables"
    return [
        ("CER", pages, "jiwer", lambda: jiwer.cer(list(references), list(predictions)),
         lambda: character_error_rate(predictions, references)),
        ("WER", pages, "jiwer", lambda: jiwer.wer(list(references), list(predictions)),
         lambda: word_error_rate(predictions, references)),
        ("TEDS", pairs, "apted", lambda: statistics.fmean(teds_by_apted(*sides) for sides in tables),
         lambda: statistics.fmean(teds(*sides) for sides in tables)),
        ("mAP", pages, "pycocotools", lambda: coco_map(predicted, wanted), lambda: Detections.of(lines).mean()),
    ]  # fmt: skip


def processor_seconds(value: Callable[[], float]) -> tuple[float, float]:
    """(seconds, value)"""
    start = time.process_time()
    found = value()
    return time.process_time() - start, found


def _text(text: str) -> str:
    return normalize_text(plain_text(text))


def teds_by_apted(predicted: str, reference: str, structure_only: bool = False) -> float:
    """IBM's own steps, node by node."""
    tables = [
        lxml.html.fromstring(f"<html><body>{html}</body></html>").xpath("body/table")[0]
        for html in (predicted, reference)
    ]
    nodes = max(len(table.xpath(".//*")) for table in tables)
    trees = [ApNode(table, structure_only) for table in tables]
    return 1 - APTED(*trees, ApCosts()).compute_edit_distance() / nodes


class ApNode:
    """A node as apted takes it."""

    def __init__(self, element, structure_only):
        spans = (element.get("colspan", "1"), element.get("rowspan", "1")) if element.tag == "td" else ()
        self.name, self.content, self.children = (element.tag, *spans), [], []
        if element.tag != "td":
            self.children = [ApNode(child, structure_only) for child in element]
        elif not structure_only:
            self.content = self.tokens(element)[1:-1]

    def tokens(self, element):
        inner = [token for child in element for token in self.tokens(child)]
        tail = list(element.tail or "") if element.tag != "td" else []
        return [f"<{element.tag}>", *(element.text or ""), *inner, f"</{element.tag}>", *tail]


class ApCosts(Config):
    """What IBM's code takes for a cell that becomes another."""

    def rename(self, node1, node2):
        if node1.name != node2.name:
            return 1.0
        return Levenshtein.normalized_distance(node1.content, node2.content)


def coco_map(predicted: Sequence[Sequence[LabelledBox]], reference: Sequence[Sequence[LabelledBox]]) -> float:
    """What pycocotools says of pages of (label, box) when every score is 1."""
    names = sorted({label for page in [*predicted, *reference] for label, _ in page})
    truth = COCO()
    truth.dataset = {
        "images": [{"id": page} for page in range(len(reference))],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        "annotations": [
            {**annotation, "id": number, "iscrowd": 0}
            for number, annotation in enumerate(_annotations(reference, names), 1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes([{**annotation, "score": 1.0} for annotation in _annotations(predicted, names)])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def _annotations(pages, names):
    for page, regions in enumerate(pages):
        for label, (x0, y0, x1, y1) in regions:
            size = (x1 - x0, y1 - y0)
            yield {
                "image_id": page,
                "category_id": names.index(label),
                "bbox": [x0, y0, *size],
                "area": size[0] * size[1],
            }


if __name__ == "__main__":
    sys.exit(main())
