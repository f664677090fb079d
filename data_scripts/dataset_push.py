"""A built dataset to the Hub: Parquet with the images in it, and a card."""

import json

from datasets import DatasetDict
from huggingface_hub import DatasetCard
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

from dataset_card import write_card
from ocr2_hf.data.load import built_datasets, load_dataset
from ocr2_hf.errors import UsageError, WorkError


def push_dataset(name: str, repo: str, license_id: str, private: bool) -> None:
    """Create the dataset `repo` (ORG/NAME) if need be and upload the built dataset `name`.

    A push that was broken off is completed by the next: what is there already is not sent again. Raises `WorkError`
    where the Hub cannot be reached or refuses, `UsageError` where `repo` is no name that it takes.
    """
    splits = DatasetDict(load_dataset(name))
    summary = json.loads((built_datasets()[name] / "summary.json").read_text())
    try:
        splits.push_to_hub(repo, private=private or None, commit_message=f"Upload {name}")
        card = DatasetCard.load(repo)
        write_card(card, dict(splits), repo, license_id, summary)
        card.push_to_hub(repo, commit_message="Describe the dataset")
    except HFValidationError as error:
        raise UsageError(f"--push: {error}") from None
    except LocalTokenNotFoundError:
        raise WorkError(f"cannot push to {repo}: no token; log in with `hf auth login` or set HF_TOKEN") from None
    except OfflineModeIsEnabled:
        raise WorkError(f"cannot push to {repo}: HF_HUB_OFFLINE is set") from None
    except (HfHubHTTPError, OSError) as error:  # every failed connection is an OSError
        raise WorkError(f"cannot push to {repo}: {_reason(error)}; the dataset is built, run again to push") from error


def _reason(error: Exception) -> str:
    """What the Hub says, on one line; the client leaves tokens out of its messages."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    hint = {401: "the token is not accepted: ", 403: "the token may not write there: "}.get(status, "")
    return hint + " ".join(str(error).split())[:300]
