"""The order in which the boxes of a page are read, by their places; where an order goes up the page, and a text
backwards.

A page is cut into columns where a gutter goes through all of it, else into bands from top to bottom, and each of these
again (recursive XY-cut). Bands that leave a gutter free together are one, so that columns are read one by one.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from statistics import median
from typing import Any

Box = Sequence[float]  # xyxy
Span = tuple[float, float]

# Shares of a box's width, and of its or two lines' height, that may reach into a neighbour at either end: lines are
# skewed, their letters have tails.
_OVERHANG_X, _OVERHANG_Y = 0.04, 0.25
# The same for boxes that only touch, one below the other.
_TOUCH = 0.1
# The narrowest gutter: a low line's height, and this share of the page's width where boxes are whole columns.
_GUTTER = 0.025
# Columns are those of a table, whose rows are read, where so many boxes of the narrowest line up and are so short.
_ALIGNED, _ALIGNED_WITHIN, _CELL_ASPECT = 0.8, 0.25, 4
_SAMPLE = 200  # characters that tell a page's direction
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# Letters that only end words, of Arabic and Hebrew. (Others that mostly do so begin words in Uyghur or Kurdish.)
_LAST = "\u0629\ufe93\ufe94\u05da\u05dd\u05df\u05e3\u05e5"
_BEGINS, _ENDS = re.compile(rf"\b[{_LAST}]\w"), re.compile(rf"\w[{_LAST}]\b")
_FEW_LAST = 3  # a page that explains the letters has some at beginnings
_DEEPEST, _MOST_OBSTACLES = 50, 50


def is_right_to_left(text: Any) -> bool:
    """Are most of the letters that the text begins with of Hebrew, Arabic and their kin?"""
    sample = text[:_SAMPLE] if isinstance(text, str) else ""
    if sample.isascii() or not _RIGHT_TO_LEFT.search(sample):  # quick: every page is asked
        return False
    return 2 * len(_RIGHT_TO_LEFT.findall(sample)) > sum(map(str.isalpha, sample))


def told_backwards(text: str) -> str | None:
    """Why Arabic or Hebrew text seems to be in the order of display, as some readers give it; None where not."""
    if not any(letter in text for letter in _LAST):  # quick: every page is asked
        return None
    begins = _BEGINS.findall(text)
    if len(begins) <= max(_FEW_LAST, len(_ENDS.findall(text))):
        return None
    return f"{len(begins)} words begin with letters that only end words, such as U+{ord(begins[0][0]):04X}"


def upward_steps(boxes: Sequence[Box], right_to_left: bool = False) -> list[int]:
    """The indexes of boxes that lie above the one before them, and not in a column farther on."""
    steps = []
    left, twice_top, right = float("inf"), float("-inf"), float("-inf")
    for i, (x0, y0, x1, y1) in enumerate(_mirrored(boxes) if right_to_left else boxes):
        if y0 + y1 < twice_top and x0 < right - min(right - left, x1 - x0) * _OVERHANG_X:
            steps.append(i)
        left, twice_top, right = x0, y0 + y0, x1
    return steps


def position_order(boxes: Sequence[Box], right_to_left: bool = False) -> list[int]:
    """The indexes of the boxes as they are read: columns from left to right, each from top to bottom."""
    if len(boxes) < 2:
        return list(range(len(boxes)))
    boxes = _mirrored(boxes) if right_to_left else boxes
    return _Page([(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)) for x0, y0, x1, y1 in boxes]).order()


def _mirrored(boxes: Sequence[Box]) -> list[Box]:
    return [(-x1, y0, -x0, y1) for x0, y0, x1, y1 in boxes]


class _Page:
    def __init__(self, boxes: list[tuple[float, float, float, float]]):
        self.boxes = boxes
        heights = sorted(y1 - y0 for _, y0, _, y1 in boxes)
        width = max(box[2] for box in boxes) - min(box[0] for box in boxes)
        line = heights[len(heights) // 4]
        self.gutter = min(line, _GUTTER * width)
        # What of each box stands in the way of a cut.
        self.across = [_core(x0, x1, (x1 - x0) * _OVERHANG_X) for x0, _, x1, _ in boxes]
        self.down = [_core(y0, y1, min(y1 - y0, 2 * line) * _OVERHANG_Y) for _, y0, _, y1 in boxes]
        self.beside = [_core(y0, y1, min(y1 - y0, 2 * line) * _TOUCH) for _, y0, _, y1 in boxes]

    def order(self, members: list[int] | None = None, depth: int = 0) -> list[int]:
        """The members (all boxes) in reading order."""
        members = list(range(len(self.boxes))) if members is None else members
        obstacles: list[int] = []
        while len(members) > 1:
            parts = self._parts(members) if depth < _DEEPEST else [members]
            if len(parts) > 1:
                members = [i for part in parts for i in self.order(part, depth + 1)]
                break
            if depth == _DEEPEST or len(obstacles) == _MOST_OBSTACLES:
                members = sorted(members, key=lambda i: (self.boxes[i][1], self.boxes[i][0]))
                break
            # The largest, such as a frame around others, is taken out, and put back before them.
            obstacles.append(max(members, key=self._area))
            members = [i for i in members if i != obstacles[-1]]
        for obstacle in reversed(obstacles):
            members.insert(self._place(obstacle, members), obstacle)
        return members

    def _parts(self, members: list[int]) -> list[list[int]]:
        """The members as columns, or as bands; as one part where nothing can be cut."""
        columns, bands = _split(members, self.across, self.gutter), _split(members, self.down, 0)
        if len(columns) > 1 and (len(bands) == 1 or self._are_columns(columns)):
            return columns
        return bands if len(columns) > 1 else self._joined(bands)

    def _are_columns(self, columns: list[list[int]]) -> bool:
        """Are several of them beside each other, and are they no columns of a table?"""
        column_of = {i: number for number, column in enumerate(columns) for i in column}
        rows = _split(list(column_of), self.beside, 0)
        if sum(len({column_of[i] for i in row}) > 1 for row in rows) < min(2, len(rows) / 2):
            return False
        narrowest = min(columns, key=self._width)
        sides = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in (self.boxes[i] for i in narrowest)]
        if median(width / height if height else _CELL_ASPECT for width, height in sides) >= _CELL_ASPECT:
            return True
        others = sorted(sum(self.boxes[i][1::2]) / 2 for i in column_of if column_of[i] != column_of[narrowest[0]])
        return sum(self._lines_up(i, others) for i in narrowest) < _ALIGNED * len(narrowest)

    def _lines_up(self, i: int, middles: list[float]) -> bool:
        _, y0, _, y1 = self.boxes[i]
        near = bisect_left(middles, (y0 + y1) / 2 - (y1 - y0) * _ALIGNED_WITHIN)
        return near < len(middles) and middles[near] <= (y0 + y1) / 2 + (y1 - y0) * _ALIGNED_WITHIN

    def _joined(self, bands: list[list[int]]) -> list[list[int]]:
        """Bands that leave a gutter free together as one."""
        joined: list[list[int]] = []
        taken: list[Span] = []
        for band in bands:
            own = _merged([self.across[i] for i in band], self.gutter)
            together = _merged(taken + own, self.gutter)
            if joined and len(together) > 1:
                joined[-1] += band
                taken = together
            else:
                joined.append(list(band))
                taken = own
        return joined

    def _width(self, members: list[int]) -> float:
        return max(self.boxes[i][2] for i in members) - min(self.boxes[i][0] for i in members)

    def _area(self, i: int) -> float:
        x0, y0, x1, y1 = self.boxes[i]
        return (x1 - x0) * (y1 - y0)

    def _place(self, obstacle: int, members: list[int]) -> int:
        """Before the first of the members that is in the obstacle, else the first that is below it."""
        x0, y0, x1, y1 = self.boxes[obstacle]
        middles = [(sum(self.boxes[i][::2]) / 2, sum(self.boxes[i][1::2]) / 2) for i in members]
        inside = (at for at, (x, y) in enumerate(middles) if x0 <= x <= x1 and y0 <= y <= y1)
        below = (at for at, (_, y) in enumerate(middles) if y > y1)
        return next(inside, next(below, len(members)))


def _core(start: float, end: float, overhang: float) -> Span:
    return start + overhang, end - overhang


def _split(members: list[int], spans: list[Span], gap: float) -> list[list[int]]:
    """The members by their spans, parted where more than `gap` is free."""
    parts: list[list[int]] = []
    end = float("-inf")
    for i in sorted(members, key=spans.__getitem__):
        if not parts or spans[i][0] - end > gap:
            parts.append([])
        parts[-1].append(i)
        end = max(end, spans[i][1])
    return parts


def _merged(spans: list[Span], gap: float) -> list[Span]:
    """The spans, those with no more than `gap` between them as one."""
    parts = _split(list(range(len(spans))), spans, gap)
    return [(spans[part[0]][0], max(spans[i][1] for i in part)) for part in parts]
