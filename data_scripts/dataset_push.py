"""A built dataset to the Hub: Parquet with the images in it, and a card."""

import json

from datasets import DatasetDict
from huggingface_hub import DatasetCard

from data_scripts.dataset_card import write_card
from ocr2_hf.data.load import built_datasets, load_dataset
from ocr2_hf.publishing.hub import hub_errors


def push_dataset(name: str, repo: str, license_id: str, private: bool) -> None:
    """Create the dataset `repo` (ORG/NAME) if need be and upload the built dataset `name`.

    A push that was broken off is completed by the next: what is there already is not sent again. Raises `WorkError`
    where the Hub cannot be reached or refuses, `UsageError` where `repo` is no name that it takes.
    """
    splits = DatasetDict(load_dataset(name))
    summary = json.loads((built_datasets()[name] / "summary.json").read_text())
    with hub_errors(repo, "the dataset is built, run again to push"):
        splits.push_to_hub(repo, private=private or None, commit_message=f"Upload {name}")
        card = DatasetCard.load(repo)
        write_card(card, dict(splits), repo, license_id, summary)
        card.push_to_hub(repo, commit_message="Describe the dataset")
