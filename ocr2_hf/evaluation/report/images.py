"""The images of a report: inside the file as long as it stays small, else in a folder beside it."""

import base64
import io
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ocr2_hf.document.page_files import PageSource
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.errors import WorkError

Images = Callable[[Prediction], Image.Image | None]

IMAGE_SIDE = 1400  # pixels of the longer side: handwriting is still read
MAX_BYTES = 50_000_000


def open_image(line: Prediction) -> Image.Image | None:
    """The image file that `line.image` names; None where there is none or it cannot be read."""
    if line.image is None:
        return None
    try:
        return PageSource(line.image).load_for_reading().image
    except WorkError:
        return None  # the metrics matter more than one picture


class ReportImages:
    """Takes images one by one; `sources` has what an `<img>` has as its `src` for each.

    `report` is the path of the report. Where the images take more than MAX_BYTES within it, all of them lie in the
    folder `NAME_images` beside it, and `beside` is true; no more than that is ever held in memory.
    """

    def __init__(self, report: Path):
        self.sources: list[str | None] = []
        self.beside = False
        self._size = 0
        self._folder = report.with_name(f"{report.stem}_images")
        if self._folder.is_dir():  # of the report that is replaced
            shutil.rmtree(self._folder)

    def add(self, image: Image.Image | None) -> None:
        """The next image; None where a page has none."""
        if image is None:
            self.sources.append(None)
        elif self.beside:
            self.sources.append(self._put(len(self.sources), _jpeg(image)))
        else:
            self.sources.append("data:image/jpeg;base64," + base64.b64encode(_jpeg(image)).decode())
            self._size += len(self.sources[-1])
            if self._size > MAX_BYTES:
                self._spill()

    def _spill(self) -> None:
        self.beside = True
        self._folder.mkdir(parents=True, exist_ok=True)
        for number, source in enumerate(self.sources):
            if source is not None:
                self.sources[number] = self._put(number, base64.b64decode(source.partition(",")[2]))

    def _put(self, number: int, data: bytes) -> str:
        # Numbered: ids come from anywhere and are no file names.
        file = self._folder / f"{number + 1:05}.jpg"
        file.write_bytes(data)
        return f"{self._folder.name}/{file.name}"


def _jpeg(image: Image.Image) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=72)
    return buffer.getvalue()
