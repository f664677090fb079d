"""Where a dataset is built, so that a build is there whole or not at all.

A build is written in a working folder of its own and renamed into place when it is complete, whatever kills
it before. One process at a time builds a name; what a killed one left is removed by the next.
"""

import fcntl
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets

from ocr2_hf.data.load import NAMESPACE


class BuildFolder:
    """The folder of one dataset name in the datasets cache.

    `final(digest)` is where a complete build of that digest lies; `rejects` takes the rejected pages of a
    build that was given up.
    """

    def __init__(self, name: str, version: str):
        self.name = name
        self.repo_id = f"{NAMESPACE}/{name}"
        self.root = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / f"{NAMESPACE}___{name}"
        self.rejects = self.root / "rejects.jsonl"
        self._builds = self.root / "default" / version

    def final(self, digest: str) -> Path:
        return self._builds / digest

    def is_complete(self, digest: str) -> bool:
        return (self.final(digest) / datasets.config.DATASET_INFO_FILENAME).is_file()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the name for this process, waiting for another that builds it; leftovers are removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        # A POSIX record lock, unlike flock, is not inherited: workers that outlive a killed build do not
        # hold it.
        with open(self.root / "lock", "w") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print(f"another process is building {self.name}; waiting for it", file=sys.stderr)
                fcntl.lockf(lock, fcntl.LOCK_EX)
            self._remove_leftovers()
            try:
                yield
            finally:
                self._remove_leftovers()

    def new_work_folder(self) -> Path:
        """A folder for one build. Its name is new, so that workers of a killed build cannot write into it."""
        return Path(tempfile.mkdtemp(prefix="work-", dir=self.root))

    def publish(self, shards: Path, digest: str) -> None:
        """Move complete shards into place and remove the builds before them."""
        self._builds.mkdir(parents=True, exist_ok=True)
        shards.rename(self.final(digest))
        self.rejects.unlink(missing_ok=True)
        self.remove_others(digest)

    def remove_others(self, digest: str) -> None:
        """Remove every build but that of `digest`."""
        for build in self.root.glob("default/*/*"):
            if build != self.final(digest) and build.is_dir():
                # Renamed first: a build that is half removed must not be found.
                build.rename(self.new_work_folder() / "removed")

    def _remove_leftovers(self) -> None:
        for leftover in self.root.glob("work-*"):
            shutil.rmtree(leftover, ignore_errors=True)
