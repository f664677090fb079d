"""A trained directory to the Hub, in one commit: "pushed" may be said only once the Hub has been read back.

Large files go first, each known by its content: a push that was broken off sends what is there already no second time.
The commit comes last, so that nobody ever loads half a model.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard, RepoFile, constants, errors
from huggingface_hub.utils import get_token
from huggingface_hub.utils.sha import git_hash

from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.model_files import read_json
from ocr2_hf.publishing.contents import CARD, STATE_FILE, TAG, Contents, is_published_name, read_contents
from ocr2_hf.publishing.evaluations import add_evaluations, find_evaluations, read_evaluations
from ocr2_hf.recipe_file import RECIPE_FILE, read_saved

logger = logging.getLogger(__name__)

# What the Hub or its web page put into a new repository.
EMPTY = {".gitattributes", "README.md"}
LONGEST = 300  # characters of a message of the client
HINTS = {
    401: "the token is not accepted: ",
    403: "the token may not write there: ",
    429: "too many requests, try later: ",
}


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
    recipe = read_saved(source)
    if recipe.get("hub_token"):
        raise UsageError(
            f"{source / RECIPE_FILE} holds a hub_token, which would be published: take it out, and revoke it"
        )
    contents = read_contents(source, repo, recipe, options.base)
    if options.evaluations is None:
        evaluations, notes = find_evaluations(source)
        for note in notes:
            logger.warning("not published: %s", note)
    else:
        evaluations = read_evaluations(options.evaluations)
    check_target(repo, options.private, options.overwrite, then)
    from ocr2_hf.publishing.model_card import CardFacts, model_card  # imports more than the checks before it need

    answer = add_evaluations(contents, source, evaluations, options.example)
    license_id = options.license_id or _base_license(contents) or _license_in(source / CARD)
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


def _base_license(contents: Contents) -> str | None:
    """The licence the base's card names; None where there is no card, or the Hub does not tell."""
    if contents.base is None:
        return None if contents.base_folder is None else _license_in(contents.base_folder / CARD)
    try:
        return _license_of(HfApi().model_info(contents.base).card_data)
    except (errors.HTTPError, OSError):
        return None


def _license_in(card: Path) -> str | None:
    if not card.is_file():
        return None
    return _license_of(ModelCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=True).data)


def _license_of(head: Any) -> str | None:
    named = getattr(head, "license", None)
    return named if isinstance(named, str) else None


def check_target(repo: str, private: bool, overwrite: bool, then: str) -> None:
    """Make sure that a push to `repo` (ORG/NAME) can succeed, creating the repository where it is not there.

    Raises `UsageError` for a name that is none, a public repository where `private` is asked for, or one that holds
    something else and not `overwrite`; `WorkError` where the Hub cannot be reached or refuses the token.
    """
    if repo.count("/") != 1:
        raise UsageError(f"{repo!r} is not ORG/NAME, as the Hub names repositories")
    with hub_errors(repo, then):
        api = HfApi()
        api.whoami()
        try:
            info = api.model_info(repo)
        except errors.RepositoryNotFoundError:
            api.create_repo(repo, private=private, exist_ok=True)
            return
    if private and not info.private:
        raise UsageError(
            f"{repo} is there already and public: nothing is pushed; make it private in its settings on the Hub, or "
            "name another"
        )
    others = sorted({file.rfilename for file in info.siblings or []} - EMPTY)
    ours = TAG in ((info.card_data or {}).get("tags") or [])
    if others and not ours and not overwrite:
        raise UsageError(
            f"{repo} holds other content ({', '.join(others[:5])}{', ...' if len(others) > 5 else ''}): nothing is "
            "pushed; name another repository, or say --overwrite"
        )


def upload(contents: Mapping[str, Path | bytes], repo: str, message: str, then: str) -> str:
    """Commit `contents` (path in the repository -> file or bytes) and read it back; returns the commit's address.

    Published files of an earlier push that are not among them are deleted; other files stay. Raises `WorkError` where
    the Hub fails, or holds anything else than what was sent.
    """
    api = HfApi()
    with hub_errors(repo, then):
        stale = [name for name in api.list_repo_files(repo) if name not in contents and is_published_name(name)]
        sent = {name: CommitOperationAdd(name, content) for name, content in contents.items()}
        operations = [*sent.values(), *map(CommitOperationDelete, stale)]
        commit = api.create_commit(repo, operations, commit_message=message, num_threads=4)
        entries = api.list_repo_tree(repo, recursive=True, revision=commit.oid)
        there = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    wrong = [name for name, added in sent.items() if name not in there or not _same(there[name], added)]
    if wrong:
        raise WorkError(f"{repo} does not have what was sent: {', '.join(sorted(wrong)[:5])} differ; {then}")
    return f"{api.endpoint}/{repo}/tree/{commit.oid}"


def _same(entry: RepoFile, sent: CommitOperationAdd) -> bool:
    """Size and hash: of the content for large files, of the git blob for the others."""
    if entry.size != sent.upload_info.size:
        return False
    if entry.lfs is not None:
        return entry.lfs.sha256 == sent.upload_info.sha256.hex()
    with sent.as_file() as file:
        return entry.blob_id == git_hash(file.read())


@contextmanager
def hub_errors(repo: str, then: str) -> Iterator[None]:
    """Errors of the client while pushing to `repo` become a `UsageError` or a `WorkError`.

    `then` says what is safe, and what to do. No message holds the token.
    """
    cannot = f"cannot push to {repo}"
    try:
        yield
    except errors.HFValidationError as error:
        raise UsageError(f"{repo!r} is no name of a repository: {_line(error)}") from None
    except errors.LocalTokenNotFoundError:
        raise WorkError(f"{cannot}: no token; log in with `hf auth login` or set HF_TOKEN; {then}") from None
    except errors.OfflineModeIsEnabled:
        raise WorkError(f"{cannot}: HF_HUB_OFFLINE is set; {then}") from None
    except errors.HfHubHTTPError as error:
        raise WorkError(f"{cannot}: {HINTS.get(error.response.status_code, '')}{_line(error)}; {then}") from error
    except errors.HTTPError as error:  # the client library's own, which hub releases take from different packages
        raise WorkError(f"{cannot}: no answer from {constants.ENDPOINT}: {_line(error)}; {then}") from error
    except OSError as error:
        raise WorkError(f"{cannot}: {_line(error)}; {then}") from error


def _line(error: Exception) -> str:
    """What the client says, on one line. It leaves tokens out of its messages; should one slip in, it is taken out."""
    text, token = " ".join(str(error).split()), get_token()
    return (text.replace(token, "***") if token else text)[:LONGEST]
