"""The frozen vision encoder's outputs, computed once before training and kept on disk (`cache_vision_features`).

They lie in a folder of their own for every vision encoder, processor setting and dataset, and are found again by every
later run and stage that has the same. A pass that was killed goes on where it was: what is whole in the folder stays.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path

import datasets
import torch
import transformers
from accelerate.utils import broadcast, broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from ocr2_hf.data.collator import PromptEncoder
from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.mixture import PageMixture, sources_of
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.data.pixels import look_up
from ocr2_hf.data.vision_features import VisionFeatures, clean_up, feature_bytes, write_shard
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.recipe import OCR2TrainingArguments

logger = logging.getLogger(__name__)

SHARD_BYTES = 64_000_000  # what a killed pass loses at most, by process
_FORMAT = 1  # of the folder; a change of what is stored raises it
_MORE_ROOM = "make room, or name a folder on another disk with vision_cache_dir"


def cache_vision(
    pages: Mapping[str, PageTasks | PageMixture | None],
    tower: nn.Module,
    processor,
    args: OCR2TrainingArguments,
    deepspeed: bool = False,
) -> None:
    """Give the pages of a run, named by what they are for, their stored features, computing those that are not there.

    All processes take part, before the model of the `tower` is wrapped. Raises `UsageError` where training would change
    what is stored, and `WorkError` where the disk is full; the shards that are whole by then stay.
    """
    named = {
        f"{source} {name}".strip(): each
        for name, mixed in pages.items()
        if isinstance(mixed, PageTasks | PageMixture)
        for source, each in sources_of(mixed).items()
    }
    waiting = {name: each for name, each in named.items() if each.features is None}
    if not waiting:
        return
    if any(parameter.requires_grad for parameter in tower.parameters()):
        raise UsageError("cache_vision_features: the vision encoder trains, so its outputs change; freeze it")
    if any(wanted.augment for wanted in waiting.values()):
        raise UsageError("cache_vision_features: images are encoded once, so augment has no effect; set augment: none")
    if any("table" in wanted.tasks for wanted in waiting.values()):
        raise UsageError("cache_vision_features: pages are encoded whole, the task table shows pieces of them")
    cache = VisionCache(tower, processor, args, deepspeed)
    for name, wanted in waiting.items():
        wanted.features = cache.fill(wanted, name)


class VisionCache:
    """The features that one vision encoder makes with one processor, for any pages.

    Holds a whole copy of the encoder on this process's device: the model itself may be split over processes
    (ZeRO-3), without values on some (FSDP), or not on the device yet.
    """

    def __init__(self, tower: nn.Module, processor, args: OCR2TrainingArguments, deepspeed: bool = False):
        self.args, self.encoder = args, PromptEncoder(processor)
        self.tower = _whole(tower, args, deepspeed)
        self.width = tower.config.encoder_config.hidden_size
        self.half = args.mixed_dtype
        self.made_by = broadcast_object_list([self._made_by() if args.process_index == 0 else None])[0]

    def folder(self, pages: PageTasks) -> Path:
        """Where the features of these pages lie."""
        root = self.args.vision_cache_dir or Path(datasets.config.HF_DATASETS_CACHE) / "vision_features"
        made = json.dumps(self.made_by | {"dataset": pages.dataset._fingerprint}, sort_keys=True)
        return Path(root) / hashlib.blake2b(made.encode(), digest_size=16).hexdigest()

    def fill(self, pages: PageTasks, name: str) -> VisionFeatures:
        """Compute the features that are missing, each process its share; all of them are there afterwards."""
        folder, tokens = self.folder(pages), pages.visual_tokens()
        with _disk_errors(f"vision_cache_dir: {folder} cannot be made", "name another folder", UsageError):
            folder.mkdir(parents=True, exist_ok=True)
        missing = broadcast_object_list([self._missing(pages, folder) if self.args.process_index == 0 else None])[0]
        wanted = feature_bytes([tokens[index] for index in missing], self.width)
        logger.info(
            "vision features of %d %s pages: %s MB in %s; %d pages are there, %d (%s MB) are computed now",
            *(len(pages), name, f"{feature_bytes(tokens, self.width) / 1e6:,.1f}", folder),
            *(len(pages) - len(missing), len(missing), f"{wanted / 1e6:,.1f}"),
        )
        if missing:
            free = shutil.disk_usage(folder).free
            problem = f"vision features take {wanted / 1e6:,.1f} MB in {folder}, where {free / 1e6:,.1f} MB are free"
            full = self.args.process_index == 0 and wanted >= free
            _raise_together(f"{problem}; {_MORE_ROOM}" if full else None)
            self._compute(pages, missing, folder, max(tokens))
        stored = VisionFeatures(folder)
        blind = sum(pages.view(index) not in stored for index in range(len(pages)))
        problem = f"vision_cache_dir: another machine does not see {blind} pages' features that are written to {folder}"
        _raise_together(f"{problem}; name a folder on a disk all share" if blind else None, UsageError)
        return stored

    def _missing(self, pages: PageTasks, folder: Path) -> list[int]:
        """The examples whose features are not in the folder; what is broken there is removed."""
        stored = VisionFeatures(folder)
        clean_up(folder, stored.damaged)
        if stored.damaged:
            logger.warning("%d damaged files of vision features are removed and computed anew", len(stored.damaged))
        return [index for index in range(len(pages)) if pages.view(index) not in stored]

    def _compute(self, pages: PageTasks, missing: list[int], folder: Path, most_tokens: int) -> None:
        """A shard at a time, and after each all processes agree that it is written: a full disk stops all of them."""
        process, processes, size = self.args.process_index, self.args.world_size, self.args.per_device_eval_batch_size
        share = missing[process::processes]
        collate = partial(_with_pixels, self.encoder, pages)
        loader = DataLoader(share, size, collate_fn=collate, num_workers=self.args.dataloader_num_workers)
        batches = max(1, SHARD_BYTES // feature_bytes([most_tokens], self.width) // size)
        shards = -(-len(missing) // (processes * size * batches))
        hidden = self.args.disable_tqdm or process > 0
        with tqdm(total=len(share), desc="vision features", unit="page", disable=hidden) as bar:
            loaded = iter(loader)
            for _ in range(shards):
                features: dict[str, Tensor] = {}
                for keys, pixels in islice(loaded, batches):
                    features |= zip(keys, self.encode(pixels), strict=True)
                    bar.update(len(keys))
                advice = f"{_MORE_ROOM}; what is there stays and the same command goes on"
                with _disk_errors(f"vision features cannot be written to {folder}", advice):
                    if features:
                        write_shard(folder, features)

    @torch.no_grad()
    def encode(self, pixels: dict[str, Tensor]) -> list[Tensor]:
        """[visual tokens - 1, width] of each page: its tiles', then the global view's, as the model takes them. Pixels
        may be levels."""
        counts = pixels["num_local_patches"].tolist()
        pixels = look_up({name: tensor.to(self.args.device) for name, tensor in pixels.items()})
        whole = self._run(pixels["pixel_values"])
        tiles = self._run(pixels["pixel_values_local"]) if sum(counts) else whole[:0]
        parts = zip(tiles.split(counts), whole, strict=True)
        return [torch.cat([*own.unbind(), view]) for own, view in parts]

    def _run(self, pixels: Tensor) -> Tensor:
        pixels = pixels if self.half else pixels.to(self.tower.dtype)
        with torch.autocast(pixels.device.type, self.half, enabled=self.half is not None):
            return self.tower(pixels).last_hidden_state

    def _made_by(self) -> dict[str, object]:
        """Everything that features depend on but the pages."""
        images = self.encoder.processor.image_processor
        settings = ImageSettings.of(self.encoder.processor)
        return {
            "format": _FORMAT,
            "transformers": transformers.__version__,
            "weights": _digest(self.tower),
            "dtype": f"{self.tower.dtype} {self.half}",
            "images": f"{type(images).__name__} {images.to_json_string()} {settings}",
        }


def _with_pixels(encoder: PromptEncoder, pages: PageTasks, indices: list[int]) -> tuple[list[str], dict[str, Tensor]]:
    """The keys and images of some of the pages."""
    images = [pages.image(index) for index in indices]
    return [pages.view(index) for index in indices], encoder.images(images, levels=True)


def _whole(tower: nn.Module, args: OCR2TrainingArguments, deepspeed: bool) -> nn.Module:
    """A copy of the vision tower on this process's device, with the first process's weights. Draws no random number:
    training takes the same steps with and without a cache."""
    with torch.device("meta"):
        whole = type(tower)(tower.config)
    whole.to_empty(device=args.device).eval().requires_grad_(False)
    own = dict(whole.named_parameters()) | dict(whole.named_buffers())
    for name, parameter in tower.named_parameters():
        values = torch.empty(own[name].shape, dtype=parameter.dtype, device=args.device)
        with _gathered(parameter) if deepspeed else nullcontext():
            if args.process_index == 0:
                values.copy_(parameter.detach())
        own[name].data = broadcast(values)
    for name, buffer in tower.named_buffers():
        own[name].data = buffer.to(args.device)
    return whole


def _gathered(parameter: nn.Parameter):
    """ZeRO-3 may have split it over the processes when it was loaded."""
    import deepspeed

    return deepspeed.zero.GatheredParameters([parameter])


def _digest(tower: nn.Module) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, parameter in tower.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


@contextmanager
def _disk_errors(failed: str, advice: str, kind: type[Exception] = WorkError) -> Iterator[None]:
    """Raise on every process where the disk refuses to any of them what is done inside."""
    problem = None
    try:
        yield
    except OSError as error:
        problem = f"{failed}: {error.strerror}; {advice}"
    _raise_together(problem, kind)


def _raise_together(problem: str | None, kind: type[Exception] = WorkError) -> None:
    """Raise on every process what any of them found."""
    problems = [found for found in gather_object([problem]) if found]
    if problems:
        raise kind(problems[0])
