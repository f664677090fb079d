"""The images of a report: inside the file as long as it stays small, else in a folder beside it."""

import base64
import io
import shutil
from pathlib import Path

from PIL import Image

IMAGE_SIDE = 1400  # pixels of the longer side: handwriting is still read
MAX_BYTES = 50_000_000


class ReportImages:
    """Takes images one by one; `sources()` gives what an `<img>` has as its `src` for each.

    `report` is the path of the report. Where the images take more than MAX_BYTES within it, all of them lie in the
    folder `NAME_images` beside it; no more than that is ever held in memory.
    """

    def __init__(self, report: Path):
        self._folder = report.with_name(f"{report.stem}_images")
        self._held: list[str | None] = []
        self._size = 0
        self._beside = False
        if self._folder.is_dir():  # of the report that is replaced
            shutil.rmtree(self._folder)

    def add(self, image: Image.Image | None) -> None:
        """The next image; None where a page has none."""
        if image is None:
            self._held.append(None)
            return
        data = _jpeg(image)
        if self._beside:
            self._held.append(self._put(len(self._held), data))
            return
        self._held.append("data:image/jpeg;base64," + base64.b64encode(data).decode())
        self._size += len(self._held[-1])
        if self._size > MAX_BYTES:
            self._spill()

    @property
    def beside(self) -> bool:
        """Whether they lie in a folder."""
        return self._beside

    def sources(self) -> list[str | None]:
        return self._held

    def _spill(self) -> None:
        self._beside = True
        self._folder.mkdir(parents=True, exist_ok=True)
        for number, source in enumerate(self._held):
            if source is not None:
                self._held[number] = self._put(number, base64.b64decode(source.partition(",")[2]))

    def _put(self, number: int, data: bytes) -> str:
        # Numbered: ids come from anywhere and are no file names.
        name = f"{number + 1:05}.jpg"
        (self._folder / name).write_bytes(data)
        return f"{self._folder.name}/{name}"


def _jpeg(image: Image.Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=72)
    return buffer.getvalue()
