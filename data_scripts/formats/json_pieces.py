"""JSON files that hold many pages, read in pieces: each entry of their lists with its place in the file.

A file of any number of entries takes the memory of one of them: what is kept of an entry is where it is read again.
What is wrong with a file is told with its line and column, as if it had been parsed whole.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from data_scripts.file_tree import annotation_read
from data_scripts.formats.json_files import (
    DECODER,
    MAX_FILE_BYTES,
    Place,
    broken_json,
    check_size,
    head_keys,
    member_twice,
    parse_json,
)
from ocr2_hf.document.records import RecordError
from ocr2_hf.errors import WorkError

CHUNK_BYTES = 2**20
# A value that is cut off by the end of a chunk ends or is wrong so near to it, or is a string without an end; what is
# wrong elsewhere is broken.
_CUT_OFF = 16
_OPEN_STRING = "Unterminated string"
_BLANKS = re.compile(r"[ \t\n\r]*")
_OPENS = {"{": dict, "[": list}
# Bytes of the mark at the beginning of a file, by what `json.detect_encoding` calls it.
_MARKS = {"utf-8-sig": 3, "utf-16": 2, "utf-32": 4}


def list_entries(path: str) -> Iterator[tuple[int, Place, Any]]:
    """(number from 1, place, value) of every entry of the list that the file is; `WorkError` where it is none."""
    with _opened(path, list) as text:
        for number, (place, value) in enumerate(text.entries(), 1):
            yield number, place, value
        text.end()


def list_members(path: str, names: Collection[str]) -> Iterator[tuple[str, Place | None, Any]]:
    """(key, None, value) of every member of the object that the file is; `WorkError` where it is none.

    Of the lists in `names` that value is empty, and (key, place, value) of every entry comes behind it.
    """
    with _opened(path, dict) as text:
        for key in text.members():
            if key not in names or text.next_character() != "[":
                yield key, None, text.value()
                continue
            yield key, None, []
            for place, value in text.entries():
                yield key, place, value
        text.end()


def read_pieces(path: str, places: Iterable[Place]) -> list[Any]:
    """The values at these places; `RecordError` where they are there no more."""
    with annotation_read(), open(path, "rb") as file:
        pieces = [_piece(file, *place) for place in places]
    encoding = json.detect_encoding(b"".join(pieces[:1]))
    try:
        texts = [piece.decode(encoding, "surrogatepass") for piece in pieces]
    except UnicodeDecodeError as error:
        raise broken_json(error) from error
    return parse_json(f"[{','.join(texts)}]")


def _piece(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


@contextmanager
def _opened(path: str, kind: type) -> Iterator["_Text"]:
    """The text of a file that begins as that kind does; `WorkError` for whatever is wrong with it."""
    try:
        with annotation_read(), open(path, "rb") as file:
            check_size(file, MAX_FILE_BYTES)
            text = _Text(file)
            if (found := _OPENS.get(text.next_character())) is kind:
                yield text
                return
            found = found or type(text.value())
    except RecordError as error:
        raise WorkError(f"{path}: {error}") from None
    what = f"annotation is a JSON {found.__name__}, not a {kind.__name__}"
    raise WorkError(f"{path}: {what}; {head_keys(path)}; move it to another folder, or name its --format")


class _Text:
    """A JSON text from its beginning to its end, of which what was read is forgotten."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        head = file.read(8)
        mark = _MARKS.get(json.detect_encoding(head), 0)
        self._encoding = json.detect_encoding(head[mark:])
        self._decoder = codecs.getincrementaldecoder(self._encoding)("surrogatepass")
        file.seek(mark)
        self._read_bytes = mark
        self._text, self._at, self._is_whole = "", 0, False
        # Of the text before this one: its characters, its lines, and those characters that are in the last one.
        self._characters, self._lines, self._column = 0, 0, 0
        # The byte that the character `_counted` of the text begins with.
        self._byte, self._counted = mark, 0

    def entries(self) -> Iterator[tuple[Place, Any]]:
        """Place and value of every entry of the list that is next."""
        for _ in self._items("]"):
            self.next_character()
            start = self._byte_at(self._at)
            value = self.value()
            yield (start, self._byte_at(self._at) - start), value

    def members(self) -> Iterator[str]:
        """Every key of the object that is next; its value is to be read before the next one."""
        found: set[str] = set()
        for _ in self._items("}"):
            if self.next_character() != '"':
                self._fail("Expecting property name enclosed in double quotes")
            key = self.value()
            if key in found:
                raise member_twice(key)
            found.add(key)
            if self.next_character() != ":":
                self._fail("Expecting ':' delimiter")
            self._at += 1
            yield key

    def _items(self, end: str) -> Iterator[None]:
        """As often as there is something between the commas up to the bracket `end`."""
        self._at += 1  # the bracket that opens
        if self.next_character() == end:
            self._at += 1
            return
        while True:
            yield
            if (mark := self.next_character()) == end:
                self._at += 1
                return
            if mark != ",":
                self._fail("Expecting ',' delimiter")
            self._at += 1

    def value(self) -> Any:
        """The value that is next."""
        self.next_character()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                near = error.pos >= len(self._text) - _CUT_OFF or error.msg.startswith(_OPEN_STRING)
                if not near or not self._read(len(self._text)):
                    self._fail(error.msg, error.pos)
                continue
            except RecordError:
                raise
            except (ValueError, RecursionError) as error:  # a whole number of so many digits, brackets
                if isinstance(error, RecursionError) or not self._read(len(self._text)):
                    raise broken_json(error) from error
                continue
            if end < len(self._text) - _CUT_OFF or not self._read():
                self._at = end
                return value

    def next_character(self) -> str:
        """The next one that is no blank; "" at the end of the file."""
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def end(self) -> None:
        """Nothing may follow but blanks."""
        if self.next_character():
            self._fail("Extra data")

    def _read(self, least: int = 0) -> bool:
        """Put more of the file, `least` bytes at least, behind what is not read yet; False where there is no more."""
        more = ""
        while not more and not self._is_whole:
            data = self._file.read(max(least, CHUNK_BYTES))
            self._is_whole = not data
            try:
                more = self._decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise broken_json(f"it is not {self._encoding} behind its byte {self._read_bytes:,}") from error
            self._read_bytes += len(data)
        if more:
            self._forget()
            self._text += more
        return bool(more)

    def _forget(self) -> None:
        """Drop what was read."""
        self._byte_at(self._at)
        self._characters += self._at
        self._lines += self._text.count("\n", 0, self._at)
        last = self._text.rfind("\n", 0, self._at)
        self._column = self._at - last - 1 if last >= 0 else self._column + self._at
        self._text, self._at, self._counted = self._text[self._at :], 0, 0

    def _byte_at(self, index: int) -> int:
        """The byte of the file where the character at that index begins, which is not before the last one asked for."""
        self._byte += len(self._text[self._counted : index].encode(self._encoding, "surrogatepass"))
        self._counted = index
        return self._byte

    def _fail(self, what: str, at: int | None = None) -> None:
        """`RecordError` with the place of the fault, as the `json` module tells it."""
        at = self._at if at is None else at
        lines, last = self._text.count("\n", 0, at), self._text.rfind("\n", 0, at)
        column = at - last if lines else self._column + at + 1
        raise broken_json(f"{what}: line {self._lines + lines + 1} column {column} (char {self._characters + at})")
