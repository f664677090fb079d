"""Augmentation: pages as another scanner or camera would have shown them, the boxes moved with the pixels.

    augment: scan
    augment: {color_jitter: {brightness: 0.2, contrast: 0.2}, rotation: 2}

Each operation is drawn anew for every page and epoch, between nothing and its strength:

    color_jitter  {brightness: 0.2, contrast: 0.2}: factors from 0.8 to 1.2
    rotation      degrees, to either side
    perspective   how far a corner moves, as a share of the side
    scale         0.2: the page takes 80 to 100 % of its place, and lies anywhere in it
    blur          radius in thousandths of the longer side
    noise         standard deviation in grey levels of 255
    jpeg          the lowest quality, of 100

The image keeps its size, and so its number of tiles. What moves is kept whole: no box, or where there is none no corner
of the page, leaves the image. Beyond the page's edge lies the colour of its paper.
"""

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

Box = Sequence[float]  # xyxy in pixels

JITTER = "color_jitter"
JITTERED = ("brightness", "contrast")
LIGHT = {JITTER: {"brightness": 0.2, "contrast": 0.2}}  # the tutorial's
PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "light": LIGHT,
    # A sheet on a flatbed, a little askew.
    "scan": LIGHT | {"rotation": 1.5, "scale": 0.04, "blur": 0.5, "noise": 6, "jpeg": 50},
    # A sheet on a table, held up to a phone.
    "photo": {
        JITTER: {"brightness": 0.3, "contrast": 0.3},
        "rotation": 4,
        "perspective": 0.04,
        "scale": 0.2,
        "blur": 0.8,
        "noise": 10,
        "jpeg": 40,
    },
}


def _strength(low: float, high: float, off: float = 0.0) -> float:
    """A field of `Augmentation`: the range of the strength, and the one at which nothing is done."""
    return field(default=off, metadata={"range": (low, high)})


@dataclass(frozen=True)
class Augmentation:
    """The strengths of all operations, within their ranges; one that is left out does nothing."""

    brightness: float = _strength(0, 0.9)
    contrast: float = _strength(0, 0.9)
    rotation: float = _strength(0, 15)
    perspective: float = _strength(0, 0.2)
    scale: float = _strength(0, 0.5)
    blur: float = _strength(0, 5)
    noise: float = _strength(0, 60)
    jpeg: float = _strength(5, 100, off=100)

    @classmethod
    def of(cls, value: str | Mapping[str, Any]) -> "Augmentation":
        """From a recipe's `augment`. Raises `ValueError` with all that is wrong with it."""
        if problems := augment_problems(value):
            raise ValueError(f"augment: {value!r}: {'; '.join(problems)}")
        given = dict(PRESETS[value] if isinstance(value, str) else value)
        return cls(**given.pop(JITTER, {}), **given)

    def __bool__(self) -> bool:
        """Whether anything is done at all."""
        return any(getattr(self, item.name) != item.default for item in fields(self))

    @property
    def moves(self) -> bool:
        """Whether anything changes its place."""
        return bool(self.rotation or self.perspective or self.scale)

    def __call__(
        self, image: Image.Image, boxes: Sequence[Box], seed: str, movable: bool = True
    ) -> tuple[Image.Image, list[list[float]]]:
        """The image (RGB) changed, and its boxes [N, 4] where their ink is now; the same for the same `seed`.

        Without `movable` only colours and sharpness change, and the boxes stay.
        """
        rng = random.Random(seed)
        boxes = [list(box) for box in boxes]
        matrix = self._draw_matrix(rng, image.size, boxes) if self.moves and movable else None
        if matrix is not None:
            image, boxes = _warp(image, matrix), _moved_boxes(boxes, matrix, image.size)
        return self._degrade(image, rng), boxes

    def _draw_matrix(self, rng: random.Random, size: tuple[int, int], boxes: list[list[float]]) -> np.ndarray:
        """The homography [3, 3] of rotation, scale and perspective, which keeps the boxes within the image."""
        sides = np.array(size, dtype=float)
        corners = _corners([[0, 0, *size]])
        angle = np.radians(rng.uniform(-self.rotation, self.rotation))
        scale = 1 - rng.uniform(0, self.scale)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        place = np.array([rng.uniform(-1, 1), rng.uniform(-1, 1)]) * (1 - scale) / 2 * sides
        moved = (corners - sides / 2) @ turn.T + sides / 2 + place
        moved += np.array([[rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in corners]) * self.perspective * sides
        matrix = _homography(corners, moved)
        content = _move(_corners(boxes) if boxes else corners, matrix)
        return _fitting(content, sides) @ matrix

    def _degrade(self, image: Image.Image, rng: random.Random) -> Image.Image:
        """Light, focus, sensor, file: nothing moves."""
        brightness = rng.uniform(1 - self.brightness, 1 + self.brightness)
        contrast = rng.uniform(1 - self.contrast, 1 + self.contrast)
        if self.brightness:
            image = ImageEnhance.Brightness(image).enhance(brightness)
        if self.contrast:
            image = ImageEnhance.Contrast(image).enhance(contrast)
        if self.blur:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, self.blur) * max(image.size) / 1000))
        if self.noise:
            grain = np.random.default_rng(rng.getrandbits(64)).standard_normal(image.size[::-1], dtype=np.float32)
            grain *= rng.uniform(0, self.noise)
            noisy = [(np.asarray(channel) + grain).round().clip(0, 255).astype(np.uint8) for channel in image.split()]
            image = Image.merge("RGB", [Image.fromarray(channel) for channel in noisy])
        if self.jpeg < 100:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=round(rng.uniform(self.jpeg, 100)))
            image = Image.open(file, formats=["JPEG"]).convert("RGB")
        return image


