"""Types of command line arguments."""

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_scripts.arguments import script_parser
from ocr2_hf.decoding import CPU_PAGES, MAX_NEW_TOKENS, NO_REPEAT_NGRAM, NO_REPEAT_WINDOW
from ocr2_hf.recipe_file import read_yaml

if TYPE_CHECKING:
    from ocr2_hf.recipe import Recipe


def command_parser(name: str, description: str, **options) -> argparse.ArgumentParser:
    """The parser of `ocr2 NAME`, which shows `description` as it is written."""
    return script_parser(description, f"ocr2 {name}", **options)


def read_recipe(path: str, overrides: Sequence[str]) -> "Recipe":
    """`ocr2_hf.recipe.load_recipe`: what is no recipe is refused before what checks its keys is imported."""
    given = read_yaml(path)
    from ocr2_hf.recipe import check_recipe

    return check_recipe(path, given, overrides)


def positive_integer(text: str) -> int:
    """For argparse: a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def batch_size(text: str) -> int | None:
    """For argparse: a whole number of at least 1, or `auto`, which is None."""
    return None if text == "auto" else positive_integer(text)


def whole_number(text: str) -> int:
    """For argparse: a whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def seconds(text: str) -> float | None:
    """For argparse: a number of seconds above 0; 0 is no limit."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds (0: no limit)")
    return value or None


def shares(text: str) -> dict[int, float]:
    """For argparse: `0:1,6:2` -> {0: 1.0, 6: 2.0}; a number alone has the share 1."""
    found = {}
    for word in text.split(","):
        value, _, share = word.partition(":")
        try:
            found[whole_number(value)] = float(share or 1)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{word!r} is not NUMBER:SHARE") from error
    if not all(0 <= share < math.inf for share in found.values()) or sum(found.values()) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: shares must not be negative, and not all 0")
    return found


def page_size(text: str) -> tuple[int, int]:
    """For argparse: WIDTHxHEIGHT in pixels."""
    width, _, height = text.partition("x")
    try:
        return positive_integer(width), positive_integer(height)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in pixels") from error


def add_generation_flags(parser: argparse.ArgumentParser) -> None:
    """How pages are answered: flags that every command which reads has."""
    parser.add_argument(
        "--batch_size",
        type=batch_size,
        default="auto",
        metavar="N|auto",
        help="pages that are answered at once; auto (the default): as many as fit into the GPU's memory, "
        f"{CPU_PAGES} on a CPU",
    )
    parser.add_argument("--max_new_tokens", type=positive_integer, default=MAX_NEW_TOKENS)
    told = "default: what the model's recipe says, else"
    ngram = f"repeat no run of N tokens; 0: off; {told} {NO_REPEAT_NGRAM}"
    parser.add_argument("--no_repeat_ngram", type=whole_number, metavar="N", help=ngram)
    window = f"within the last N tokens; {told} {NO_REPEAT_WINDOW}"
    parser.add_argument("--no_repeat_window", type=positive_integer, metavar="N", help=window)


def loop_guard(args: argparse.Namespace) -> dict[str, int | None]:
    """What `add_generation_flags` took against loops, as a reader takes it."""
    return {name: getattr(args, name) for name in ("no_repeat_ngram", "no_repeat_window")}
