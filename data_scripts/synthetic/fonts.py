"""Fonts: the one that Pillow carries, or a file that the user names."""

import string
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from PIL import ImageFont

from ocr2_hf.errors import UsageError

LETTERS = string.ascii_letters + string.digits + ".,:-/"
MOST_TOLD = 20  # missing letters that a message lists

Fonts = Callable[[int], ImageFont.FreeTypeFont]  # size in pixels -> font


def find_font(path: Path) -> Path:
    """The font's file: `path`, or the one of that name among the installed fonts. `UsageError` where there is none."""
    return Path(_read_font(path).path)


def load_fonts(path: Path | None, letters: str = "", face: str = "") -> Fonts:
    """The font of a file, or Pillow's own, by size.

    Of a collection (.ttc) the face is taken whose name holds `face`, else the first. Raises `UsageError` where the file
    is no font, or one without the letters and digits that are drawn (`letters`, and those of every page).
    """
    face_of = ImageFont.load_default if path is None else partial(ImageFont.truetype, path, index=_face(path, face))
    fonts = cache(face_of)
    font = fonts(16)
    unknown = bytes(font.getmask("\uffff"))
    needed = dict.fromkeys(LETTERS + letters)
    missing = [letter for letter in needed if bytes(font.getmask(letter)) in (unknown, b"")]
    if not missing:
        return fonts
    told = " ".join(missing[:MOST_TOLD]) + (" and more" if len(missing) > MOST_TOLD else "")
    if path is None:
        raise UsageError(f"the font that Pillow carries has no {told}: name a font that has with --font FILE")
    raise UsageError(f"--font: {path} has no {told}")


def _face(path: Path, name: str) -> int:
    """The number of the face in a file."""
    families = [_read_font(path).getname()[0]]
    while name and not any(name in family for family in families):
        try:
            families.append(ImageFont.truetype(path, 16, index=len(families)).getname()[0])
        except OSError:  # there is no further face
            return 0
    return len(families) - 1


def _read_font(path: Path) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(path, 16)
    except OSError as error:
        raise UsageError(f"--font: {path} cannot be read as a font: {error}") from error
