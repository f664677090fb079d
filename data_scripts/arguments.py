"""The parser of a script, and types of its arguments: a bad value is one message and status 2."""

import argparse
import re
from typing import Any


def script_parser(description: str, prog: str | None = None, **options: Any) -> argparse.ArgumentParser:
    """A parser that shows `description` as it is written; `prog` is the program's name, by default the script's."""
    layout = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=prog, description=description, formatter_class=layout, **options)


def dataset_name(value: str) -> str:
    """The name of a built dataset: a-z, 0-9, _ and -."""
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a name of a-z, 0-9, _ and -")
    return value


def hub_id(value: str) -> str:
    """The id of a dataset on the Hub: ORG/NAME."""
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not ORG/NAME")
    return value


def share(value: str) -> float:
    """A number from 0 to 1."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 0 to 1")
    return number


def count(value: str) -> int:
    """A whole number above 0, of at most nine digits."""
    if not re.fullmatch("0*[1-9][0-9]{0,8}", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number above 0")
    return int(value)


def pattern(value: str) -> re.Pattern:
    """A regular expression."""
    try:
        return re.compile(value)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not a regular expression: {error}") from error


def page_size(value: str) -> tuple[int, int]:
    """(width, height) in pixels of WIDTHxHEIGHT, 10 to 9999 each."""
    found = re.fullmatch("([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", value)
    if not found:
        raise argparse.ArgumentTypeError(f"{value!r} is not WIDTHxHEIGHT in pixels, 10 to 9999 each")
    return int(found[1]), int(found[2])
