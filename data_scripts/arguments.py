"""Types of command-line arguments, for argparse: a bad value is one message and status 2."""

import argparse
import re


def dataset_name(value: str) -> str:
    if not re.fullmatch("[a-z0-9][a-z0-9_-]*", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a name of a-z, 0-9, _ and -")
    return value


def hub_id(value: str) -> str:
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not ORG/NAME")
    return value


def share(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 0 to 1")
    return number


def count(value: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,8}", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number above 0")
    return int(value)


def pattern(value: str) -> re.Pattern:
    try:
        return re.compile(value)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not a regular expression: {error}") from error


def page_size(value: str) -> tuple[int, int]:
    found = re.fullmatch("([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", value)
    if not found:
        raise argparse.ArgumentTypeError(f"{value!r} is not WIDTHxHEIGHT in pixels, 10 to 9999 each")
    return int(found[1]), int(found[2])
