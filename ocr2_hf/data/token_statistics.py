"""How many tokens the pages of a dataset take: what a recipe's lengths and memory should be planned by."""

from dataclasses import dataclass

import numpy as np

from ocr2_hf.data.images import ImageSettings
from ocr2_hf.data.pages import PageTasks

COLUMNS = ("min", "median", "p95", "max")


@dataclass(frozen=True)
class TokenStatistics:
    """Tokens of the pages that train, each by its longest task that fits; `dropped` pages by reason."""

    pages: int
    tiles: np.ndarray
    visual: np.ndarray
    text: np.ndarray
    dropped: dict[str, int]

    @classmethod
    def of(cls, pages: PageTasks, settings: ImageSettings) -> "TokenStatistics":
        """Of measured pages; decodes no image. Parts of split pages count by what their whole page has."""
        sizes = pages.dataset.select_columns(["width", "height"])
        kept = np.flatnonzero(pages.fits.any(axis=1))
        tiles = np.array([settings.tiles(row["width"], row["height"]) for row in sizes], dtype=int)[kept]
        visual = np.array([settings.tokens(count) for count in tiles], dtype=int)
        longest = np.where(pages.fits, pages.lengths, 0).max(axis=1, initial=0)[kept]
        return cls(len(kept), tiles, visual, longest - visual, dict(pages.dropped))

    def rows(self) -> dict[str, list[int]]:
        """`COLUMNS` of the visual tokens, of prompt and target, and of both together."""
        named = {"visual": self.visual, "prompt and target": self.text, "all": self.visual + self.text}
        return {name: [round(value) for value in _spread(values)] for name, values in named.items()}

    def page(self, share: float) -> tuple[int, int]:
        """(tiles, tokens of prompt and target) of the page at a share of all, ordered by length: 0.5 is the median."""
        order = np.argsort(self.visual + self.text, kind="stable")
        index = order[round(share * (len(order) - 1))]
        return int(self.tiles[index]), int(self.text[index])


def _spread(values: np.ndarray) -> list[float]:
    return [values.min(), np.median(values), np.percentile(values, 95), values.max()]
