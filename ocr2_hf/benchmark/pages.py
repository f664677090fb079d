"""Synthetic pages with a stated mix of tiles and target lengths: work for a benchmark, nothing to learn from."""

import io
import random
import string

from datasets import Dataset
from PIL import Image, ImageDraw

from ocr2_hf.benchmark.workload import PageMix
from ocr2_hf.data.collator import TargetEncoder
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.tasks import build_target
from ocr2_hf.errors import UsageError

TOKENS_A_REGION = 75  # a line or two of print with its tag and box
MARGIN = 0.05
# Columns and rows of tiles for each number of them, of an upright page.
GRIDS = {0: (1, 1), 2: (1, 2), 3: (1, 3), 4: (2, 2), 5: (1, 5), 6: (2, 3)}
FILLED = 0.8  # of the tiles' side: an A4 page at 150 dpi fills 0.79 of its six


def make_pages(mix: PageMix, pages: int, processor, seed: int = 0) -> Dataset:
    """Page records: drawn letters with boxes, as PNG; the markdown target of each takes the stated number of tokens,
    its end included, as near as the tokenizer lets it (with a tiny model's: exactly)."""
    settings = ImageSettings.of(processor)
    encoder = TargetEncoder(processor.tokenizer)
    rows = [
        _row(f"page{number}", page_size(settings, tiles), length, encoder, random.Random(f"{seed}/{number}"))
        for number, (tiles, length) in enumerate(mix.kinds(pages, seed))
    ]
    return Dataset.from_list(rows, features=FEATURES)


def page_size(settings: ImageSettings, tiles: int) -> tuple[int, int]:
    """Width and height in pixels of a page that a processor cuts into so many tiles."""
    columns, rows = GRIDS.get(tiles, (0, 0))
    size = round(FILLED * columns * settings.tile_side), round(FILLED * rows * settings.tile_side)
    if tiles not in GRIDS or settings.tiles(*size) != tiles:
        raise UsageError(f"no page has {tiles} tiles: pages have none, or 2 to {settings.max_patches}")
    return size


def _row(name: str, size: tuple[int, int], target_tokens: int, encoder: TargetEncoder, rng: random.Random) -> dict:
    width, height = size
    count = max(1, target_tokens // TOKENS_A_REGION)
    pitch = height * (1 - 2 * MARGIN) / count
    tops = [height * MARGIN + number * pitch for number in range(count)]
    row = {
        "id": name,
        "width": width,
        "height": height,
        "bboxes": [[width * MARGIN, top, width * (1 - MARGIN), top + pitch * 0.8] for top in tops],
        "text": "x",
        "labels": ["text"] * count,
        "texts": ["x"] * count,
        "prompt": None,
        "target": None,
    }
    _fill(row, target_tokens, encoder, rng)
    row["text"] = "\n".join(row["texts"])
    return row | {"image": {"bytes": _draw(size, row), "path": None}}


def _fill(row: dict, target_tokens: int, encoder: TargetEncoder, rng: random.Random) -> None:
    """Spread letters over the regions until the markdown target is as long as asked."""
    letters, count = 0, len(row["texts"])
    for _ in range(8):  # a tokenizer that takes several letters at once needs more than one go
        missing = target_tokens - len(encoder(build_target("markdown", row)).ids)
        if missing == 0:
            return
        letters = max(0, letters + missing)
        row["texts"] = [
            "x" + "".join(rng.choices(string.ascii_lowercase, k=letters // count + (index < letters % count)))
            for index in range(count)
        ]
    if letters == 0:
        raise UsageError(f"a target of {target_tokens} tokens has no room for one region: ask for more")


def _draw(size: tuple[int, int], row: dict) -> bytes:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for (left, top, right, _), text in zip(row["bboxes"], row["texts"], strict=True):
        line = max(1, int((right - left) // 6))
        for number in range(0, len(text), line):
            draw.text((left, top + number // line * 12), text[number : number + line], fill="black")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
