"""What others do the same work in: rows of processor time a page, ours beside a peer's on the same pages in one run.

The least of several rounds counts, in which the sides take turns: what else the machine does only adds to a round.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ocr2_hf.benchmark.contenders import bench_processor
from ocr2_hf.benchmark.pages import make_pages, page_size
from ocr2_hf.benchmark.workload import OURS, STOCK, PageMix, interleaved_rounds
from ocr2_hf.data.collator import PromptEncoder
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.document.page_files import to_rgb
from ocr2_hf.errors import WorkError
from ocr2_hf.reading.reader import DocumentReader
from ocr2_hf.recipe import Recipe

READ_TOKENS = 64  # of an answer: enough that a page is not all that counts


class PeerRow(NamedTuple):
    """Milliseconds a page of our way and of the peer's; `memory`: our peak over the peer's, where it was counted."""

    work: str
    peer: str
    ours: float
    theirs: float
    memory: float | None = None

    @property
    def ratio(self) -> float:
        """Our time over the peer's: ahead below 1."""
        return self.ours / self.theirs


def training_row(work: str, results: dict[str, Any]) -> PeerRow:
    """Of what `ocr2 bench --against trainer` wrote: processor time."""
    (run,) = results["runs"]
    least = {
        name: 1000 * min(each["processor_seconds_per_page"] for each in side["rounds"])
        for name, side in run["sides"].items()
    }
    return PeerRow(work, "the stock Trainer", least[OURS], least[STOCK], run["ratios"]["peak_memory"])


def collator_row(results: dict[str, Any]) -> PeerRow:
    """Of what `ocr2 bench --data` wrote: processor time."""
    least = {name: 1000 / max(rates) for name, rates in results["data"]["rounds"].items()}
    return PeerRow("pages into tensors, six tiles", "the stock processor", least[OURS], least[STOCK])


def building_rows(results: dict[str, Any]) -> list[PeerRow]:
    """Of what `data_scripts/bench_build.py` wrote: time by the clock, for a copy hardly computes."""
    pages, rows = results["settings"]["pages"], []
    for kind, measured in results["results"].items():
        least = {name: 1000 * min(seconds) / pages for name, seconds in measured["seconds"].items()}
        for peer, name in (("`imagefolder`", "imagefolder"), ("a plain copy", "copy")):
            rows.append(PeerRow(f"building, {kind}, by the clock", peer, least["build"], least[name]))
    return rows


def image_row(recipe: Recipe, pages: int, rounds: int) -> PeerRow:
    """A page of six tiles into pixels, by what training and reading call, beside the stock image processor."""
    processor = bench_processor(recipe)
    encoder, settings = PromptEncoder(processor), ImageSettings.of(processor)
    width, height = page_size(settings, 6)
    drawn = np.random.default_rng(0).integers(0, 256, (pages, height, width, 3), np.uint8)
    images = [Image.fromarray(each) for each in drawn]
    stock = partial(processor.image_processor, return_tensors="pt", **settings.call_arguments())
    sides = (lambda: [encoder.images([image]) for image in images], lambda: list(map(stock, images)))
    return side_by_side("a page's image, six tiles", "the stock image processor", *sides, pages, rounds)


def reading_row(model: str | Path, graphs: str | Path, pages: int, rounds: int) -> PeerRow:
    """Reading page by page with ONNX Runtime beside torch. `WorkError` where the answers are not the same."""
    readers = [DocumentReader.from_pretrained(name, "cpu", "float32") for name in (graphs, model)]
    drawn = make_pages(PageMix({0: 1.0}, {200: 1.0}), pages, readers[1].processor)
    images = [to_rgb(image) for image in drawn["image"]]
    answers: list[list[str]] = [[], []]

    def read(side: int) -> None:
        found = readers[side].read(images, max_new_tokens=READ_TOKENS, batch_size=1)
        answers[side] = [page.raw for page in found]

    work = f"reading in ONNX Runtime, page by page, {READ_TOKENS} tokens"
    row = side_by_side(work, "torch", partial(read, 0), partial(read, 1), pages, rounds)
    if answers[0] != answers[1]:
        raise WorkError(f"ONNX Runtime and torch read other answers with {model}: their times are of other work")
    return row


def side_by_side(
    work: str, peer: str, ours: Callable[[], object], theirs: Callable[[], object], pages: int, rounds: int
) -> PeerRow:
    """The row of two ways that do the same with so many pages, in this process; the first round does not count."""
    timed = {name: partial(_milliseconds, way, pages) for name, way in ((OURS, ours), (STOCK, theirs))}
    least = {name: min(times) for name, times in interleaved_rounds(timed, rounds, warmup=1).items()}
    return PeerRow(work, peer, least[OURS], least[STOCK])


def _milliseconds(work: Callable[[], object], pages: int) -> float:
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start) / pages


def peers_table(rows: Sequence[PeerRow]) -> str:
    """The rows in Markdown."""
    lines = ["| work | beside | ms a page, ours / theirs | ours : theirs | peak memory |", "|---|---|---|---|---|"]
    for row in rows:
        memory = "" if row.memory is None else f"{row.memory:.2f}"
        times = f"{_rounded(row.ours)} / {_rounded(row.theirs)}"
        lines.append(f"| {row.work} | {row.peer} | {times} | {row.ratio:.2f} | {memory} |")
    return "\n".join(lines) + "\n"


def _rounded(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
