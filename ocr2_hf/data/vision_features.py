"""Stored outputs of the vision encoder: safetensors shards in one folder, read page by page from mapped memory.

A page's features are [visual tokens - 1, encoder width] in bfloat16: its tiles', then the global view's. The separator
is no output of the encoder but a weight, and is not stored. A shard carries the checksum of every page in it.
"""

import json
import math
import os
import time
import uuid
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ocr2_hf.document.atomic_files import PARTIAL, whole_file
from ocr2_hf.errors import WorkError

DTYPE = torch.bfloat16
_SHARD = ".safetensors"
_CHECKSUMS = "crc32"
_STALE = 3600  # seconds after which an unfinished shard belongs to a run that was killed


def feature_bytes(visual_tokens: Iterable[int], width: int) -> int:
    """Bytes on disk of the features of pages with so many visual tokens each (`ImageSettings.tokens`), from an encoder
    of this width (896 in the real model: 2.0 MB for a page of 1,121)."""
    return sum(tokens - 1 for tokens in visual_tokens) * width * DTYPE.itemsize


class VisionFeatures:
    """The features in a folder, by key (`PageTasks.view`): which are there, and each of them, read when asked for.

    Shards that are damaged are left out and listed in `damaged`. Nothing stays open, so it can be handed to workers.
    """

    def __init__(self, folder: Path):
        self.damaged: list[Path] = []
        self._places: dict[str, _Place] = {}
        for path in sorted(folder.glob(f"*{_SHARD}")):
            try:
                self._places |= _places_in(path)
            # The file is cut off or overwritten; or somebody else's, without checksums.
            except (SafetensorError, ValueError, KeyError, TypeError):
                self.damaged.append(path)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> Tensor:
        """[visual tokens - 1, width]. Features that are not what was written raise `WorkError`, and their shard is
        removed, so that the next run computes them anew."""
        path, start, shape, checksum = self._places[key]
        content = bytearray(math.prod(shape) * DTYPE.itemsize)
        try:
            with path.open("rb", buffering=0) as shard:
                shard.seek(start)
                shard.readinto(content)
        except OSError as error:
            raise WorkError(f"the vision features in {path} cannot be read: {error}") from error
        if zlib.crc32(content) != checksum:
            path.unlink(missing_ok=True)
            raise WorkError(
                f"the vision features of page {key} in {path} are damaged; the file is removed, and the same command "
                "computes its pages anew and goes on"
            )
        return torch.frombuffer(content, dtype=DTYPE).view(shape)


class _Place(NamedTuple):
    """Where the features of a page begin in a shard, their shape, and the checksum of their bytes."""

    path: Path
    start: int
    shape: tuple[int, ...]
    checksum: int


def _places_in(path: Path) -> dict[str, _Place]:
    """By key. A library's look at one page reads what the file says of all: here that is done once."""
    with safe_open(path, "pt") as shard:  # which checks the file
        checksums = json.loads(shard.metadata()[_CHECKSUMS])
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        described = json.loads(file.read(size))
    found = {key: described[key] for key in checksums}
    return {
        key: _Place(path, 8 + size + each["data_offsets"][0], tuple(each["shape"]), checksums[key])
        for key, each in found.items()
    }


def write_shard(folder: Path, features: dict[str, Tensor]) -> None:
    """Write features by key as one more shard: whole or, where the disk is full, not at all (`OSError`)."""
    stored = {key: tensor.to("cpu", DTYPE).contiguous() for key, tensor in features.items()}
    content = save(stored, {_CHECKSUMS: json.dumps({key: _checksum(tensor) for key, tensor in stored.items()})})
    with whole_file(folder / f"{uuid.uuid4().hex}{_SHARD}") as unfinished, unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def clean_up(folder: Path, damaged: Iterable[Path]) -> None:
    """Remove damaged shards, and what killed runs left unfinished; another run may be writing there just now."""
    left = [path for path in folder.glob(f"*{PARTIAL}") if time.time() - path.stat().st_mtime > _STALE]
    for path in [*damaged, *left]:
        path.unlink(missing_ok=True)


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.view(torch.uint8).numpy())
