"""A built dataset to the Hub: Parquet with the images in it, and a card.

The card says what the rows are, how many there are, whose licence they have, and how to load them.
"""

import json
from collections.abc import Iterable
from typing import Any

from datasets import Dataset, DatasetDict
from huggingface_hub import DatasetCard, upload_file

from ocr2_hf.data.columns import has_boxes
from ocr2_hf.data.load import built_datasets, load_dataset
from ocr2_hf.publishing.contents import CARD
from ocr2_hf.publishing.hub import hub_errors

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
# Columns that may say nothing of any page.
BOXES, QUESTION = ("bboxes", "labels", "texts"), ("prompt", "target")
LONGEST_TEXT, MOST_REGIONS = 400, 3

_TEXT = """
# {name}

Pages with their text and their regions, for fine-tuning DeepSeek-OCR-2.

{counts}

## Columns

{columns}

## Use

```python
from ocr2_hf import load_dataset

pages = load_dataset("{repo}", split="{split}")  # datasets.load_dataset loads it too
```

## Example

```json
{example}
```

## Licence

{license}
"""


def push_dataset(name: str, repo: str, license_id: str, private: bool) -> None:
    """Create the dataset `repo` (ORG/NAME) if need be and upload the built dataset `name`.

    A push that was broken off is completed by the next: what is there already is not sent again. Raises `WorkError`
    where the Hub cannot be reached or refuses, `UsageError` where `repo` is no name that it takes.
    """
    splits = without_empty_columns(DatasetDict(load_dataset(name)))
    summary = json.loads((built_datasets()[name] / "summary.json").read_text())
    with hub_errors(repo, "the dataset is built, run again to push"):
        splits.push_to_hub(repo, private=private or None, commit_message=f"Upload {name}")
        card = DatasetCard.load(repo)
        write_card(card, dict(splits), repo, license_id, summary)
        # The card's own `push_to_hub` asks huggingface.co in releases before 2, whatever HF_ENDPOINT says.
        upload_file(
            path_or_fileobj=str(card).encode(),
            path_in_repo=CARD,
            repo_id=repo,
            repo_type="dataset",
            commit_message="Describe the dataset",
        )


def write_card(card: DatasetCard, splits: dict[str, Dataset], repo: str, license_id: str, summary: dict) -> None:
    """Fill in the card that `push_to_hub` made: it already tells the Hub its columns and files."""
    card.data.license = license_id
    card.data.task_categories = ["image-to-text"]
    card.data.tags = ["ocr", "document-layout", "ocr2_hf"]
    split, first = next(iter(splits.items()))
    columns = [(names, holds) for names, holds in COLUMNS.items() if names.split(", ")[0] in first.features]
    card.text = _TEXT.format(
        name=repo.partition("/")[2],
        counts=_counts(splits, summary),
        columns=_table(("column", "holds"), columns),
        repo=repo,
        split=split,
        example=json.dumps(_example(first), indent=2, ensure_ascii=False).replace("```", "` ` `"),
        license=license_id,
    )


def without_empty_columns(splits: DatasetDict) -> DatasetDict:
    """The splits without the columns that say nothing of any page; `load_dataset` fills them in again."""
    unboxed = () if any(map(has_boxes, splits.values())) else BOXES
    unasked = [key for key in QUESTION if all(value is None for part in splits.values() for value in part[key])]
    return splits.remove_columns([*unboxed, *unasked])


def _counts(splits: dict[str, Dataset], summary: dict[str, Any]) -> str:
    rows = [(name, len(part), summary["splits"][name]["regions"]) for name, part in splits.items()]
    left_out = summary["rejected"]
    note = f"\n\n{left_out} pages of the source failed the checks and are not in it." if left_out else ""
    heads = ("split", "pages", "regions")
    if not any(regions for _, _, regions in rows):
        heads, rows = heads[:2], [row[:2] for row in rows]
    return _table(heads, rows) + note


def _table(head: tuple[str, ...], rows: Iterable[tuple]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _example(dataset: Dataset) -> dict[str, Any]:
    """The first row, its image as words, long lists and texts cut."""
    row = dataset.remove_columns("image")[0]
    shown = {"id": row["id"], "image": f"{row['width']}x{row['height']} pixels", "text": _short(row["text"])}
    for name in (name for name in BOXES if name in row):
        values = [_short(value) if isinstance(value, str) else value for value in row[name][:MOST_REGIONS]]
        shown[name] = values + (["..."] if len(row[name]) > MOST_REGIONS else [])
    return shown


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."
