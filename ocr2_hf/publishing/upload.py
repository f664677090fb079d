"""One commit to the Hub, whole: "pushed" may be said only once the Hub has been read back.

Large files go first, each known by its content: a push that was broken off sends what is there already no second time.
The commit comes last, so that nobody ever loads half a model.
"""

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCardData, RepoFile
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils.sha import git_hash

from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.publishing.contents import is_published_name
from ocr2_hf.publishing.hub_errors import hub_errors
from ocr2_hf.publishing.model_card import TAG

# What the Hub or its web page put into a new repository.
EMPTY = {".gitattributes", "README.md"}


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
        except RepositoryNotFoundError:
            api.create_repo(repo, private=private, exist_ok=True)
            return
    if private and not info.private:
        raise UsageError(
            f"{repo} is there already and public: nothing is pushed; make it private in its settings on the Hub, or "
            "name another"
        )
    others = sorted({file.rfilename for file in info.siblings or []} - EMPTY)
    ours = TAG in ((info.card_data or ModelCardData()).to_dict().get("tags") or [])
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
