"""The card of a dataset that goes to the Hub: what its rows are, how many, whose licence, and how to load it."""

import json
from typing import Any

from datasets import Dataset
from huggingface_hub import DatasetCard

COLUMNS = {
    "id": "the page's name",
    "image": "the page, the original file's bytes",
    "width, height": "pixels, as displayed",
    "text": "all of the page's text",
    "bboxes": "the regions' boxes: x0, y0, x1, y1 in pixels, in reading order",
    "labels": "the regions' classes",
    "texts": "the regions' texts, empty where unknown",
    "prompt, target": "what to ask about the page and what to answer, where the annotations say",
}
LONGEST_TEXT, MOST_REGIONS = 400, 3


def write_card(card: DatasetCard, splits: dict[str, Dataset], repo: str, license_id: str, summary: dict) -> None:
    """Fill in the card that `push_to_hub` made: it already tells the Hub its columns and files."""
    card.data.license = license_id
    card.data.task_categories = ["image-to-text"]
    card.data.tags = ["ocr", "document-layout", "ocr2_hf"]
    card.text = "\n".join(
        [
            f"\n# {repo.partition('/')[2]}",
            "",
            "Pages with their text and their regions, for fine-tuning DeepSeek-OCR-2.",
            "",
            *_counts(splits, summary),
            "",
            "## Columns",
            "",
            *_table(("column", "holds"), COLUMNS.items()),
            "",
            "## Use",
            "",
            "```python",
            "from ocr2_hf import load_dataset",
            "",
            f'pages = load_dataset("{repo}", split="{next(iter(splits))}")  # datasets.load_dataset loads it too',
            "```",
            "",
            "## Example",
            "",
            "```json",
            json.dumps(_example(next(iter(splits.values()))), indent=2, ensure_ascii=False).replace("```", "` ` `"),
            "```",
            "",
            f"## Licence\n\n{license_id}\n",
        ]
    )


def _counts(splits: dict[str, Dataset], summary: dict[str, Any]) -> list[str]:
    rows = [(name, len(part), summary["splits"][name]["regions"]) for name, part in splits.items()]
    left_out = summary["rejected"]
    note = f"{left_out} pages of the source failed the checks and are not in it." if left_out else ""
    return _table(("split", "pages", "regions"), rows) + (["", note] if note else [])


def _table(head: tuple[str, ...], rows: Any) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def _example(dataset: Dataset) -> dict[str, Any]:
    """The first row, its image as words, long lists and texts cut."""
    row = dataset.remove_columns("image")[0]
    shown = {"id": row["id"], "image": f"{row['width']}x{row['height']} pixels", "text": _short(row["text"])}
    for name in ("bboxes", "labels", "texts"):
        values = [_short(value) if isinstance(value, str) else value for value in row[name][:MOST_REGIONS]]
        shown[name] = values + (["..."] if len(row[name]) > MOST_REGIONS else [])
    return shown


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."
