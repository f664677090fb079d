"""Where the chips of a picture go, the small plates that number its regions: where they hide no text."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageChops, ImageFilter

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the page

_SIDE = 1600  # pixels; ink is looked for in no larger picture
_CONTRAST = 24  # grey values of 255 that ink is away from the paper around it
_STEP, _WINDOW = 8, 7  # every eighth pixel, in windows of 7x7 such: wider than strokes, so most of it is paper
_STAIN = 0.01  # share of a place that may differ from its paper
_HIDDEN = 0.02  # share of its own region's ink that a chip may cover


class ChipPlaces:
    """The free places of one page; each chip that is placed takes its own."""

    def __init__(self, page: Image.Image, frames: Sequence[Box]):
        self._size = np.array(page.size)
        self._ink, self._scale = _ink_sums(page)
        self._frames = np.array(frames, np.float64).reshape(-1, 4)
        self._taken = np.zeros((0, 4))

    def take(self, number: int, sizes: Sequence[tuple[float, float]]) -> tuple[int, Box] | None:
        """(index into `sizes`, place) of a chip for frame `number`, of the first of these sizes that covers no ink.

        Where there is none it covers ink of its own frame, as little as can be. None where it would cover more than a
        little of that, ink of another frame, or another chip.
        """
        most = _HIDDEN * self._covered(self._frames[number][None])[0]
        best = None
        for index, size in enumerate(sizes):
            for cost, place in self._free(number, self._places(self._frames[number], *size), most):
                if best is None or cost < best[0]:
                    best = cost, index, place
            if best is not None and not best[0][0]:
                break
        if best is None:
            return None
        self._taken = np.vstack([self._taken, best[2]])
        return best[1], tuple(best[2].tolist())

    def _places(self, frame: np.ndarray, width: float, height: float) -> np.ndarray:
        """[N, 4]: beside the frame and then inside it, the usual place first; all of them on the page."""
        left, top, right, bottom = frame.tolist()
        columns, rows = (left, right - width, (left + right - width) / 2), (top, bottom - height)
        outside = [(column, row) for row in (top - height, bottom) for column in columns]
        beside = [(column, row) for column in (left - width, right) for row in (top, (top + bottom - height) / 2)]
        inside = [(column, row) for row in rows for column in columns]
        size = np.array([width, height])
        corners = np.array([outside[0], *beside, *outside[1:], *inside])
        corners = np.clip(corners, 0, np.maximum(self._size - size, 0))
        return np.hstack([corners, corners + size])

    def _free(self, number: int, places: np.ndarray, most: float) -> Iterator[tuple[tuple[float, int], np.ndarray]]:
        """((ink, other frames) that a chip covers, place): those of `places` [N, 4] that cover `most` ink, all own."""
        ink = self._covered(places)
        is_free = (ink <= most) & ~_overlaps(places, self._taken).any(1)
        places, ink = places[is_free], ink[is_free].tolist()
        met = _overlaps(places, self._frames)
        met[:, number] = False
        for place, covered, frames in zip(places, ink, met, strict=True):
            if not covered or not self._others(number, place, frames, covered):
                yield (covered, int(frames.sum())), place

    def _others(self, number: int, place: np.ndarray, met: np.ndarray, ink: float) -> float:
        """Ink of the frames `met` [N] that a chip at `place` covers. A frame around its own has its own ink too."""
        own, others = self._frames[number], self._frames[met]
        is_around = (others[:, :2] <= own[:2]).all(1) & (others[:, 2:] >= own[2:]).all(1)
        of_own = min(ink, self._covered(_meet(own[None], place))[0])
        return float(np.maximum(self._covered(_meet(others, place)) - is_around * of_own, 0).sum())

    def _covered(self, places: np.ndarray) -> np.ndarray:
        """[N] pixels of ink at `places` [N, 4]; 0 where they are no more than stains."""
        height, width = self._ink.shape
        edges = np.clip((places * self._scale).round(), 0, (width - 1, height - 1) * 2).astype(int)
        left, top, right, bottom = edges.T
        area = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
        ink = self._ink[bottom, right] - self._ink[top, right] - self._ink[bottom, left] + self._ink[top, left]
        return np.where((area > 0) & (ink > _STAIN * area), ink, 0)


def _ink_sums(page: Image.Image) -> tuple[np.ndarray, float]:
    """(ink above and left of each pixel [height + 1, width + 1], its scale): what differs from the paper around it."""
    grey = page.convert("L")
    grey.thumbnail((_SIDE, _SIDE), reducing_gap=2)
    paper = grey.resize([-(-side // _STEP) for side in grey.size], Image.Resampling.NEAREST)
    paper = paper.filter(ImageFilter.MedianFilter(_WINDOW)).resize(grey.size)
    ink = np.asarray(ImageChops.difference(grey, paper)) > _CONTRAST
    sums = np.zeros((grey.height + 1, grey.width + 1), np.int32)
    np.cumsum(ink, 1, out=sums[1:, 1:])
    for row, above in zip(sums[1:], sums, strict=False):  # twice as fast as a sum along the columns
        row += above
    return sums, grey.width / page.width


def _overlaps(places: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """[P, F]: which of `places` [P, 4] overlap which of `frames` [F, 4]."""
    left, top, right, bottom = (side[:, None] for side in places.T)
    return (frames[:, 0] < right) & (frames[:, 2] > left) & (frames[:, 1] < bottom) & (frames[:, 3] > top)


def _meet(frames: np.ndarray, place: np.ndarray) -> np.ndarray:
    """[F, 4]: what is in both, turned round where nothing is."""
    return np.hstack([np.maximum(frames[:, :2], place[:2]), np.minimum(frames[:, 2:], place[2:])])
