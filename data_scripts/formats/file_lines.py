"""The lines of a file of any size: each with its place, and so much of it as may be read."""

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from ocr2_hf.errors import WorkError


class FileLine(NamedTuple):
    """A line, `number` from 1, of `size` bytes from the byte `start` on; `data` are these, or the first of them."""

    number: int
    start: int
    size: int
    data: bytes

    @property
    def is_blank(self) -> bool:
        """Whether it was read whole, and nothing is in it."""
        return self.size == len(self.data) and not self.data.strip()


def file_lines(path: str, limit: int) -> Iterator[FileLine]:
    """Every line, of which at most `limit` bytes are kept; `WorkError` where the file cannot be read."""
    start = 0
    try:
        with open(path, "rb") as file:
            for number in count(1):
                data = rest = file.readline(limit)
                if not data:
                    return
                size = len(data)
                while not rest.endswith(b"\n") and (rest := file.readline(limit)):
                    size += len(rest)
                yield FileLine(number, start, size, data)
                start += size
    except OSError as error:
        raise WorkError(f"{path} cannot be read: {error.strerror}") from error
