"""A trained directory to the Hub: what goes, what the card says of it, and whether it arrived."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError

from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.publishing.contents import CARD, EXAMPLE, EXAMPLE_ANSWER, STATE_FILE, Contents, read_contents, read_json
from ocr2_hf.publishing.evaluations import METRICS, Evaluation, example_of, find_evaluations, read_evaluations
from ocr2_hf.publishing.model_card import CardFacts, card_license, model_card
from ocr2_hf.publishing.upload import check_target, upload
from ocr2_hf.recipe_file import RECIPE_FILE, read_saved

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PushOptions:
    """How to push. `evaluations`: folders of `ocr2 evaluate`, None for those inside the directory; `base`: Hub id of
    the base, where it was loaded from a copy; `license_id`: None for the base's; `example`: publish a page's picture;
    `message`: of the commit.
    """

    private: bool = False
    overwrite: bool = False
    example: bool = True
    evaluations: tuple[Path, ...] | None = None
    base: str | None = None
    license_id: str | None = None
    message: str | None = None


def push_model(source: str | Path, repo: str, options: PushOptions = PushOptions()) -> str:
    """Push the model or adapter in the directory `source` to `repo` (ORG/NAME); returns the address of the commit.

    It returns only once the Hub has every file as it was sent. Called again after an interruption it goes on. Raises
    `UsageError` for what is no model and for a repository that must not be written, `WorkError` where the Hub fails.
    """
    source = Path(source)
    if not source.is_dir():
        raise UsageError(f"no directory {source}; push a run's output_dir, or what `ocr2 export --to merged` wrote")
    then = f"nothing is lost: {source} is as it was, push again and it goes on"
    recipe = _recipe(source)
    contents = read_contents(source, repo, recipe, options.base)
    evaluations = _evaluations(source, options)
    check_target(repo, options.private, options.overwrite, then)
    answer = _add_example(contents, source, evaluations, options.example)
    contents.files.update({each.published_name: each.folder / METRICS for each in evaluations})
    license_id = options.license_id or _base_license(contents) or card_license(source / CARD)
    if license_id is None:
        logger.warning("the card names no licence: the base's is not known here; say --license ID")
    state = read_json(source / STATE_FILE)
    facts = CardFacts(repo, contents, license_id, recipe, state, evaluations, answer)
    contents.files[CARD] = model_card(facts).encode()
    if contents.base_goes_along:
        logger.warning(
            "the adapter's base, %s, is no Hub id: it goes along, in base/; if it is a copy of one that is on the Hub, "
            "say --base ORG/NAME",
            contents.base_folder,
        )
    return upload(contents.files, repo, options.message or f"Upload {source.resolve().name}", then)


def _recipe(source: Path) -> dict[str, Any]:
    recipe = read_saved(source)
    if recipe.get("hub_token"):
        raise UsageError(
            f"{source / RECIPE_FILE} holds a hub_token, which would be published: take it out, and revoke it"
        )
    return recipe


def _evaluations(source: Path, options: PushOptions) -> list[Evaluation]:
    if options.evaluations is not None:
        return read_evaluations(options.evaluations)
    evaluations, notes = find_evaluations(source)
    for note in notes:
        logger.warning("not published: %s", note)
    return evaluations


def _add_example(contents: Contents, source: Path, evaluations: list[Evaluation], wanted: bool) -> str | None:
    """Put the example picture among the files; returns what the model wrote for it, None without one.

    Of an evaluation where there is one, else the page that training kept.
    """
    kept = contents.files.pop(EXAMPLE, None)
    if not wanted:
        return None
    for evaluation in evaluations:
        try:
            contents.files[EXAMPLE], answer = example_of(evaluation)
        except (UsageError, WorkError) as error:
            logger.warning("no example picture of %s: %s", evaluation.folder, error)
        else:
            return answer
    if kept is None or not (source / EXAMPLE_ANSWER).is_file():
        return None
    contents.files[EXAMPLE] = kept
    return (source / EXAMPLE_ANSWER).read_text(encoding="utf-8")


def _base_license(contents: Contents) -> str | None:
    """The licence the base's card names; None where there is no card, or the Hub does not tell."""
    if contents.base is None:
        return None if contents.base_folder is None else card_license(contents.base_folder / CARD)
    try:
        data = HfApi().model_info(contents.base).card_data
    except (HTTPError, OSError):
        return None
    return data.license if data is not None and isinstance(data.license, str) else None
