"""What an annotation format is: a reader from a folder to page records. Each module of a format satisfies `Format`."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from data_scripts.file_tree import FileTree
from ocr2_hf.document.records import PageRecord

# One of a format's LEVELS; None where it has none.
Level = str | None


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page of an annotation folder as a format lists it, before its annotation is parsed.

    `id` is the annotation's path in its folder without the suffix; where a file holds many pages, the image's path
    without its suffix, or what the format numbers its pages by. `annotation` is the path of the file. `images` are the
    files that could be its image, relative to `image_root`: none or several is a fault that `read_page` reports.
    `entry` is the page's piece of a file that holds many pages, as far as the format parsed it when it listed them.
    `image_tree` are the files of the image folder, where the page's own file, which is parsed later, may name one.
    `columns` are those of the page that have another name in its annotation.
    """

    id: str
    annotation: str
    image_root: str
    images: tuple[str, ...]
    entry: Any = None
    image_tree: FileTree | None = None
    columns: dict[str, str] | None = None


@runtime_checkable
class Format(Protocol):
    """One annotation format. A module with these names is one."""

    @property
    def FILES(self) -> str:
        """What its files are, for messages."""

    @property
    def LABELS(self) -> dict[str, str]:
        """Its region classes -> the model's labels; a class that is not in it stays as it is."""

    @property
    def LEVELS(self) -> tuple[str, ...]:
        """The levels of `--level` that it has, the default first; empty where it has none."""

    @property
    def BOX_UNIT(self) -> str | None:
        """The unit of its boxes (`BOX_UNITS`) where that is fixed; None where it is pixels or what --box_unit says."""

    def recognise(self, annotations: FileTree) -> bool:
        """Whether these files are of this format, judged by the head of a file."""

    def list_pages(self, annotations: FileTree, images: FileTree) -> list[ListedPage]:
        """Every page, sorted by id.

        A file of one page is not parsed yet; one of many pages is, as far as its pages can be told apart. Raises
        `WorkError` where they cannot.
        """

    def read_page(self, page: ListedPage, level: Level) -> PageRecord:
        """The annotation as it is; `RecordError` where it cannot be read."""