RANGES = {item.name: item.metadata["range"] for item in fields(Augmentation)}
OPERATIONS = (JITTER, *(name for name in RANGES if name not in JITTERED))


def augment_problems(value: str | Mapping[str, Any]) -> list[str]:
    """What is wrong with the name of a preset, or with operations and their strengths."""
    if isinstance(value, str):
        return [] if value in PRESETS else [f"is none of {', '.join(PRESETS)}, and no mapping"]
    problems = []
    for name, strength in value.items():
        if name != JITTER:
            problems += _strength_problems(name, strength, OPERATIONS)
        elif isinstance(strength, Mapping):
            found = (_strength_problems(*item, JITTERED) for item in strength.items())
            problems += [f"{JITTER}: {problem}" for each in found for problem in each]
        else:
            problems.append(f"{JITTER}: {strength!r} is not a mapping of {' and '.join(JITTERED)}")
    return problems


def _strength_problems(name: Any, strength: Any, known: Sequence[str]) -> list[str]:
    if name not in known:
        return [f"{name!r} is none of {', '.join(known)}"]
    low, high = RANGES[name]
    if type(strength) in (int, float) and low <= strength <= high:  # a bool is an int for isinstance
        return []
    return [f"{name}: {strength!r} is not a number from {low} to {high}"]


def _corners(boxes: Sequence[Box]) -> np.ndarray:
    """Boxes [N, 4] -> their corners [4 N, 2]."""
    return np.asarray(boxes, dtype=float).reshape(-1, 4)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)


def _homography(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The [3, 3] matrix that moves four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(start, end, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(rows, values), 1).reshape(3, 3)


def _move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    moved = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return moved[:, :2] / moved[:, 2:]


def _fitting(points: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Makes the points smaller and shifts them, by as little as brings them between 0 and `sides`."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = min(1, *(sides / (high - low)))
    middle = (low + high) / 2
    half = scale * (high - low) / 2
    shift = middle.clip(half, np.maximum(half, sides - half)) - scale * middle
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])


def _warp(image: Image.Image, matrix: np.ndarray) -> Image.Image:
    back = np.linalg.inv(matrix)
    step = max(1, min(image.size) // 128)  # enough pixels to tell what most of them are
    paper = np.median(np.asarray(image)[::step, ::step].reshape(-1, 3), axis=0)
    return image.transform(
        image.size,
        Image.Transform.PERSPECTIVE,
        (back / back[2, 2]).ravel()[:8].tolist(),
        resample=Image.Resampling.BICUBIC,
        fillcolor=tuple(round(value) for value in paper),
    )


def _moved_boxes(boxes: list[list[float]], matrix: np.ndarray, size: tuple[int, int]) -> list[list[float]]:
    """The boxes around the moved corners, clipped to the image."""
    if not boxes:
        return []
    corners = _move(_corners(boxes), matrix).reshape(-1, 4, 2).clip(0, size)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).tolist()
